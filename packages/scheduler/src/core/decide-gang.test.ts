import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { node, pod } from '../testing/objects.ts'
import { ClusterState } from './cluster-state.ts'
import { decideGang, type GangDecision, type GangMember } from './decide-gang.ts'
import { compilePod } from './pod-requirements.ts'

function cluster(cpus: readonly string[]): ClusterState {
  const state = new ClusterState()
  for (const [i, cpu] of cpus.entries()) state.putNode(node(`n${i}`, { allocatable: { cpu } }))
  return state
}

const compile = (state: ClusterState, name: string, input: { cpu: string; priority?: number }) =>
  compilePod(pod(name, input), { index: state.resources, namespaceLabels: () => undefined })

function members(state: ClusterState, cpus: readonly string[], priority = 0): GangMember[] {
  return cpus.map((cpu, i) => ({ uid: `g${i}`, requirements: compile(state, `g${i}`, { cpu, priority }) }))
}

function decide(state: ClusterState, gang: readonly GangMember[], minCount: number, scheduled = 0): GangDecision {
  const options = { minCount, scheduled, startSlot: 0, tieBreak: () => 0, isProtected: () => false, preempts: true }
  return decideGang(state, gang, options)
}

function usedCpu(state: ClusterState): number[] {
  return Array.from({ length: state.slotCount }, (_, slot) => state.requested(slot, 0))
}

describe('decideGang', () => {
  it('places all, and counts them', () => {
    const state = cluster(['2', '2'])
    const decision = decide(state, members(state, ['1', '1', '1', '1']), 4)
    assert.equal(decision.type === 'place' && decision.placed.size, 4)
    assert.deepEqual(usedCpu(state), [2000, 2000])
  })

  it('places none when the minimum does not fit, and says so', () => {
    const state = cluster(['2', '1'])
    const decision = decide(state, members(state, ['1', '1', '1', '1', '1']), 5)
    assert.ok(decision.type === 'refuse')
    assert.equal(decision.message, 'minCount (5) cannot be satisfied: 3 scheduled, 1 remaining')
    assert.deepEqual([...decision.reasons], [['g3', '0/2 nodes are available: 2 Insufficient cpu.']])
    assert.deepEqual(usedCpu(state), [0, 0])
  })

  it('places what fits once the minimum does, counting pods that have nodes already', () => {
    const state = cluster(['2'])
    const decision = decide(state, members(state, ['1', '1', '1']), 3, 1)
    assert.ok(decision.type === 'place')
    assert.deepEqual([...decision.placed.keys()], ['g0', 'g1'])
    assert.deepEqual([...decision.refused.keys()], ['g2'])
  })

  it('removes others for the whole gang or not at all', () => {
    const state = cluster(['2', '2'])
    for (const [i, name] of ['n0', 'n1'].entries())
      state.putPod(`low-${i}`, compile(state, `low-${i}`, { cpu: '2', priority: 1 }).footprint, name)
    const decision = decide(state, members(state, ['2', '2'], 10), 2)
    assert.ok(decision.type === 'preempt')
    const victims = [...decision.plans.values()].flatMap((plan) => plan.victims.map(({ uid }) => uid))
    assert.deepEqual(victims.sort(), ['low-0', 'low-1'])
    assert.deepEqual(usedCpu(state), [2000, 2000], 'the state is as it was')
    assert.equal(decide(state, members(state, ['2', '2', '2'], 10), 3).type, 'refuse')
    assert.deepEqual(usedCpu(state), [2000, 2000], 'the state is as it was')
    assert.equal(decide(state, members(state, ['1', '1'], 1), 2).type, 'refuse', 'equals stay')
  })

  it('is all or nothing on any cluster, and never overcommits', () => {
    const cpu = fc.integer({ min: 0, max: 4 })
    fc.assert(
      fc.property(
        fc.array(cpu, { minLength: 1, maxLength: 5 }),
        fc.array(cpu, { minLength: 1, maxLength: 8 }),
        fc.nat(8),
        (capacities, asks, minCount) => {
          const state = cluster(capacities.map(String))
          const decision = decide(state, members(state, asks.map(String)), minCount)
          const used = usedCpu(state)
          for (const [slot, amount] of used.entries()) assert.ok(amount <= capacities[slot]! * 1000)
          if (decision.type === 'place') assert.ok(decision.placed.size >= minCount)
          else assert.ok(used.every((amount) => amount === 0))
          assert.equal(state.pods.size, decision.type === 'place' ? decision.placed.size : 0)
        },
      ),
    )
  })
})
