import { isStatus } from '@centaurus/api'
import type { DeleteOptions } from '@centaurus/api/meta/v1'
import { placeTarget, type WriteRequest } from '../resource/target.ts'
import { placedInfo } from '../views/placed.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import type { Selection } from '../watch-cache/selection.ts'
import { deleteObject } from './delete.ts'
import { listObjects, type ListResult } from './list.ts'
import type { ServeDeps } from './serve-deps.ts'

/** Deletes under way at once; they share the store's group commit. */
const DELETES_IN_FLIGHT_MAX = 64

export interface DeleteCollectionOptions {
  readonly selection: Selection
  /** 0: no limit. */
  readonly limit: number
  readonly options: DeleteOptions
}

/** Deletes what the selection holds now; what another deletes meanwhile is no error. Returns what it was. */
export async function deleteCollection(
  deps: ServeDeps,
  request: WriteRequest,
  { selection, limit, options }: DeleteCollectionOptions,
): Promise<ListResult> {
  const list = await listObjects(deps, {
    target: request.target,
    selection,
    limit,
    continueToken: '',
    resourceVersion: '',
    resourceVersionMatch: '',
  })
  const queue = list.objects.values()
  const worker = async (): Promise<void> => {
    for (const object of queue) await deleteUnlessGone(deps, request, { object, options })
  }
  await Promise.all(Array.from({ length: Math.min(DELETES_IN_FLIGHT_MAX, list.objects.length) }, worker))
  return list
}

async function deleteUnlessGone(
  deps: ServeDeps,
  request: WriteRequest,
  { object, options }: { readonly object: CachedObject; readonly options: DeleteOptions },
): Promise<void> {
  try {
    const { namespace, name } = object
    const { target, place } = placeTarget(deps.cache, request.target, { namespace, name })
    const info = target === request.target ? request.info : placedInfo(request.info, place)
    await deleteObject(deps, { ...request, target, info, namespace: place.namespace }, { name: place.name, options })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
}
