import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ownerReferenceTo, type Stored } from '@centaurus/api'
import {
  TRAINING_INDEX_LABEL,
  TRAINING_ROLE_LABEL,
  TRAINING_WORLD_LABEL,
  type TrainingJob,
  type TrainingJobStatus,
} from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { avoidedNodes, planTrainingJob, type TrainingPlan } from './plan.ts'
import { surveyTrainingJob } from './survey.ts'

const NOW = Date.parse('2026-01-01T12:00:00Z')
const WANTED = { workers: 2, message: 'enough' }

function jobOf(spec: Partial<TrainingJob['spec']> = {}, status: TrainingJobStatus = {}): Stored<TrainingJob> {
  const template = { spec: { containers: [{ name: 'main', image: 'busybox' }] } }
  return {
    apiVersion: 'centaurus.io/v1',
    kind: 'TrainingJob',
    metadata: { name: 'job', namespace: 'default', uid: 'job-uid', resourceVersion: '1' },
    spec: { framework: 'Torch', workers: { min: 1, max: 4, template }, ...spec },
    status: { workers: { desired: 2, active: 2, ready: 2 }, ...status },
  } as Stored<TrainingJob>
}

function podOf(index: number, phase: string, { node = 'a', world = 0 } = {}): Stored<Pod> {
  return {
    metadata: {
      name: `job-worker-${index}`,
      namespace: 'default',
      uid: `uid-${index}-${world}`,
      resourceVersion: '1',
      creationTimestamp: '2026-01-01T11:00:00Z',
      labels: {
        [TRAINING_INDEX_LABEL]: String(index),
        [TRAINING_ROLE_LABEL]: 'worker',
        [TRAINING_WORLD_LABEL]: String(world),
      },
      ownerReferences: [ownerReferenceTo(jobOf())],
    },
    spec: { nodeName: node, containers: [] },
    status: { phase, conditions: [{ type: 'Ready', status: phase === 'Running' ? 'True' : 'False' }] },
  } as unknown as Stored<Pod>
}

const plan = (job: Stored<TrainingJob>, pods: Stored<Pod>[], nowMs = NOW): TrainingPlan =>
  planTrainingJob(surveyTrainingJob(job, pods, nowMs), WANTED)
const names = (pods: readonly Pod[]): (string | undefined)[] => pods.map(({ metadata }) => metadata.name)

describe('a worker that failed', () => {
  const pods = [podOf(0, 'Running'), podOf(1, 'Failed', { node: 'bad' })]

  it('is counted in the status before it is removed, and once', () => {
    const first = plan(jobOf(), pods)
    assert.deepEqual([first.remove, first.create, first.status.restarts], [[], [], 1])
    assert.deepEqual(first.status.nodeFailures, [{ node: 'bad', count: 1, lastTime: '2026-01-01T12:00:00Z' }])
    const second = plan(jobOf({}, first.status), pods)
    assert.deepEqual([names(second.remove), second.status.restarts], [['job-worker-1'], 1])
  })

  it('is made again after a while that doubles, elsewhere once its node has failed often', () => {
    const status = plan(jobOf(), pods).status
    const soon = plan(jobOf({}, status), [pods[0]!], NOW + 1_000)
    assert.deepEqual([soon.create, soon.requeueAfterMs], [[], 4_000])
    const later = plan(jobOf({}, status), [pods[0]!], NOW + 5_000)
    assert.deepEqual(names(later.create), ['job-worker-1'])
    assert.equal(later.create[0]?.spec?.affinity, undefined)
    const again = plan(jobOf({}, { ...later.status, countedFailures: [] }), [
      pods[0]!,
      podOf(1, 'Failed', { node: 'bad' }),
    ])
    assert.deepEqual([again.status.restarts, avoidedNodes(jobOf(), again.status)], [2, ['bad']])
    const third = plan(jobOf({}, again.status), [pods[0]!], NOW + 60_000)
    const terms = third.create[0]?.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
    assert.deepEqual(terms?.nodeSelectorTerms, [
      { matchFields: [{ key: 'metadata.name', operator: 'NotIn', values: ['bad'] }] },
    ])
    assert.deepEqual(avoidedNodes(jobOf({ avoidNodeAfterFailures: 0 }), again.status), [])
  })

  it('ends the job when there were too many', () => {
    const { status, remove } = plan(jobOf({ maxRestarts: 0 }), pods)
    assert.equal(status.phase, 'Failed')
    assert.match(status.message ?? '', /failed 1 times; maxRestarts is 0/)
    assert.deepEqual(names(remove), ['job-worker-0'])
  })

  it('has all begin anew where workers can’t come and go', () => {
    const first = plan(jobOf({ framework: 'Plain' }), pods)
    assert.deepEqual([names(first.remove), first.create, first.status.world], [['job-worker-0'], [], 1])
    const second = plan(jobOf({ framework: 'Plain' }, first.status), [podOf(1, 'Failed')], NOW + 5_000)
    assert.deepEqual([names(second.remove), second.create], [['job-worker-1'], []])
    const third = plan(jobOf({ framework: 'Plain' }, second.status), [], NOW + 5_000)
    assert.deepEqual(names(third.create), ['job-worker-0', 'job-worker-1'])
  })
})

describe('a job', () => {
  it('gives up first those that have no node, then the last ones, and its first worker last', () => {
    const waiting = { ...podOf(1, 'Pending'), spec: { containers: [] } }
    const pods = [podOf(0, 'Running'), waiting, podOf(2, 'Running'), podOf(3, 'Running')]
    assert.deepEqual(names(plan(jobOf(), pods).remove), ['job-worker-1', 'job-worker-3'])
  })

  it('ends when its time is over', () => {
    const job = jobOf({ activeDeadlineSeconds: 60 }, { startTime: '2026-01-01T11:58:00Z' })
    const { status } = plan(job, [podOf(0, 'Running')])
    assert.deepEqual([status.phase, status.conditions?.[0]?.reason], ['Failed', 'DeadlineExceeded'])
    assert.equal(plan(job, [podOf(0, 'Running'), podOf(1, 'Running')], NOW - 70_000).requeueAfterMs, 10_000)
  })

  it('changes nothing when all is as it should be', () => {
    const pods = [podOf(0, 'Running'), podOf(1, 'Running')]
    const first = plan(jobOf(), pods)
    const job = jobOf({}, first.status)
    const second = plan({ ...job, status: first.status } as Stored<TrainingJob>, pods, NOW + 60_000)
    assert.deepEqual([second.remove, second.create], [[], []])
    assert.deepEqual(second.status, first.status)
  })
})
