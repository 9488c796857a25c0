/** Which of the two descriptions is made: OpenAPI v2 (Swagger) or v3. They differ in details that clients rely on. */
export type Dialect = 'v2' | 'v3'

/** JSON of a schema. */
export type SchemaJson = Readonly<Record<string, unknown>>

/** Texts for one definition, which come at build time and not with the repository. */
export interface DefinitionTexts {
  readonly description?: string | undefined
  /** By field name. */
  readonly fields?: Readonly<Record<string, string>> | undefined
}

/** Texts by definition name, such as `io.k8s.api.core.v1.Pod`. */
export type Descriptions = Readonly<Record<string, DefinitionTexts>>

/** One served version of a CustomResourceDefinition. */
export interface CustomResourceDescription {
  readonly group: string
  readonly version: string
  /** Plural. */
  readonly resource: string
  readonly kind: string
  readonly listKind: string
  readonly namespaced: boolean
  /** Absent: all. */
  readonly verbs?: readonly string[] | undefined
  /** Names of the subresources: `status`, `scale`. */
  readonly subresources: readonly string[]
  /** The version's `schema.openAPIV3Schema`, structural; undefined when it has none. */
  readonly schema: SchemaJson | undefined
}

export function refPrefix(dialect: Dialect): string {
  return dialect === 'v2' ? '#/definitions/' : '#/components/schemas/'
}
