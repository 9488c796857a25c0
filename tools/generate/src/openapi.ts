import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { kubernetesDir } from './modules.ts'

/** One node of a published OpenAPI v2 schema; only the facts that the generator reads. */
export interface OpenApiSchema {
  type?: 'string' | 'integer' | 'number' | 'boolean' | 'array' | 'object'
  format?: string
  description?: string
  $ref?: string
  items?: OpenApiSchema
  additionalProperties?: OpenApiSchema
  properties?: Record<string, OpenApiSchema>
  required?: string[]
  'x-kubernetes-group-version-kind'?: GroupVersionKind[]
  'x-kubernetes-list-type'?: 'atomic' | 'set' | 'map'
  'x-kubernetes-list-map-keys'?: string[]
  'x-kubernetes-map-type'?: 'atomic' | 'granular'
  'x-kubernetes-patch-merge-key'?: string
  'x-kubernetes-patch-strategy'?: string
  'x-kubernetes-unions'?: unknown
}

export interface GroupVersionKind {
  group: string
  version: string
  kind: string
}

export interface OpenApiOperation {
  'x-kubernetes-action'?: string
  'x-kubernetes-group-version-kind'?: GroupVersionKind
  parameters?: unknown[]
  responses?: Record<string, { schema?: OpenApiSchema }>
}

export interface OpenApiDocument {
  definitions: Record<string, OpenApiSchema>
  paths: Record<string, Record<string, OpenApiOperation>>
}

/** The OpenAPI v2 description of every built-in group version. */
export function readOpenApi(): OpenApiDocument {
  return readJson(join(kubernetesDir(), 'api', 'openapi-spec', 'swagger.json')) as OpenApiDocument
}

export interface OpenApiV3Document {
  components: { schemas?: Record<string, OpenApiV3Schema> }
  paths: Record<string, unknown>
}

export interface OpenApiV3Schema extends OpenApiSchema {
  properties?: Record<string, OpenApiV3Schema>
  default?: unknown
}

/** OpenAPI v3 documents by the path that serves them, such as `apis/apps/v1`. */
export function readOpenApiV3(): Map<string, OpenApiV3Document> {
  const directory = join(kubernetesDir(), 'api', 'openapi-spec', 'v3')
  const documents = new Map<string, OpenApiV3Document>()
  for (const file of readdirSync(directory).sort()) {
    const path = file.replace(/_openapi\.json$/, '').replaceAll('__', '/')
    documents.set(path, readJson(join(directory, file)) as OpenApiV3Document)
  }
  return documents
}

export interface DiscoveredResource {
  readonly name: string
  readonly singularName?: string
  readonly kind: string
  readonly group?: string
  readonly version?: string
  readonly namespaced: boolean
  readonly verbs: readonly string[]
  readonly shortNames?: readonly string[]
  readonly categories?: readonly string[]
}

export interface DiscoveredGroupVersion {
  readonly group: string
  readonly version: string
  readonly resources: readonly DiscoveredResource[]
}

/** What discovery of the release answers: the legacy group first, the others in order of priority. */
export function readDiscovery(): DiscoveredGroupVersion[] {
  const directory = join(kubernetesDir(), 'api', 'discovery')
  const groups = readJson(join(directory, 'apis.json')) as {
    groups: { name: string; versions: { version: string }[] }[]
  }
  const read = (file: string): readonly DiscoveredResource[] =>
    (readJson(join(directory, file)) as { resources: DiscoveredResource[] }).resources
  const versions: DiscoveredGroupVersion[] = [{ group: '', version: 'v1', resources: read('api__v1.json') }]
  for (const { name, versions: own } of groups.groups) {
    for (const { version } of own) {
      versions.push({ group: name, version, resources: read(`apis__${name}__${version}.json`) })
    }
  }
  return versions
}

function readJson(file: string): unknown {
  return JSON.parse(readFileSync(file, 'utf8'))
}
