import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { convertObject } from './convert.ts'

function convert(object: object, toVersion: string): Record<string, unknown> {
  return convertObject({ metadata: { name: 'x' }, ...object }, toVersion) as unknown as Record<string, unknown>
}

describe('converting', () => {
  it('leaves an object of the version as it is', () => {
    const pod = { apiVersion: 'v1', kind: 'Pod', metadata: {} }
    assert.equal(convertObject(pod, 'v1'), pod)
  })

  it('names the version of kinds with one shape', () => {
    const lease = { apiVersion: 'coordination.k8s.io/v1beta1', kind: 'LeaseCandidate', metadata: {}, spec: { a: 1 } }
    const other = convertObject(lease, 'coordination.k8s.io/v1alpha2')
    assert.deepEqual(other, { ...lease, apiVersion: 'coordination.k8s.io/v1alpha2' })
  })
})

describe('converting events', () => {
  const core = {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: 'x' },
    involvedObject: { kind: 'Pod' },
    message: 'hello',
    reason: 'a',
    type: 'Normal',
    source: { component: 'c' },
    firstTimestamp: '2026-03-01T00:00:00Z',
    count: 2,
    reportingComponent: '',
    reportingInstance: '',
  }

  it('uses the other names, and back', () => {
    const newer = convert(core, 'events.k8s.io/v1')
    assert.deepEqual(newer, {
      apiVersion: 'events.k8s.io/v1',
      kind: 'Event',
      metadata: { name: 'x' },
      eventTime: null,
      regarding: { kind: 'Pod' },
      note: 'hello',
      reason: 'a',
      type: 'Normal',
      deprecatedSource: { component: 'c' },
      deprecatedFirstTimestamp: '2026-03-01T00:00:00Z',
      deprecatedCount: 2,
      reportingController: '',
      reportingInstance: '',
    })
    assert.deepEqual(convert(newer, 'v1'), { ...core, eventTime: null })
  })
})

describe('converting autoscalers', () => {
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }
  const cpu = { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 50 } } }
  const pods = { type: 'Pods', pods: { metric: { name: 'a' }, target: { type: 'AverageValue', averageValue: '5' } } }
  const behavior = { scaleUp: { selectPolicy: 'Max', policies: [{ type: 'Pods', value: 4, periodSeconds: 15 }] } }
  const conditions = [{ type: 'AbleToScale', status: 'True' }]
  const newer = {
    apiVersion: 'autoscaling/v2',
    kind: 'HorizontalPodAutoscaler',
    metadata: { name: 'x', annotations: { mine: 'yes' } },
    spec: { scaleTargetRef, minReplicas: 1, maxReplicas: 3, metrics: [pods, cpu], behavior },
    status: {
      currentReplicas: 1,
      desiredReplicas: 2,
      currentMetrics: [
        { type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 12, averageValue: '3m' } } },
      ],
      conditions,
    },
  }

  it('puts into annotations what the first version lacks', () => {
    assert.deepEqual(convert(newer, 'autoscaling/v1'), {
      apiVersion: 'autoscaling/v1',
      kind: 'HorizontalPodAutoscaler',
      metadata: {
        name: 'x',
        annotations: {
          mine: 'yes',
          'autoscaling.alpha.kubernetes.io/metrics':
            '[{"type":"Pods","pods":{"metricName":"a","targetAverageValue":"5"}}]',
          'autoscaling.alpha.kubernetes.io/current-metrics':
            '[{"type":"Resource","resource":{"name":"cpu","currentAverageUtilization":12,"currentAverageValue":"3m"}}]',
          'autoscaling.alpha.kubernetes.io/behavior':
            '{"ScaleUp":{"SelectPolicy":"Max","Policies":[{"Type":"Pods","Value":4,"PeriodSeconds":15}]}}',
          'autoscaling.alpha.kubernetes.io/conditions': '[{"type":"AbleToScale","status":"True"}]',
        },
      },
      spec: { scaleTargetRef, minReplicas: 1, maxReplicas: 3, targetCPUUtilizationPercentage: 50 },
      status: { currentCPUUtilizationPercentage: 12, currentReplicas: 1, desiredReplicas: 2 },
    })
  })

  it('comes back the same', () => assert.deepEqual(convert(convert(newer, 'autoscaling/v1'), 'autoscaling/v2'), newer))

  it('scales by CPU when the first version says nothing', () => {
    const { spec } = convert(
      { apiVersion: 'autoscaling/v1', kind: 'HorizontalPodAutoscaler', spec: { scaleTargetRef, maxReplicas: 3 } },
      'autoscaling/v2',
    )
    const target = { type: 'Utilization', averageUtilization: 80 }
    assert.deepEqual(spec, {
      scaleTargetRef,
      maxReplicas: 3,
      metrics: [{ type: 'Resource', resource: { name: 'cpu', target } }],
    })
  })

  it('ignores annotations that do not parse', () => {
    const annotations = { 'autoscaling.alpha.kubernetes.io/metrics': '{' }
    const object = { apiVersion: 'autoscaling/v1', kind: 'HorizontalPodAutoscaler', metadata: { annotations } }
    const { metadata } = convert({ ...object, spec: { scaleTargetRef, maxReplicas: 3 } }, 'autoscaling/v2')
    assert.deepEqual(metadata, {})
  })
})

describe('converting devices', () => {
  const claim = {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceClaim',
    metadata: { name: 'x' },
    spec: { devices: { requests: [{ name: 'a', exactly: { deviceClassName: 'gpu', count: 1 } }] } },
  }
  const slice = {
    apiVersion: 'resource.k8s.io/v1',
    kind: 'ResourceSlice',
    metadata: { name: 'x' },
    spec: { driver: 'd', devices: [{ name: 'a', capacity: { memory: { value: '1Gi' } } }] },
  }

  it('flattens requests for the first beta, and back', () => {
    const old = convert(claim, 'resource.k8s.io/v1beta1')
    assert.deepEqual(old['spec'], { devices: { requests: [{ name: 'a', deviceClassName: 'gpu', count: 1 }] } })
    assert.deepEqual(convert(old, 'resource.k8s.io/v1'), claim)
  })

  it('nests devices for the first beta, and back', () => {
    const old = convert(slice, 'resource.k8s.io/v1beta1')
    const { devices } = old['spec'] as Record<string, unknown>
    assert.deepEqual(devices, [{ name: 'a', basic: { capacity: { memory: { value: '1Gi' } } } }])
    assert.deepEqual(convert(old, 'resource.k8s.io/v1'), slice)
  })

  it('only renames the second beta', () => {
    assert.deepEqual(convert(claim, 'resource.k8s.io/v1beta2')['spec'], claim.spec)
  })
})
