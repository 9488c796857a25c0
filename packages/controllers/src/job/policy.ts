import type { Job, PodFailurePolicyOnExitCodesRequirement, PodFailurePolicyRule } from '@centaurus/api/batch/v1'
import type { ContainerStatus, Pod } from '@centaurus/api/core/v1'
import { parseIndexes } from './index-ranges.ts'

export interface FailureVerdict {
  readonly action: 'FailJob' | 'FailIndex' | 'Count' | 'Ignore'
  readonly message: string
}

/** The first rule of the pod failure policy that takes the failed pod; undefined when none does. Source: pod_failure_policy.go v1.37. */
export function judgeFailure({ spec }: Job, pod: Pod): FailureVerdict | undefined {
  for (const [i, rule] of (spec?.podFailurePolicy?.rules ?? []).entries()) {
    const message = matchRule(rule, pod)
    if (message !== undefined)
      return {
        action: rule.action as FailureVerdict['action'],
        message: `${message} matching ${rule.action} rule at index ${i}`,
      }
  }
  return undefined
}

function matchRule(
  { onExitCodes, onPodConditions = [] }: PodFailurePolicyRule,
  { status, metadata }: Pod,
): string | undefined {
  const pod = `${metadata.namespace}/${metadata.name}`
  if (onExitCodes !== undefined) {
    const found = [...(status?.containerStatuses ?? []), ...(status?.initContainerStatuses ?? [])].find((container) =>
      matchesExit(onExitCodes, container),
    )
    return found && `Container ${found.name} for pod ${pod} failed with exit code ${found.state!.terminated!.exitCode}`
  }
  const condition = status?.conditions?.find(({ type, status: value }) =>
    onPodConditions.some((pattern) => pattern.type === type && (pattern.status ?? 'True') === value),
  )
  return condition && `Pod ${pod} has condition ${condition.type}`
}

function matchesExit(
  { containerName, operator, values }: PodFailurePolicyOnExitCodesRequirement,
  { name, state }: ContainerStatus,
): boolean {
  const code = state?.terminated?.exitCode
  if (code === undefined || code === 0 || (containerName !== undefined && containerName !== name)) return false
  return operator === 'In' ? values.includes(code) : operator === 'NotIn' && !values.includes(code)
}

/** The message when a rule of the success policy is met; undefined otherwise. Source: success_policy.go v1.37. */
export function matchSuccessPolicy({ spec }: Job, succeeded: ReadonlySet<number>): string | undefined {
  for (const [i, { succeededIndexes, succeededCount }] of (spec?.successPolicy?.rules ?? []).entries()) {
    const wanted = succeededIndexes === undefined ? undefined : parseIndexes(succeededIndexes, spec?.completions ?? 0)
    if (wanted?.size === 0) continue
    const count = wanted === undefined ? succeeded.size : [...wanted].filter((index) => succeeded.has(index)).length
    const isMet =
      (wanted !== undefined && count === wanted.size) || (succeededCount !== undefined && count >= succeededCount)
    if (isMet) return `Matched rules at index ${i}`
  }
  return undefined
}
