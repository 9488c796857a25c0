import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { kindCases } from '../testing/kind-cases.ts'

describe('an autoscaler', () => {
  const { defaulted, errorsOf, updateErrorsOf, rowOf } = kindCases('autoscaling', 'HorizontalPodAutoscaler')
  const scaleTargetRef = { apiVersion: 'apps/v1', kind: 'Deployment', name: 'web' }
  const cpu = { type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization', averageUtilization: 80 } } }

  it('gets defaults', () => {
    const behavior = { scaleDown: { stabilizationWindowSeconds: 60 } }
    assert.deepEqual(defaulted({ spec: { scaleTargetRef, maxReplicas: 3, behavior } })['spec'], {
      scaleTargetRef,
      minReplicas: 1,
      maxReplicas: 3,
      metrics: [cpu],
      behavior: {
        scaleUp: {
          stabilizationWindowSeconds: 0,
          selectPolicy: 'Max',
          policies: [
            { type: 'Pods', value: 4, periodSeconds: 15 },
            { type: 'Percent', value: 100, periodSeconds: 15 },
          ],
        },
        scaleDown: {
          stabilizationWindowSeconds: 60,
          selectPolicy: 'Max',
          policies: [{ type: 'Percent', value: 100, periodSeconds: 15 }],
        },
      },
    })
  })

  const cases: [string, object, string[]][] = [
    ['nothing when it is right', {}, []],
    [
      'no maximum',
      { maxReplicas: 0 },
      [
        'spec.maxReplicas: Required value: must be set and greater than 0',
        'spec.maxReplicas: Invalid value: 0: must be greater than or equal to `minReplicas`',
      ],
    ],
    [
      'a target without a group',
      { scaleTargetRef: { apiVersion: 'v1', kind: 'Deployment', name: 'web' } },
      ['spec.scaleTargetRef.apiVersion: Invalid value: "v1": apiVersion must specify API group'],
    ],
    [
      'zero replicas by CPU',
      { minReplicas: 0 },
      [
        'spec.metrics: Forbidden: must specify at least one Object or External metric to support scaling to zero replicas',
      ],
    ],
    [
      'a metric without its source',
      { metrics: [{ type: 'Pods', resource: cpu.resource }] },
      ['spec.metrics[0].pods: Required value: must populate information for the given metric source'],
    ],
    [
      'a target without an amount',
      { metrics: [{ type: 'Resource', resource: { name: 'cpu', target: { type: 'Utilization' } } }] },
      [
        'spec.metrics[0].resource.target.averageUtilization: Required value: must set either a target raw value or a target utilization',
      ],
    ],
    [
      'a window that is too long',
      { behavior: { scaleUp: { stabilizationWindowSeconds: 3601 } } },
      ['spec.behavior.scaleUp.stabilizationWindowSeconds: Invalid value: 3601: must be less than or equal to 3600'],
    ],
  ]
  for (const [title, spec, expected] of cases) {
    it(`reports ${title}`, () => {
      assert.deepEqual(errorsOf({ spec: { scaleTargetRef, maxReplicas: 3, ...spec } }), expected)
    })
  }

  it('may keep a target without a group', () => {
    const object = { spec: { scaleTargetRef: { kind: 'Deployment', name: 'web' }, maxReplicas: 3 } }
    assert.deepEqual(updateErrorsOf(object, object), [])
  })

  it('shows its row', () => {
    const metrics = [
      cpu,
      { type: 'Pods', pods: { metric: { name: 'a' }, target: { type: 'AverageValue', averageValue: '5' } } },
      cpu,
    ]
    const status = {
      currentReplicas: 2,
      currentMetrics: [{ type: 'Resource', resource: { name: 'cpu', current: { averageUtilization: 12 } } }],
    }
    assert.deepEqual(rowOf({ spec: { scaleTargetRef, maxReplicas: 3, metrics }, status }), {
      Name: 'x',
      Reference: 'Deployment/web',
      Targets: 'cpu: 12%/80%, <unknown>/5 + 1 more...',
      MinPods: '1',
      MaxPods: 3,
      Replicas: 2,
      Age: '60m',
    })
  })
})

describe('a disruption budget', () => {
  const { errorsOf, rowOf } = kindCases('policy', 'PodDisruptionBudget')

  it('reports both bounds, and more than all', () => {
    assert.deepEqual(errorsOf({ spec: { minAvailable: '101%', maxUnavailable: 1 } }), [
      'spec: Invalid value: {"minAvailable":"101%","maxUnavailable":1}: minAvailable and maxUnavailable cannot be both set',
      'spec.minAvailable: Invalid value: "101%": must not be greater than 100%',
    ])
  })

  it('shows its row', () => {
    assert.deepEqual(rowOf({ spec: { minAvailable: 0 }, status: { disruptionsAllowed: 2 } }), {
      Name: 'x',
      'Min Available': '0',
      'Max Unavailable': 'N/A',
      'Allowed Disruptions': 2,
      Age: '60m',
    })
  })
})
