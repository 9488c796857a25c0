import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { kindCases } from '../testing/kind-cases.ts'

const GROUP = 'resource.k8s.io'

describe('a resource claim', () => {
  const { defaulted, errorsOf, rowOf } = kindCases(GROUP, 'ResourceClaim')

  it('asks for one device by default', () => {
    const requests = [{ name: 'a', exactly: { deviceClassName: 'gpu' } }]
    assert.deepEqual(defaulted({ spec: { devices: { requests } } })['spec'], {
      devices: {
        requests: [{ name: 'a', exactly: { deviceClassName: 'gpu', allocationMode: 'ExactCount', count: 1 } }],
      },
    })
  })

  it('reports requests for nothing, and twice', () => {
    const requests = [
      { name: 'a' },
      { name: 'a', exactly: { deviceClassName: 'gpu', allocationMode: 'All', count: 2 } },
    ]
    assert.deepEqual(errorsOf({ spec: { devices: { requests } } }), [
      'spec.devices.requests[0]: Required value: exactly one of `exactly` or `firstAvailable` is required',
      "spec.devices.requests[1].exactly.count: Invalid value: 2: must not be specified when allocationMode is 'All'",
      'spec.devices.requests[1].name: Duplicate value: "a"',
    ])
  })

  it('shows its state', () => {
    assert.equal(rowOf({})['State'], 'pending')
    assert.equal(rowOf({ status: { allocation: {}, reservedFor: [{}] } })['State'], 'allocated,reserved')
  })
})

describe('a resource slice', () => {
  const { errorsOf, rowOf, behavior, defaulted } = kindCases(GROUP, 'ResourceSlice')
  const spec = { driver: 'd.io', pool: { name: 'p', generation: 1, resourceSliceCount: 1 }, nodeName: 'n' }

  it('reports devices that are nowhere', () => {
    assert.deepEqual(errorsOf({ spec: { ...spec, nodeName: undefined } }), [
      'spec: Required value: exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required',
    ])
  })

  it('can be selected by node', () => {
    assert.equal(behavior.selectableFields!(defaulted({ spec }))['spec.nodeName'], 'n')
  })

  it('shows its row', () => {
    assert.deepEqual(rowOf({ spec }), { Name: 'x', Node: 'n', Driver: 'd.io', Pool: 'p', Age: '60m' })
  })
})

describe('a pod group', () => {
  const { errorsOf, rowOf } = kindCases('scheduling.k8s.io', 'PodGroup')

  it('reports no policy', () => {
    assert.deepEqual(errorsOf({ spec: {} }), [
      'spec.schedulingPolicy: Required value: must specify one of: `basic`, `gang`',
    ])
  })

  it('shows its row', () => {
    const status = { conditions: [{ type: 'PodGroupInitiallyScheduled', status: 'False' }] }
    assert.deepEqual(rowOf({ spec: { schedulingPolicy: { gang: { minCount: 2 } } }, status }), {
      Name: 'x',
      Policy: 'Gang',
      Workload: '<none>',
      Status: 'Unschedulable',
      Age: '60m',
    })
  })
})

describe('an eviction', () => {
  const { rowOf } = kindCases('lifecycle.k8s.io', 'Eviction')

  it('shows who is at it', () => {
    const status = {
      targetResponders: [
        { name: 'a', state: 'Completed' },
        { name: 'b', state: 'Active' },
        { name: 'c', state: 'Inactive' },
      ],
      responders: [{ name: 'b', startTime: '2026-02-28T23:59:00Z', expectedCompletionTime: '2026-03-01T00:01:00Z' }],
      requesters: [{ name: 'r', intent: 'Eviction' }],
    }
    const row = rowOf({ spec: { target: { pod: { name: 'p', uid: 'u' } } }, status })
    assert.deepEqual(
      ['Target', 'Active Responder', 'Responder Status', 'Responder Expected Finish', 'Requesters'].map(
        (name) => row[name],
      ),
      ['p', 'b (2/3)', 'Started (60s ago)', 'in 60s', 'r'],
    )
  })
})
