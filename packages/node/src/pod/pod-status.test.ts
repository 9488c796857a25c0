import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import type { Container, Pod, PodStatus } from '@centaurus/api/core/v1'

import { makeContainer, makePod, makeSandbox, makeState } from '../testing/pods.ts'
import { NO_VERDICTS } from './plan-pod.ts'
import { podStatus, type PodStatusContext } from './pod-status.ts'
import { EMPTY_RUNTIME_STATE } from './runtime-state.ts'

const main: Container = { name: 'main', image: 'app:1' }
const init: Container = { name: 'init', image: 'init:1' }
const context: PodStatusContext = {
  nowMs: Date.UTC(2026, 0, 1),
  hostIps: ['192.0.2.1'],
  terminal: false,
  verdicts: NO_VERDICTS,
  waiting: new Map(),
  runtimeName: 'containerd',
  messages: new Map(),
}
const condition = (status: PodStatus, type: string) => status.conditions?.find((candidate) => candidate.type === type)

describe('podStatus', () => {
  it('is pending before anything exists', () => {
    const status = podStatus(makePod(), EMPTY_RUNTIME_STATE, context)
    assert.equal(status.phase, 'Pending')
    assert.deepEqual(status.containerStatuses?.[0]?.state, { waiting: { reason: 'ContainerCreating' } })
    assert.equal(condition(status, 'PodReadyToStartContainers')?.reason, 'PodSandboxNotReady')
    assert.equal(condition(status, 'Ready')?.message, 'containers with unready status: [main]')
    assert.equal(status.startTime, '2026-01-01T00:00:00Z')
  })

  it('is running and ready when its containers are', () => {
    const status = podStatus(makePod(), makeState([makeContainer(main)]), context)
    assert.equal(status.phase, 'Running')
    assert.equal(condition(status, 'Ready')?.status, 'True')
    assert.equal(status.podIP, '10.0.0.5')
    assert.equal(status.hostIP, '192.0.2.1')
    assert.equal(status.containerStatuses?.[0]?.containerID, 'containerd://main-0')
    assert.equal(status.observedGeneration, 1)
  })

  it('has a reason and no containers when the pod was not let in', () => {
    const failure = { reason: 'UnexpectedAdmissionError', message: 'Pod was rejected: …', isRejection: true }
    const status = podStatus(makePod({ initContainers: [init] }), EMPTY_RUNTIME_STATE, { ...context, failure })
    const { phase, reason, containerStatuses, initContainerStatuses } = status
    assert.deepEqual([phase, reason], ['Failed', 'UnexpectedAdmissionError'])
    assert.deepEqual([containerStatuses, initContainerStatuses], [undefined, undefined])
  })

  it('tells how the devices of its containers are', () => {
    const health = [{ name: 'example.com/thing', resources: [{ resourceID: 'a', health: 'Healthy' }] }]
    const deviceHealth = (container: string) => (container === 'main' ? health : [])
    const pod = makePod({ containers: [main, { name: 'other', image: 'app:1' }] })
    const { containerStatuses } = podStatus(pod, makeState([makeContainer(main)]), { ...context, deviceHealth })
    assert.deepEqual(
      containerStatuses?.map(({ allocatedResourcesStatus }) => allocatedResourcesStatus),
      [health, undefined],
    )
  })

  it('says that it waits for init containers', () => {
    const status = podStatus(makePod({ initContainers: [init] }), makeState([makeContainer(init)]), context)
    assert.equal(status.phase, 'Pending')
    assert.equal(status.containerStatuses?.[0]?.state?.waiting?.reason, 'PodInitializing')
    assert.equal(condition(status, 'Initialized')?.message, 'containers with incomplete status: [init]')
  })

  it('is not ready until its readiness probe says so', () => {
    const probed = { ...main, readinessProbe: { tcpSocket: { port: 1 } } }
    const pod = makePod({ containers: [probed] })
    assert.equal(podStatus(pod, makeState([makeContainer(probed)]), context).containerStatuses?.[0]?.ready, false)
    const verdicts = { ...NO_VERDICTS, readiness: new Map([['main-0', 'success' as const]]) }
    assert.equal(
      podStatus(pod, makeState([makeContainer(probed)]), { ...context, verdicts }).containerStatuses?.[0]?.ready,
      true,
    )
  })

  it('heeds readiness gates', () => {
    const pod = makePod({ readinessGates: [{ conditionType: 'example.com/ready' }] })
    const state = makeState([makeContainer(main)])
    assert.equal(condition(podStatus(pod, state, context), 'Ready')?.reason, 'ReadinessGatesNotReady')
    const open: Pod = { ...pod, status: { conditions: [{ type: 'example.com/ready', status: 'True' }] } }
    const status = podStatus(open, state, context)
    assert.equal(condition(status, 'Ready')?.status, 'True')
    assert.equal(condition(status, 'example.com/ready')?.status, 'True')
  })

  it('shows a crash loop as waiting, with how it ended', () => {
    const state = makeState([makeContainer(main, { phase: 'exited', exitCode: 1, finishedAtMs: 5_000 })])
    const waiting = new Map([['main', { reason: 'CrashLoopBackOff', message: 'back-off' }]])
    const [status] = podStatus(makePod(), state, { ...context, waiting }).containerStatuses ?? []
    assert.equal(status?.state?.waiting?.reason, 'CrashLoopBackOff')
    assert.equal(status?.lastState?.terminated?.reason, 'Error')
  })

  it('ends as its containers ended', () => {
    const pod = makePod({ restartPolicy: 'Never' })
    const phase = (exitCode: number): string | undefined =>
      podStatus(pod, makeState([makeContainer(main, { phase: 'exited', exitCode })]), context).phase
    assert.deepEqual([phase(0), phase(1)], ['Succeeded', 'Failed'])
  })

  it('never leaves a terminal phase', () => {
    const pod = makePod({}, { status: { phase: 'Failed', reason: 'Evicted', message: 'low' } })
    const status = podStatus(pod, makeState([makeContainer(main)]), context)
    assert.deepEqual([status.phase, status.reason, status.message], ['Failed', 'Evicted', 'low'])
  })

  it('fails for a reason of the node’s', () => {
    const status = podStatus(makePod(), EMPTY_RUNTIME_STATE, {
      ...context,
      failure: { reason: 'OutOfcpu', message: 'no' },
    })
    assert.deepEqual([status.phase, status.reason], ['Failed', 'OutOfcpu'])
  })

  it('keeps the time of a condition that did not change', () => {
    const state = makeState([makeContainer(main)])
    const first = podStatus(makePod(), state, context)
    const second = podStatus(makePod({}, { status: first }), state, { ...context, nowMs: context.nowMs + 60_000 })
    assert.deepEqual(second, first)
  })

  it('counts a container that the runtime forgot as ended', () => {
    const running = podStatus(makePod(), makeState([makeContainer(main)]), context)
    const [status] =
      podStatus(makePod({}, { status: running }), makeState([], [makeSandbox()]), context).containerStatuses ?? []
    assert.equal(status?.lastState?.terminated?.exitCode, 137)
    assert.equal(status?.restartCount, 1)
  })
})
