import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { ownerReferenceTo, type Stored } from '@centaurus/api'
import {
  TRAINING_BOUNDS_ANNOTATION,
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

const endedAt = (index: number, finishedAt: string): Pick<Stored<Pod>, 'status'> => ({
  status: {
    phase: 'Failed',
    containerStatuses: [
      {
        name: `main-${index}`,
        image: '',
        imageID: '',
        ready: false,
        restartCount: 0,
        state: { terminated: { exitCode: 1, finishedAt } },
      },
    ],
  },
})

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
    const failedAgain = [pods[0]!, podOf(1, 'Failed', { node: 'bad' })]
    const again = plan(jobOf({}, { ...later.status, countedFailures: [] }), failedAgain, NOW + 10_000)
    assert.deepEqual([again.status.restarts, avoidedNodes(jobOf(), again.status)], [2, ['bad']])
    const third = plan(jobOf({}, again.status), [pods[0]!], NOW + 60_000)
    const terms = third.create[0]?.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution
    assert.deepEqual(terms?.nodeSelectorTerms, [
      { matchFields: [{ key: 'metadata.name', operator: 'NotIn', values: ['bad'] }] },
    ])
    assert.match(third.status.message ?? '', /failed on bad, and go elsewhere/)
    assert.deepEqual(avoidedNodes(jobOf({ avoidNodeAfterFailures: 0 }), again.status), [])
    const only = { spare: () => [] }
    const atOnlyNode = planTrainingJob(surveyTrainingJob(jobOf({}, again.status), [], NOW + 60_000), WANTED, only)
    assert.equal(atOnlyNode.create[0]?.spec?.affinity, undefined)
  })

  it('is one failure with those that it pulls along, of which only the first blames its node', () => {
    const first = { ...podOf(1, 'Failed', { node: 'bad' }), ...endedAt(1, '2026-01-01T11:59:58Z') }
    const second = { ...podOf(2, 'Failed', { node: 'good' }), ...endedAt(2, '2026-01-01T11:59:59Z') }
    const { status } = plan(jobOf(), [podOf(0, 'Running'), first, second])
    assert.deepEqual([status.restarts, status.nodeFailures?.map(({ node }) => node)], [1, ['bad']])
    const late = podOf(0, 'Failed', { node: 'good' })
    const next = plan(jobOf({}, status), [late], NOW + 2_000).status
    assert.deepEqual([next.restarts, next.nodeFailures], [1, status.nodeFailures])
    assert.deepEqual(next.countedFailures, [late.metadata.uid])
  })

  it('does not count when the cluster has ended it, or the job is suspended', () => {
    const evicted = podOf(1, 'Failed')
    const conditions = [{ type: 'DisruptionTarget', status: 'True' as const }]
    const disrupted = { ...evicted, status: { ...evicted.status, conditions } }
    const replaced = plan(jobOf(), [pods[0]!, disrupted])
    assert.deepEqual([names(replaced.remove), replaced.status.restarts], [['job-worker-1'], undefined])
    const suspended = plan(jobOf({ suspend: true }), pods)
    assert.deepEqual([suspended.remove.length, suspended.status.restarts], [2, undefined])
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

  it('gives up those of a lost node before those that work', () => {
    const pods = [podOf(0, 'Running'), podOf(1, 'Unknown', { node: 'lost' }), podOf(2, 'Running')]
    assert.deepEqual(names(plan(jobOf(), pods).remove), ['job-worker-1'])
  })

  it('begins anew when its workers were told of other bounds', () => {
    const told = (bounds: string): Stored<Pod>[] =>
      [0, 1].map((index) => {
        const pod = podOf(index, 'Running')
        return { ...pod, metadata: { ...pod.metadata, annotations: { [TRAINING_BOUNDS_ANNOTATION]: bounds } } }
      })
    assert.deepEqual(plan(jobOf(), told('1:4')).remove, [])
    const { remove, create, status } = plan(jobOf(), told('1:2'))
    assert.deepEqual([remove.length, create, status.world], [2, [], 1])
    const next = plan(jobOf({}, status), []).create
    assert.deepEqual(names(next), ['job-worker-0', 'job-worker-1'])
    assert.equal(next[0]?.metadata.annotations?.[TRAINING_BOUNDS_ANNOTATION], '1:4')
  })

  it('keeps the place of worker 0, where the others meet, until its name is free', () => {
    const leaving = podOf(0, 'Running')
    leaving.metadata.deletionTimestamp = '2026-01-01T12:00:00Z'
    const soon = plan(jobOf(), [leaving, podOf(1, 'Running')])
    assert.deepEqual([soon.create, soon.remove], [[], []])
    assert.deepEqual(names(plan(jobOf(), [podOf(1, 'Running')]).create), ['job-worker-0'])
    assert.deepEqual(names(plan(jobOf(), [podOf(1, 'Running'), podOf(2, 'Running')]).remove), ['job-worker-2'])
  })

  it('leaves workers that were done first as they are', () => {
    const { remove, create, status } = plan(jobOf(), [podOf(0, 'Running'), podOf(1, 'Succeeded')])
    assert.deepEqual([remove, create, status.phase, status.workers?.active], [[], [], 'Running', 1])
  })

  it('begins no new world beside the old one, and names who keeps it', () => {
    const leaving = podOf(0, 'Running', { node: 'lost' })
    leaving.metadata.deletionTimestamp = '2026-01-01T12:00:00Z'
    const { create, status } = plan(jobOf({ framework: 'Plain' }, { world: 1 }), [leaving])
    assert.deepEqual(create, [])
    assert.match(status.message ?? '', /waits for the end of job-worker-0 on lost; if a node is gone for good/)
  })

  it('that is not resizable has begun when all of its workers run', () => {
    const pods = [podOf(0, 'Running'), podOf(1, 'Pending')]
    assert.equal(plan(jobOf({ resizable: false }), pods).status.startTime, undefined)
    assert.ok(plan(jobOf(), pods).status.startTime)
    assert.ok(plan(jobOf({ resizable: false }), [pods[0]!, podOf(1, 'Running')]).status.startTime)
  })

  it('has its time anew when it was suspended', () => {
    const status = { startTime: '2026-01-01T11:00:00Z' }
    const suspended = plan(jobOf({ activeDeadlineSeconds: 60, suspend: true }, status), [podOf(0, 'Running')])
    assert.deepEqual([suspended.status.phase, suspended.status.startTime], ['Suspended', undefined])
    const resumed = plan(jobOf({ activeDeadlineSeconds: 60 }, suspended.status), [
      podOf(0, 'Running'),
      podOf(1, 'Running'),
    ])
    assert.deepEqual([resumed.status.phase, resumed.status.startTime], ['Running', '2026-01-01T12:00:00Z'])
  })

  it('is looked at again when time alone may let it grow', () => {
    const pods = [podOf(0, 'Running'), podOf(1, 'Running')]
    const wanted = { ...WANTED, againAfterMs: 3_000 }
    assert.equal(planTrainingJob(surveyTrainingJob(jobOf(), pods, NOW), wanted).requeueAfterMs, 3_000)
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
