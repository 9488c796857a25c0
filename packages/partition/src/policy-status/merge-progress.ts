import type { PolicyProgress } from '@centaurus/api/centaurus/v1'
import { WAITING_TOLD, type PolicyKind, type TenantProgress } from './read-progress.ts'

/** What one partition with nodes of the tenant says; undefined: it does not answer. */
export interface PartitionProgress {
  readonly partition: string
  /** Nodes there with pods of the tenant, as the tenant's partition knows them. */
  readonly hosts: readonly string[]
  readonly progress: TenantProgress | undefined
}

/** Puts together how far a policy is. Pure. What nobody answers for counts as waiting. */
export function mergeProgress(
  { kind, key, revision }: { readonly kind: PolicyKind; readonly key: string; readonly revision: number },
  answers: readonly PartitionProgress[],
): PolicyProgress {
  const found = answers.map(({ hosts, progress }) => {
    const policy = progress?.policies[kind][key]
    // an older one is not this one
    if (policy === undefined || policy.revision !== revision)
      return { applied: 0, waiting: hosts, slowestMs: undefined }
    return { ...policy, applied: Math.min(policy.applied, hosts.length) }
  })
  const waiting = found.flatMap((each) => each.waiting).slice(0, WAITING_TOLD)
  const times = found.flatMap(({ slowestMs }) => slowestMs ?? [])
  const silent = answers.filter(({ progress }) => progress === undefined).map(({ partition }) => partition)
  return {
    resourceVersion: String(revision),
    hosts: answers.reduce((sum, { hosts }) => sum + hosts.length, 0),
    applied: found.reduce((sum, { applied }) => sum + applied, 0),
    ...(times.length === 0 ? {} : { slowestMs: Math.max(...times) }),
    ...(waiting.length === 0 ? {} : { waiting }),
    ...(silent.length === 0 ? {} : { silent }),
  }
}
