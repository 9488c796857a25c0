import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { kindCases } from '../testing/kind-cases.ts'

describe('a namespace', () => {
  const { defaulted, rowOf, behavior } = kindCases('', 'Namespace')

  it('gets the label of its name', () => {
    assert.deepEqual(defaulted({}).metadata.labels, { 'kubernetes.io/metadata.name': 'x' })
  })

  it('shows its row', () => {
    assert.deepEqual(rowOf({ status: { phase: 'Active' } }), { Name: 'x', Status: 'Active', Age: '60m' })
  })

  it('can be selected by phase', () => assert.deepEqual(behavior.selectableFieldNames, ['name', 'status.phase']))
})

describe('a limit range', () => {
  const { defaulted, errorsOf, rowOf } = kindCases('', 'LimitRange')

  it('gets the requests and limits that follow from the others', () => {
    const limits = [{ type: 'Container', max: { cpu: '2' }, min: { cpu: '1' } }]
    assert.deepEqual(defaulted({ spec: { limits } })['spec'], {
      limits: [
        {
          type: 'Container',
          max: { cpu: '2' },
          min: { cpu: '1' },
          default: { cpu: '2' },
          defaultRequest: { cpu: '2' },
        },
      ],
    })
  })

  it('reports a least above the most', () => {
    assert.deepEqual(errorsOf({ spec: { limits: [{ type: 'Pod', max: { cpu: '1' }, min: { cpu: '2' } }] } }), [
      'spec.limits[0].min[cpu]: Invalid value: "2": min value 2 is greater than max value 1',
    ])
  })

  it('shows its row', () => {
    const { 'Created At': created } = rowOf({ spec: { limits: [] } })
    assert.equal(created, '2026-02-28T23:00:00Z')
  })
})

describe('a resource quota', () => {
  const { errorsOf, rowOf } = kindCases('', 'ResourceQuota')

  it('reports amounts below zero and parts of what cannot be split', () => {
    assert.deepEqual(errorsOf({ spec: { hard: { pods: '1500m', services: '-1' } } }), [
      'spec.hard[pods]: Invalid value: "1500m": must be an integer',
      'spec.hard[services]: Invalid value: "-1": must be greater than or equal to 0',
    ])
  })

  it('shows its row', () => {
    const status = { hard: { pods: '4', 'limits.cpu': '2' }, used: { pods: '1', 'limits.cpu': '500m' } }
    assert.deepEqual(rowOf({ spec: {}, status }), {
      Name: 'x',
      Request: 'pods: 1/4',
      Limit: 'limits.cpu: 500m/2',
      Age: '60m',
    })
  })
})

describe('an event', () => {
  const event = {
    metadata: { name: 'x', namespace: 'n' },
    involvedObject: { kind: 'Pod', name: 'p', namespace: 'n', fieldPath: 'spec.containers{a}' },
    reason: 'Started',
    message: 'Started container',
    type: 'Normal',
    source: { component: 'kubelet', host: 'h' },
    firstTimestamp: '2026-02-28T23:00:00Z',
    lastTimestamp: '2026-02-28T23:59:00Z',
    count: 3,
  }
  const core = kindCases('', 'Event')

  it('shows its row', () => {
    assert.deepEqual(core.rowOf(event), {
      'Last Seen': '60s',
      Type: 'Normal',
      Reason: 'Started',
      Object: 'pod/p',
      Subobject: 'spec.containers{a}',
      Source: 'kubelet, h',
      Message: 'Started container',
      'First Seen': '60m',
      Count: 3,
      Name: 'x',
    })
  })

  it('can be selected by what it is about', () => {
    const fields = core.behavior.selectableFields!(core.defaulted(event))
    assert.deepEqual([fields['involvedObject.name'], fields['source'], fields['type']], ['p', 'kubelet', 'Normal'])
  })

  it('reports another namespace than that of its object', () => {
    assert.deepEqual(core.errorsOf({ ...event, metadata: { name: 'x', namespace: 'other' } }), [
      'involvedObject.namespace: Invalid value: "n": does not match event.namespace',
    ])
  })

  it('needs more by its newer name', () => {
    const newer = kindCases('events.k8s.io', 'Event')
    const errors = newer.errorsOf({ metadata: { name: 'x', namespace: 'n' }, regarding: { namespace: 'n' } })
    assert.deepEqual(errors, ['eventTime: Required value', 'type: Invalid value: "": has invalid value: '])
  })
})

describe('a lease', () => {
  const { errorsOf, rowOf } = kindCases('coordination.k8s.io', 'Lease')

  it('reports a time that is none', () => {
    assert.deepEqual(errorsOf({ spec: { leaseDurationSeconds: 0, leaseTransitions: -1 } }), [
      'spec.leaseDurationSeconds: Invalid value: 0: must be greater than 0',
      'spec.leaseTransitions: Invalid value: -1: must be greater than or equal to 0',
    ])
  })

  it('shows its row', () => {
    assert.deepEqual(rowOf({ spec: { holderIdentity: 'me' } }), { Name: 'x', Holder: 'me', Age: '60m' })
  })
})

describe('a priority class', () => {
  const { defaulted, errorsOf, updateErrorsOf, rowOf } = kindCases('scheduling.k8s.io', 'PriorityClass')

  it('gets a policy', () => assert.equal(defaulted({ value: 1 })['preemptionPolicy'], 'PreemptLowerPriority'))

  it('reports values that are kept for the system', () => {
    assert.deepEqual(errorsOf({ value: 1_000_000_001 }), [
      'value: Forbidden: maximum allowed value of a user defined priority is 1000000000',
    ])
  })

  it('keeps its value', () => {
    assert.deepEqual(updateErrorsOf({ value: 1 }, { value: 2 }), ['value: Forbidden: may not be changed in an update.'])
  })

  it('shows its row', () => {
    assert.deepEqual(rowOf({ value: 7, globalDefault: true }), {
      Name: 'x',
      Value: 7,
      'Global-Default': true,
      Age: '60m',
      PreemptionPolicy: 'PreemptLowerPriority',
    })
  })
})

describe('a runtime class', () => {
  const { errorsOf, rowOf } = kindCases('node.k8s.io', 'RuntimeClass')

  it('reports a handler that is none', () => {
    assert.equal(errorsOf({ handler: 'A_b' })[0]!.split(': ').slice(0, 3).join(': '), 'handler: Invalid value: "A_b"')
  })

  it('shows its row', () => assert.deepEqual(rowOf({ handler: 'runc' }), { Name: 'x', Handler: 'runc', Age: '60m' }))
})
