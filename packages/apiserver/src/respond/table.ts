import { formatTime, type KubeObject, type TableColumn } from '@centaurus/api'
import type { ResourceDefinition } from '../resource/registry.ts'

/** Which form of the object each row carries. Source: meta.k8s.io/v1 TableOptions. */
export type IncludeObject = 'None' | 'Metadata' | 'Object'

/** Source: kubernetes pkg/printers/internalversion and apiserver's default table convertor. */
const DEFAULT_COLUMNS: readonly TableColumn[] = [
  { name: 'Name', type: 'string', format: 'name', description: 'Name must be unique within a namespace.', priority: 0 },
  {
    name: 'Created At',
    type: 'date',
    description: 'CreationTimestamp is a timestamp representing the server time when this object was created.',
    priority: 0,
  },
]

export interface TableOptions {
  readonly includeObject: IncludeObject
  /** `v1` or `v1beta1` of meta.k8s.io. */
  readonly version: string
  readonly nowMs: number
  /** False for the later events of a watch: the client knows the columns. */
  readonly withColumns: boolean
}

export interface TableMetadata {
  readonly resourceVersion?: string | undefined
  readonly continue?: string | undefined
  readonly remainingItemCount?: number | undefined
}

/** One object in both of its forms; mostly they are the same. */
export interface TableObject {
  readonly stored: KubeObject
  readonly served: KubeObject
}

/** A `meta.k8s.io` Table of objects in the served version. */
export function createTable(
  definition: ResourceDefinition,
  objects: readonly TableObject[],
  options: TableOptions & { readonly metadata: TableMetadata },
): object {
  const columns = definition.behavior.columns ?? DEFAULT_COLUMNS
  return {
    kind: 'Table',
    apiVersion: `meta.k8s.io/${options.version}`,
    metadata: options.metadata,
    columnDefinitions: options.withColumns
      ? columns.map(({ name, type, format, description, priority }) => ({
          name,
          type,
          format: format ?? '',
          description,
          priority,
        }))
      : null,
    rows: objects.map(({ stored, served }) => ({
      // A built-in kind's behavior knows the stored form; that of a custom one belongs to its version.
      cells: createCells(definition, definition.prune === undefined ? stored : served, options.nowMs),
      ...rowObject(served, options),
    })),
  }
}

function createCells({ behavior }: ResourceDefinition, object: KubeObject, nowMs: number): unknown[] {
  if (behavior.row !== undefined) return behavior.row(object, nowMs)
  return [object.metadata.name, object.metadata.creationTimestamp ?? formatTime(nowMs)]
}

function rowObject(object: KubeObject, { includeObject, version }: TableOptions): { object?: unknown } {
  if (includeObject === 'None') return {}
  if (includeObject === 'Object') return { object }
  return { object: partialMetadata(object, version) }
}

/** A `PartialObjectMetadata` of the object. */
export function partialMetadata(object: KubeObject, version: string): object {
  return { kind: 'PartialObjectMetadata', apiVersion: `meta.k8s.io/${version}`, metadata: object.metadata }
}
