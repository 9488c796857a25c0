import type { KubeObject, Stored } from '@centaurus/api'
import type { OwnerReference } from '@centaurus/api/meta/v1'
import { FOREGROUND_FINALIZER, ORPHAN_FINALIZER } from './graph.ts'

/** What the server said about an owner that a reference names. */
export type OwnerState = 'absent' | 'waiting' | 'present'

export type CollectionPlan =
  | { readonly action: 'keep' }
  /** Some owners live: drop the references to those that do not, or that only wait for their dependents. */
  | { readonly action: 'dropReferences'; readonly uids: readonly string[] }
  | {
      readonly action: 'delete'
      readonly propagationPolicy: 'Foreground' | 'Background' | 'Orphan'
      readonly unblock: boolean
    }

export interface CollectionInput {
  /** As the server has it now. */
  readonly object: Stored<KubeObject>
  readonly owners: readonly { readonly reference: OwnerReference; readonly state: OwnerState }[]
  readonly hasDependents: boolean
  /** One of its dependents waits for its own dependents, which might be this object. */
  readonly hasWaitingDependent: boolean
}

/** Whether an object goes with its owners. Source: attemptToDeleteItem, garbagecollector.go v1.37. */
export function planCollection({
  object,
  owners,
  hasDependents,
  hasWaitingDependent,
}: CollectionInput): CollectionPlan {
  if (owners.length === 0) return { action: 'keep' }
  const uidsIn = (state: OwnerState): string[] =>
    owners.filter((owner) => owner.state === state).map(({ reference }) => reference.uid)
  const gone = [...uidsIn('absent'), ...uidsIn('waiting')]
  if (gone.length < owners.length)
    return gone.length === 0 ? { action: 'keep' } : { action: 'dropReferences', uids: gone }
  if (uidsIn('waiting').length > 0 && hasDependents)
    return { action: 'delete', propagationPolicy: 'Foreground', unblock: hasWaitingDependent }
  return { action: 'delete', propagationPolicy: ownPolicy(object), unblock: false }
}

/** An object that was told already how to go keeps its way. */
function ownPolicy({ metadata }: KubeObject): 'Foreground' | 'Background' | 'Orphan' {
  if (metadata.finalizers?.includes(ORPHAN_FINALIZER)) return 'Orphan'
  return metadata.finalizers?.includes(FOREGROUND_FINALIZER) ? 'Foreground' : 'Background'
}
