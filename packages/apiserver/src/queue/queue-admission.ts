import { controllerOf, ORIGIN_ANNOTATION } from '@centaurus/api'
import { jobs, type Job } from '@centaurus/api/batch/v1'
import { GANG_ANNOTATION, QUEUE_GATE, queueNameOf, trainingjobs, type TrainingJob } from '@centaurus/api/centaurus/v1'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { podgroups } from '@centaurus/api/scheduling/v1beta1'
import type { AdmissionContext, AdmissionStep, AdmittedWrite } from '../admission/admission.ts'
import { isWriteTo, refuseAdmission } from '../admission/refuse.ts'

/** Controllers whose pods wait as one, with their owner. */
const QUEUED_OWNERS = new Set(['Job', 'TrainingJob'])

/**
 * What names a queue does not start before it is admitted: a Job or TrainingJob is suspended, and a pod has a scheduling gate. Pods of a Job start with it. A
 * pod of a PodGroup that names a queue is as one that does.
 */
export const queuedBegin: AdmissionStep = {
  name: 'QueuedBegin',
  handles: (write) => write.operation === 'create' && isQueueable(write),
  mutate(write, context) {
    if (isWriteTo(write, jobs)) suspend(write)
    else if (isWriteTo(write, trainingjobs)) suspendTraining(write)
    else gate(write, context)
  },
}

/** Where something that runs was counted must not be forgotten. */
export const queueStays: AdmissionStep = {
  name: 'QueueStays',
  handles: (write) => write.operation === 'update' && isQueueable(write),
  validate(write) {
    const { draft, old } = write
    if (old === undefined || queueNameOf(draft) === queueNameOf(old)) return
    const hasSuspend = !isWriteTo(write, pods)
    const isStarted = hasSuspend
      ? (old as Job | TrainingJob).spec?.suspend !== true
      : queueNameOf(old) !== undefined && ((old as Pod).spec?.schedulingGates ?? []).length === 0
    if (!isStarted) return
    const advice = hasSuspend ? 'set spec.suspend first' : 'delete the pod, and make it again'
    throw refuseAdmission(write, `its queue may not change while it runs: ${advice}`)
  },
}

function isQueueable(write: AdmittedWrite): boolean {
  return isWriteTo(write, jobs) || isWriteTo(write, trainingjobs) || isWriteTo(write, pods)
}

function suspendTraining({ draft }: AdmittedWrite): void {
  const job = draft as unknown as TrainingJob
  if (queueNameOf(job) !== undefined && job.spec !== undefined) job.spec.suspend = true
}

function suspend({ draft, generatedName }: AdmittedWrite): void {
  const job = draft as Job
  if (queueNameOf(job) === undefined || job.spec === undefined) return
  job.spec.suspend = true
  const podSpec = job.spec.template.spec
  const podGroupName = job.metadata.name || generatedName
  if (podSpec !== undefined && podGroupName && isGang(job)) podSpec.schedulingGroup ??= { podGroupName }
}

/** Source of the default: KEP-5547, which makes PodGroups of Jobs. */
function isGang({ metadata, spec }: Job): boolean {
  const said = metadata.annotations?.[GANG_ANNOTATION]
  if (said !== undefined) return said === 'true'
  const { parallelism = 1, completions, completionMode } = spec ?? {}
  return completionMode === 'Indexed' && parallelism > 1 && completions === parallelism
}

function gate(write: AdmittedWrite, context: AdmissionContext): void {
  const { metadata, spec } = write.draft as Pod
  if (spec === undefined || spec.nodeName || metadata.annotations?.[ORIGIN_ANNOTATION] !== undefined) return
  if (QUEUED_OWNERS.has(controllerOf(write.draft)?.kind ?? '')) return
  if (queueNameOf({ metadata }) === undefined && !isOfQueuedGroup(write, context)) return
  const gates = spec.schedulingGates ?? []
  if (gates.some(({ name }) => name === QUEUE_GATE)) return
  spec.schedulingGates = [...gates, { name: QUEUE_GATE }]
}

function isOfQueuedGroup({ draft, request }: AdmittedWrite, { reader }: AdmissionContext): boolean {
  const name = (draft as Pod).spec?.schedulingGroup?.podGroupName
  if (!name) return false
  const { tenant } = request.target
  const namespace = draft.metadata.namespace ?? ''
  const group = reader.get(podgroups, { namespace, name }, { tenant })
  return group !== undefined && queueNameOf(group) !== undefined
}
