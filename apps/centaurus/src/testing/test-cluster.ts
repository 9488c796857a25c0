import { nodeallocations, partitions, tenants, type PartitionRole } from '@centaurus/api/centaurus/v1'
import { pods } from '@centaurus/api/core/v1'
import { ALL_TENANTS, GATEWAYS_GROUP, TENANT_ORGANIZATION_PREFIX } from '@centaurus/api'
import { openClusterCertificates, SERVER_USER, type ClusterCertificates } from '@centaurus/apiserver'
import type { Client } from '@centaurus/client'
import { createHttpClient } from '@centaurus/client/http'
import { startGateway } from '@centaurus/partition/gateway'
import { createKubeconfig } from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import type { Store } from '@centaurus/store'
import { eventually, TestPartition } from './test-partition.ts'

/** Several partitions in this process. The first one added is home. */
export class TestCluster {
  readonly #partitions = new Map<string, TestPartition>()
  readonly #certificates: ClusterCertificates
  readonly #clients: { close(): Promise<void> }[] = []

  private constructor(certificates: ClusterCertificates) {
    this.#certificates = certificates
  }

  static async open(): Promise<TestCluster> {
    return new TestCluster(await openClusterCertificates())
  }

  get home(): TestPartition {
    return this.#partitions.values().next().value!
  }

  get partitions(): readonly TestPartition[] {
    return [...this.#partitions.values()]
  }

  part(name: string): TestPartition {
    return this.#partitions.get(name)!
  }

  async add(
    name: string,
    roles: readonly PartitionRole[],
    more: { readonly openStore?: (index: number) => Promise<Store>; readonly nodes?: number } = {},
  ): Promise<void> {
    const isHome = this.#partitions.size === 0
    const partition = new TestPartition({
      name,
      roles,
      index: this.#partitions.size,
      certificates: this.#certificates,
      homeEndpoints: isHome ? undefined : [this.home.plane.url],
      store: await more.openStore?.(this.#partitions.size),
      nodes: more.nodes,
    })
    if (!isHome) {
      await this.home.plane.client.create(partitions, {
        metadata: { name },
        spec: { roles: [...roles], endpoints: [] },
      })
    }
    await partition.start()
    this.#partitions.set(name, partition)
  }

  /** All partitions are known to be well. */
  untilReady(): Promise<void> {
    return eventually('all partitions to be ready', async () => {
      const { items } = await this.home.plane.client.list(partitions)
      const ready = items.filter(({ status }) => status?.conditions?.[0]?.status === 'True')
      return ready.length === this.#partitions.size
    })
  }

  async createTenant(name: string, partition: string): Promise<void> {
    await this.home.plane.client.create(tenants, { metadata: { name }, spec: { partition } })
    await eventually(`tenant ${name} to be active`, async () => {
      const tenant = this.part(partition).plane.membership.tenant(name)
      return tenant?.status?.phase === 'Active' && tenant.status.partition === partition
    })
  }

  /** The tenant's administrator, with a certificate and over HTTP, at the address of one partition. */
  async admin(tenant: string, partition: string): Promise<Client> {
    return this.adminAt(tenant, this.part(partition).plane.url)
  }

  /** The same at some address. */
  async adminAt(tenant: string, server: string): Promise<Client> {
    return this.#keep(createHttpClient({ server, ...(await this.#adminCredentials(tenant)) }))
  }

  /** An operator, who sees all tenants, at some address. */
  async operatorAt(server: string): Promise<Client> {
    const identity = { commonName: 'operator', organizations: ['system:masters'] }
    const { certificatePem: cert, keyPem: key } = await this.#certificates.client('operator', identity)
    const ca = this.#certificates.authority.certificatePem
    return this.#keep(createHttpClient({ server, ca, cert, key, tenant: ALL_TENANTS }))
  }

  /** What a kubeconfig of the same administrator says. */
  async kubeconfig(tenant: string, server: string): Promise<string> {
    return createKubeconfig({ server, ...(await this.#adminCredentials(tenant)) })
  }

  async #adminCredentials(tenant: string): Promise<{ ca: string; cert: string; key: string }> {
    const identity = { commonName: 'admin', organizations: [`${TENANT_ORGANIZATION_PREFIX}${tenant}`] }
    const { certificatePem: cert, keyPem: key } = await this.#certificates.client(`${tenant}-admin`, identity)
    return { ca: this.#certificates.authority.certificatePem, cert, key }
  }

  /** Starts a gateway; resolves to its address. */
  async gateway(): Promise<string> {
    const { authority, serving } = this.#certificates
    const ca = authority.certificatePem
    const identity = { commonName: 'system:gateway', organizations: [GATEWAYS_GROUP] }
    const { certificatePem: cert, keyPem: key } = await this.#certificates.client('gateway', identity)
    const gateway = await startGateway({
      endpoints: [this.home.plane.url],
      serving: { key: serving.keyPem, certificate: serving.certificatePem, clientAuthority: ca },
      tls: { ca, cert, key },
      port: 0,
      host: '127.0.0.1',
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    })
    this.#keep(gateway)
    await gateway.whenKnown()
    return `https://127.0.0.1:${gateway.port}`
  }

  /** Who has a token, at the address of one partition. */
  bearer(token: string, partition: string): Client {
    const ca = this.#certificates.authority.certificatePem
    return this.#keep(createHttpClient({ server: this.part(partition).plane.url, ca, token }))
  }

  #keep<T extends { close(): Promise<void> }>(client: T): T {
    this.#clients.push(client)
    return client
  }

  /** The server itself inside a tenant of one partition. */
  within(tenant: string, partition: string): Client {
    return this.part(partition).plane.server.client({ ...SERVER_USER, tenant })
  }

  /** `uid node` of each claim of the tenant, over all partitions with nodes, sorted. */
  async claimsOf(tenant: string): Promise<string[]> {
    const withNodes = this.partitions.filter(({ roles }) => roles.includes('Resource'))
    const lists = await Promise.all(withNodes.map(({ plane }) => plane.client.list(nodeallocations)))
    return lists
      .flatMap(({ items }) =>
        items.flatMap(({ metadata, status }) => status.claims.map((claim) => ({ metadata, claim }))),
      )
      .filter(({ claim }) => claim.tenant === tenant)
      .map(({ metadata, claim }) => `${claim.uid} ${metadata.name}`)
      .toSorted()
  }

  /** What nodes of the partition run of the tenant, as `namespace/name`, sorted. */
  async onNodesOf(partition: string, tenant: string): Promise<string[]> {
    const client = this.part(partition).plane.server.client({ ...SERVER_USER, tenant: ALL_TENANTS })
    const { items } = await client.list(pods)
    return items
      .filter(({ metadata }) => metadata.namespace?.endsWith(`--${tenant}`) === true)
      .map(({ metadata }) => `${metadata.namespace}/${metadata.name}`)
      .toSorted()
  }

  async move(tenant: string, partition: string): Promise<void> {
    const { client } = this.home.plane
    await client.patch(tenants, { name: tenant }, { type: 'merge', body: { spec: { partition } } })
  }

  /** It lives there, and nowhere else is anything left of it. */
  async untilMoved(tenant: string, partition: string): Promise<void> {
    await eventually(`tenant ${tenant} to live in ${partition} alone`, async () => {
      const { status } = await this.home.plane.client.get(tenants, { name: tenant })
      const moved = status?.conditions?.find((condition) => condition.type === 'Moved')
      return status?.partition === partition && moved?.reason === 'CleanedUp'
    })
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()))
    for (const partition of this.partitions.toReversed()) await partition.close()
  }
}
