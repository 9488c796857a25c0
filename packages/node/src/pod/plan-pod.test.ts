import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { Container, Pod } from '@centaurus/api/core/v1'
import fc from 'fast-check'

import { makeContainer, makePod, makeSandbox, makeState } from '../testing/pods.ts'
import { NO_VERDICTS, planPod, type PlanContext, type PodPlan } from './plan-pod.ts'
import type { ContainerDetail } from '../runtime/container-runtime.ts'
import { EMPTY_RUNTIME_STATE, type PodRuntimeState } from './runtime-state.ts'

const main: Container = { name: 'main', image: 'app:1' }
const init: Container = { name: 'init', image: 'init:1' }
const second: Container = { name: 'second', image: 'init:1' }
const sidecar: Container = { name: 'side', image: 'side:1', restartPolicy: 'Always' }

const context: PlanContext = { nowMs: 100_000, verdicts: NO_VERDICTS, backoffs: new Map() }
const started = (plan: PodPlan): string[] => plan.start.map(({ container }) => container.name)
const ended = (spec: Container, exitCode: number, fields: Partial<ContainerDetail> = {}): ContainerDetail =>
  makeContainer(spec, { phase: 'exited', exitCode, ...fields })

describe('planPod', () => {
  it('makes a sandbox first and starts the containers in it', () => {
    const plan = planPod(makePod(), EMPTY_RUNTIME_STATE, context)
    assert.equal(plan.createSandbox, 0)
    assert.deepEqual(started(plan), ['main'])
  })

  it('does nothing when everything runs', () => {
    assert.deepEqual(planPod(makePod(), makeState([makeContainer(main)]), context), {
      killPod: false,
      createSandbox: undefined,
      kill: [],
      start: [],
      wait: [],
    })
  })

  it('makes a new sandbox when the old one is gone', () => {
    const plan = planPod(makePod(), makeState([ended(main, 137)], [makeSandbox({ ready: false })]), context)
    assert.equal(plan.createSandbox, 1)
    assert.equal(plan.killPod, true)
  })

  it('gives a new sandbox a number that no other has, also none that never had its network', () => {
    const leaked = makeSandbox({ id: 'leaked', attempt: 1, ready: false, createdAtMs: 0 })
    const plan = planPod(makePod(), makeState([], [makeSandbox({ ready: false }), leaked]), context)
    assert.equal(plan.createSandbox, 2)
  })

  it('makes no new sandbox for a pod that is done', () => {
    const plan = planPod(
      makePod({ restartPolicy: 'Never' }),
      makeState([ended(main, 0)], [makeSandbox({ ready: false })]),
      context,
    )
    assert.equal(plan.createSandbox, undefined)
    assert.deepEqual(plan.start, [])
  })

  it('runs init containers one after the other, before the rest', () => {
    const pod = makePod({ initContainers: [init, second] })
    assert.deepEqual(started(planPod(pod, EMPTY_RUNTIME_STATE, context)), ['init'])
    assert.deepEqual(started(planPod(pod, makeState([makeContainer(init)]), context)), [])
    assert.deepEqual(started(planPod(pod, makeState([ended(init, 0)]), context)), ['second'])
    assert.deepEqual(started(planPod(pod, makeState([ended(init, 0), ended(second, 0)]), context)), ['main'])
  })

  it('gives up when an init container failed and may not restart', () => {
    const plan = planPod(
      makePod({ initContainers: [init], restartPolicy: 'Never' }),
      makeState([ended(init, 1)]),
      context,
    )
    assert.equal(plan.killPod, true)
    assert.deepEqual(plan.start, [])
  })

  it('does not wait for a sidecar to end, but for its startup probe', () => {
    const probed = { ...sidecar, startupProbe: { tcpSocket: { port: 1 } } }
    const pod = makePod({ initContainers: [probed, init] })
    const state = makeState([makeContainer(probed)])
    assert.deepEqual(started(planPod(pod, state, context)), [])
    const verdicts = { ...NO_VERDICTS, startup: new Map([['side-0', 'success' as const]]) }
    assert.deepEqual(started(planPod(pod, state, { ...context, verdicts })), ['init'])
  })

  it('restarts a sidecar that ended while the rest runs', () => {
    const plan = planPod(
      makePod({ initContainers: [sidecar] }),
      makeState([makeContainer(main), ended(sidecar, 1)]),
      context,
    )
    assert.deepEqual(started(plan), ['side'])
  })

  it('ends the pod when only sidecars are left', () => {
    const plan = planPod(
      makePod({ initContainers: [sidecar], restartPolicy: 'Never' }),
      makeState([ended(main, 0), makeContainer(sidecar)]),
      context,
    )
    assert.equal(plan.killPod, true)
    assert.deepEqual(plan.start, [])
  })

  it('restarts by policy and exit code', () => {
    const restarts = (spec: Partial<NonNullable<Pod['spec']>>, exitCode: number): boolean =>
      planPod(makePod(spec), makeState([ended(main, exitCode)]), context).start.length > 0
    assert.deepEqual(
      ['Always', 'OnFailure', 'Never'].map((restartPolicy) => [
        restarts({ restartPolicy }, 0),
        restarts({ restartPolicy }, 1),
      ]),
      [
        [true, true],
        [false, true],
        [false, false],
      ],
    )
    const rules = [{ action: 'Restart', exitCodes: { operator: 'In', values: [42] } }]
    const containers = [{ ...main, restartPolicy: 'Never', restartPolicyRules: rules }]
    assert.deepEqual([restarts({ containers }, 42), restarts({ containers }, 1)], [true, false])
  })

  it('waits between crashes, longer each time', () => {
    const state = makeState([ended(main, 1, { finishedAtMs: 95_000 })])
    const backoffs = new Map([['main', { delayMs: 20_000, updatedAtMs: 60_000 }]])
    const plan = planPod(makePod(), state, { ...context, backoffs })
    assert.deepEqual(started(plan), [])
    assert.equal(plan.wait[0]?.untilMs, 115_000)
    assert.equal(plan.wait[0]?.message, 'back-off 20s restarting failed container=main pod=web_default(uid-1)')
    const later = planPod(makePod(), state, { ...context, backoffs, nowMs: 115_000 })
    assert.deepEqual(later.start[0]?.backoff, { delayMs: 40_000, updatedAtMs: 115_000 })
  })

  it('kills and restarts what fails its liveness probe', () => {
    const verdicts = { ...NO_VERDICTS, liveness: new Map([['main-0', 'failure' as const]]) }
    const plan = planPod(makePod(), makeState([makeContainer(main)]), { ...context, verdicts })
    assert.equal(plan.kill[0]?.message, 'Container main failed liveness probe, will be restarted')
    assert.equal(plan.start[0]?.attempt, 1)
  })

  it('restarts a container whose image changed', () => {
    const plan = planPod(
      makePod({ containers: [{ ...main, image: 'app:2' }] }),
      makeState([makeContainer(main)]),
      context,
    )
    assert.equal(plan.kill[0]?.message, 'Container main definition changed, will be restarted')
  })

  it('starts an ephemeral container once', () => {
    const debug = { name: 'debug', image: 'tools:1' }
    const pod = makePod({ ephemeralContainers: [debug] })
    assert.deepEqual(started(planPod(pod, makeState([makeContainer(main)]), context)), ['debug'])
    assert.deepEqual(started(planPod(pod, makeState([makeContainer(main), ended(debug, 1)]), context)), [])
  })

  it('goes on counting restarts when the runtime forgot the container', () => {
    const status = {
      containerStatuses: [
        { name: 'main', image: '', imageID: '', ready: true, restartCount: 4, state: { running: {} } },
      ],
    }
    assert.equal(planPod(makePod({}, { status }), EMPTY_RUNTIME_STATE, context).start[0]?.attempt, 5)
  })

  it('settles: carrying out plans ends in one with nothing to do', () => {
    const container = fc.record({ exit: fc.integer({ min: 0, max: 2 }), runs: fc.boolean() })
    const policy = fc.constantFrom('Always', 'OnFailure', 'Never')
    fc.assert(
      fc.property(
        policy,
        fc.array(container, { minLength: 1, maxLength: 3 }),
        fc.array(fc.boolean(), { maxLength: 3 }),
        (restartPolicy, regular, inits) => {
          const containers = regular.map((_, i) => ({ name: `main-${i}`, image: 'a' }))
          const initContainers = inits.map((isSidecar, i): Container => ({
            name: `init-${i}`,
            image: 'a',
            ...(isSidecar ? { restartPolicy: 'Always' } : {}),
          }))
          const pod = makePod({ restartPolicy, containers, initContainers })
          let state: PodRuntimeState = EMPTY_RUNTIME_STATE
          // Every container that runs once goes on running; the others end once and are then held back, which settles too.
          const backoffs = new Map<string, { delayMs: number; updatedAtMs: number }>()
          for (let round = 0; round < 20; round++) {
            const plan = planPod(pod, state, { ...context, backoffs })
            if (plan.createSandbox === undefined && plan.start.length === 0 && plan.kill.length === 0) return
            state = carryOut(state, plan, (name) => regular[Number(name.split('-')[1])]!)
            for (const { container } of plan.start) backoffs.set(container.name, { delayMs: 1_000_000, updatedAtMs: 0 })
          }
          assert.fail('it never settled')
        },
      ),
    )
  })
})

function carryOut(
  state: PodRuntimeState,
  plan: PodPlan,
  fate: (name: string) => { exit: number; runs: boolean },
): PodRuntimeState {
  const sandboxes = plan.createSandbox === undefined ? state.sandboxes : [makeSandbox({ id: 'sandbox-0' })]
  const fresh = plan.start.map(({ role, container, attempt }) => {
    if (role === 'init')
      return container.restartPolicy === 'Always'
        ? makeContainer(container, { attempt })
        : ended(container, 0, { attempt })
    const { exit, runs } = fate(container.name)
    return runs ? makeContainer(container, { attempt }) : ended(container, exit, { attempt })
  })
  return makeState([...state.containers, ...fresh], sandboxes)
}
