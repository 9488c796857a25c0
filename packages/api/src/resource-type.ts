/**
 * Names one resource of one group version, and carries the type of its objects for the compiler.
 *
 * `group` is `''` for the core group; `resource` is the plural, lower case, such as `pods`.
 */
export interface ResourceType<T> {
  readonly group: string
  readonly version: string
  readonly resource: string
  readonly kind: string
  readonly namespaced: boolean
  /** Never set: it only ties `T` to the value. */
  readonly objectType?: T
}
