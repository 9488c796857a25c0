import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { kindCases } from '../testing/kind-cases.ts'

const { defaulted, errorsOf, rowOf, behavior } = kindCases('', 'Node')
const status = {
  conditions: [{ type: 'Ready', status: 'True' }],
  addresses: [{ type: 'InternalIP', address: '10.0.0.1' }],
  nodeInfo: {
    kubeletVersion: 'v1.37.0',
    osImage: 'Linux',
    kernelVersion: '6.1',
    containerRuntimeVersion: 'containerd://2',
  },
}

describe('a node', () => {
  it('offers what it has when it says nothing else', () => {
    const { allocatable } = defaulted({ status: { capacity: { cpu: '2' } } })['status'] as Record<string, unknown>
    assert.deepEqual(allocatable, { cpu: '2' })
  })

  it('reports a taint twice', () => {
    const taint = { key: 'a', effect: 'NoSchedule' }
    const errors = errorsOf({ spec: { taints: [taint, taint] } })
    assert.equal(errors.length, 1)
    assert.match(errors[0]!, /^metadata\.taints\[1\]: Duplicate value: /)
  })

  it('can be selected by whether it takes pods', () => {
    assert.deepEqual(behavior.selectableFields!(defaulted({ spec: { unschedulable: true } })), {
      'spec.unschedulable': 'true',
    })
  })

  it('shows its row', () => {
    const metadata = { name: 'n', labels: { 'node-role.kubernetes.io/control-plane': '' } }
    assert.deepEqual(rowOf({ metadata, spec: { unschedulable: true }, status }), {
      Name: 'n',
      Status: 'Ready,SchedulingDisabled',
      Roles: 'control-plane',
      Age: '60m',
      Version: 'v1.37.0',
      'Internal-IP': '10.0.0.1',
      'External-IP': '<none>',
      'OS-Image': 'Linux',
      'Kernel-Version': '6.1',
      'Container-Runtime': 'containerd://2',
    })
  })

  it('shows that nothing is known', () => {
    const { Status, Roles } = rowOf({ spec: {}, status: {} })
    assert.deepEqual([Status, Roles], ['Unknown', '<none>'])
  })
})
