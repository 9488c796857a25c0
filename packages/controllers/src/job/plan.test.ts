import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatTime, type Stored } from '@centaurus/api'
import type { Job, JobSpec } from '@centaurus/api/batch/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { array, assert as assertProperty, constantFrom, integer, property, record } from 'fast-check'
import type { FailureRecord } from './backoff.ts'
import { isJobFinished } from './finished.ts'
import { COMPLETION_INDEX, hasTrackingFinalizer, INDEX_FAILURE_COUNT, TRACKING_FINALIZER } from './indexes.ts'
import { planCounted, planFinish, planPods, planTracking, surveyJob } from './plan.ts'

const START_MS = Date.UTC(2026, 0, 1)

/** Where a round of the controller dies. */
type Crash = 'afterStatus' | 'afterRelease' | 'never'

/** A job and its pods, a node that ends them as it is told, and the controller's rounds without its I/O. */
class World {
  job: Stored<Job>
  pods: Stored<Pod>[] = []
  nowMs = START_MS
  readonly events: string[] = []
  created = 0
  retryInMs: number | undefined
  #failures: FailureRecord | undefined

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

  step({ crash = 'never' } = {}): void {
    this.nowMs += 1000
    if (isJobFinished(this.job)) return
    const survey = surveyJob({ job: this.job, pods: this.pods, failures: this.#failures, nowMs: this.nowMs })
    const isManaged = survey.finish === undefined
    const plan = isManaged ? planPods(survey) : { create: [], remove: survey.activePods, retryInMs: undefined }
    this.retryInMs = plan.retryInMs
    for (const pod of plan.create) this.#create(pod)
    this.#remove(
      plan.remove.map(({ metadata }) => metadata.uid),
      { untrack: isManaged },
    )
    const tracking = planTracking(survey, {
      active: survey.activePods.length + plan.create.length - plan.remove.length,
      ready: survey.ready,
      terminating: survey.terminating + plan.remove.length,
      isManaged,
      isSettled: true,
    })
    this.job = { ...this.job, status: tracking.status }
    if (tracking.suspension !== undefined) this.events.push(tracking.suspension)
    if (crash === 'afterStatus') return this.#restart()
    this.#failures = survey.failures
    const released = new Set(tracking.release.map(({ metadata }) => metadata.uid))
    this.pods = this.pods.map((pod) => (released.has(pod.metadata.uid) ? untracked(pod) : pod))
    if (crash === 'afterRelease') return this.#restart()
    const tracked = new Set(this.pods.filter(hasTrackingFinalizer).map(({ metadata }) => metadata.uid))
    const counted = planCounted(tracking.status, (uid) => tracked.has(uid))
    const final = planFinish(counted, tracking.finish, this.nowMs)
    this.job = { ...this.job, status: final ?? counted }
    if (final !== undefined) this.events.push(tracking.finish!.type)
  }

  #restart(): void {
    this.#failures = undefined
  }

  #create(pod: Pod): void {
    const name = `p${this.created++}`
    const creationTimestamp = formatTime(this.nowMs)
    const metadata = { ...pod.metadata, name, uid: name, resourceVersion: '1', creationTimestamp }
    this.pods.push({ ...pod, metadata, status: { phase: 'Running' } })
  }

  #remove(uids: readonly string[], { untrack }: { readonly untrack: boolean }): void {
    this.pods = this.pods.map((pod) => {
      if (!uids.includes(pod.metadata.uid)) return pod
      const { metadata } = untrack ? untracked(pod) : pod
      return { ...pod, metadata: { ...metadata, deletionTimestamp: formatTime(this.nowMs) } }
    })
  }

  /** What a node does with pods that are being deleted. */
  reap(): void {
    this.pods = this.pods.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
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

function untracked(pod: Stored<Pod>): Stored<Pod> {
  const finalizers = pod.metadata.finalizers?.filter((finalizer) => finalizer !== TRACKING_FINALIZER)
  return { ...pod, metadata: { ...pod.metadata, finalizers } }
}

function isRunning(pod: Pod): boolean {
  return pod.status?.phase === 'Running' && pod.metadata.deletionTimestamp === undefined
}

describe('a job', () => {
  it('runs one pod and completes, counting it once', () => {
    const world = new World({})
    world.settle()
    assert.equal(world.created, 1)
    assert.deepEqual(world.pods[0]?.metadata.finalizers, [TRACKING_FINALIZER])
    assert.equal(world.job.status?.active, 1)
    world.end('Succeeded', 'p0')
    world.step({ crash: 'afterStatus' })
    assert.deepEqual(world.job.status?.uncountedTerminatedPods, { succeeded: ['p0'] })
    assert.deepEqual(world.pods[0]?.metadata.finalizers, [TRACKING_FINALIZER])
    world.settle()
    assert.equal(world.job.status?.succeeded, 1)
    assert.equal(world.condition('Complete'), 'CompletionsReached: Reached expected number of succeeded pods')
    assert.notEqual(world.job.status?.completionTime, undefined)
    assert.deepEqual(world.events, ['Complete'])
    assert.equal(world.created, 1)
  })

  it('counts every ended pod exactly once, whatever ends when and wherever the controller dies', () => {
    const moves = array(
      record({
        ends: constantFrom('Succeeded' as const, 'Failed' as const, undefined),
        crash: constantFrom<Crash>('never', 'never', 'afterStatus', 'afterRelease'),
        isReaped: constantFrom(true, false),
      }),
      { minLength: 10, maxLength: 40 },
    )
    assertProperty(
      property(moves, integer({ min: 1, max: 4 }), constantFrom('Indexed', 'NonIndexed'), (list, parallelism, mode) => {
        const world = new World({ parallelism, completions: 50, backoffLimit: 1000, completionMode: mode })
        const ended = { Succeeded: 0, Failed: 0 }
        for (const { ends, crash, isReaped } of list) {
          world.step({ crash })
          world.nowMs += 600_000
          if (isReaped) world.pods = world.pods.filter((pod) => isRunning(pod) || hasTrackingFinalizer(pod))
          const running = world.pods.find(isRunning)
          if (running === undefined || ends === undefined) continue
          world.end(ends, running.metadata.name)
          ended[ends]++
        }
        world.settle()
        const { succeeded = 0, failed = 0 } = world.job.status!
        assert.deepEqual([succeeded, failed], [ended.Succeeded, ended.Failed])
        assert.ok(world.pods.filter(isRunning).length <= parallelism)
      }),
    )
  })

  it('waits longer after each failure, and gives up at the limit', () => {
    const world = new World({ backoffLimit: 1 })
    world.settle()
    world.end('Failed', 'p0')
    world.step()
    assert.ok(world.retryInMs! > 8_000 && world.retryInMs! <= 10_000)
    assert.equal(world.created, 1)
    world.nowMs += 10_000
    world.settle()
    assert.equal(world.created, 2)
    world.end('Failed', 'p1')
    world.settle()
    assert.equal(world.condition('FailureTarget'), 'BackoffLimitExceeded: Job has reached the specified backoff limit')
    assert.equal(world.condition('Failed'), 'BackoffLimitExceeded: Job has reached the specified backoff limit')
    assert.equal(world.job.status?.failed, 2)
    assert.deepEqual(world.events, ['Failed'])
  })

  it('runs each index once, and says which are done', () => {
    const world = new World({ completionMode: 'Indexed', completions: 4, parallelism: 2 })
    world.settle()
    assert.deepEqual(
      world.pods.map((pod) => pod.metadata.annotations?.[COMPLETION_INDEX]),
      ['0', '1'],
    )
    assert.equal(world.pods[1]?.spec?.hostname, 'j-1')
    world.end('Succeeded', 'p1')
    world.settle()
    assert.equal(world.job.status?.completedIndexes, '1')
    assert.equal(world.pods[2]?.metadata.annotations?.[COMPLETION_INDEX], '2')
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
    assert.equal(world.job.status?.terminating, 2)
    world.reap()
    world.settle()
    assert.equal(world.job.status?.failed, undefined)
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

  it('keeps a failed pod of an index until its replacement has taken over the count', () => {
    const spec = { completionMode: 'Indexed', completions: 1, backoffLimitPerIndex: 2, backoffLimit: 1000 }
    const world = new World(spec)
    world.settle()
    world.end('Failed', 'p0')
    world.step()
    assert.ok(hasTrackingFinalizer(world.pods[0]!))
    assert.ok(world.retryInMs! > 0)
    world.nowMs += 10_000
    world.settle()
    assert.equal(world.pods[1]?.metadata.annotations?.[INDEX_FAILURE_COUNT], '1')
    assert.ok(!hasTrackingFinalizer(world.pods[0]!))
    assert.equal(world.job.status?.failed, 1)
    world.end('Failed', 'p1')
    world.step()
    const retryInMs = world.retryInMs!
    assert.ok(retryInMs > 18_000 && retryInMs <= 20_000)
  })

  it('replaces terminating pods at once, or when they have ended', () => {
    for (const [policy, created] of [
      ['TerminatingOrFailed', 2],
      ['Failed', 1],
    ] as const) {
      const world = new World({ podReplacementPolicy: policy })
      world.settle()
      world.pods[0] = {
        ...world.pods[0]!,
        metadata: {
          ...world.pods[0]!.metadata,
          deletionTimestamp: formatTime(world.nowMs),
          deletionGracePeriodSeconds: 30,
        },
      }
      world.settle()
      world.nowMs += 20_000
      world.settle()
      assert.equal(world.created, created, policy)
      assert.equal(world.job.status?.terminating, 1)
    }
  })

  it('runs on without completions until one pod succeeds, then lets the rest end', () => {
    const world = new World({ parallelism: 3 })
    delete world.job.spec!.completions
    world.settle()
    world.end('Succeeded', 'p0')
    world.settle()
    assert.deepEqual([world.created, world.job.status?.active, world.condition('Complete')], [3, 2, undefined])
    for (const name of ['p1', 'p2']) world.end('Succeeded', name)
    world.settle()
    assert.deepEqual([world.job.status?.succeeded, world.events], [3, ['Complete']])
  })

  it('removes pods that are too many, the least advanced first, without counting them', () => {
    const world = new World({ parallelism: 3, completions: 3 })
    world.settle()
    world.pods = world.pods.map((pod, i) => (i === 1 ? { ...pod, status: { phase: 'Pending' } } : pod))
    world.job = { ...world.job, spec: { ...world.job.spec!, parallelism: 2 } }
    world.step()
    assert.deepEqual(
      world.pods
        .filter(({ metadata }) => metadata.deletionTimestamp !== undefined)
        .map(({ metadata }) => metadata.name),
      ['p1'],
    )
    world.settle()
    assert.deepEqual([world.job.status?.failed, world.job.status?.active], [undefined, 2])
  })

  it('counts restarts in place against the limit', () => {
    const world = new World({ backoffLimit: 2 })
    world.job.spec!.template.spec!.restartPolicy = 'OnFailure'
    world.settle()
    world.pods = world.pods.map((pod) => ({
      ...pod,
      status: { phase: 'Running', containerStatuses: [{ name: 'c', restartCount: 2 } as never] },
    }))
    world.step()
    assert.match(world.condition('FailureTarget')!, /^BackoffLimitExceeded/)
    assert.deepEqual([world.job.status?.failed, world.job.status?.terminating], [1, 1])
    world.settle()
    assert.equal(world.condition('Failed'), undefined)
    world.reap()
    world.settle()
    assert.match(world.condition('Failed')!, /^BackoffLimitExceeded/)
    assert.equal(world.job.status?.failed, 1)
  })
})
