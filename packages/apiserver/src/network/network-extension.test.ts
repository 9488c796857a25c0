import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus, validateCustomResourceDefinition } from '@centaurus/api'
import { customresourcedefinitions } from '@centaurus/api/apiextensions/v1'
import { networkidentities, remotenodes, vpcs, type NetworkIdentity } from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { clusternetworkpolicies, type ClusterNetworkPolicySpec } from '@centaurus/api/policy-networking/v1alpha2'
import type { Client } from '@centaurus/client'
import { SERVER_USER } from '../server.ts'
import { adminOf, startTenantServer } from '../testing/tenant-server.ts'
import type { TestServer } from '../testing/test-server.ts'
import { clusterNetworkPolicyDefinition } from './cluster-network-policy.ts'
import { identityDefinition, subnetDefinition, vpcDefinition } from './definitions.ts'
import { createNetworkExtension } from './network-extension.ts'

const POD: Pod = { metadata: { name: 'web', namespace: 'default' }, spec: { containers: [{ name: 'a', image: 'a' }] } }
const POLICY: ClusterNetworkPolicySpec = {
  tier: 'Admin',
  priority: 10,
  subject: { namespaces: {} },
  ingress: [
    {
      name: 'web',
      action: 'Accept',
      from: [{ pods: { podSelector: { matchLabels: { app: 'web' } } } }],
      protocols: [{ tcp: { destinationPort: { range: { start: 80, end: 90 } } } }, { destinationNamedPort: 'http' }],
    },
  ],
  egress: [{ action: 'Deny', to: [{ networks: ['10.0.0.0/8', 'fd00::/8'] }, { nodes: {} }] }],
}

function inNetwork(vpc: string, name: string): Pod {
  return { ...POD, metadata: { ...POD.metadata, name, annotations: { 'centaurus.io/vpc': vpc } } }
}

/** Looks until it is so; the runner's time is the limit. */
async function eventually(check: () => Promise<boolean>): Promise<void> {
  while (!(await check())) await new Promise((resolve) => setTimeout(resolve, 5))
}

describe('the kinds of pod networks', () => {
  let test: TestServer
  let acme: Client
  before(async () => {
    test = await startTenantServer({ extensions: [createNetworkExtension()], tenants: ['acme'] })
    acme = test.server.client({ ...SERVER_USER, tenant: 'acme' })
  })
  after(() => test.close())

  const refusal = async (spec: unknown): Promise<string> => {
    const object = { metadata: { name: 'x' }, spec: spec as ClusterNetworkPolicySpec }
    try {
      await acme.create(clusternetworkpolicies, object, { dryRun: true })
    } catch (error) {
      assert.ok(isStatus(error, 'Invalid'))
      return (error as Error).message
    }
    return ''
  }

  it('are definitions that a CustomResourceDefinition could have', () => {
    for (const definition of [vpcDefinition, subnetDefinition, identityDefinition, clusterNetworkPolicyDefinition]) {
      const names = { ...definition.spec.names }
      assert.deepEqual(validateCustomResourceDefinition({ ...definition, spec: { ...definition.spec, names } }, {}), [])
    }
  })

  it('give every tenant a network, once, and the operators theirs', async () => {
    await test.server.bootstrapTenant('acme')
    assert.deepEqual(
      (await acme.list(vpcs)).items.map(({ metadata }) => [metadata.name, metadata.finalizers]),
      [['default', ['centaurus.io/vpc']]],
    )
    assert.equal((await test.client.get(vpcs, { name: 'default' })).spec, undefined)
    await assert.rejects(acme.delete(vpcs, { name: 'default' }), /this network may not be deleted/)
  })

  it('give one to a tenant that began before there were any', async () => {
    await test.store.commit({ changes: [{ type: 'delete', key: '/registry/acme/centaurus.io/vpcs/default' }] })
    await eventually(async () => (await acme.list(vpcs)).items.length === 0)
    await test.server.bootstrapTenant('acme') // as each start does
    assert.equal((await acme.list(vpcs)).items.length, 1)
  })

  it('take blocks of addresses that pods can have', async () => {
    const make = (cidr: string) =>
      acme.create(vpcs, { metadata: { generateName: 'x-' }, spec: { cidr } }, { dryRun: true })
    for (const cidr of ['10.0.0.0/8', '192.168.7.64/26', '100.64.0.0/16', '8.0.0.0/9']) await make(cidr)
    for (const [cidr, why] of [
      ['10.0.0.0/7', /must not have bits set beyond|prefix length between 8 and 26/],
      ['10.0.0.0/27', /prefix length between 8 and 26/],
      ['10.0.0.1/24', /must not have bits set beyond the prefix length/],
      ['fd00::/16', /must be a block of IPv4 addresses/],
      ['127.0.0.0/8', /overlap with the loopback range/],
      ['169.254.0.0/20', /overlap with the link-local range/],
      ['169.0.0.0/8', /overlap with the link-local range/],
      ['224.0.0.0/8', /overlap with the multicast range/],
      ['tea', /must be a valid CIDR value/],
    ] as const)
      await assert.rejects(make(cidr), why, cidr)
  })

  it('take addresses in the world from operators alone, and say why', async () => {
    const egressAddresses = [{ address: '198.51.100.7', node: 'n1' }]
    const why = /egressAddresses may not be written by a tenant: .* ask its operators/
    const admin = await test.as(adminOf('acme'))
    const path = '/apis/centaurus.io/v1/vpcs'
    const object = { apiVersion: 'centaurus.io/v1', kind: 'Vpc', metadata: { name: 'partner' } }
    const claimed = await admin('POST', path, { body: { ...object, spec: { egressAddresses } } })
    assert.equal(claimed.status, 403)
    assert.match(claimed.text, why)
    assert.equal((await admin('POST', path, { body: object })).status, 201)
    const patch = async (spec: object) => {
      const seen = JSON.parse((await admin('GET', `${path}/partner`)).text) as { spec?: object }
      return admin('PUT', `${path}/partner`, { body: { ...seen, spec: { ...seen.spec, ...spec } } })
    }
    assert.equal((await patch({ egressAddresses })).status, 403)
    const operator = await test.as({ commonName: 'op', organizations: ['system:masters'] })
    const made = JSON.parse((await operator('GET', `/tenants/acme${path}/partner`)).text) as object
    const body = { ...made, spec: { egressAddresses } }
    assert.equal((await operator('PUT', `/tenants/acme${path}/partner`, { body })).status, 200)
    assert.equal((await patch({})).status, 200)
    assert.equal((await patch({ egressAddresses: [] })).status, 403)
    const refused = async (spec: object, message: RegExp): Promise<void> => {
      const now = await acme.get(vpcs, { name: 'partner' })
      await assert.rejects(acme.update(vpcs, { ...now, spec }), message)
    }
    for (const [address, message] of [
      ['fd00::1', /must be an IPv4 address/],
      ['tea', /must be a valid IP address/],
      ['127.0.0.9', /may not be in the loopback range/],
      ['0.0.0.0', /may not be in the "this network" range/],
    ] as const)
      await refused({ egressAddresses: [{ address, node: 'n1' }] }, message)
    await refused({ egressAddresses: [...egressAddresses, ...egressAddresses] }, /Duplicate value/)
    await refused({ egressAddresses: [{ address: '198.51.100.7' }] }, /node: Required value/)
  })

  it('do not hide Services, and say of nodes that they hide', async () => {
    const admin = await test.as(adminOf('acme'))
    const address = (ip: string) => ({ addresses: [{ type: 'InternalIP', address: ip }] })
    const node = await test.client.create(nodes, { metadata: { name: 'n1' } })
    await test.client.updateStatus(nodes, { ...node, status: address('10.30.0.5') })
    const spec = { partition: 'p2' }
    const remote = { metadata: { name: 'n2' }, spec, status: address('10.30.7.7') }
    await test.client.create(remotenodes, remote)
    const make = (cidr: string) =>
      admin('POST', '/apis/centaurus.io/v1/vpcs?dryRun=All', {
        body: { apiVersion: 'centaurus.io/v1', kind: 'Vpc', metadata: { name: 'wide' }, spec: { cidr } },
      })
    for (const [cidr, why] of [
      ['10.96.0.0/24', /spec.cidr: Invalid value: .*10\.96\.0\.0\/16, where addresses of Services are: its pods/],
      ['10.0.0.0/8', /neither the API nor the cluster's DNS; choose another block, such as 10\.20\.0\.0\/16/],
      ['100.64.0.0/10', /may not overlap with 100\.64\.0\.0\/16, by which hosts know pods/],
      ['10.20.0.0/27', /must have a prefix length between 8 and 26/],
      ['224.0.0.0/8', /may not overlap with the multicast range/],
    ] as const) {
      const { status, text } = await make(cidr)
      assert.deepEqual([status, why.test(text)], [422, true], text)
    }
    const warned = async (cidr: string): Promise<string | undefined> => {
      const { status, headers } = await make(cidr)
      assert.equal(status, 201)
      return headers['warning'] === undefined ? undefined : String(headers['warning'])
    }
    for (const cidr of ['10.97.0.0/16', '10.244.0.0/16', '100.65.0.0/16', '10.20.0.0/26'])
      assert.equal(await warned(cidr), undefined, cidr)
    assert.match((await warned('10.30.0.0/24')) ?? '', /10\.30\.0\.0\/24 has the address of a node in it: its pods/)
    assert.match((await warned('10.30.0.0/16')) ?? '', /has the addresses of 2 nodes in it/)
  })

  it('keep the addresses of a network', async () => {
    const made = await acme.create(vpcs, { metadata: { name: 'fixed' }, spec: { cidr: '10.0.0.0/16' } })
    const other = { ...made, spec: { cidr: '10.1.0.0/16' } }
    await assert.rejects(acme.update(vpcs, other), /spec.cidr: Invalid value: "10.1.0.0\/16": field is immutable/)
    await assert.rejects(acme.update(vpcs, { ...made, spec: {} }), /field is immutable/)
    await acme.update(vpcs, { ...made, metadata: { ...made.metadata, labels: { a: 'b' } } })
  })

  it('let pods begin in networks that are there, and stay', async () => {
    await assert.rejects(
      acme.create(pods, inNetwork('nowhere', 'lost')),
      /there is no Vpc "nowhere".*make it, or leave/,
    )
    await acme.create(vpcs, { metadata: { name: 'blue' }, spec: { cidr: '10.0.0.0/16' } })
    const made = await acme.create(pods, inNetwork('blue', 'moved'))
    const { annotations: _, ...metadata } = made.metadata
    await assert.rejects(acme.update(pods, { ...made, metadata }), /a pod stays in its network/)
    await acme.delete(vpcs, { name: 'blue' })
    await assert.rejects(acme.create(pods, inNetwork('blue', 'late')), /is being deleted, and takes no new pods/)
    await acme.create(pods, POD)
  })

  it('take policies as upstream does', async () => {
    assert.equal(await refusal(POLICY), '')
    assert.equal(await refusal({ ...POLICY, subject: { pods: { podSelector: {} } }, tier: 'Baseline' }), '')
  })

  it('refuse policies that upstream refuses', async () => {
    const [rule] = POLICY.ingress!
    const ingress = (change: object) => ({ ...POLICY, ingress: [{ ...rule, ...change }] })
    const protocols = (protocol: object) => ingress({ protocols: [protocol] })
    const from = (peer: object) => ingress({ from: [peer] })
    const to = (change: object) => ({ ...POLICY, egress: [{ action: 'Deny', ...change }] })
    const cases: [spec: unknown, why: RegExp][] = [
      [{ ...POLICY, tier: 'NetworkPolicy' }, /spec.tier: Unsupported value: "NetworkPolicy"/],
      [{ ...POLICY, priority: 1001 }, /spec.priority/],
      [{ ...POLICY, priority: -1 }, /spec.priority/],
      [{ ...POLICY, subject: {} }, /spec.subject.*at least 1 properties/],
      [{ ...POLICY, subject: { namespaces: {}, pods: { podSelector: {} } } }, /spec.subject.*at most 1/],
      [{ ...POLICY, ingress: Array.from({ length: 26 }, () => rule) }, /spec.ingress: Too many: 26/],
      [ingress({ action: 'Allow' }), /action: Unsupported value: "Allow"/],
      [ingress({ name: 'x'.repeat(101) }), /spec.ingress\[0\].name: Too long/],
      [ingress({ from: [] }), /spec.ingress\[0\].from.*at least 1/],
      [ingress({ from: Array.from({ length: 26 }, () => ({ namespaces: {} })) }), /from: Too many/],
      [ingress({ protocols: [] }), /protocols.*at least 1/],
      [from({}), /from\[0\].*at least 1/],
      [from({ pods: { namespaceSelector: {} } }), /podSelector: Required value/],
      [from({ namespaces: { matchLabels: { 'a b': 'c' } } }), /from\[0\].namespaces.matchLabels/],
      [from({ namespaces: { matchExpressions: [{ key: 'a', operator: 'Like' }] } }), /not a valid selector operator/],
      [protocols({}), /protocols\[0\].*at least 1/],
      [protocols({ tcp: {} }), /protocols\[0\].tcp.*at least 1/],
      [protocols({ tcp: { destinationPort: { number: 0 } } }), /number/],
      [
        protocols({ udp: { destinationPort: { range: { start: 9, end: 9 } } } }),
        /Start port must be less than End port/,
      ],
      [to({ to: [{ networks: ['10.0.0.0'] }] }), /Invalid CIDR format provided/],
      [to({ to: [{ networks: ['10.0.0.0/8', '10.0.0.0/8'] }] }), /Duplicate value/],
      [
        to({ to: [{ networks: ['10.0.0.0/8'] }], protocols: [{ destinationNamedPort: 'http' }] }),
        /networks\/nodes\/domainNames peer cannot be set with namedPorts/,
      ],
      [to({ to: [{ domainNames: ['example.com'] }] }), /domainNames: Forbidden: names of domains are not supported/],
    ]
    for (const [spec, why] of cases) assert.match(await refusal(spec), why)
  })

  it('are administered by tenants, but for what the cluster says of them', async () => {
    const admin = await test.as(adminOf('acme'))
    const base = '/apis/centaurus.io/v1'
    const own = { apiVersion: 'centaurus.io/v1', kind: 'Vpc', metadata: { name: 'own' } }
    assert.equal((await admin('POST', `${base}/vpcs`, { body: own })).status, 201)
    const vpc = JSON.parse((await admin('GET', `${base}/vpcs/own`)).text) as object
    const status = await admin('PUT', `${base}/vpcs/own/status`, { body: { ...vpc, status: { vni: 1 } } })
    assert.equal(status.status, 403)
    const spec = { id: 256, vpc: 'default', namespace: 'default', labels: {}, keys: [] }
    const identity = { apiVersion: 'centaurus.io/v1', kind: 'NetworkIdentity', metadata: { name: 'id' }, spec }
    assert.equal((await admin('POST', `${base}/networkidentities`, { body: identity })).status, 403)
    await acme.create(networkidentities, identity as NetworkIdentity)
    assert.equal((await admin('GET', `${base}/networkidentities/id`)).status, 200)
    assert.equal((await admin('DELETE', `${base}/networkidentities/id`)).status, 403)
    const changed = { ...(await acme.get(networkidentities, { name: 'id' })), spec: { ...spec, id: 257 } }
    await assert.rejects(acme.update(networkidentities, changed), /an identity never changes/)
  })

  it('are explained and discovered', async () => {
    const admin = await test.as(adminOf('acme'))
    const { text } = await admin('GET', '/apis/policy.networking.k8s.io/v1alpha2')
    assert.match(text, /"name":"clusternetworkpolicies\/status"/)
    const openApi = await admin('GET', '/openapi/v3/apis/policy.networking.k8s.io/v1alpha2')
    assert.match(openApi.text, /Admin is asked before NetworkPolicies/)
    assert.match((await admin('GET', '/openapi/v3/apis/centaurus.io/v1')).text, /Its number on the wire/)
  })

  it('stay what they are when somebody installs their definitions, and removes them', async () => {
    const client = test.client
    const crd = {
      ...clusterNetworkPolicyDefinition,
      metadata: {
        ...clusterNetworkPolicyDefinition.metadata,
        annotations: { 'api-approved.kubernetes.io': 'https://github.com/kubernetes-sigs/network-policy-api/pull/300' },
      },
    }
    await client.create(clusternetworkpolicies, { metadata: { name: 'kept' }, spec: POLICY })
    const made = await client.create(customresourcedefinitions, crd)
    const name = { name: made.metadata.name }
    const established = async () =>
      (await client.get(customresourcedefinitions, name)).status?.conditions?.some(({ type }) => type === 'Established')
    await eventually(async () => (await established()) === true)
    const domain = { ...POLICY, egress: [{ action: 'Deny' as const, to: [{ domainNames: ['example.com'] }] }] }
    const refused = client.create(clusternetworkpolicies, { metadata: { name: 'x' }, spec: domain })
    await assert.rejects(refused, /are not supported by this cluster/)
    await client.delete(customresourcedefinitions, name)
    await eventually(async () => (await client.list(customresourcedefinitions)).items.length === 0)
    assert.equal((await client.list(clusternetworkpolicies)).items.length, 1)
  })

  it('show a node its networks under qualified names', async () => {
    await acme.create(clusternetworkpolicies, { metadata: { name: 'all' }, spec: POLICY })
    const node = await test.as({ commonName: 'system:node:n1', organizations: ['system:nodes'] })
    const read = async (path: string): Promise<{ metadata: { name: string }; spec: Record<string, never> }[]> =>
      (JSON.parse((await node('GET', path)).text) as { items: never }).items
    const identities = await read('/apis/centaurus.io/v1/networkidentities')
    assert.deepEqual(
      identities.map(({ metadata, spec }) => [metadata.name, spec['namespace'], spec['vpc']]),
      [['id--acme', 'default--acme', 'default--acme']],
    )
    assert.ok((await read('/apis/centaurus.io/v1/vpcs')).some(({ metadata }) => metadata.name === 'default--acme'))
    const [policy] = await read('/apis/policy.networking.k8s.io/v1alpha2/clusternetworkpolicies')
    assert.equal(policy!.metadata.name, 'all--acme')
    assert.deepEqual(policy!.spec['subject'], { namespaces: {} })
    for (const path of ['/api/v1/namespaces', '/apis/networking.k8s.io/v1/networkpolicies']) {
      assert.equal((await node('GET', path)).status, 200, path)
    }
    assert.equal((await node('DELETE', '/apis/centaurus.io/v1/vpcs/default--acme')).status, 403)
    assert.equal((await node('DELETE', '/apis/networking.k8s.io/v1/namespaces/a/networkpolicies/x')).status, 403)
  })
})
