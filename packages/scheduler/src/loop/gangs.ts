import { formatKey, type Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import { podgroups, type PodGroup } from '@centaurus/api/scheduling/v1beta1'
import type { Informer, InformerFactory } from '@centaurus/client'
import { isTerminal } from './compare.ts'

/** How a pod is scheduled as one of its group. Messages: framework/plugins/gangscheduling, v1.37. */
export type GangMembership =
  /** By itself. */
  | { readonly type: 'single' }
  /** Not before its group changes; `group` names it. */
  | { readonly type: 'wait'; readonly group: string; readonly message: string }
  /** Together with the others. */
  | { readonly type: 'gang'; readonly minCount: number; readonly pods: readonly Stored<Pod>[] }

export interface GangsDeps {
  readonly informers: InformerFactory
  /** Pods that name the group. */
  readonly podsOfGroup: (namespace: string, name: string) => readonly Stored<Pod>[]
  /** The group was made or changed. */
  readonly onChange: (group: string) => void
}

/** Groups of pods that get nodes together. Looks for group objects only once some pod names one. */
export class Gangs {
  readonly #deps: GangsDeps
  #groups: Informer<PodGroup> | undefined
  #removeHandler: (() => void) | undefined

  constructor(deps: GangsDeps) {
    this.#deps = deps
  }

  membershipOf(pod: Stored<Pod>): GangMembership {
    const name = pod.spec?.schedulingGroup?.podGroupName
    if (!name) return { type: 'single' }
    const namespace = pod.metadata.namespace ?? ''
    const group = gangKey(pod)
    const found = this.#informer().get(formatKey(namespace, name))
    if (found === undefined)
      return { type: 'wait', group, message: `waiting for pods's pod group "${name}" to appear in scheduling queue` }
    const minCount = found.spec.schedulingPolicy.gang?.minCount
    if (minCount === undefined) return { type: 'single' }
    const pods = this.#deps.podsOfGroup(namespace, name).filter(isAlive)
    if (pods.length >= minCount) return { type: 'gang', minCount, pods }
    return { type: 'wait', group, message: 'waiting for minCount pods from a gang to appear in scheduling queue' }
  }

  close(): void {
    this.#removeHandler?.()
  }

  #informer(): Informer<PodGroup> {
    if (this.#groups !== undefined) return this.#groups
    const groups = this.#deps.informers.informer(podgroups)
    this.#groups = groups
    const changed = ({ metadata }: Stored<PodGroup>): void =>
      this.#deps.onChange(gangName(metadata.namespace ?? '', metadata.name))
    this.#removeHandler = groups.addHandler({ onAdd: changed, onUpdate: changed })
    return groups
  }
}

/** Names the group of a pod for the queue; '' for a pod without one. */
export function gangKey({ metadata, spec }: Stored<Pod>): string {
  const name = spec?.schedulingGroup?.podGroupName
  return name ? gangName(metadata.namespace ?? '', name) : ''
}

function gangName(namespace: string, name: string): string {
  return `gang ${formatKey(namespace, name)}`
}

function isAlive({ metadata, status }: Stored<Pod>): boolean {
  return metadata.deletionTimestamp === undefined && !isTerminal(status?.phase)
}
