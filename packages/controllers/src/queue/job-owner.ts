import { isPodTerminal, isStatus, objectKey, ownerReferenceTo, podCondition, type Stored } from '@centaurus/api'
import { jobs, type Job } from '@centaurus/api/batch/v1'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { podgroups, type PodGroup } from '@centaurus/api/scheduling/v1beta1'
import type { Informer, InformerFactory } from '@centaurus/client'
import type { ReconcilerContext } from '../frame/controller.ts'
import { ownedBy } from '../frame/owners.ts'
import { finishedCondition } from '../job/finished.ts'
import type { OwnerKind } from './owner-kind.ts'
import { queuedRequestsOf } from './requests.ts'

/** Jobs: suspended until they are admitted. `pods` needs the index of `addOwnerIndex`. */
export function createJobOwner(informers: InformerFactory): OwnerKind<Job> {
  const informer = informers.informer(jobs)
  const podInformer = informers.informer(pods)
  const groups = informers.informer(podgroups)
  return {
    apiVersion: 'batch/v1',
    kind: 'Job',
    informer,
    isRestartable: true,
    wantedOf({ spec }) {
      const podSpec = spec?.template.spec
      if (spec === undefined || podSpec === undefined) return undefined
      return {
        podSets: [
          { name: 'main', count: podsAtOnce(spec), requests: queuedRequestsOf(spec.template.metadata, podSpec) },
        ],
        priorityClassName: podSpec.priorityClassName,
        maximumExecutionTimeSeconds: spec.activeDeadlineSeconds,
      }
    },
    endOf(job) {
      const end = finishedCondition(job)
      if (end === undefined) return undefined
      const isDone = end.type === 'Complete'
      return {
        reason: isDone ? 'Succeeded' : 'Failed',
        message: end.message || (isDone ? 'Job finished successfully' : 'Job failed'),
      }
    },
    podsOf: (job) => ownedBy(podInformer, job),
    isHeld: ({ spec }) => spec?.suspend === true,
    activePods(job) {
      const known = ownedBy(podInformer, job).filter((pod) => !isPodTerminal(pod)).length
      // While it has a start time its controller has not seen that it is suspended.
      const mayMakeMore = job.status?.startTime !== undefined || (job.status?.active ?? 0) > 0
      return mayMakeMore ? Math.max(1, known) : known
    },
    async start(job, _counts, context) {
      await ensureGroup(job, groups, context)
      if (job.spec?.suspend === true) await setSuspended(job, false, { context, informer })
    },
    async stop(job, context) {
      if (job.spec?.suspend !== true) await setSuspended(job, true, { context, informer })
    },
  }
}

function podsAtOnce({ parallelism = 1, completions }: NonNullable<Job['spec']>): number {
  return completions === undefined ? parallelism : Math.min(parallelism, completions)
}

async function setSuspended(
  job: Stored<Job>,
  suspend: boolean,
  { context, informer }: { readonly context: ReconcilerContext; readonly informer: Informer<Job> },
): Promise<void> {
  const written = await context.client.update(jobs, { ...job, spec: { ...job.spec!, suspend } })
  context.writes.wrote(ownerKey('Job', job), informer, written)
}

/** Pods that name the group of their Job get nodes together. Those that have succeeded leave it, so that one that is made again need not wait for them. */
async function ensureGroup(job: Stored<Job>, groups: Informer<PodGroup>, context: ReconcilerContext): Promise<void> {
  const name = job.spec?.template.spec?.schedulingGroup?.podGroupName
  const { namespace = '' } = job.metadata
  if (name !== job.metadata.name) return // of somebody else, who makes it
  const left = podsAtOnce(job.spec!) - (job.spec?.completions === undefined ? 0 : (job.status?.succeeded ?? 0))
  const minCount = Math.max(1, left)
  const found = groups.get(objectKey(job))
  const schedulingPolicy = { gang: { minCount } }
  if (found === undefined) {
    const ownerReferences = [ownerReferenceTo({ ...job, apiVersion: 'batch/v1', kind: 'Job' })]
    try {
      await context.client.create(podgroups, {
        metadata: { name, namespace, ownerReferences },
        spec: { schedulingPolicy },
      })
    } catch (error) {
      if (!isStatus(error, 'AlreadyExists')) throw error // the cache was behind
    }
    return
  }
  const isOwn = found.metadata.ownerReferences?.some(({ uid }) => uid === job.metadata.uid) === true
  if (!isOwn || found.spec.schedulingPolicy.gang?.minCount === minCount) return
  await context.client.update(podgroups, { ...found, spec: { ...found.spec, schedulingPolicy } })
}

/** Names what is to be done about an owner. */
export function ownerKey(kind: string, owner: Stored<Pod | Job | PodGroup>): string {
  return `owner ${kind} ${objectKey(owner)}`
}

/** What the scheduler says of a pod that it found no node for; undefined: nothing. */
export function unschedulableMessage(pod: Readonly<Pod>): string | undefined {
  const condition = podCondition(pod, 'PodScheduled')
  return condition?.status === 'False' && condition.reason === 'Unschedulable' ? condition.message : undefined
}
