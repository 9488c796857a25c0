import type {
  Job,
  PodFailurePolicy,
  PodFailurePolicyOnExitCodesRequirement,
  PodFailurePolicyRule,
} from '@centaurus/api/batch/v1'
import type { ContainerStatus, Pod } from '@centaurus/api/core/v1'
import { countCommon, countIndexes, parseIntervals, type Intervals } from './intervals.ts'

export interface FailureVerdict {
  /** Whether the failure counts against the back-off limits. */
  readonly counts: boolean
  readonly action: string | undefined
  /** Why the whole job fails; set only by `FailJob`. */
  readonly failJobMessage: string | undefined
}

const NO_RULE: FailureVerdict = { counts: true, action: undefined, failJobMessage: undefined }

/** What the first matching rule makes of a failed pod. Source: matchPodFailurePolicy, pkg/controller/job/pod_failure_policy.go v1.37. */
export function judgeFailure(policy: PodFailurePolicy | undefined, pod: Readonly<Pod>): FailureVerdict {
  for (const [i, rule] of (policy?.rules ?? []).entries()) {
    const what = matchRule(rule, pod)
    if (what === undefined) continue
    const { action } = rule
    const failJobMessage = action === 'FailJob' ? `${what} matching FailJob rule at index ${i}` : undefined
    return { counts: action !== 'Ignore', action, failJobMessage }
  }
  return NO_RULE
}

/** The beginning of the sentence that says what matched. */
function matchRule({ onExitCodes, onPodConditions }: PodFailurePolicyRule, pod: Readonly<Pod>): string | undefined {
  const name = `${pod.metadata.namespace}/${pod.metadata.name}`
  if (onExitCodes !== undefined) {
    const container =
      findByExitCode(pod.status?.containerStatuses, onExitCodes) ??
      findByExitCode(pod.status?.initContainerStatuses, onExitCodes)
    if (container === undefined) return undefined
    return `Container ${container.name} for pod ${name} failed with exit code ${container.state!.terminated!.exitCode}`
  }
  const condition = pod.status?.conditions?.find(({ type, status }) =>
    onPodConditions?.some((pattern) => pattern.type === type && pattern.status === status),
  )
  return condition === undefined ? undefined : `Pod ${name} has condition ${condition.type}`
}

function findByExitCode(
  statuses: readonly ContainerStatus[] | undefined,
  { containerName, operator, values }: PodFailurePolicyOnExitCodesRequirement,
): ContainerStatus | undefined {
  return statuses?.find(({ name, state }) => {
    const exitCode = state?.terminated?.exitCode
    if (exitCode === undefined || exitCode === 0) return false
    if (containerName !== undefined && containerName !== name) return false
    return operator === 'In' ? values.includes(exitCode) : operator === 'NotIn' && !values.includes(exitCode)
  })
}

/** The message of the success rule that is met; undefined when none is. Source: matchSuccessPolicy, success_policy.go v1.37. */
export function matchSuccessPolicy({ spec }: Readonly<Job>, succeeded: Intervals): string | undefined {
  if (succeeded.length === 0) return undefined
  const at = (spec?.successPolicy?.rules ?? []).findIndex(({ succeededIndexes, succeededCount }) => {
    if (succeededIndexes === undefined) return succeededCount !== undefined && countIndexes(succeeded) >= succeededCount
    const required = parseIntervals(succeededIndexes, spec?.completions ?? 0)
    if (required.length === 0) return false
    const common = countCommon(required, succeeded)
    return common === countIndexes(required) || (succeededCount !== undefined && common >= succeededCount)
  })
  return at < 0 ? undefined : `Matched rules at index ${at}`
}
