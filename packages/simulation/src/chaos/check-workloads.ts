import { controllerOf, type Stored } from '@centaurus/api'
import { daemonsets, deployments, replicasets, statefulsets } from '@centaurus/api/apps/v1'
import { cronjobs, jobs, type Job } from '@centaurus/api/batch/v1'
import { nodes, pods, resourcequotas, type Pod } from '@centaurus/api/core/v1'
import type { PodGuard } from './pod-guard.ts'
import { couldRunOn, isFinished, isReady } from './pod-facts.ts'
import type { Snapshot } from './snapshot.ts'

/** What keeps the cluster from being as its objects ask; empty when all is well. Pure. */
export function checkWorkloads(snapshot: Snapshot, guard: PodGuard): string[] {
  return [
    ...checkScheduling(snapshot),
    ...checkReplicas(snapshot),
    ...checkDeployments(snapshot),
    ...checkStatefulSets(snapshot),
    ...checkDaemonSets(snapshot),
    ...snapshot.list(jobs).flatMap((job) => checkJob(snapshot, job, guard)),
    ...checkCronJobs(snapshot),
  ]
}

const label = ({ metadata }: Stored<object & { metadata: object }>): string => `${metadata.namespace}/${metadata.name}`

/** Pods that wait although a node would take them, that are stuck on their way out, or run without being ready. */
function checkScheduling(snapshot: Snapshot): string[] {
  const all = snapshot.list(pods)
  return all.flatMap((pod) => {
    if (pod.metadata.deletionTimestamp !== undefined) return [`pod ${label(pod)} is still being deleted`]
    if (isFinished(pod)) return []
    if (pod.spec?.nodeName) {
      return isReady(pod) || controllerOf(pod)?.kind === 'Job' ? [] : [`pod ${label(pod)} is not ready`]
    }
    const fitting = snapshot.list(nodes).filter((node) =>
      couldRunOn(
        pod,
        node,
        all.filter((other) => other.spec?.nodeName === node.metadata.name && !isFinished(other)),
      ),
    )
    return fitting.length === 0
      ? []
      : [`pod ${label(pod)} waits, but fits on ${fitting.map(({ metadata }) => metadata.name).join(', ')}`]
  })
}

/** Pods that there is no room for cannot be ready, and nobody is to blame. */
function isReadyOrHomeless(pod: Stored<Pod>): boolean {
  return isReady(pod) || !pod.spec?.nodeName
}

/** The quota of the namespace takes no more pods: the workloads in it cannot be complete. */
function isQuotaFull(snapshot: Snapshot, namespace: string | undefined): boolean {
  return snapshot
    .list(resourcequotas)
    .some(
      ({ metadata, status }) =>
        metadata.namespace === namespace &&
        ['pods', 'count/jobs.batch'].some(
          (name) => Number(status?.used?.[name] ?? 0) >= Number(status?.hard?.[name] ?? Number.POSITIVE_INFINITY),
        ),
    )
}

function checkReplicas(snapshot: Snapshot): string[] {
  return snapshot.list(replicasets).flatMap((set) => {
    const own = snapshot.ownedBy(pods, set.metadata.uid).filter((pod) => !isFinished(pod))
    const wanted = set.spec?.replicas ?? 1
    const problems: string[] = []
    if (own.length > wanted || (own.length < wanted && !isQuotaFull(snapshot, set.metadata.namespace))) {
      problems.push(`replicaset ${label(set)} has ${own.length} pods, not ${wanted}`)
    }
    if (set.status?.observedGeneration !== set.metadata.generation)
      problems.push(`replicaset ${label(set)} was not observed`)
    if ((set.status?.replicas ?? 0) !== own.length)
      problems.push(`replicaset ${label(set)} says ${set.status?.replicas} replicas, not ${own.length}`)
    const ready = own.filter(isReady).length
    if ((set.status?.readyReplicas ?? 0) !== ready)
      problems.push(`replicaset ${label(set)} says ${set.status?.readyReplicas} ready, not ${ready}`)
    return problems
  })
}

function checkDeployments(snapshot: Snapshot): string[] {
  return snapshot.list(deployments).flatMap((deployment) => {
    const { metadata, spec, status } = deployment
    const sets = snapshot.ownedBy(replicasets, metadata.uid)
    const own = sets.flatMap((set) => snapshot.ownedBy(pods, set.metadata.uid)).filter((pod) => !isFinished(pod))
    const problems: string[] = []
    if (status?.observedGeneration !== metadata.generation) problems.push('was not observed')
    const isStuck = own.some((pod) => !isReady(pod)) || isQuotaFull(snapshot, metadata.namespace)
    if (!isStuck) {
      const wanted = spec?.replicas ?? 1
      if (own.length !== wanted) problems.push(`has ${own.length} pods, not ${wanted}`)
      if ((status?.updatedReplicas ?? 0) !== wanted)
        problems.push(`has ${status?.updatedReplicas ?? 0} updated, not ${wanted}`)
      if ((status?.readyReplicas ?? 0) !== wanted)
        problems.push(`says ${status?.readyReplicas ?? 0} ready, not ${wanted}`)
    }
    return problems.map((what) => `deployment ${label(deployment)} ${what}`)
  })
}

function checkStatefulSets(snapshot: Snapshot): string[] {
  return snapshot.list(statefulsets).flatMap((set) => {
    const own = snapshot.ownedBy(pods, set.metadata.uid)
    const wanted = set.spec?.replicas ?? 1
    const expected = Array.from({ length: wanted }, (_, ordinal) => `${set.metadata.name}-${ordinal}`)
    const names = own.map(({ metadata }) => metadata.name).sort()
    const isBlocked = own.some((pod) => !isReady(pod)) || isQuotaFull(snapshot, set.metadata.namespace)
    const isPrefix = names.every((name, index) => name === expected[index])
    if (!isPrefix || (names.length < wanted && !isBlocked))
      return [`statefulset ${label(set)} has ${names.join(' ') || 'no pods'}, not 0 to ${wanted - 1}`]
    const ready = own.filter(isReady).length
    if ((set.status?.readyReplicas ?? 0) !== ready)
      return [`statefulset ${label(set)} says ${set.status?.readyReplicas} ready, not ${ready}`]
    const isCurrent = own.every(
      ({ metadata }) => metadata.labels?.['controller-revision-hash'] === set.status?.updateRevision,
    )
    return isCurrent || isBlocked ? [] : [`statefulset ${label(set)} has pods of an old revision`]
  })
}

function checkDaemonSets(snapshot: Snapshot): string[] {
  const expected = snapshot.list(nodes).length
  return snapshot.list(daemonsets).flatMap((set) => {
    const own = snapshot.ownedBy(pods, set.metadata.uid).filter((pod) => !isFinished(pod))
    if (own.length === expected && own.every(isReadyOrHomeless)) {
      const ready = own.filter(isReady).length
      return (set.status?.numberReady ?? 0) === ready
        ? []
        : [`daemonset ${label(set)} says ${set.status?.numberReady} ready, not ${ready}`]
    }
    return isQuotaFull(snapshot, set.metadata.namespace)
      ? []
      : [`daemonset ${label(set)} has ${own.length} pods for ${expected} nodes`]
  })
}

function checkJob(snapshot: Snapshot, job: Stored<Job>, guard: PodGuard): string[] {
  const { spec, status, metadata } = job
  const own = snapshot.ownedBy(pods, metadata.uid)
  const active = own.filter((pod) => !isFinished(pod))
  const isTrue = (type: string): boolean =>
    status?.conditions?.some((condition) => condition.type === type && condition.status === 'True') === true
  const complain = (what: string): string[] => [`job ${label(job)} ${what}`]
  if (own.some((pod) => (pod.metadata.finalizers ?? []).length > 0 && isFinished(pod)))
    return complain('has finished pods that it did not count')
  if (isTrue('Complete')) {
    if ((status?.succeeded ?? 0) !== spec?.completions)
      return complain(`says ${status?.succeeded} succeeded, not ${spec?.completions}`)
    const { min, max } = guard.succeeded(metadata.uid)
    const completions = spec?.completions ?? 1
    if (min > completions || max < completions) {
      return complain(`is complete with ${min} to ${max} pods that succeeded, not ${completions}`)
    }
    return active.length === 0 ? [] : complain(`is complete with ${active.length} active pods`)
  }
  if (isTrue('Failed')) {
    if (active.length > 0) return complain(`failed with ${active.length} active pods`)
    return (spec?.backoffLimit ?? 0) > 100 ? complain('failed, though its pods succeed') : []
  }
  if (spec?.suspend === true)
    return active.length === 0 ? [] : complain(`is suspended with ${active.length} active pods`)
  const isBlocked = active.some((pod) => !pod.spec?.nodeName) || isQuotaFull(snapshot, metadata.namespace)
  return isBlocked ? [] : complain(`is not finished: ${JSON.stringify(status)}`)
}

function checkCronJobs(snapshot: Snapshot): string[] {
  return snapshot.list(cronjobs).flatMap((cron) => {
    const own = snapshot.ownedBy(jobs, cron.metadata.uid)
    const active = own.filter(
      ({ status }) =>
        !status?.conditions?.some(
          ({ type, status: value }) => (type === 'Complete' || type === 'Failed') && value === 'True',
        ),
    )
    const finished = own.length - active.length
    const kept = (cron.spec?.successfulJobsHistoryLimit ?? 3) + (cron.spec?.failedJobsHistoryLimit ?? 1)
    if (finished > kept) return [`cronjob ${label(cron)} keeps ${finished} finished jobs`]
    if (cron.spec?.concurrencyPolicy !== 'Allow' && active.length > 1)
      return [`cronjob ${label(cron)} has ${active.length} active jobs`]
    return (cron.status?.active ?? []).length === active.length
      ? []
      : [`cronjob ${label(cron)} says ${cron.status?.active?.length ?? 0} active, not ${active.length}`]
  })
}
