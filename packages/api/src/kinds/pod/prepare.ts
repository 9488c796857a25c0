import type { Pod, PodAffinityTerm, PodCondition } from '../../generated/types/core/v1.ts'
import type { LabelSelector } from '../../generated/types/meta/v1.ts'
import { formatTime } from '../../meta/time.ts'
import { deepClone } from '../../meta/values.ts'
import type { BehaviorContext } from '../behavior.ts'
import { podQosClass } from './qos.ts'
import { defaultPodLevelResources } from './resources.ts'

/** Starts a pod's life. Source: podStrategy.PrepareForCreate, pkg/registry/core/pod/strategy.go v1.37. */
export function preparePodForCreate(draft: Pod, context: BehaviorContext): void {
  draft.status = { phase: 'Pending' }
  const spec = draft.spec
  if (spec === undefined) return
  if ((spec.schedulingGates ?? []).length > 0) draft.status.conditions = [schedulingGated(context.nowMs)]
  mergeAffinityKeys(draft)
  for (const constraint of spec.topologySpreadConstraints ?? []) {
    mergeLabelKeys(constraint.labelSelector, constraint.matchLabelKeys, {
      operator: 'In',
      labels: draft.metadata.labels,
    })
  }
  try {
    defaultPodLevelResources(spec)
    draft.status.qosClass = podQosClass(draft)
  } catch (error) {
    // Validation, which runs next, refuses a text that is no quantity and names the field.
    if (!(error instanceof SyntaxError)) throw error
  }
}

/** Source: podStrategy.PrepareForUpdate. */
export function preparePodForUpdate(draft: Pod, old: Readonly<Pod>): void {
  if (draft.spec !== undefined && draft.spec.resources === undefined && old.spec?.resources !== undefined) {
    draft.spec.resources = deepClone(old.spec.resources)
  }
}

/** Keeps what clients that know less must not drop. Source: podStatusStrategy.PrepareForUpdate. */
export function preparePodForStatusUpdate(draft: Pod, old: Readonly<Pod>): void {
  draft.metadata.ownerReferences = old.metadata.ownerReferences
  const status = (draft.status ??= {})
  const before = old.status ?? {}
  status.qosClass = status.qosClass || before.qosClass
  status.resourceClaimStatuses ??= before.resourceClaimStatuses
  status.extendedResourceClaimStatus ??= before.extendedResourceClaimStatus
  status.nodeAllocatableResourceClaimStatuses ??= before.nodeAllocatableResourceClaimStatuses
  status.observedGeneration = status.observedGeneration || before.observedGeneration
  for (const condition of status.conditions ?? []) {
    const earlier = before.conditions?.find((candidate) => candidate.type === condition.type)
    if (earlier?.observedGeneration !== undefined) condition.observedGeneration ??= earlier.observedGeneration
  }
}

function schedulingGated(nowMs: number): PodCondition {
  return {
    type: 'PodScheduled',
    status: 'False',
    lastTransitionTime: formatTime(nowMs),
    reason: 'SchedulingGated',
    message: 'Scheduling is blocked due to non-empty scheduling gates',
  }
}

/** Label keys become plain expressions with the pod's own values. Source: mutatePodAffinity. */
function mergeAffinityKeys(pod: Pod): void {
  const labels = pod.metadata.labels
  for (const affinity of [pod.spec?.affinity?.podAffinity, pod.spec?.affinity?.podAntiAffinity]) {
    const terms: PodAffinityTerm[] = [
      ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
      ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((weighted) => weighted.podAffinityTerm),
    ]
    for (const term of terms) {
      mergeLabelKeys(term.labelSelector, term.matchLabelKeys, { operator: 'In', labels })
      mergeLabelKeys(term.labelSelector, term.mismatchLabelKeys, { operator: 'NotIn', labels })
    }
  }
}

interface MergeOptions {
  readonly operator: 'In' | 'NotIn'
  readonly labels: Readonly<Record<string, string>> | undefined
}

function mergeLabelKeys(
  selector: LabelSelector | undefined,
  keys: readonly string[] | undefined,
  options: MergeOptions,
): void {
  if (selector === undefined) return
  for (const key of keys ?? []) {
    const value = options.labels?.[key]
    if (value === undefined) continue
    selector.matchExpressions = [
      ...(selector.matchExpressions ?? []),
      { key, operator: options.operator, values: [value] },
    ]
  }
}
