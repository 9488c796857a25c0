import { findCondition } from '@centaurus/api'
import type { Job, JobCondition } from '@centaurus/api/batch/v1'

/** `Complete` or `Failed` when it is True; undefined while the job goes on. Source: FinishedCondition, pkg/controller/job/util v1.37. */
export function finishedCondition(job: Readonly<Job>): JobCondition | undefined {
  return job.status?.conditions?.find(
    ({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True',
  )
}

export function isJobFinished(job: Readonly<Job>): boolean {
  return finishedCondition(job) !== undefined
}

/** The condition of that type when it is True. */
export function trueCondition(job: Readonly<Job>, type: string): JobCondition | undefined {
  const condition = findCondition(job.status?.conditions, type)
  return condition?.status === 'True' ? condition : undefined
}
