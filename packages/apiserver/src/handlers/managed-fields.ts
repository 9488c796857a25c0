import {
  resetFieldsOf,
  schemaOfKind,
  trackUpdate,
  type FieldSet,
  type KubeObject,
  type StructSchema,
} from '@centaurus/api'
import { formatApiVersion } from '../resource/built-in.ts'
import type { ResourceDefinition } from '../resource/registry.ts'
import type { WriteRequest } from '../resource/target.ts'
import type { AnyObject } from './prepare.ts'

const RESETS_STATUS = resetFieldsOf(['status'])
const RESETS_SPEC = resetFieldsOf(['spec'])

export interface TrackedChange {
  readonly live: KubeObject | undefined
  readonly updated: KubeObject
  readonly subresource: string
  readonly nowMs: number
}

/** `updated` with the managedFields that it has after this write. Objects are in the stored form. */
export function trackFields(request: WriteRequest, change: TrackedChange): AnyObject {
  const { definition } = request.target
  const { live, updated, subresource, nowMs } = change
  if (request.applied === true) return updated as AnyObject
  return trackUpdate({
    live,
    updated,
    schema: storedSchema(definition),
    manager: request.fieldManager,
    nowMs,
    apiVersion: formatApiVersion(definition.prune === undefined ? definition.storage : definition.info),
    subresource,
    resetFields: resetFields(definition, subresource),
  }) as AnyObject
}

/** Fields are tracked in the stored form of built-in kinds, and in the served one of custom ones, which differ in their version only. */
export function storedSchema({ info, storage, prune, fromStorage }: ResourceDefinition): StructSchema {
  if (prune !== undefined || fromStorage === undefined) return info.schema()
  return schemaOfKind(storage.group, storage.version, storage.kind) ?? info.schema()
}

/** What a write to this subresource can't set, and so does not own. */
export function resetFields({ info }: ResourceDefinition, subresource: string): FieldSet | undefined {
  if (subresource === 'status') return RESETS_SPEC
  const hasStatus = info.subresources.some((entry) => entry.name === 'status')
  return subresource === '' && hasStatus ? RESETS_STATUS : undefined
}
