import { isStatus, type Stored } from '@centaurus/api'
import { endpointslices, type EndpointSlice } from '@centaurus/api/discovery/v1'
import type { Informer } from '@centaurus/client'
import { nameOf } from '../frame/claim.ts'
import type { ReconcilerContext } from '../frame/controller.ts'
import { isNamespaceTerminating } from '../frame/pods.ts'
import { SERVICE_NAME_LABEL } from './plan.ts'
import type { SliceChanges } from './pack.ts'

const SERVICE_INDEX = 'service'

/** Slices by the key of their service. */
export function addServiceIndex(slices: Informer<EndpointSlice>): void {
  slices.addIndex(SERVICE_INDEX, serviceIndexValues)
}

export function slicesOf(slices: Informer<EndpointSlice>, serviceKey: string): readonly Stored<EndpointSlice>[] {
  return slices.byIndex(SERVICE_INDEX, serviceKey)
}

export function serviceKeyOf(slice: EndpointSlice): string | undefined {
  const name = slice.metadata.labels?.[SERVICE_NAME_LABEL]
  return name === undefined || name === '' ? undefined : `${slice.metadata.namespace}/${name}`
}

function serviceIndexValues(slice: EndpointSlice): readonly string[] {
  const key = serviceKeyOf(slice)
  return key === undefined ? [] : [key]
}

/** Creates, then updates, then removes: no endpoint is missing in between. */
export async function writeSlices(
  { client, writes }: ReconcilerContext,
  changes: SliceChanges,
  { key, slices }: { readonly key: string; readonly slices: Informer<EndpointSlice> },
): Promise<void> {
  for (const slice of changes.create) {
    try {
      writes.wrote(key, slices, await client.create(endpointslices, slice))
    } catch (error) {
      if (isNamespaceTerminating(error)) return
      throw error
    }
  }
  for (const { to } of changes.update) writes.wrote(key, slices, await client.update(endpointslices, to))
  for (const slice of changes.remove) {
    try {
      await client.delete(endpointslices, nameOf(slice), { preconditions: { uid: slice.metadata.uid } })
    } catch (error) {
      if (!isStatus(error, 'NotFound')) throw error
    }
    writes.deleted(key, slices, slice)
  }
}
