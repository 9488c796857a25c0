import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { partitions, tenants, type PartitionRole } from '@centaurus/api/centaurus/v1'
import { deployments } from '@centaurus/api/apps/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import type { Stored } from '@centaurus/api'
import { openClusterCertificates, SERVER_USER, type ClusterCertificates } from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { parseKubeconfig } from '@centaurus/client/http'
import { createMemoryStore, REVISION_SPAN, withRevisionBase, type Store } from '@centaurus/store'
import { startControlPlane, type ControlPlane } from './control-plane.ts'
import { SINGLE_PARTITION } from './control-plane/partition-setup.ts'
import { connectNodes, startSimulatedNodes } from './simulated-nodes.ts'

const WAIT_MS = 60_000
const POLL_MS = 25
const NODES_EACH = 2
const REPLICAS = 8

/** One partition in this process, which can be stopped and started again over the same store. */
class TestPartition {
  readonly name: string
  readonly #roles: readonly PartitionRole[]
  readonly #index: number
  readonly #certificates: ClusterCertificates
  readonly #homeEndpoints: readonly string[] | undefined
  readonly #store: Store
  #port = 0
  #plane: ControlPlane | undefined
  #nodes: { close(): Promise<void> } | undefined

  constructor(options: {
    name: string
    roles: readonly PartitionRole[]
    index: number
    certificates: ClusterCertificates
    homeEndpoints: readonly string[] | undefined
  }) {
    this.name = options.name
    this.#roles = options.roles
    this.#index = options.index
    this.#certificates = options.certificates
    this.#homeEndpoints = options.homeEndpoints
    this.#store = withRevisionBase(createMemoryStore(), options.index * REVISION_SPAN)
  }

  get plane(): ControlPlane {
    assert.ok(this.#plane !== undefined, `${this.name} does not run`)
    return this.#plane
  }

  async start(): Promise<void> {
    this.#plane = await startControlPlane({
      store: this.#store,
      certificates: this.#certificates,
      port: this.#port,
      host: '127.0.0.1',
      advertiseAddress: '127.0.0.1',
      partition: {
        ...SINGLE_PARTITION,
        name: this.name,
        roles: this.#roles,
        homeEndpoints: this.#homeEndpoints,
        serviceRange: `10.${96 + this.#index}.0.0/16`,
      },
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    })
    this.#port = this.#plane.port
    if (this.#roles.includes('Resource')) await this.#startNodes()
  }

  async #startNodes(): Promise<void> {
    const serving = await this.#certificates.server('node-serving', {
      commonName: 'system:node:simulated',
      alternativeNames: ['127.0.0.1'],
    })
    const clientCa = this.#certificates.authority.certificatePem
    const { config } = await parseKubeconfig(this.plane.kubeconfig)
    const clients = connectNodes(config)
    const running = await startSimulatedNodes({
      client: clients.client(),
      clientOf: clients.clientOf,
      count: NODES_EACH,
      namePrefix: `${this.name}-`,
      firstIndex: this.#index * NODES_EACH,
      logger: silentLogger,
      tls: { key: serving.keyPem, cert: serving.certificatePem, clientCa },
    })
    this.#nodes = {
      async close() {
        await running.close()
        await clients.close()
      },
    }
  }

  async stop(): Promise<void> {
    await this.#nodes?.close()
    await this.#plane?.close()
    this.#nodes = undefined
    this.#plane = undefined
  }

  async close(): Promise<void> {
    await this.stop()
    await this.#store.close()
  }
}

async function eventually(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS
  for (;;) {
    if (await check().catch(() => false)) return
    assert.ok(performance.now() < deadline, `waited ${WAIT_MS} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

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
    await eventually('all partitions to be ready', async () => {
      const { items } = await part('home').plane.client.list(partitions)
      return items.length === 4 && items.every(({ status }) => status?.conditions?.[0]?.status === 'True')
    })
  })
  after(async () => {
    for (const partition of [...all.values()].toReversed()) await partition.close()
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
})
