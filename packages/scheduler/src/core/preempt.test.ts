import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { node, pod } from '../testing/objects.ts'
import { ClusterState } from './cluster-state.ts'
import { compilePod, type PodRequirements } from './pod-requirements.ts'
import { planPreemption } from './preempt.ts'

const setUp = (): {
  state: ClusterState
  compile: (name: string, cpu: string, priority: number) => PodRequirements
} => {
  const state = new ClusterState()
  state.putNode(node('a', { allocatable: { cpu: '2' } }))
  state.putNode(node('b', { allocatable: { cpu: '2' } }))
  const compile = (name: string, cpu: string, priority: number): PodRequirements =>
    compilePod(pod(name, { cpu, priority }), { index: state.resources, namespaceLabels: () => undefined })
  return { state, compile }
}
const unprotected = { slots: [0, 1], isProtected: () => false }

describe('planPreemption', () => {
  it('removes no more than it must, the least important first', () => {
    const { state, compile } = setUp()
    state.putPod(compile('low', '1', 1), 'a')
    state.putPod(compile('mid', '1', 5), 'a')
    state.putPod(compile('high', '2', 9), 'b')
    const plan = planPreemption(state, compile('vip', '1', 10), unprotected)
    assert.equal(plan?.nodeName, 'a')
    assert.deepEqual(
      plan?.victims.map((victim) => victim.name),
      ['low'],
    )
    assert.equal(state.requested(0, 0), 2000, 'the state is as it was')
  })

  it('spares pods of a disruption budget where another node will do', () => {
    const { state, compile } = setUp()
    state.putPod(compile('guarded', '2', 1), 'a')
    state.putPod(compile('free', '2', 2), 'b')
    const plan = planPreemption(state, compile('vip', '2', 10), {
      slots: [0, 1],
      isProtected: (uid) => uid === 'pod-guarded',
    })
    assert.deepEqual(
      plan?.victims.map((victim) => victim.name),
      ['free'],
    )
  })

  it('never touches pods of equal or higher priority', () => {
    const { state, compile } = setUp()
    state.putPod(compile('peer', '2', 10), 'a')
    state.putPod(compile('boss', '2', 11), 'b')
    assert.equal(planPreemption(state, compile('vip', '1', 10), unprotected), undefined)
  })

  it('does nothing for a pod that may not preempt', () => {
    const { state, compile } = setUp()
    state.putPod(compile('low', '2', 1), 'a')
    const meek = { ...compile('meek', '2', 10), preemptionPolicy: 'Never' as const }
    assert.equal(planPreemption(state, meek, unprotected), undefined)
  })
})
