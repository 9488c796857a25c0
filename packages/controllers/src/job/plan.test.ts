import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatTime, type Stored } from '@centaurus/api'
import type { Job, JobSpec } from '@centaurus/api/batch/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { array, assert as assertProperty, integer, property, uniqueArray } from 'fast-check'
import { formatIndexes, parseIndexes } from './index-ranges.ts'
import { planJob, type JobPlan } from './plan.ts'
import { buildJobPod, INDEX_ANNOTATION, TRACKING_FINALIZER } from './pod.ts'

const START_MS = Date.UTC(2026, 0, 1)

/** A job and its pods, and a node that ends them as it is told. */
class World {
  job: Stored<Job>
  pods: Stored<Pod>[] = []
  nowMs = START_MS
  readonly events: string[] = []
  created = 0

  constructor(spec: Partial<JobSpec>) {
    this.job = {
      apiVersion: 'batch/v1',
      kind: 'Job',
      metadata: { name: 'j', namespace: 'ns', uid: 'j', resourceVersion: '1', creationTimestamp: '' },
      spec: {
        parallelism: 1,
        completions: 1,
        backoffLimit: 6,
        selector: {},
        template: { spec: { containers: [{ name: 'c' }], restartPolicy: 'Never' } },
        ...spec,
      },
    }
  }

  step(): JobPlan {
    this.nowMs += 1000
    const plan = planJob({ job: this.job, pods: this.pods, nowMs: this.nowMs })
    this.job = { ...this.job, status: plan.status }
    this.events.push(...plan.events.map(({ reason }) => reason))
    for (const init of plan.create) {
      const pod = buildJobPod(this.job, init)
      const name = `p${this.created++}`
      const metadata = {
        ...pod.metadata,
        name,
        uid: name,
        resourceVersion: '1',
        creationTimestamp: formatTime(this.nowMs),
      }
      this.pods.push({ ...pod, metadata, status: { phase: 'Running' } } as Stored<Pod>)
    }
    const released = new Set(plan.release.map(({ metadata }) => metadata.uid))
    const removed = new Set(plan.remove.map(({ metadata }) => metadata.uid))
    this.pods = this.pods
      .map((pod) => (released.has(pod.metadata.uid) ? { ...pod, metadata: { ...pod.metadata, finalizers: [] } } : pod))
      .map((pod) =>
        removed.has(pod.metadata.uid)
          ? { ...pod, metadata: { ...pod.metadata, deletionTimestamp: formatTime(this.nowMs) } }
          : pod,
      )
    return plan
  }

  end(phase: 'Succeeded' | 'Failed', name: string, exitCode = phase === 'Failed' ? 1 : 0): void {
    const terminated = { exitCode, finishedAt: formatTime(this.nowMs) }
    this.pods = this.pods.map((pod) =>
      pod.metadata.name === name
        ? { ...pod, status: { phase, containerStatuses: [{ name: 'c', state: { terminated } } as never] } }
        : pod,
    )
  }

  settle(steps = 4): void {
    for (let i = 0; i < steps; i++) this.step()
  }

  condition(type: string): string | undefined {
    const found = this.job.status?.conditions?.find(
      (candidate) => candidate.type === type && candidate.status === 'True',
    )
    return found && `${found.reason}: ${found.message}`
  }
}

describe('planJob', () => {
  it('runs one pod and completes, counting it once', () => {
    const world = new World({})
    world.settle()
    assert.equal(world.created, 1)
    assert.deepEqual(world.pods[0]?.metadata.finalizers, [TRACKING_FINALIZER])
    assert.equal(world.job.status?.active, 1)
    world.end('Succeeded', 'p0')
    world.step()
    assert.deepEqual(world.job.status?.uncountedTerminatedPods, { succeeded: ['p0'] })
    world.settle()
    assert.equal(world.job.status?.succeeded, 1)
    assert.equal(world.condition('Complete'), 'CompletionsReached: Reached expected number of succeeded pods')
    assert.notEqual(world.job.status?.completionTime, undefined)
    assert.deepEqual(world.events, ['Completed'])
    assert.equal(world.created, 1)
  })

  it('counts every ended pod exactly once, whatever ends when', () => {
    assertProperty(
      property(
        array(integer({ min: 0, max: 2 }), { minLength: 10, maxLength: 40 }),
        integer({ min: 1, max: 4 }),
        (moves, parallelism) => {
          const world = new World({ parallelism, completions: 8, backoffLimit: 1000 })
          const ended = { Succeeded: 0, Failed: 0 }
          for (const move of moves) {
            world.step()
            world.nowMs += 600_000
            const running = world.pods.find((pod) => pod.status?.phase === 'Running')
            if (running === undefined || move === 0) continue
            const phase = move === 1 ? 'Succeeded' : 'Failed'
            world.end(phase, running.metadata.name)
            ended[phase]++
          }
          world.settle()
          assert.deepEqual([world.job.status?.succeeded, world.job.status?.failed], [ended.Succeeded, ended.Failed])
          assert.ok(world.pods.filter((pod) => pod.status?.phase === 'Running').length <= parallelism)
        },
      ),
    )
  })

  it('waits longer after each failure, and gives up at the limit', () => {
    const world = new World({ backoffLimit: 1 })
    world.settle()
    world.end('Failed', 'p0')
    assert.ok(world.step().requeueAfterMs! <= 10_000)
    assert.equal(world.created, 1)
    world.nowMs += 10_000
    world.settle()
    assert.equal(world.created, 2)
    world.end('Failed', 'p1')
    world.settle()
    assert.equal(world.condition('FailureTarget'), 'BackoffLimitExceeded: Job has reached the specified backoff limit')
    assert.equal(world.condition('Failed'), 'BackoffLimitExceeded: Job has reached the specified backoff limit')
    assert.equal(world.job.status?.failed, 2)
    assert.deepEqual(world.events, ['BackoffLimitExceeded'])
  })

  it('runs each index once, and says which are done', () => {
    const world = new World({ completionMode: 'Indexed', completions: 4, parallelism: 2 })
    world.settle()
    assert.deepEqual(
      world.pods.map((pod) => pod.metadata.annotations?.[INDEX_ANNOTATION]),
      ['0', '1'],
    )
    assert.equal(world.pods[1]?.spec?.hostname, 'j-1')
    world.end('Succeeded', 'p1')
    world.settle()
    assert.equal(world.job.status?.completedIndexes, '1')
    assert.equal(world.pods[2]?.metadata.annotations?.[INDEX_ANNOTATION], '2')
    for (const name of ['p0', 'p2']) world.end('Succeeded', name)
    world.settle()
    world.end('Succeeded', 'p3')
    world.settle()
    assert.equal(world.job.status?.completedIndexes, '0-3')
    assert.equal(world.job.status?.succeeded, 4)
    assert.notEqual(world.condition('Complete'), undefined)
  })

  it('fails indexes one by one, and the job in the end', () => {
    const world = new World({
      completionMode: 'Indexed',
      completions: 2,
      parallelism: 2,
      backoffLimitPerIndex: 0,
      backoffLimit: 1000,
    })
    world.settle()
    world.end('Failed', 'p0')
    world.end('Succeeded', 'p1')
    world.settle()
    assert.equal(world.job.status?.failedIndexes, '0')
    assert.equal(world.condition('Failed'), 'FailedIndexes: Job has failed indexes')
  })

  it('obeys the pod failure policy', () => {
    const rules = [
      { action: 'Ignore', onExitCodes: { operator: 'In', values: [42] } },
      { action: 'FailJob', onExitCodes: { operator: 'In', values: [43] } },
    ]
    const world = new World({ podFailurePolicy: { rules }, backoffLimit: 0 })
    world.settle()
    world.end('Failed', 'p0', 42)
    world.nowMs += 600_000
    world.settle()
    assert.equal(world.created, 2)
    world.end('Failed', 'p1', 43)
    world.settle()
    assert.equal(
      world.condition('Failed'),
      'PodFailurePolicy: Container c for pod ns/p1 failed with exit code 43 matching FailJob rule at index 1',
    )
  })

  it('ends early when the success policy is met', () => {
    const world = new World({
      completionMode: 'Indexed',
      completions: 3,
      parallelism: 3,
      successPolicy: { rules: [{ succeededIndexes: '0' }] },
    })
    world.settle()
    world.end('Succeeded', 'p0')
    world.step()
    assert.equal(world.condition('SuccessCriteriaMet'), 'SuccessPolicy: Matched rules at index 0')
    assert.equal(world.condition('Complete'), undefined)
    for (const name of ['p1', 'p2']) world.end('Failed', name)
    world.settle()
    assert.notEqual(world.condition('Complete'), undefined)
  })

  it('stops at its deadline, and while suspended', () => {
    const late = new World({ activeDeadlineSeconds: 30 })
    late.settle()
    late.nowMs += 30_000
    late.step()
    assert.equal(late.condition('FailureTarget'), 'DeadlineExceeded: Job was active longer than specified deadline')
    const suspended = new World({ suspend: true })
    suspended.settle()
    assert.deepEqual(
      [suspended.created, suspended.events, suspended.job.status?.startTime],
      [0, ['Suspended'], undefined],
    )
    suspended.job = { ...suspended.job, spec: { ...suspended.job.spec!, suspend: false } }
    suspended.settle()
    assert.deepEqual([suspended.created, suspended.events], [1, ['Suspended', 'Resumed']])
  })
})

describe('completion indexes', () => {
  it('are read back as they were written', () => {
    assertProperty(
      property(uniqueArray(integer({ min: 0, max: 200 })), (indexes) => {
        assert.deepEqual(parseIndexes(formatIndexes(indexes), 1000), new Set(indexes.toSorted((a, b) => a - b)))
      }),
    )
  })
})
