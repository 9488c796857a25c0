import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Namespace, Node, Pod, Service } from '@centaurus/api/core/v1'
import type { EndpointSlice } from '@centaurus/api/discovery/v1'
import type { NetworkPolicy, NetworkPolicySpec } from '@centaurus/api/networking/v1'
import { explain, ExplainError, type ExplainTarget } from './explain.ts'
import type { ExplainObjects } from './explain-world.ts'

const NODES: Node[] = ['n1', 'n2'].map((name, i) => ({
  metadata: { name, labels: {} },
  status: { addresses: [{ type: 'InternalIP', address: `192.0.2.${i + 1}` }] },
}))

interface PodOptions {
  readonly node?: string
  readonly ports?: Readonly<Record<string, number>>
  readonly hostNetwork?: boolean
  readonly vpc?: string
}

function pod(name: string, ip: string, { node = 'n1', ports = {}, hostNetwork, vpc }: PodOptions = {}): Pod {
  return {
    metadata: {
      namespace: 'shop',
      name,
      uid: name,
      labels: { app: name },
      ...(vpc === undefined ? {} : { annotations: { 'centaurus.io/vpc': vpc } }),
    },
    spec: {
      nodeName: node,
      ...(hostNetwork === undefined ? {} : { hostNetwork }),
      containers: [
        { name: 'c', ports: Object.entries(ports).map(([port, containerPort]) => ({ name: port, containerPort })) },
      ],
    },
    status: { phase: 'Running', podIP: ip, hostIP: node === 'n1' ? '192.0.2.1' : '192.0.2.2' },
  }
}

const WEB = pod('web', '10.244.0.2')
const DB = pod('db', '10.244.1.2', { node: 'n2', ports: { postgres: 5432 } })
const AGENT = pod('agent', '192.0.2.1', { hostNetwork: true })
const SHOP: Namespace = { metadata: { name: 'shop', labels: { 'kubernetes.io/metadata.name': 'shop' } } }

function policy(name: string, spec: NetworkPolicySpec): NetworkPolicy {
  return { metadata: { namespace: 'shop', name }, spec }
}

function objects(changes: Partial<ExplainObjects> = {}): ExplainObjects {
  return {
    tenant: 'system',
    pods: [WEB, DB, AGENT],
    namespaces: [SHOP],
    networkPolicies: [],
    clusterNetworkPolicies: [],
    nodes: NODES,
    services: [],
    slices: [],
    vpcs: [{ metadata: { name: 'default' } }],
    dnsAddresses: ['10.96.0.10'],
    networks: ['10.244.0.0/16', '10.96.0.0/11'],
    ...changes,
  }
}

const toDb: ExplainTarget = { type: 'pod', pod: DB }
const ask = (all: ExplainObjects, target: ExplainTarget, port: string, source: Pod = WEB) =>
  explain(all, { source, target, protocol: 'TCP', port })

const dbPolicy = policy('db', {
  podSelector: { matchLabels: { app: 'db' } },
  ingress: [{ from: [{ podSelector: { matchLabels: { app: 'api' } } }], ports: [{ port: 'postgres' }] }],
})

describe('the explanation of a packet', () => {
  it('is allowed when no policy is about it, and names nothing', () => {
    const answer = ask(objects(), toDb, '5432')
    assert.equal(answer.allowed, true)
    const [path] = answer.paths
    assert.deepEqual([path!.ingress.isolated, path!.egress.isolated, path!.ingress.rule], [false, false, undefined])
    assert.equal(path!.ingress.why, 'No policy is for ingress of shop/db')
  })

  it('names the policy that isolates, and the rule that allows', () => {
    const denied = ask(objects({ networkPolicies: [dbPolicy] }), toDb, '5432').paths[0]!
    assert.equal(denied.allowed, false)
    assert.deepEqual([denied.egress.allowed, denied.ingress.allowed, denied.ingress.isolated], [true, false, true])
    assert.equal(denied.ingress.why, 'No ingress rule of shop/db allows TCP 5432 from shop/web')
    const api = pod('api', '10.244.0.3')
    const allowed = ask(objects({ networkPolicies: [dbPolicy], pods: [api, DB] }), toDb, 'postgres', api).paths[0]!
    assert.equal(allowed.allowed, true)
    assert.equal(allowed.destination.port, 5432)
    assert.equal(allowed.ingress.why, 'Ingress rule 0 of NetworkPolicy shop/db allows TCP 5432 from shop/api')
    assert.match(allowed.ingress.rule!.text, /"app":"api"/)
    assert.equal(ask(objects({ networkPolicies: [dbPolicy], pods: [api, DB] }), toDb, '5433', api).allowed, false)
  })

  it('tells egress from ingress', () => {
    const closed = policy('closed', { podSelector: { matchLabels: { app: 'web' } }, policyTypes: ['Egress'] })
    const [path] = ask(objects({ networkPolicies: [closed] }), toDb, '5432').paths
    assert.deepEqual([path!.allowed, path!.egress.allowed, path!.ingress.allowed], [false, false, true])
    assert.equal(path!.egress.rule?.name, 'closed')
    const world = ask(objects({ networkPolicies: [closed] }), { type: 'address', address: '203.0.113.7' }, '443')
    assert.equal(world.allowed, false)
    assert.equal(ask(objects(), { type: 'address', address: '203.0.113.7' }, '443').allowed, true)
  })

  it('finds the pod behind an address, and the node', () => {
    const byAddress = ask(objects({ networkPolicies: [dbPolicy] }), { type: 'address', address: '10.244.1.2' }, '5432')
    assert.deepEqual([byAddress.allowed, byAddress.paths[0]!.destination.name], [false, 'shop/db'])
    const node = ask(objects(), { type: 'address', address: '192.0.2.2' }, '22').paths[0]!
    assert.deepEqual([node.destination.kind, node.destination.name], ['Node', 'n2'])
  })

  it('lets a pod reach itself, and its host reach it, whatever policies say', () => {
    const all = policy('all', { podSelector: {}, policyTypes: ['Ingress', 'Egress'] })
    assert.equal(ask(objects({ networkPolicies: [all] }), { type: 'pod', pod: WEB }, '80').allowed, true)
    assert.equal(ask(objects({ networkPolicies: [all] }), { type: 'pod', pod: WEB }, '80', AGENT).allowed, true)
    assert.equal(ask(objects({ networkPolicies: [all] }), toDb, '5432', AGENT).allowed, false)
  })

  it('denies what is nobody’s: addresses of other tenants’ pods and Services', () => {
    for (const address of ['10.244.7.7', '10.96.7.7']) {
      const [path] = ask(objects(), { type: 'address', address }, '80').paths
      assert.equal(path!.allowed, false)
      assert.equal(path!.egress.why, `No pod or Service of network default has the address ${address}`)
    }
  })

  it('keeps networks apart', () => {
    const other = pod('other', '10.244.0.9', { vpc: 'second' })
    const [path] = ask(objects({ pods: [WEB, other] }), { type: 'pod', pod: other }, '80').paths
    assert.deepEqual([path!.allowed, path!.ingress.why], [false, 'They are in different networks, default and second'])
  })

  it('says by which address a pod leaves for the world, or why by none', () => {
    const world: ExplainTarget = { type: 'address', address: '203.0.113.7' }
    const wayOut = (all: ExplainObjects, target = world, source = WEB) => {
      const [path] = ask(all, target, '443', source).paths
      return path!.wayOut && [path!.allowed, path!.wayOut.address, path!.wayOut.node, path!.wayOut.why]
    }
    const own = 'Network default has no address of its own, so the world sees that of the node that it leaves by'
    assert.deepEqual(wayOut(objects()), [true, '192.0.2.1', 'n1', own])
    const egressAddresses = [{ address: '198.51.100.7', node: 'n2' }]
    const vpcs = [{ metadata: { name: 'default' }, spec: { egressAddresses } }]
    const known = objects({ vpcs })
    assert.deepEqual(wayOut(known), [true, '198.51.100.7', 'n2', 'An address of network default'])
    assert.deepEqual(wayOut(known, world, AGENT)?.slice(0, 3), [true, '192.0.2.1', 'n1'])
    const away = wayOut({ ...known, nodes: NODES.slice(0, 1) })
    assert.deepEqual(away?.slice(0, 3), [false, undefined, undefined])
    assert.match(String(away?.[3]), /198\.51\.100\.7: there is no node n2/)
    for (const address of ['10.244.1.2', '192.0.2.2', '169.254.169.254', '10.96.0.10'])
      assert.equal(wayOut(known, { type: 'address', address }), undefined, address)
  })

  it('follows a Service to its endpoints', () => {
    const service: Service = {
      metadata: { namespace: 'shop', name: 'db' },
      spec: { clusterIP: '10.96.3.4', clusterIPs: ['10.96.3.4'], ports: [{ name: 'sql', port: 80, targetPort: 5432 }] },
    }
    const slice: EndpointSlice = {
      metadata: { namespace: 'shop', name: 'db-1', labels: { 'kubernetes.io/service-name': 'db' } },
      addressType: 'IPv4',
      ports: [{ name: 'sql', port: 5432, protocol: 'TCP' }],
      endpoints: [{ addresses: ['10.244.1.2'], conditions: { ready: true }, nodeName: 'n2' }],
    }
    const all = objects({ services: [service], slices: [slice], networkPolicies: [dbPolicy] })
    const target: ExplainTarget = { type: 'service', namespace: 'shop', name: 'db' }
    const answer = ask(all, target, '80')
    assert.deepEqual(answer.service, { name: 'shop/db', address: '10.96.3.4', port: 80 })
    assert.deepEqual(
      answer.paths.map((path) => [path.destination.name, path.destination.port]),
      [['shop/db', 5432]],
    )
    assert.equal(answer.allowed, false)
    assert.equal(ask(all, { type: 'address', address: '10.96.3.4' }, '80').service?.name, 'shop/db')
    assert.equal(ask(all, target, 'sql').service?.port, 80)
    const abroad = ask(all, target, '80', pod('abroad', '10.20.0.1', { vpc: 'second' })).paths[0]!
    assert.deepEqual(
      [abroad.destination.name, abroad.allowed, abroad.egress.why],
      ['shop/db', false, 'They are in different networks, second and default'],
    )
    assert.throws(() => ask(all, target, '81'), /Service shop\/db has no port TCP 81; it has: TCP 80/)
    const empty = ask(objects({ services: [service] }), target, '80')
    assert.deepEqual(
      [empty.allowed, empty.notes],
      [false, ['The Service has no endpoint that serves, so connections are refused']],
    )
  })

  it('says what it has not found', () => {
    assert.throws(() => ask(objects(), toDb, 'http'), /has no port named "http"; it has: postgres/)
    assert.throws(() => ask(objects(), { type: 'service', namespace: 'shop', name: 'x' }, '80'), ExplainError)
    assert.throws(
      () => ask(objects(), { type: 'address', address: '203.0.113.7' }, 'http'),
      /must be a number and not "http"/,
    )
  })
})
