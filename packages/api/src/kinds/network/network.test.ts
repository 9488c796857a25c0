import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { kindCases } from '../testing/kind-cases.ts'

describe('endpoints', () => {
  const { defaulted, rowOf } = kindCases('', 'Endpoints')
  const subsets = [{ addresses: [{ ip: '10.0.0.1' }, { ip: '10.0.0.2' }], ports: [{ port: 80 }] }]

  it('get protocols', () => {
    assert.deepEqual(defaulted({ subsets })['subsets'], [
      { addresses: subsets[0]!.addresses, ports: [{ port: 80, protocol: 'TCP' }] },
    ])
  })

  it('show their row', () => {
    assert.deepEqual(rowOf({ subsets }), { Name: 'x', Endpoints: '10.0.0.1:80,10.0.0.2:80', Age: '60m' })
    assert.equal(rowOf({})['Endpoints'], '<none>')
  })
})

describe('an endpoint slice', () => {
  const { defaulted, errorsOf, rowOf } = kindCases('discovery.k8s.io', 'EndpointSlice')
  const slice = { addressType: 'IPv4', endpoints: [{ addresses: ['10.0.0.1'] }], ports: [{ port: 80 }] }

  it('gets names and protocols of ports', () => {
    assert.deepEqual(defaulted(slice)['ports'], [{ port: 80, name: '', protocol: 'TCP' }])
  })

  it('reports an address of another family', () => {
    const errors = errorsOf({ ...slice, endpoints: [{ addresses: ['::1'] }] })
    assert.match(errors[0]!, /^endpoints\[0\]\.addresses\[0\]: Invalid value: "::1": must be an IPv4 address/)
  })

  it('shows its row', () => {
    assert.deepEqual(rowOf(slice), { Name: 'x', AddressType: 'IPv4', Ports: '80', Endpoints: '10.0.0.1', Age: '60m' })
  })
})

describe('an ingress', () => {
  const { errorsOf, rowOf } = kindCases('networking.k8s.io', 'Ingress')
  const backend = { service: { name: 'web', port: { number: 80 } } }
  const rule = { host: 'a.b', http: { paths: [{ path: '/', pathType: 'Prefix', backend }] } }

  it('takes one that is right', () => assert.deepEqual(errorsOf({ spec: { rules: [rule] } }), []))

  it('reports neither rules nor a backend', () => {
    assert.deepEqual(errorsOf({ spec: {} }), [
      'spec: Invalid value: []: either `defaultBackend` or `rules` must be specified',
    ])
  })

  it('reports a path that is none, and no type', () => {
    const paths = [{ path: 'a', backend }]
    assert.deepEqual(errorsOf({ spec: { rules: [{ http: { paths } }] } }), [
      'spec.rules[0].http.paths[0].pathType: Required value: pathType must be specified',
    ])
    const prefix = [{ path: 'a', pathType: 'Prefix', backend }]
    assert.deepEqual(errorsOf({ spec: { rules: [{ http: { paths: prefix } }] } }), [
      'spec.rules[0].http.paths[0].path: Invalid value: "a": must be an absolute path',
    ])
  })

  it('shows its row', () => {
    const spec = { ingressClassName: 'n', rules: [rule], tls: [{ hosts: ['a.b'] }] }
    const status = { loadBalancer: { ingress: [{ ip: '1.2.3.4' }] } }
    assert.deepEqual(rowOf({ spec, status }), {
      Name: 'x',
      Class: 'n',
      Hosts: 'a.b',
      Address: '1.2.3.4',
      Ports: '80, 443',
      Age: '60m',
    })
  })
})

describe('a network policy', () => {
  const { defaulted, errorsOf, rowOf } = kindCases('networking.k8s.io', 'NetworkPolicy')

  it('gets types from what it has', () => {
    const typesOf = (spec: object): unknown =>
      (defaulted({ spec: { podSelector: {}, ...spec } })['spec'] as Record<string, unknown>)['policyTypes']
    assert.deepEqual(typesOf({}), ['Ingress'])
    assert.deepEqual(typesOf({ egress: [{}] }), ['Ingress', 'Egress'])
  })

  it('reports a block with something else', () => {
    const from = [{ ipBlock: { cidr: '10.0.0.0/8' }, podSelector: {} }]
    assert.deepEqual(errorsOf({ spec: { podSelector: {}, ingress: [{ from }] } }), [
      'spec.ingress[0].from[0]: Forbidden: may not specify both ipBlock and another peer',
    ])
  })

  it('shows its row', () => {
    const spec = { podSelector: { matchLabels: { a: 'b' } } }
    assert.deepEqual(rowOf({ spec }), { Name: 'x', 'Pod-Selector': 'a=b', Age: '60m' })
  })
})
