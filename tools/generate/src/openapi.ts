import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

/** The Kubernetes release whose published description is the source of everything generated. SCOPE.md names it. */
export const KUBERNETES_VERSION = 'v1.37.2'

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
}

export interface OpenApiDocument {
  definitions: Record<string, OpenApiSchema>
  paths: Record<string, Record<string, OpenApiOperation>>
}

/** Folder of the Go module `k8s.io/kubernetes` at {@link KUBERNETES_VERSION}, fetched through the Go module proxy. */
export function kubernetesModuleDir(): string {
  const output = execFileSync('go', ['mod', 'download', '-json', `k8s.io/kubernetes@${KUBERNETES_VERSION}`], {
    cwd: '/',
    encoding: 'utf8',
  })
  return (JSON.parse(output) as { Dir: string }).Dir
}

export function readOpenApi(): OpenApiDocument {
  const file = join(kubernetesModuleDir(), 'api', 'openapi-spec', 'swagger.json')
  return JSON.parse(readFileSync(file, 'utf8')) as OpenApiDocument
}
