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

  it('begins with the node that it is told to, and looks at all of them', () => {
    const { state, compile, place } = setUp()
    for (const name of ['a', 'b']) place(`low-${name}`, '2', { priority: 1, node: name })
    const planFrom = (startAt: number) => planPreemption(state, compile('vip', '1', 10), { ...unprotected, startAt })
    assert.equal(planFrom(0)?.nodeName, 'a')
    assert.equal(planFrom(0.99)?.nodeName, 'b')
    place('low-a', '2', { priority: 0, node: 'a' })
    assert.equal(planFrom(0.99)?.nodeName, 'a', 'its pod is less important')
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

describe('preemption between tenants', () => {
  const setUpTenants = () => {
    const grants: Record<string, number> = { gold: 100 }
    const state = new ClusterState({ maxPriorityOf: (tenant) => grants[tenant] ?? 0 })
    state.putNode(node('a', { allocatable: { cpu: '2' } }))
    const compile = (tenant: string, priority: number): PodRequirements => {
      const one = pod(`${tenant}-${priority}`, { cpu: '2', priority, namespace: `default--${tenant}` })
      if (tenant !== 'system') one.metadata.annotations = { 'centaurus.io/tenant': tenant }
      return compilePod(one, { index: state.resources, namespaceLabels: () => undefined })
    }
    const plan = (tenant: string, priority: number) =>
      planPreemption(state, compile(tenant, priority), { slots: [0], isProtected: () => false })
    return { state, compile, plan }
  }

  it('needs what operators granted, not what a class of the tenant says', () => {
    const { state, compile, plan } = setUpTenants()
    state.putPod('victim', compile('acme', -10).footprint, 'a')
    assert.equal(plan('beta', 1_000_000_000), undefined)
    assert.ok(plan('acme', 0))
    assert.ok(plan('gold', 1))
    assert.ok(plan('system', 1))
    state.putPod('victim', compile('gold', 1_000_000_000).footprint, 'a')
    assert.equal(plan('beta', 1_000_000_000), undefined)
    assert.equal(plan('system', 100), undefined)
    assert.ok(plan('system', 101))
  })

  it('sees pods of other partitions', () => {
    const { state, plan } = setUpTenants()
    state.setForeignUse('a', { requests: { cpu: 2_000, pods: 2 } })
    assert.equal(plan('acme', 1_000_000_000), undefined)
    assert.deepEqual(plan('gold', 1), { ...plan('gold', 1), nodeName: 'a', victims: [], foreignVictims: 2 })
    const priorities = [[0, { cpu: 1_000, pods: 1 }] as const, [50, { cpu: 1_000, pods: 1 }] as const]
    state.setForeignUse('a', { requests: { cpu: 2_000, pods: 2 }, priorities })
    assert.equal(plan('gold', 50), undefined)
    assert.equal(plan('gold', 51)?.foreignVictims, 2)
    state.setForeignUse('a', { requests: {} })
    assert.equal(plan('system', 1_000), undefined, 'nobody is in the way')
  })

  it('plans the same whether pods alike are of this partition or of another', () => {
    const placed = fc.record({
      count: fc.integer({ min: 0, max: 3 }),
      priority: fc.integer({ min: 0, max: 5 }),
      on: fc.nat(2),
    })
    fc.assert(
      fc.property(
        fc.array(placed, { maxLength: 8 }),
        fc.integer({ min: 1, max: 4 }),
        fc.boolean(),
        (groups, cpu, isTried) => {
          const plan = (areForeign: boolean) => {
            const state = new ClusterState()
            const deps = { index: state.resources, namespaceLabels: () => undefined }
            for (let i = 0; i < 3; i++) state.putNode(node(`n${i}`, { allocatable: { cpu: '4', pods: '9' } }))
            const sums = [0, 1, 2].map(() => new Map<number, number>())
            for (const [i, { count, priority, on }] of groups.entries()) {
              sums[on]!.set(priority, (sums[on]!.get(priority) ?? 0) + count)
              const one = compilePod(pod(`p${i}`, { cpu: '1', priority }), deps).footprint
              for (let n = 0; n < (areForeign ? 0 : count); n++) state.putPod(`p${i}-${n}`, one, `n${on}`)
            }
            const amounts = (count: number) => ({ cpu: 1_000 * count, pods: count })
            for (const [on, sum] of sums.entries()) {
              if (!areForeign) continue
              const used = [...sum].filter(([, count]) => count > 0).toSorted(([a], [b]) => a - b)
              const requests = amounts(used.reduce((all, [, count]) => all + count, 0))
              state.setForeignUse(`n${on}`, {
                requests,
                priorities: used.map(([priority, count]) => [priority, amounts(count)]),
              })
            }
            const always = { maxSkew: 1_000, topologyKey: 'kubernetes.io/hostname', whenUnsatisfiable: 'DoNotSchedule' }
            const more = isTried ? { topologySpreadConstraints: [{ ...always, labelSelector: {} }] } : {}
            const asking = compilePod(pod('asking', { cpu: `${cpu}`, priority: 4, ...more }), deps)
            const before = [0, 1, 2].map((slot) => state.requested(slot, 0))
            const found = planPreemption(state, asking, { slots: [0, 1, 2], isProtected: () => false })
            assert.deepEqual(
              [0, 1, 2].map((slot) => state.requested(slot, 0)),
              before,
              'the state is as it was',
            )
            return found && { nodeName: found.nodeName, count: found.victims.length + found.foreignVictims }
          }
          assert.deepEqual(plan(true), plan(false))
        },
      ),
    )
  })
})
