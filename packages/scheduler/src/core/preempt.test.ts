import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { PodSpec } from '@centaurus/api/core/v1'
import { node, pod } from '../testing/objects.ts'
import { ClusterState } from './cluster-state.ts'
import { compilePod, type PodRequirements } from './pod-requirements.ts'
import { decide } from './decide.ts'
import { planPreemption } from './preempt.ts'

const setUp = (): {
  state: ClusterState
  compile: (name: string, cpu: string, priority: number) => PodRequirements
  place: (name: string, cpu: string, on: { priority: number; node: string }) => void
} => {
  const state = new ClusterState()
  state.putNode(node('a', { allocatable: { cpu: '2' } }))
  state.putNode(node('b', { allocatable: { cpu: '2' } }))
  const compile = (name: string, cpu: string, priority: number): PodRequirements =>
    compilePod(pod(name, { cpu, priority }), { index: state.resources, namespaceLabels: () => undefined })
  const place = (name: string, cpu: string, { priority, node: nodeName }: { priority: number; node: string }): void =>
    state.putPod(`pod-${name}`, compile(name, cpu, priority).footprint, nodeName)
  return { state, compile, place }
}
const unprotected = { slots: [0, 1], isProtected: () => false }

describe('planPreemption', () => {
  it('removes no more than it must, the least important first', () => {
    const { state, compile, place } = setUp()
    place('low', '1', { priority: 1, node: 'a' })
    place('mid', '1', { priority: 5, node: 'a' })
    place('high', '2', { priority: 9, node: 'b' })
    const plan = planPreemption(state, compile('vip', '1', 10), unprotected)
    assert.equal(plan?.nodeName, 'a')
    assert.deepEqual(
      plan?.victims.map((victim) => victim.uid),
      ['pod-low'],
    )
    assert.equal(state.requested(0, 0), 2000, 'the state is as it was')
  })

  it('spares pods of a disruption budget where another node will do', () => {
    const { state, compile, place } = setUp()
    place('guarded', '2', { priority: 1, node: 'a' })
    place('free', '2', { priority: 2, node: 'b' })
    const plan = planPreemption(state, compile('vip', '2', 10), {
      slots: [0, 1],
      isProtected: (uid) => uid === 'pod-guarded',
    })
    assert.deepEqual(
      plan?.victims.map((victim) => victim.uid),
      ['pod-free'],
    )
  })

  it('never touches pods of equal or higher priority', () => {
    const { state, compile, place } = setUp()
    place('peer', '2', { priority: 10, node: 'a' })
    place('boss', '2', { priority: 11, node: 'b' })
    assert.equal(planPreemption(state, compile('vip', '1', 10), unprotected), undefined)
  })

  it('does nothing for a pod that may not preempt', () => {
    const { state, compile, place } = setUp()
    place('low', '2', { priority: 1, node: 'a' })
    const meek = { ...compile('meek', '2', 10), preemptionPolicy: 'Never' as const }
    assert.equal(planPreemption(state, meek, unprotected), undefined)
  })
})

describe('what was only tried', () => {
  it('is not taken for what is, however much changes afterwards', () => {
    const { state, compile } = setUp()
    const asking = compile('asking', '3', 1)
    const refused = (): boolean => decide(state, asking, { startSlot: 0, tieBreak: () => 0 }).type === 'refuse'
    state.simulate(() => {
      state.putPod('tried', compile('tried', '2', 1).footprint, 'a')
      assert.ok(refused())
      state.removePod('tried')
    })
    state.putNode(node('a', { allocatable: { cpu: '4' } }))
    assert.equal(refused(), false)
  })
})

describe('victims', () => {
  it('are the same whether room is counted or the node is tried', () => {
    const placed = fc.record({
      cpu: fc.integer({ min: 0, max: 3 }),
      priority: fc.integer({ min: 0, max: 5 }),
      on: fc.nat(2),
    })
    fc.assert(
      fc.property(fc.array(placed, { maxLength: 12 }), fc.integer({ min: 1, max: 4 }), (pods, cpu) => {
        const plan = (more: Partial<PodSpec>): unknown => {
          const state = new ClusterState()
          const deps = { index: state.resources, namespaceLabels: () => undefined }
          for (let i = 0; i < 3; i++) state.putNode(node(`n${i}`, { allocatable: { cpu: '4', pods: '5' } }))
          for (const [i, one] of pods.entries()) {
            const item = pod(`p${i}`, { cpu: `${one.cpu}`, priority: one.priority })
            state.putPod(`p${i}`, compilePod(item, deps).footprint, `n${one.on}`)
          }
          const asking = compilePod(pod('asking', { cpu: `${cpu}`, priority: 4, ...more }), deps)
          const isProtected = (uid: string): boolean => uid.endsWith('1')
          const found = planPreemption(state, asking, { slots: [0, 1, 2], isProtected })
          return found && { nodeName: found.nodeName, victims: found.victims.map(({ uid }) => uid).sort() }
        }
        // A constraint that always holds makes the pod depend on others, so that nodes are tried.
        const always = {
          maxSkew: 1_000,
          topologyKey: 'kubernetes.io/hostname',
          whenUnsatisfiable: 'DoNotSchedule',
          labelSelector: {},
        }
        assert.deepEqual(plan({}), plan({ topologySpreadConstraints: [always] }))
      }),
    )
  })
})
