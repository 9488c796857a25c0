import { isPodTerminal, objectKey, type Stored } from '@centaurus/api'
import { ADMITTED_WORKERS_ANNOTATION, trainingjobs, type TrainingJob } from '@centaurus/api/centaurus/v1'
import { pods } from '@centaurus/api/core/v1'
import type { InformerFactory } from '@centaurus/client'
import type { ReconcilerContext } from '../frame/controller.ts'
import { ownedBy } from '../frame/owners.ts'
import type { OwnerKind } from '../queue/owner-kind.ts'
import { queuedRequestsOf } from '../queue/requests.ts'
import { isTrainingFinished } from './plan.ts'

/** TrainingJobs wait in queues with their fewest workers, and get and give back quota for others while they run. `pods` needs the index of `addOwnerIndex`. */
export function createTrainingOwner(informers: InformerFactory): OwnerKind<TrainingJob> {
  const informer = informers.informer(trainingjobs)
  const podInformer = informers.informer(pods)
  const write = async (job: Stored<TrainingJob>, context: ReconcilerContext): Promise<void> => {
    const written = await context.client.update(trainingjobs, job)
    context.writes.wrote(`owner TrainingJob ${objectKey(job)}`, informer, written)
  }
  return {
    apiVersion: 'centaurus.io/v1',
    kind: 'TrainingJob',
    informer,
    isRestartable: true,
    wantedOf({ spec }) {
      const { min, max, template } = spec.workers
      if (template.spec === undefined) return undefined
      const requests = queuedRequestsOf(template.metadata, template.spec)
      const launcher = spec.launcher?.template
      const minCount = spec.resizable === false ? {} : { minCount: min }
      return {
        podSets: [
          { name: 'workers', count: max, ...minCount, requests },
          ...(launcher?.spec === undefined
            ? []
            : [{ name: 'launcher', count: 1, requests: queuedRequestsOf(launcher.metadata, launcher.spec) }]),
        ],
        priorityClassName: template.spec.priorityClassName,
        maximumExecutionTimeSeconds: spec.activeDeadlineSeconds,
      }
    },
    endOf({ status }) {
      if (!isTrainingFinished({ status })) return undefined
      return { reason: status?.phase ?? '', message: status?.message ?? '' }
    },
    podsOf: (job) => ownedBy(podInformer, job),
    isHeld: ({ spec }) => spec.suspend === true,
    activePods(job) {
      const known = ownedBy(podInformer, job).filter((pod) => !isPodTerminal(pod)).length
      // Until its controller has seen that it is suspended it may make more.
      const mayMakeMore =
        job.status?.phase !== undefined && job.status.phase !== 'Suspended' && !isTrainingFinished(job)
      return mayMakeMore ? Math.max(1, known) : known
    },
    async start(job, [workers = job.spec.workers.max], context) {
      const admitted = String(workers)
      const { annotations } = job.metadata
      if (job.spec.suspend !== true && annotations?.[ADMITTED_WORKERS_ANNOTATION] === admitted) return
      const metadata = { ...job.metadata, annotations: { ...annotations, [ADMITTED_WORKERS_ANNOTATION]: admitted } }
      await write({ ...job, metadata, spec: { ...job.spec, suspend: false } }, context)
    },
    async stop(job, context) {
      if (job.spec.suspend !== true) await write({ ...job, spec: { ...job.spec, suspend: true } }, context)
    },
  }
}
