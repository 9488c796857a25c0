import { deepEqual, formatTime } from '@centaurus/api'
import type { ManagedFieldsEntry } from '@centaurus/api/meta/v1'
import { formatApiVersion } from '../resource/built-in.ts'
import type { ResourceDefinition } from '../resource/registry.ts'
import type { WriteRequest } from '../resource/target.ts'
import type { AnyObject } from './prepare.ts'

interface Renewal {
  readonly old: AnyObject
  /** What the client sent, with the metadata that the server decides. */
  readonly changed: AnyObject
  readonly subresource: string
  readonly nowMs: number
}

/**
 * What an update makes of a Lease when it does nothing but renew it: another `spec.renewTime`, from the manager who set all of it. That
 * is what 60,000 nodes do 6,000 times a second, so it is worth to know the result: zeros are filled, nobody else owns the field, and what
 * was valid stays valid. Undefined: it is something else, or somebody else's, and goes the long way.
 */
export function planRenewal(
  request: WriteRequest,
  { old, changed, subresource, nowMs }: Renewal,
): AnyObject | undefined {
  if (!isLease(request.target.definition) || subresource !== '' || request.applied === true) return undefined
  const entry = onlyManager(request, old)
  const renewTime = renewTimeOf(old, changed)
  if (entry === undefined || renewTime === undefined || !isSameBut(old, changed)) return undefined
  return {
    ...old,
    metadata: { ...old.metadata, managedFields: [{ ...entry, time: formatTime(nowMs) }] },
    spec: { ...(old['spec'] as object), renewTime },
  }
}

export function isLease({ storage }: ResourceDefinition): boolean {
  return storage.resource === 'leases' && storage.group === 'coordination.k8s.io'
}

/** The one entry of managedFields, when it is the requester's and holds the field. */
function onlyManager({ fieldManager, target }: WriteRequest, { metadata }: AnyObject): ManagedFieldsEntry | undefined {
  const [entry, ...others] = metadata.managedFields ?? []
  if (entry === undefined || others.length > 0) return undefined
  const { manager, operation, apiVersion, subresource = '', fieldsV1 } = entry
  const isTheirs = manager === fieldManager && operation === 'Update' && subresource === ''
  if (!isTheirs || apiVersion !== formatApiVersion(target.definition.storage)) return undefined
  const owned = (fieldsV1 as { readonly 'f:spec'?: object } | undefined)?.['f:spec']
  return owned !== undefined && 'f:renewTime' in owned ? entry : undefined
}

/** The new time, when both specs have one and nothing else differs in them. */
function renewTimeOf(old: AnyObject, changed: AnyObject): string | undefined {
  const before = old['spec'] as Readonly<Record<string, unknown>> | undefined
  const after = changed['spec'] as Readonly<Record<string, unknown>> | undefined
  const renewTime = after?.['renewTime']
  if (typeof renewTime !== 'string' || typeof before?.['renewTime'] !== 'string') return undefined
  return deepEqual({ ...after, renewTime: '' }, { ...before, renewTime: '' }) ? renewTime : undefined
}

/** Whether the rest is as it was. Clients send managedFields as they got them, or not at all. */
function isSameBut(old: AnyObject, changed: AnyObject): boolean {
  const { managedFields } = changed.metadata
  if (managedFields !== undefined && !deepEqual(managedFields, old.metadata.managedFields)) return false
  const metadata = { ...changed.metadata, managedFields: old.metadata.managedFields }
  return deepEqual({ ...changed, metadata, spec: undefined }, { ...old, spec: undefined })
}
