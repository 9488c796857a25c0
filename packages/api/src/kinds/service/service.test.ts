import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { kindCases } from '../testing/kind-cases.ts'

const { defaulted, errorsOf, updateErrorsOf, rowOf } = kindCases('', 'Service')

function service(spec: object): { spec: object } {
  return { spec: { selector: { app: 'web' }, ports: [{ port: 80 }], ...spec } }
}

describe('a service', () => {
  it('gets defaults', () => {
    assert.deepEqual(defaulted(service({}))['spec'], {
      selector: { app: 'web' },
      ports: [{ port: 80, protocol: 'TCP', targetPort: 80 }],
      sessionAffinity: 'None',
      type: 'ClusterIP',
      internalTrafficPolicy: 'Cluster',
    })
  })

  it('gets more defaults when it balances load', () => {
    const { externalTrafficPolicy, allocateLoadBalancerNodePorts } = defaulted(service({ type: 'LoadBalancer' }))[
      'spec'
    ] as Record<string, unknown>
    assert.deepEqual([externalTrafficPolicy, allocateLoadBalancerNodePorts], ['Cluster', true])
  })

  const cases: [string, object, string[]][] = [
    ['nothing when it is right', {}, []],
    ['no ports', { ports: [] }, ['spec.ports: Required value']],
    [
      'two ports without names',
      { ports: [{ port: 80 }, { port: 81 }] },
      ['spec.ports[0].name: Required value', 'spec.ports[1].name: Required value'],
    ],
    [
      'a port twice',
      {
        ports: [
          { name: 'a', port: 80 },
          { name: 'b', port: 80 },
        ],
      },
      ['spec.ports[1]: Duplicate value: {"port":80,"protocol":"TCP"}'],
    ],
    [
      'a port out of range',
      { ports: [{ port: 0, targetPort: 80 }] },
      ['spec.ports[0].port: Invalid value: 0: must be between 1 and 65535, inclusive'],
    ],
    [
      'a type that is none',
      { type: 'Magic' },
      [
        'spec.type: Unsupported value: "Magic": supported values: "ClusterIP", "ExternalName", "LoadBalancer", "NodePort"',
      ],
    ],
    [
      'a node port where there is none',
      { ports: [{ port: 80, nodePort: 30_000 }] },
      ["spec.ports[0].nodePort: Forbidden: may not be used when `type` is 'ClusterIP'"],
    ],
    ['an external name without a name', { type: 'ExternalName', ports: [] }, ['spec.externalName: Required value']],
  ]
  for (const [title, spec, expected] of cases) {
    it(`reports ${title}`, () => assert.deepEqual(errorsOf(service(spec)), expected))
  }

  it('keeps its address', () => {
    const [now, old] = ['10.0.0.2', '10.0.0.1'].map((ip) => service({ clusterIP: ip, clusterIPs: [ip] }))
    assert.deepEqual(updateErrorsOf(now!, old!), [
      'spec.clusterIPs[0]: Invalid value: ["10.0.0.2"]: may not change once set',
    ])
  })

  it('shows its row', () => {
    const ports = [
      { name: 'http', port: 80, nodePort: 30_080 },
      { name: 'dns', port: 53, protocol: 'UDP' },
    ]
    assert.deepEqual(rowOf(service({ type: 'NodePort', clusterIP: '10.0.0.1', clusterIPs: ['10.0.0.1'], ports })), {
      Name: 'x',
      Type: 'NodePort',
      'Cluster-IP': '10.0.0.1',
      'External-IP': '<none>',
      'Port(s)': '80:30080/TCP,53/UDP',
      Age: '60m',
      Selector: 'app=web',
    })
    assert.equal(rowOf(service({ type: 'LoadBalancer' }))['External-IP'], '<pending>')
    assert.equal(rowOf(service({ type: 'ExternalName', externalName: 'a.b' }))['External-IP'], 'a.b')
  })
})
