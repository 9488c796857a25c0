import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { nodeallocations, partitions, tenants, type PartitionRole } from '@centaurus/api/centaurus/v1'
import { deployments } from '@centaurus/api/apps/v1'
import { nodes, pods, services, type Pod } from '@centaurus/api/core/v1'
import { ALL_TENANTS, type Stored } from '@centaurus/api'
import { openClusterCertificates, SERVER_USER, type ClusterCertificates } from '@centaurus/apiserver'
import type { Client } from '@centaurus/client'
import { parseKubeconfig } from '@centaurus/client/http'
import { openLink, READMIT_PATH } from '@centaurus/partition'
import { eventually, TestPartition } from './testing/test-partition.ts'

const REPLICAS = 8

describe('a cluster of two tenant partitions and two resource partitions', () => {
  const all = new Map<string, TestPartition>()
  const part = (name: string): TestPartition => all.get(name)!

  const add = async (name: string, roles: readonly PartitionRole[]): Promise<TestPartition> => {
    const home = all.get('home')
    const partition = new TestPartition({
      name,
      roles,
      index: all.size,
      certificates,
      homeEndpoints: home === undefined ? undefined : [home.plane.url],
    })
    if (home !== undefined) {
      await home.plane.client.create(partitions, { metadata: { name }, spec: { roles: [...roles], endpoints: [] } })
    }
    await partition.start()
    all.set(name, partition)
    return partition
  }
  let certificates: ClusterCertificates
  before(async () => {
    certificates = await openClusterCertificates()
    await add('home', ['Tenant'])
    await add('tp1', ['Tenant'])
    await add('rp1', ['Resource'])
    await add('rp2', ['Resource'])
    await untilReady('home', 'tp1', 'rp1', 'rp2')
  })
  after(async () => {
    for (const partition of [...all.values()].toReversed()) await partition.close()
  })

  const untilReady = (...names: string[]): Promise<void> =>
    eventually(`${names.join(', ')} to be ready`, async () => {
      const { items } = await part('home').plane.client.list(partitions)
      const ready = items.filter(({ status }) => status?.conditions?.[0]?.status === 'True')
      return names.every((name) => ready.some(({ metadata }) => metadata.name === name))
    })
  const clientOf = (partition: string, tenant: string): Client =>
    part(partition).plane.server.client({ ...SERVER_USER, tenant })
  const createTenant = async (name: string, partition: string): Promise<void> => {
    await part('home').plane.client.create(tenants, { metadata: { name }, spec: { partition } })
    await eventually(`tenant ${name} to be active`, async () => {
      const tenant = part(partition).plane.membership.tenant(name)
      return tenant?.status?.phase === 'Active' && tenant.status.partition === partition
    })
  }
  const deploy = async (client: Client, name: string, replicas: number): Promise<void> => {
    const labels = { app: name }
    const containers = [{ name: 'c', image: 'x', resources: { requests: { cpu: '100m' } } }]
    await client.create(deployments, {
      metadata: { name, namespace: 'default' },
      spec: { replicas, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers } } },
    })
  }
  const podsOf = async (client: Client, app: string): Promise<readonly Stored<Pod>[]> =>
    (await client.list(pods, { namespace: 'default', labelSelector: `app=${app}` })).items
  const isRunning = ({ status }: Pod): boolean => status?.phase === 'Running'
  const untilRunning = (client: Client, app: string, count: number): Promise<void> =>
    eventually(`${count} pods of ${app} to run`, async () => {
      const list = await podsOf(client, app)
      return list.length === count && list.every(isRunning)
    })

  it('runs a tenant’s deployment on the nodes of both resource partitions', async () => {
    await createTenant('acme', 'tp1')
    const client = clientOf('tp1', 'acme')
    await deploy(client, 'web', REPLICAS)
    await untilRunning(client, 'web', REPLICAS)
    const hosts = new Set((await podsOf(client, 'web')).map(({ spec }) => spec?.nodeName?.split('-')[0]))
    assert.deepEqual([...hosts].toSorted(), ['rp1', 'rp2'])
    assert.equal((await part('tp1').plane.client.list(nodes)).items.length, 0, 'nodes live in their own partitions')
  })

  it('takes in an operator’s pod that names its node', async () => {
    const { client } = part('home').plane
    const spec = { nodeName: 'rp2-0', containers: [{ name: 'c', image: 'x' }] }
    await client.create(pods, { metadata: { name: 'direct', namespace: 'default' }, spec })
    await eventually('it to run', async () =>
      isRunning(await client.get(pods, { namespace: 'default', name: 'direct' })),
    )
    const isClaimed = async (): Promise<boolean> => {
      const { status } = await part('rp2').plane.client.get(nodeallocations, { name: 'rp2-0' })
      return status.claims.some(({ name, tenant }) => name === 'direct' && tenant === 'system')
    }
    await eventually('its room to be claimed', isClaimed)
    await client.delete(pods, { namespace: 'default', name: 'direct' })
    await eventually('its room to be given back', async () => !(await isClaimed()))
  })

  /** What of the pods must not change while a partition is away. */
  const identities = (list: readonly Stored<Pod>[]): string[] =>
    list.map(({ metadata, spec }) => `${metadata.uid} ${spec?.nodeName} ${metadata.deletionTimestamp ?? ''}`).toSorted()

  it('loses nothing of a resource partition that is away, and goes on elsewhere', async () => {
    const client = clientOf('tp1', 'acme')
    const before = identities(await podsOf(client, 'web'))
    await part('rp2').stop()
    await deploy(client, 'elsewhere', 2)
    await untilRunning(client, 'elsewhere', 2)
    const hosts = (await podsOf(client, 'elsewhere')).map(({ spec }) => spec?.nodeName?.split('-')[0])
    assert.deepEqual(hosts, ['rp1', 'rp1'])
    assert.deepEqual(identities(await podsOf(client, 'web')), before)
    await part('rp2').start()
    await untilRunning(client, 'web', REPLICAS)
    assert.deepEqual(identities(await podsOf(client, 'web')), before)
    await untilReady('rp2')
  })

  it('gives Services of all tenants ports that no other has, on whatever partition', async () => {
    const expose = async (partition: string, name: string, nodePort?: number): Promise<number> => {
      const tenant = partition === 'home' ? 'system' : 'acme'
      const spec = { type: 'NodePort', ports: [{ port: 80, ...(nodePort === undefined ? {} : { nodePort }) }] }
      const metadata = { name, namespace: 'default' }
      const made = await clientOf(partition, tenant).create(services, { metadata, spec })
      return made.spec?.ports?.[0]?.nodePort ?? 0
    }
    const names = Array.from({ length: 10 }, (_, i) => `exposed-${i}`)
    const made = await Promise.all(['home', 'tp1'].flatMap((name) => names.map((each) => expose(name, each))))
    assert.equal(new Set(made).size, 2 * names.length)
    const { spec } = await part('home').plane.client.get(partitions, { name: 'tp1' })
    assert.match(String(spec.nodePorts), /^30\d{3}-30\d{3}$/)
    assert.equal(await expose('tp1', 'named', 32_001), 32_001)
    await assert.rejects(expose('home', 'named', 32_001), /provided port is already allocated/)
  })

  it('gives nodes of all partitions ranges for pods that no other has', async () => {
    const rangesOf = async (name: string): Promise<string[]> => {
      const { items } = await part(name).plane.client.list(nodes)
      return items.map(({ spec }) => spec?.podCIDR ?? '')
    }
    const blockOf = async (name: string): Promise<string | undefined> =>
      (await part('home').plane.client.get(partitions, { name })).spec.podCIDRs?.join()
    await eventually('all nodes to have ranges', async () =>
      [...(await rangesOf('rp1')), ...(await rangesOf('rp2'))].every((cidr) => cidr !== ''),
    )
    const blocks = [await blockOf('rp1'), await blockOf('rp2')]
    assert.deepEqual(blocks.toSorted(), ['10.244.0.0/16', '10.245.0.0/16'])
    for (const [index, name] of ['rp1', 'rp2'].entries()) {
      const ranges = await rangesOf(name)
      assert.equal(new Set(ranges).size, ranges.length)
      const prefix = blocks[index]!.replace('0.0/16', '')
      for (const range of ranges) assert.ok(range.startsWith(prefix) && range.endsWith('.0/24'), `${range} of ${name}`)
    }
  })

  it('runs on without a tenant partition, whose pods stay on their nodes', async () => {
    const before = identities(await podsOf(clientOf('tp1', 'acme'), 'web'))
    await part('tp1').stop()
    await createTenant('beta', 'home')
    const beta = clientOf('home', 'beta')
    await deploy(beta, 'web', 2)
    await untilRunning(beta, 'web', 2)
    const onNodes = await part('rp1')
      .plane.server.client({ ...SERVER_USER, tenant: ALL_TENANTS })
      .list(pods)
    const copies = onNodes.items.filter(({ metadata }) => metadata.namespace === 'default--acme')
    assert.ok(
      copies.length > 0 && copies.every(isRunning),
      'nodes go on with the pods of a tenant partition that is away',
    )
    await part('tp1').start()
    const client = clientOf('tp1', 'acme')
    assert.deepEqual(identities(await podsOf(client, 'web')), before)
    await deploy(client, 'later', 2)
    await untilRunning(client, 'later', 2)
  })

  it('runs on without home', async () => {
    await part('home').stop()
    const client = clientOf('tp1', 'acme')
    await deploy(client, 'meanwhile', 4)
    await untilRunning(client, 'meanwhile', 4)
    await part('home').start()
    await untilReady('home', 'tp1', 'rp1', 'rp2')
    assert.equal((await podsOf(clientOf('home', 'beta'), 'web')).length, 2)
  })

  it('gives the room of deleted pods back', async () => {
    const client = clientOf('tp1', 'acme')
    for (const name of ['web', 'elsewhere', 'later', 'meanwhile'])
      await client.delete(deployments, { namespace: 'default', name }, { propagationPolicy: 'Background' })
    await eventually('all pods to be gone', async () => (await client.list(pods)).items.length === 0)
    await eventually('all room of the tenant to be given back', async () => {
      const lists = await Promise.all(['rp1', 'rp2'].map((name) => part(name).plane.client.list(nodeallocations)))
      const claims = lists.flatMap(({ items }) => items.flatMap(({ status }) => status.claims))
      return claims.length === 2 && claims.every(({ tenant }) => tenant === 'beta')
    })
  })

  it('believes nothing of a partition whose store was replaced, until it is readmitted', async () => {
    const client = clientOf('tp1', 'acme')
    await deploy(client, 'kept', REPLICAS)
    await untilRunning(client, 'kept', REPLICAS)
    const before = identities(await podsOf(client, 'kept'))
    await part('rp2').stop()
    await part('rp2').loseStore()
    await part('rp2').start()
    const isFenced = async (): Promise<boolean> => {
      const { status } = await part('home').plane.client.get(partitions, { name: 'rp2' })
      return status?.conditions?.some(({ type, status: is }) => type === 'Fenced' && is === 'True') === true
    }
    await eventually('it to be fenced', isFenced)
    await deploy(client, 'elsewhere', 2)
    await untilRunning(client, 'elsewhere', 2)
    assert.deepEqual(identities(await podsOf(client, 'kept')), before, 'what it does not know is not gone')
    for (const name of ['home', 'tp1', 'rp1']) await readmit(part(name), 'rp2')
    await untilRunning(client, 'kept', REPLICAS)
    const again: Stored<Pod>[] = []
    const onRp2 = (list: readonly Stored<Pod>[]): Stored<Pod>[] =>
      list.filter(({ spec }) => spec?.nodeName?.startsWith('rp2-'))
    await eventually('it to get pods again', async () => {
      const name = `again-${again.length}`
      await deploy(client, name, 2)
      await untilRunning(client, name, 2)
      again.push(...(await podsOf(client, name)))
      return onRp2(again).length > 0
    })
    const there = onRp2([...(await podsOf(client, 'kept')), ...again])
    await eventually('all room in use to be claimed again', async () => {
      const { items } = await part('rp2').plane.client.list(nodeallocations)
      const claimed = new Set(items.flatMap(({ status }) => status.claims.map(({ uid }) => uid)))
      return there.every(({ metadata }) => claimed.has(metadata.uid))
    })
    assert.deepEqual(identities(await podsOf(client, 'kept')), before)
  })
})

/** As an operator does. */
async function readmit({ plane }: TestPartition, partition: string): Promise<void> {
  const { config } = await parseKubeconfig(plane.kubeconfig)
  const link = openLink(config)
  const { status } = await link.request({ method: 'POST', path: READMIT_PATH, body: { partition } })
  await link.close()
  assert.equal(status, 200)
}
