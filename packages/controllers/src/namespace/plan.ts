import { formatTime, parseTime } from '@centaurus/api'
import type { Namespace, NamespaceCondition, Pod } from '@centaurus/api/core/v1'

/** Guess for whoever removes finalizers. Source: finalizerEstimateSeconds, namespaced_resources_deleter.go v1.37. */
const FINALIZER_ESTIMATE_SECONDS = 15

/** What is left of one resource in a namespace after everything was told to go. */
export interface RemainingContent {
  readonly group: string
  readonly resource: string
  readonly count: number
  readonly finalizers: readonly string[]
}

export interface NamespaceProgress {
  /** Why what the server serves can't be told. */
  readonly discoveryError: string | undefined
  readonly deletionErrors: readonly string[]
  readonly remaining: readonly RemainingContent[]
}

/** The conditions of a namespace that is being deleted; those of other types are kept. Source: status_condition_utils.go v1.37. */
export function planNamespaceConditions(
  old: readonly NamespaceCondition[],
  progress: NamespaceProgress,
  nowMs: number,
): NamespaceCondition[] {
  let conditions = [...old]
  for (const init of describeProgress(progress)) {
    const known = conditions.find((condition) => condition.type === init.type)
    const lastTransitionTime = known?.status === init.status ? known.lastTransitionTime : formatTime(nowMs)
    const next = { ...init, lastTransitionTime }
    conditions =
      known === undefined
        ? [...conditions, next]
        : conditions.map((condition) => (condition === known ? next : condition))
  }
  return conditions
}

interface ConditionText {
  readonly type: string
  readonly status: string
  readonly reason: string
  readonly message: string
}

function describeProgress({ discoveryError, deletionErrors, remaining }: NamespaceProgress): ConditionText[] {
  const left = remaining.filter(({ count }) => count > 0)
  const resources = left
    .map(({ resource, group, count }) => `${resource}.${group} has ${count} resource instances`)
    .toSorted()
  const finalizers = countFinalizers(left)
  const failures = deletionErrors.toSorted()
  return [
    choose('NamespaceDeletionDiscoveryFailure', discoveryError, {
      bad: 'DiscoveryFailed',
      good: ['ResourcesDiscovered', 'All resources successfully discovered'],
    }),
    choose('NamespaceDeletionGroupVersionParsingFailure', undefined, {
      bad: 'GroupVersionParsingFailed',
      good: ['ParsedGroupVersions', 'All legacy kube types successfully parsed'],
    }),
    choose(
      'NamespaceDeletionContentFailure',
      failures.length === 0
        ? undefined
        : `Failed to delete all resource types, ${failures.length} remaining: ${failures.join(', ')}`,
      {
        bad: 'ContentDeletionFailed',
        good: ['ContentDeleted', 'All content successfully deleted, may be waiting on finalization'],
      },
    ),
    choose(
      'NamespaceContentRemaining',
      resources.length === 0 ? undefined : `Some resources are remaining: ${resources.join(', ')}`,
      {
        bad: 'SomeResourcesRemain',
        good: ['ContentRemoved', 'All content successfully removed'],
      },
    ),
    choose(
      'NamespaceFinalizersRemaining',
      finalizers.length === 0
        ? undefined
        : `Some content in the namespace has finalizers remaining: ${finalizers.join(', ')}`,
      { bad: 'SomeFinalizersRemain', good: ['ContentHasNoFinalizers', 'All content-preserving finalizers finished'] },
    ),
  ]
}

function choose(
  type: string,
  problem: string | undefined,
  { bad, good }: { readonly bad: string; readonly good: readonly [string, string] },
): ConditionText {
  if (problem !== undefined) return { type, status: 'True', reason: bad, message: problem }
  return { type, status: 'False', reason: good[0], message: good[1] }
}

function countFinalizers(remaining: readonly RemainingContent[]): string[] {
  const counts = new Map<string, number>()
  for (const { finalizers } of remaining) {
    for (const finalizer of finalizers) counts.set(finalizer, (counts.get(finalizer) ?? 0) + 1)
  }
  return [...counts].map(([finalizer, count]) => `${finalizer} in ${count} resource instances`).toSorted()
}

/** Seconds until the pods' grace is over, counted from the namespace's deletion. Source: estimateGracefulTermination v1.37. */
export function estimatePodSeconds(namespace: Namespace, list: readonly Pod[], nowMs: number): number {
  const sinceMs = parseTime(namespace.metadata.deletionTimestamp ?? '') ?? nowMs
  const elapsed = Math.floor((nowMs - sinceMs) / 1000)
  const graces = list
    .filter(({ status }) => status?.phase !== 'Succeeded' && status?.phase !== 'Failed')
    .map(({ spec }) => spec?.terminationGracePeriodSeconds ?? 0)
  return Math.max(0, ...graces.map((grace) => grace - elapsed))
}

/** When to look again at a namespace with something left; undefined when nothing explains why it is left. */
export function planRecheckSeconds(podSeconds: number, remaining: readonly RemainingContent[]): number | undefined {
  const waits = remaining.some(({ finalizers }) => finalizers.length > 0) ? FINALIZER_ESTIMATE_SECONDS : 0
  const estimate = Math.max(podSeconds, waits)
  return estimate === 0 ? undefined : Math.floor(estimate / 2) + 1
}
