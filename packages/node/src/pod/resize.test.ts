import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { makePod } from '../testing/pods.ts'
import { allocationOf, planResize, readAllocation, resizeMessage, withAllocation } from './resize.ts'

function pod(cpu: string, extra: object = {}): ReturnType<typeof makePod> {
  return makePod({ containers: [{ name: 'main', image: 'a', resources: { requests: { cpu } }, ...extra }] })
}

describe('a resize in place', () => {
  const room = { allocatable: { cpu: '2', memory: '1Gi' }, others: [pod('1')] }

  it('is granted when the node has it, and restarts where the policy says so', () => {
    assert.deepEqual(planResize(pod('500m'), pod('0.5'), room), { kind: 'none' })
    assert.deepEqual(planResize(pod('1'), pod('500m'), room), {
      kind: 'accepted',
      changes: [{ name: 'main', restart: false }],
    })
    const resizePolicy = [{ resourceName: 'cpu', restartPolicy: 'RestartContainer' }]
    assert.deepEqual(planResize(pod('1', { resizePolicy }), pod('2'), room), {
      kind: 'accepted',
      changes: [{ name: 'main', restart: true }],
    })
  })

  it('waits for room, or will never have it', () => {
    assert.deepEqual(planResize(pod('1500m'), pod('1'), room), {
      kind: 'pending',
      reason: 'Deferred',
      message: "Node didn't have enough resource: cpu, requested: 1500, used: 1000, capacity: 2000",
    })
    assert.deepEqual(planResize(pod('3'), pod('1'), room), {
      kind: 'pending',
      reason: 'Infeasible',
      message: "Node didn't have enough capacity: cpu, requested: 3000, capacity: 2000",
    })
  })

  it('knows what containers were given before this agent', () => {
    const status = { containerStatuses: [{ name: 'main', resources: { requests: { cpu: '250m' } } }] }
    const adopted = { ...pod('1'), status } as unknown as ReturnType<typeof pod>
    const allocated = withAllocation(adopted, readAllocation(adopted))
    assert.equal(allocated.spec?.containers[0]?.resources?.requests?.['cpu'], '250m')
    const fresh = pod('1')
    assert.equal(withAllocation(fresh, allocationOf(fresh)), fresh)
  })

  it('is told with all resources', () => {
    assert.equal(
      resizeMessage(pod('1'), 'Pod resize started', ''),
      'Pod resize started: {"containers":[{"name":"main","resources":{"requests":{"cpu":"1"}}}],"generation":1}',
    )
  })
})
