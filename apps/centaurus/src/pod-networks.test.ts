import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isDeepStrictEqual } from 'node:util'
import {
  ALL_TENANTS,
  isStatus,
  podQuality,
  readQuality,
  tenantQualityOf,
  type KubeObject,
  type NetworkQuality,
  type ResourceType,
  type Stored,
  type TenantNetwork,
} from '@centaurus/api'
import {
  clusternetworkpolicystatuses,
  networkidentities,
  networkpolicystatuses,
  networkreports,
  remotenodes,
  subnets,
  tenants,
  vpcs,
  type Vpc,
} from '@centaurus/api/centaurus/v1'
import { namespaces, nodes, pods } from '@centaurus/api/core/v1'
import { networkpolicies } from '@centaurus/api/networking/v1'
import { clusternetworkpolicies } from '@centaurus/api/policy-networking/v1alpha2'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createInformerFactory, type Client, type Informer, type InformerFactory } from '@centaurus/client'
import { parseKubeconfig, type SharedHttpClients } from '@centaurus/client/http'
import { PolicyReporter } from '@centaurus/network'
import { connectNodes } from './simulated-nodes.ts'
import { TestCluster } from './testing/test-cluster.ts'
import { eventually } from './testing/test-partition.ts'

const NAMESPACE = 'default'
const KINDS = [
  namespaces,
  networkpolicies,
  clusternetworkpolicies,
  networkidentities,
  subnets,
  vpcs,
] as unknown as readonly ResourceType<KubeObject>[]

describe('what a node of another partition knows of networks and policies', () => {
  let cluster: TestCluster
  let connections: SharedHttpClients
  let informers: InformerFactory
  let acme: Client
  let beta: Client
  let asNode: Client

  before(async () => {
    cluster = await TestCluster.open()
    await cluster.add('home', ['Tenant'])
    await cluster.add('tp1', ['Tenant'])
    await cluster.add('rp1', ['Resource'], { nodes: 1 })
    await cluster.untilReady()
    await cluster.createTenant('acme', 'tp1')
    await cluster.createTenant('beta', 'home')
    acme = await cluster.admin('acme', 'tp1')
    beta = await cluster.admin('beta', 'home')
    const { config } = await parseKubeconfig(cluster.part('rp1').plane.kubeconfig)
    const nodeClients = connectNodes(config)
    connections = nodeClients
    const deps = { clock: systemClock, random: systemRandom, logger: silentLogger }
    asNode = nodeClients.clientOf('rp1-0')
    informers = createInformerFactory(asNode, deps)
    for (const kind of KINDS) informers.informer(kind)
    await informers.whenSynced()
  })
  after(async () => {
    await informers.close()
    await connections.close()
    await cluster.close()
  })

  const known = <T extends KubeObject>(type: ResourceType<T>): Informer<T> => informers.informer(type)
  const isOf = (tenant: string) => (object: Stored<KubeObject>) =>
    `${object.metadata.namespace ?? ''} ${object.metadata.name}`.includes(`--${tenant}`)
  /** Name and version of everything that the node knows of the tenant's networks. */
  const all = (tenant: string): string[] =>
    KINDS.flatMap((kind) =>
      known(kind)
        .list()
        .filter(isOf(tenant))
        .map(({ metadata }) => `${kind.resource} ${metadata.name} ${metadata.resourceVersion}`),
    )
  const run = async (client: Client, name: string, labels: Record<string, string>): Promise<void> => {
    const spec = { containers: [{ name: 'c', image: 'x' }] }
    await client.create(pods, { metadata: { name, namespace: NAMESPACE, labels }, spec })
    await eventually(
      `${name} to run`,
      async () => (await client.get(pods, { name, namespace: NAMESPACE })).status?.phase === 'Running',
    )
  }
  const end = async (client: Client, name: string): Promise<void> => {
    await client.delete(pods, { name, namespace: NAMESPACE })
    await eventually(`${name} to be gone`, () =>
      client.get(pods, { name, namespace: NAMESPACE }).then(
        () => false,
        (error: unknown) => isStatus(error, 'NotFound'),
      ),
    )
  }
  const identityLabels = (tenant: string): string[] =>
    known(networkidentities)
      .list()
      .filter(isOf(tenant))
      .map(({ spec }) => JSON.stringify(spec.labels))
      .toSorted()
  const grant = async (network: TenantNetwork): Promise<void> => {
    await cluster.home.plane.client.patch(
      tenants,
      { name: 'acme' },
      { type: 'json', body: [{ op: 'add', path: '/spec/network', value: network }] },
    )
  }
  /** How the node sees acme's pod `web`. */
  const untilQuality = (expected: NetworkQuality): Promise<void> =>
    eventually(`pods to have ${JSON.stringify(expected)}`, async () => {
      const { metadata } = await asNode.get(pods, { namespace: 'default--acme', name: 'web' })
      const told = known(vpcs).get('default--acme')?.status?.tenantNetwork
      const inNamespace = readQuality(known(namespaces).get('default--acme')?.metadata.annotations).wish
      const seen = podQuality(readQuality(metadata.annotations).wish, inNamespace, tenantQualityOf('acme', told))
      return isDeepStrictEqual(seen, expected)
    })
  const vpcOf = (client: Client): Promise<Vpc> => client.get(vpcs, { name: 'default' })
  const policy = (name: string, key: string) => ({
    metadata: { name, namespace: NAMESPACE },
    spec: { podSelector: { matchExpressions: [{ key, operator: 'Exists' }] } },
  })

  it('is nothing as long as the tenant has no pod there', async () => {
    for (const client of [acme, beta]) await client.create(networkpolicies, policy('by-app', 'app'))
    for (const client of [acme, beta])
      await eventually('its network to have a number', async () => (await vpcOf(client)).status?.vni !== undefined)
    const numbers = [await vpcOf(acme), await vpcOf(beta), await vpcOf(cluster.home.plane.client)].map(
      ({ status }) => status?.vni,
    )
    assert.equal(numbers[2], 1)
    assert.equal(new Set(numbers).size, 3)
    await run(beta, 'first', { app: 'b' })
    await eventually('what belongs to beta', async () => identityLabels('beta').length === 1)
    assert.deepEqual(all('acme'), [])
  })

  it('is all of it, under qualified names, once it has', async () => {
    await run(acme, 'web', { app: 'web' })
    const { status } = await vpcOf(acme)
    await eventually('its network', async () => known(vpcs).get('default--acme')?.status?.vni === status?.vni)
    await eventually('its identity', async () => identityLabels('acme').join() === '{"app":"web"}')
    const [identity] = known(networkidentities).list().filter(isOf('acme'))
    assert.equal(identity?.spec.namespace, 'default--acme')
    assert.equal(identity?.spec.vpc, 'default--acme')
    assert.deepEqual(
      known(networkpolicies).get('default--acme/by-app')?.spec?.podSelector,
      policy('', 'app').spec.podSelector,
    )
    assert.equal(known(namespaces).get('default--acme')?.metadata.labels?.['kubernetes.io/metadata.name'], 'default')
  })

  it('is the same for what serves its network, which reads the view over all tenants', async () => {
    const impersonate = { user: 'system:kube-proxy', groups: ['system:authenticated'] }
    const proxy = connections.client({ impersonate, tenant: ALL_TENANTS })
    for (const kind of [...KINDS, remotenodes as ResourceType<KubeObject>]) {
      const { items } = await proxy.list(kind)
      const seen = items.filter(isOf('acme')).map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`)
      const own = known(kind)
        .list()
        .filter(isOf('acme'))
        .map(({ metadata }) => `${metadata.name} ${metadata.resourceVersion}`)
      assert.deepEqual(seen.toSorted(), own.toSorted(), kind.resource)
    }
    await proxy.close()
  })

  it('follows policies as they come, change and go', async () => {
    const spec = {
      tier: 'Admin' as const,
      priority: 5,
      subject: { pods: { podSelector: { matchLabels: { tier: 'db' } } } },
    }
    const made = await acme.create(clusternetworkpolicies, { metadata: { name: 'guard' }, spec })
    await eventually('the policy', async () => known(clusternetworkpolicies).get('guard--acme')?.spec.priority === 5)
    await acme.update(clusternetworkpolicies, { ...made, spec: { ...spec, priority: 6 } })
    await eventually('its change', async () => known(clusternetworkpolicies).get('guard--acme')?.spec.priority === 6)
    await eventually('refined identities', async () =>
      known(networkidentities)
        .list()
        .some(({ metadata, spec: { keys } }) => metadata.name.endsWith('--acme') && keys.join() === 'app,tier'),
    )
    await acme.delete(clusternetworkpolicies, { name: 'guard' })
    await eventually('its end', async () => known(clusternetworkpolicies).get('guard--acme') === undefined)
    const namespace = await acme.get(namespaces, { name: NAMESPACE })
    const labels = { ...namespace.metadata.labels, team: 'a' }
    await acme.update(namespaces, { ...namespace, metadata: { ...namespace.metadata, labels } })
    await eventually('the label', async () => known(namespaces).get('default--acme')?.metadata.labels?.['team'] === 'a')
  })

  it('does not change when pods come and go that are like others', async () => {
    const before = all('acme')
    for (let i = 0; i < 5; i++) await run(acme, `more-${i}`, { app: 'web', hash: `h${i}` })
    for (let i = 0; i < 5; i++) await end(acme, `more-${i}`)
    await run(acme, 'other', { app: 'other' }) // by the time that this one is known, whatever came before is
    await eventually('its identity', async () => identityLabels('acme').includes('{"app":"other"}'))
    const after = all('acme').filter((each) => before.includes(each))
    assert.deepEqual(after, before)
  })

  it('says how the packets of a pod are to be treated, and follows each who says it', async () => {
    const patch = async <T extends KubeObject>(type: ResourceType<T>, name: string, annotations: object) => {
      const namespace = type.namespaced ? NAMESPACE : undefined
      await acme.patch(type, { name, namespace }, { type: 'merge', body: { metadata: { annotations } } })
    }
    await untilQuality({ networkClass: 'best-effort', priority: 'medium' })
    await patch(pods, 'web', { 'centaurus.io/network-priority': 'low' })
    await untilQuality({ networkClass: 'best-effort', priority: 'low' })
    await assert.rejects(patch(pods, 'web', { 'centaurus.io/network-class': 'premium' }), /Tenant.spec.network.max/)
    await grant({ ingressBandwidth: '1M', max: { class: 'expedited' } })
    await untilQuality({ networkClass: 'best-effort', priority: 'low', ingressBandwidth: 1e6 })
    await patch(namespaces, NAMESPACE, { 'mizar.com/network-class': 'Expedited', 'mizar.com/egress-bandwidth': '1M' })
    const quality = { networkClass: 'expedited', priority: 'low', egressBandwidth: 8e6, ingressBandwidth: 1e6 } as const
    await untilQuality(quality)
    await assert.rejects(patch(pods, 'web', { 'kubernetes.io/ingress-bandwidth': '2' }), /from 1k to 1P/)
    await patch(pods, 'web', { 'kubernetes.io/ingress-bandwidth': '2M' })
    await untilQuality({ ...quality, ingressBandwidth: 2e6 })
    await grant({})
    await untilQuality({ networkClass: 'best-effort', priority: 'medium', egressBandwidth: 8e6, ingressBandwidth: 2e6 })
  })

  it('is told back: on how many hosts each policy is, and how long that took', async () => {
    const name = { namespace: NAMESPACE, name: 'by-app' }
    const statusOf = async () => (await acme.get(networkpolicystatuses, name)).status
    const { resourceVersion: _, ...before } = await statusOf()
    assert.deepEqual(before, { hosts: 1, applied: 0, waiting: ['rp1-0'] })
    const reporter = new PolicyReporter({ client: asNode, nodeName: 'rp1-0', clock: systemClock, logger: silentLogger })
    const report = (afterMs: number): void => {
      const revision = known(networkpolicies).get('default--acme/by-app')!.metadata.resourceVersion
      reporter.reportApplied({ tenant: 'acme', kind: 'networkPolicies', revision, afterMs })
    }
    report(12)
    await eventually('the policy to be applied', async () => (await statusOf()).applied === 1)
    const { resourceVersion, ...status } = await statusOf()
    assert.deepEqual(status, { hosts: 1, applied: 1, slowestMs: 12 })
    const current = await acme.get(networkpolicies, name)
    assert.equal(resourceVersion, current.metadata.resourceVersion)
    const { spec } = policy('', 'role')
    const changed = await acme.update(networkpolicies, { ...current, spec })
    assert.equal((await statusOf()).resourceVersion, changed.metadata.resourceVersion)
    assert.equal((await statusOf()).applied, 0)
    await eventually('the change', async () =>
      isDeepStrictEqual(known(networkpolicies).get('default--acme/by-app')?.spec?.podSelector, spec.podSelector),
    )
    report(7)
    await eventually('the change to be applied', async () => (await statusOf()).applied === 1)
    assert.equal((await statusOf()).slowestMs, 7)
    await acme.update(networkpolicies, { ...changed, metadata: { ...changed.metadata }, spec: policy('', 'app').spec })
    assert.deepEqual(
      (await beta.list(networkpolicystatuses)).items.map(({ metadata }) => metadata.name),
      ['by-app'],
    )
    assert.deepEqual((await acme.list(clusternetworkpolicystatuses)).items, [])
    const gateway = await cluster.gateway()
    const own = await (await cluster.adminAt('acme', gateway)).get(networkpolicystatuses, name)
    assert.deepEqual([own.status.hosts, own.status.applied], [1, 0])
    const operator = await cluster.operatorAt(gateway)
    assert.deepEqual(
      (await operator.list(networkpolicystatuses)).items.map(({ metadata, status: { hosts } }) => [
        `${metadata.namespace}/${metadata.name}`,
        hosts,
      ]),
      [
        ['default--beta/by-app', 1],
        ['default--acme/by-app', 1],
      ],
    )
    assert.deepEqual(
      (await operator.list(networkreports)).items.map(({ metadata }) => metadata.name),
      ['rp1-0'],
    )
    await reporter.close()
    const forged = asNode.create(networkreports, { metadata: { name: 'other' }, spec: { tenants: [] } })
    await assert.rejects(forged, /with the same name as the requesting node/)
  })

  it('stays as it is when the tenant moves, and goes on from there', async () => {
    const contents = (): string[] =>
      known(networkidentities)
        .list()
        .filter(isOf('acme'))
        .map(({ metadata, spec }) => `${metadata.uid} ${metadata.name} ${spec.id}`)
        .toSorted()
    const before = contents()
    const { status } = await vpcOf(acme)
    await cluster.move('acme', 'home')
    await cluster.untilMoved('acme', 'home')
    await grant({ max: { class: 'premium', egressBandwidth: '5M' } })
    await untilQuality({ networkClass: 'expedited', priority: 'low', egressBandwidth: 5e6, ingressBandwidth: 2e6 })
    const moved = await cluster.admin('acme', 'home')
    assert.equal((await vpcOf(moved)).status?.vni, status?.vni)
    assert.deepEqual(contents(), before)
    await run(moved, 'late', { app: 'late' })
    await eventually('its identity', async () => identityLabels('acme').includes('{"app":"late"}'))
    const late = known(networkidentities)
      .list()
      .find(({ metadata, spec }) => metadata.name.endsWith('--acme') && spec.labels['app'] === 'late')
    assert.ok(late!.spec.id >= status!.nextIdentity!, 'numbers that were reserved where it was are not used again')
  })

  it('is nothing again when the last pod has gone', async () => {
    for (const name of ['web', 'other', 'late']) await end(await cluster.admin('acme', 'home'), name)
    await eventually('the node to forget acme', async () => all('acme').length === 0)
    assert.ok(all('beta').length > 0)
  })
})

describe('what nodes know of the nodes of other partitions', () => {
  let cluster: TestCluster
  let connections: SharedHttpClients
  let informers: InformerFactory

  before(async () => {
    cluster = await TestCluster.open()
    await cluster.add('home', ['Tenant', 'Resource'], { nodes: 1 })
    await cluster.add('rp1', ['Resource'], { nodes: 2 })
    await cluster.untilReady()
    const { config } = await parseKubeconfig(cluster.home.plane.kubeconfig)
    const nodeClients = connectNodes(config)
    connections = nodeClients
    const deps = { clock: systemClock, random: systemRandom, logger: silentLogger }
    informers = createInformerFactory(nodeClients.clientOf('home-0'), deps)
    informers.informer(remotenodes)
    await informers.whenSynced()
  })
  after(async () => {
    await informers.close()
    await connections.close()
    await cluster.close()
  })

  const names = (): string[] =>
    informers
      .informer(remotenodes)
      .list()
      .map(({ metadata, spec }) => `${spec.partition} ${metadata.name}`)
      .toSorted()
  const find = (name: string) => informers.informer(remotenodes).get(name)

  it('is where they are, and how policies select them', async () => {
    await eventually('both nodes', async () => names().join() === 'rp1 rp1-0,rp1 rp1-1')
    const node = await cluster.part('rp1').plane.client.get(nodes, { name: 'rp1-0' })
    const inside = node.status?.addresses?.filter(({ type }) => type === 'InternalIP')
    assert.deepEqual(find('rp1-0')?.status?.addresses, inside)
    const body = { metadata: { labels: { zone: 'b' } } }
    await cluster.part('rp1').plane.client.patch(nodes, { name: 'rp1-0' }, { type: 'merge', body })
    await eventually('the label', async () => find('rp1-0')?.metadata.labels?.['zone'] === 'b')
    await eventually('its block', async () => {
      const { spec } = await cluster.part('rp1').plane.client.get(nodes, { name: 'rp1-0' })
      return find('rp1-0')?.spec.podCIDR === spec?.podCIDR
    })
  })

  it('stays when their partition is away, and ends with the node', async () => {
    await cluster.part('rp1').stop()
    assert.equal(names().length, 2)
    assert.equal(names().length, 2)
    await cluster.part('rp1').start()
    await cluster.part('rp1').plane.client.create(nodes, { metadata: { name: 'rp1-late' } })
    await eventually('news of it', async () => find('rp1-late') !== undefined)
    assert.equal(names().length, 3)
    await cluster.part('rp1').plane.client.delete(nodes, { name: 'rp1-late' })
    await eventually('its end', async () => find('rp1-late') === undefined)
  })
})
