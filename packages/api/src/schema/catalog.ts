import type { StructSchema } from './schema.ts'

/** One resource of one group version, as discovery tells it. */
export interface ResourceInfo {
  readonly group: string
  readonly version: string
  /** Plural, lower case. */
  readonly resource: string
  readonly singular: string
  readonly kind: string
  readonly listKind: string
  readonly namespaced: boolean
  readonly verbs: readonly string[]
  readonly shortNames: readonly string[]
  readonly categories: readonly string[]
  readonly subresources: readonly SubresourceInfo[]
  /** Version that the store holds for this group and resource; other versions are converted. */
  readonly storageVersion: string
  /** The object's fields. */
  readonly schema: () => StructSchema
}

export interface SubresourceInfo {
  readonly name: string
  /** Kind that is read and written there, such as `autoscaling/v1 Scale`. */
  readonly group: string
  readonly version: string
  readonly kind: string
  readonly verbs: readonly string[]
}
