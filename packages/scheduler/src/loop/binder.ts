import type { Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import { deviceAmounts } from '@centaurus/api/gpu'
import type { Client } from '@centaurus/client'
import type { ClusterState } from '../core/cluster-state.ts'
import type { GpuPlan } from '../core/gpu/gpu-table.ts'
import type { HostPort } from '../core/pod-footprint.ts'
import type { PodRequirements } from '../core/pod-requirements.ts'
import { bindPod } from './writes.ts'

/** One decision to make real. */
export interface BindItem {
  readonly pod: Stored<Pod>
  readonly nodeName: string
  /** By resource: cpu in milli-cores, everything else in units; `pods` is 1. Resources that the pod does not ask for are absent. Its devices are in it by `deviceAmounts`. */
  readonly requests: Readonly<Record<string, number>>
  readonly ports: readonly HostPort[]
  /** Devices of the node, by container and together; absent: it gets none that we choose. */
  readonly gpus?: GpuPlan | undefined
  /** Items of one call that are bound together; absent: by itself. */
  readonly gang?: Gang | undefined
}

/** Pods of which enough must have room, or none of them is bound. */
export interface Gang {
  /** The same object for all of them. */
  readonly key: string
  /** How many; others of the gang are bound already. */
  readonly needed: number
}

export type BindResult =
  | { readonly type: 'bound' }
  /** The owner of the node has no room for it. `free` is what it has left, in the units of {@link BindItem.requests}. */
  | { readonly type: 'refused'; readonly reason: string; readonly free?: Readonly<Record<string, number>> | undefined }
  /** It could have had room, but not enough others of its gang could. */
  | { readonly type: 'gangRefused'; readonly reason: string }
  | { readonly type: 'failed'; readonly error: Error }

/** What became of the wish to make room for a pod. */
export type PreemptResult =
  /** The room is kept for it; `victims` pods of other partitions are on their way out. */
  { readonly type: 'nominated'; readonly victims: number } | Exclude<BindResult, { type: 'bound' | 'gangRefused' }>

/** Makes decisions real. Several calls may be under way at once; pods are counted on their nodes from the decision on. */
export interface Binder {
  /** One result an item, in order. What it throws counts as the failure of all items. */
  bind(items: readonly BindItem[]): Promise<readonly BindResult[]>
  /**
   * Has the owner of the node keep room for a pod, and make what is missing at the cost of other partitions' less important ones. Asking again asks for no
   * more. `leaving`: pods of this partition that leave the node, or will when it agrees. Absent: nodes have no owners.
   */
  preempt?(item: BindItem, leaving: readonly string[]): Promise<PreemptResult>
  /** Gives up what {@link preempt} asked for. */
  withdraw?(nodeName: string, uid: string): void
}

/** What to tell the owner of the node. */
export function toBindItem(
  { resources }: Pick<ClusterState, 'resources'>,
  pod: Stored<Pod>,
  {
    requirements,
    nodeName,
    gpus,
    gang,
  }: Pick<BindItem, 'nodeName' | 'gpus' | 'gang'> & { readonly requirements: PodRequirements },
): BindItem {
  const { requests, hostPorts } = requirements.footprint
  const devices = gpus === undefined ? {} : deviceAmounts(gpus.use.grants)
  return { pod, nodeName, requests: { ...resources.toAmounts(requests), ...devices }, ports: hostPorts, gpus, gang }
}

/** Writes a Binding for each pod, side by side. */
export function createClientBinder(client: Client): Binder {
  const bindOne = async (item: BindItem): Promise<BindResult> => {
    try {
      await bindPod(client, item)
      return { type: 'bound' }
    } catch (error) {
      return { type: 'failed', error: error instanceof Error ? error : new Error(String(error)) }
    }
  }
  return { bind: (items) => Promise.all(items.map(bindOne)) }
}
