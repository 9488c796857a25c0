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
  const { behavior, defaulted, errorsOf, rowOf } = kindCases('networking.k8s.io', 'NetworkPolicy')

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

  it('takes and refuses ports and blocks as upstream does', () => {
    const check = (rule: object): string[] => errorsOf({ spec: { podSelector: {}, egress: [rule] } })
    const ports = (port: object): string[] => check({ ports: [port] })
    const block = (ipBlock: object): string[] => check({ to: [{ ipBlock }] })
    const port = 'spec.egress[0].ports[0]'
    const at = 'spec.egress[0].to[0].ipBlock'
    assert.deepEqual(ports({ port: 80, endPort: 80 }), [])
    assert.deepEqual(ports({ port: 'http', protocol: 'SCTP' }), [])
    assert.deepEqual(ports({ port: 80, endPort: 79 }), [
      `${port}.endPort: Invalid value: 79: must be greater than or equal to \`port\``,
    ])
    assert.deepEqual(ports({ endPort: 80 }), [
      `${port}.endPort: Invalid value: 80: may not be specified when \`port\` is not specified`,
    ])
    assert.deepEqual(ports({ port: 'http', endPort: 80 }), [
      `${port}.endPort: Invalid value: 80: may not be specified when \`port\` is non-numeric`,
    ])
    assert.match(ports({ port: 'not_a_name' })[0]!, /must contain only alpha-numeric characters/)
    assert.match(ports({ port: 0 })[0]!, /must be between 1 and 65535, inclusive/)
    assert.deepEqual(block({ cidr: '10.0.0.0/8', except: ['10.1.0.0/16'] }), [])
    assert.deepEqual(block({ cidr: '10.0.0.0/8', except: ['10.0.0.0/8'] }), [
      `${at}.except[0]: Invalid value: "10.0.0.0/8": must be a strict subset of \`cidr\``,
    ])
    assert.deepEqual(block({ cidr: '10.0.0.0/8', except: ['11.0.0.0/16'] }), [
      `${at}.except[0]: Invalid value: "11.0.0.0/16": must be a strict subset of \`cidr\``,
    ])
    assert.deepEqual(block({ cidr: '10.0.0.1/8' }), [
      `${at}.cidr: Invalid value: "10.0.0.1/8": must not have bits set beyond the prefix length`,
    ])
    assert.deepEqual(check({ to: [{}] }), ['spec.egress[0].to[0]: Required value: must specify a peer'])
  })

  it('is warned of blocks that are not written as they should be', () => {
    const spec = { podSelector: {}, egress: [{ to: [{ ipBlock: { cidr: 'FD00:0::/16', except: ['fd00::/32'] } }] }] }
    assert.deepEqual(behavior.warnings!(defaulted({ spec })), [
      'spec.egress[0].to[0].ipBlock.cidr: IPv6 CIDR value "FD00:0::/16" should be in RFC 5952 canonical format ("fd00::/16")',
    ])
  })

  it('shows its row', () => {
    const spec = { podSelector: { matchLabels: { a: 'b' } } }
    assert.deepEqual(rowOf({ spec }), { Name: 'x', 'Pod-Selector': 'a=b', Age: '60m' })
  })
})
