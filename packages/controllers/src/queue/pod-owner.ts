import { controllerOf, formatKey, isPodTerminal, isStatus, objectKey, type Stored } from '@centaurus/api'
import { QUEUE_GATE, queueNameOf } from '@centaurus/api/centaurus/v1'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { podgroups, type PodGroup } from '@centaurus/api/scheduling/v1beta1'
import type { Informer, InformerFactory } from '@centaurus/client'
import type { ReconcilerContext } from '../frame/controller.ts'
import type { OwnerKind } from './owner-kind.ts'
import { formatAmounts } from './core/amounts.ts'
import { queuedRequestsOf, readAmounts } from './requests.ts'

const BY_GROUP = 'pod-group'
/** Controllers that wait themselves; so their pods do not. */
const QUEUED_OWNERS = new Set(['Job', 'TrainingJob'])

export function isGated({ spec }: Readonly<Pod>): boolean {
  return spec?.schedulingGates?.some(({ name }) => name === QUEUE_GATE) === true
}

/** Pods that wait by themselves: a scheduling gate holds them back. */
export function createPodOwner(informers: InformerFactory): OwnerKind<Pod> {
  const informer = informers.informer(pods)
  const groups = informers.informer(podgroups)
  return {
    apiVersion: 'v1',
    kind: 'Pod',
    informer,
    isRestartable: false,
    podsOf: (pod) => [pod],
    isHeld: isGated,
    wantedOf(pod) {
      if (pod.spec === undefined || QUEUED_OWNERS.has(controllerOf(pod)?.kind ?? '')) return undefined
      if (isInQueuedGroup(pod, groups)) return undefined
      return {
        podSets: [{ name: 'main', count: 1, requests: queuedRequestsOf(pod.metadata, pod.spec) }],
        priority: pod.spec.priority,
        maximumExecutionTimeSeconds: pod.spec.activeDeadlineSeconds,
      }
    },
    endOf: (pod) =>
      isPodTerminal(pod) ? { reason: pod.status?.phase ?? '', message: 'The pod has ended' } : undefined,
    activePods: (pod) => (isGated(pod) || isPodTerminal(pod) ? 0 : 1),
    start: (pod, _counts, context) => openGate(pod, context),
    stop: (pod, context) => (isGated(pod) ? Promise.resolve() : removePod(pod, context)),
  }
}

/** PodGroups that name a queue: their pods wait together, until there are as many as the group needs. */
export function createPodGroupOwner(informers: InformerFactory): OwnerKind<PodGroup> {
  const informer = informers.informer(podgroups)
  const podInformer = informers.informer(pods)
  podInformer.addIndex(BY_GROUP, (pod) => {
    const name = pod.spec?.schedulingGroup?.podGroupName
    return name ? [formatKey(pod.metadata.namespace ?? '', name)] : []
  })
  const podsOf = (group: Stored<PodGroup>): readonly Stored<Pod>[] => podInformer.byIndex(BY_GROUP, objectKey(group))
  const aliveOf = (group: Stored<PodGroup>): readonly Stored<Pod>[] =>
    podsOf(group).filter((pod) => !isPodTerminal(pod) && pod.metadata.deletionTimestamp === undefined)
  return {
    apiVersion: 'scheduling.k8s.io/v1beta1',
    kind: 'PodGroup',
    informer,
    isRestartable: false,
    podsOf,
    isHeld: (group) => aliveOf(group).some(isGated),
    wantedOf(group) {
      const alive = aliveOf(group)
      const least = group.spec.schedulingPolicy.gang?.minCount ?? 1
      return alive.length < least ? undefined : { podSets: podSetsOf(alive), priority: priorityOf(alive) }
    },
    endOf(group) {
      const all = podsOf(group)
      if (all.length === 0 || !all.every(isPodTerminal)) return undefined
      return { reason: 'Succeeded', message: 'All pods of the group have ended' }
    },
    activePods: (group) => podsOf(group).filter((pod) => !isGated(pod) && !isPodTerminal(pod)).length,
    async start(group, counts, context) {
      const alive = aliveOf(group)
      const most = counts.reduce((sum, count) => sum + count, 0)
      const started = alive.filter((pod) => !isGated(pod)).length
      for (const pod of alive.filter(isGated).slice(0, Math.max(0, most - started))) await openGate(pod, context)
    },
    async stop(group, context) {
      for (const pod of aliveOf(group)) if (!isGated(pod)) await removePod(pod, context)
    },
  }
}

/** Whether the pod waits as one of its group. */
export function isInQueuedGroup({ metadata, spec }: Stored<Pod>, groups: Informer<PodGroup>): boolean {
  const name = spec?.schedulingGroup?.podGroupName
  const group = name ? groups.get(formatKey(metadata.namespace ?? '', name)) : undefined
  return group !== undefined && queueNameOf(group) !== undefined
}

/** Pods that ask for the same are one set, as many as there are. */
function podSetsOf(alive: readonly Stored<Pod>[]): { name: string; count: number; requests: Record<string, string> }[] {
  const sets = new Map<string, { name: string; count: number; requests: Record<string, string> }>()
  for (const { metadata, spec } of alive) {
    const requests = queuedRequestsOf(metadata, spec!)
    const key = formatAmounts(readAmounts(requests))
    const set = sets.get(key)
    if (set === undefined) sets.set(key, { name: key, count: 1, requests })
    else set.count++
  }
  return [...sets.values()]
    .toSorted((a, b) => (a.name < b.name ? -1 : 1))
    .map((set, i) => ({ ...set, name: `set-${i}` }))
}

function priorityOf(alive: readonly Stored<Pod>[]): number {
  return Math.max(...alive.map(({ spec }) => spec?.priority ?? 0))
}

async function openGate(pod: Stored<Pod>, { client }: ReconcilerContext): Promise<void> {
  if (!isGated(pod)) return
  const schedulingGates = pod.spec?.schedulingGates?.filter(({ name }) => name !== QUEUE_GATE)
  await client.update(pods, { ...pod, spec: { ...pod.spec!, schedulingGates } })
}

async function removePod({ metadata }: Stored<Pod>, { client }: ReconcilerContext): Promise<void> {
  if (metadata.deletionTimestamp !== undefined) return
  const { namespace, name, uid } = metadata
  try {
    await client.delete(pods, { namespace, name }, { preconditions: { uid } })
  } catch (error) {
    if (!isStatus(error, 'NotFound') && !isStatus(error, 'Conflict')) throw error // it is gone, or another one
  }
}
