import assert from 'node:assert/strict'
import { GATEWAYS_GROUP } from '@centaurus/api'
import { partitions, tenants, type Partition } from '@centaurus/api/centaurus/v1'
import {
  createAccessExtension,
  createCrdExtension,
  createDiscoveryExtension,
  createNetworkExtension,
  createOpenApiExtension,
  createProxyExtension,
  createResourceMetricsExtension,
  createTokenSigner,
  openClusterCertificates,
  type ClusterCertificates,
} from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createHttpClient } from '@centaurus/client/http'
import { createMemoryStore, REVISION_SPAN, withRevisionBase, type Store } from '@centaurus/store'
import { createMembershipExtension } from '../../membership/membership-extension.ts'
import { createMembership } from '../../membership/membership.ts'
import { issuePartitionCertificate, partitionClientConfig } from '../../membership/partition-link.ts'
import { startEndpointReporter } from '../../membership/endpoint-reporter.ts'
import { startMembershipSync } from '../../membership/sync.ts'
import { createRegistryExtension } from '../../registry/registry-extension.ts'
import { startGateway, type Gateway } from '../gateway.ts'
import { connectFront, type FrontClient, type Identity } from './front-client.ts'

export const OPERATOR: Identity = { commonName: 'operator', organizations: ['system:masters'] }

/** Credentials of somebody who may do everything in the tenant. */
export function adminOf(tenant: string): Identity {
  return { commonName: 'admin', organizations: ['system:masters', `tenant:${tenant}`] }
}

const ROLES: Readonly<Record<string, Partition['spec']['roles']>> = {
  home: ['Tenant'],
  tp1: ['Tenant'],
  rp0: ['Resource'],
  rp1: ['Resource'],
}
export type PartitionName = 'home' | 'tp1' | 'rp0' | 'rp1'

/** Two tenant partitions (one of them home) and two resource partitions, each a real API server over TLS, and gateways in front. */
export interface World {
  readonly certificates: ClusterCertificates
  readonly servers: Readonly<Record<PartitionName, TestServer>>
  gateway(): Promise<Gateway>
  /** A client of the gateway; anonymous without an identity. Closed with the world. */
  connect(gateway: Gateway, identity?: Identity): Promise<FrontClient>
  /** Makes a tenant that lives in the partition, and waits until all partitions know. */
  addTenant(name: string, partition: PartitionName): Promise<void>
  /** Registers a partition that some other server plays, and a tenant that lives there. */
  addPlayed(partition: string, server: { readonly url: string; readonly tenant: string }): Promise<void>
  /** Cuts a partition off, as if its machine had lost power. */
  stop(name: PartitionName): Promise<void>
  /** Starts it again, at the same address, with what it had. */
  start(name: PartitionName): Promise<void>
  close(): Promise<void>
}

const deps = { clock: systemClock, random: systemRandom, logger: silentLogger }

interface Running {
  readonly test: TestServer
  stop(): Promise<void>
}

export async function startWorld(): Promise<World> {
  const certificates = await openClusterCertificates()
  const names = Object.keys(ROLES) as PartitionName[]
  const stores = new Map(names.map((name, i) => [name, baseStore(i)]))
  const running = new Map<PartitionName, Running>()
  const servers = {} as Record<PartitionName, TestServer>
  const closes: (() => Promise<void>)[] = []
  const launch = async (name: PartitionName, port?: number): Promise<void> => {
    const home = name === 'home' ? undefined : servers.home.port
    const started = await startPartition(name, { certificates, store: stores.get(name)!, home, port })
    running.set(name, started)
    servers[name] = started.test
  }
  await launch('home')
  for (const name of names) await servers.home.client.create(partitions, partitionObject(name, [urlOf(servers.home)]))
  for (const name of names.slice(1)) await launch(name)
  await eventually(async () => {
    const { items } = await servers.home.client.list(partitions)
    return items.every(({ metadata, spec }) => spec.endpoints.includes(urlOf(servers[metadata.name as PartitionName])))
  })
  await setEndpoints(servers)
  const known = async (check: (server: TestServer) => Promise<boolean>): Promise<void> => {
    for (const name of names) await eventually(() => check(servers[name]))
  }
  await known(async ({ client }) => (await client.list(partitions)).items.length === names.length)
  const identity = await certificates.client('gateway', {
    commonName: 'system:gateway',
    organizations: [GATEWAYS_GROUP],
  })
  const ca = certificates.authority.certificatePem
  return {
    certificates,
    servers,
    async gateway() {
      const gateway = await startGateway({
        ...deps,
        endpoints: [urlOf(servers.home), urlOf(servers.rp1)],
        serving: {
          key: certificates.serving.keyPem,
          certificate: certificates.serving.certificatePem,
          clientAuthority: ca,
        },
        tls: { ca, cert: identity.certificatePem, key: identity.keyPem },
        port: 0,
        host: '127.0.0.1',
      })
      closes.push(() => gateway.close())
      await gateway.whenKnown(AbortSignal.timeout(10_000))
      return gateway
    },
    async connect(gateway, who) {
      const client = await connectFront(gateway.port, certificates, who)
      closes.push(async () => client.close())
      return client
    },
    async addTenant(name, partition) {
      const { client } = servers.home
      const made = await client.create(tenants, { metadata: { name } })
      await client.updateStatus(tenants, { ...made, status: { phase: 'Active', partition, epoch: 1 } })
      await known(async (server) =>
        (await server.client.list(tenants)).items.some(
          (item) => item.metadata.name === name && item.status?.partition === partition,
        ),
      )
      await servers[partition].server.bootstrapTenant(name)
    },
    async addPlayed(partition, { url, tenant }) {
      const { client } = servers.home
      await client.create(partitions, { metadata: { name: partition }, spec: { roles: ['Tenant'], endpoints: [url] } })
      const made = await client.create(tenants, { metadata: { name: tenant } })
      await client.updateStatus(tenants, { ...made, status: { phase: 'Active', partition, epoch: 1 } })
    },
    async stop(name) {
      await running.get(name)!.stop()
      running.delete(name)
    },
    start: (name) => launch(name, servers[name].port),
    async close() {
      for (const close of closes.toReversed()) await close()
      for (const name of names.toReversed()) await running.get(name)?.stop()
      for (const store of stores.values()) await store.close()
    },
  }
}

/** A store that outlives its server. */
function baseStore(index: number): Store {
  return withRevisionBase(createMemoryStore(), index * REVISION_SPAN)
}

function urlOf({ port }: TestServer): string {
  return `https://127.0.0.1:${port}`
}

function partitionObject(name: PartitionName, endpoints: string[]): Partition {
  const home = name === 'home' ? { home: true } : {}
  return { metadata: { name }, spec: { roles: ROLES[name]!, endpoints, ...home } }
}

/** Before it joined, a partition's address was a stand-in. */
async function setEndpoints(servers: Readonly<Record<PartitionName, TestServer>>): Promise<void> {
  for (const [name, server] of Object.entries(servers)) {
    await eventually(async () => {
      try {
        const found = await servers.home.client.get(partitions, { name })
        const spec = { ...found.spec, endpoints: [urlOf(server)] }
        await servers.home.client.update(partitions, { ...found, spec })
        return true
      } catch {
        return false // somebody else wrote at the same moment
      }
    })
  }
}

interface StartOptions {
  readonly certificates: ClusterCertificates
  readonly store: Store
  readonly home: number | undefined
  readonly port: number | undefined
}

async function startPartition(name: PartitionName, options: StartOptions): Promise<Running> {
  const { certificates, store, home } = options
  const toNodes = await certificates.client('kubelet-client', {
    commonName: 'kube-apiserver-kubelet-client',
    organizations: ['system:masters'],
  })
  const ca = certificates.authority.certificatePem
  const toAgents = { ca, cert: toNodes.certificatePem, key: toNodes.keyPem }
  const test = await startTestServer({
    store: keepOpen(store),
    certificates,
    port: options.port,
    partition: name,
    extensions: [
      createAccessExtension({ signer: createTokenSigner({ keyPem: certificates.serviceAccountKeyPem }) }),
      createRegistryExtension(),
      createNetworkExtension(),
      createMembershipExtension({ self: name, home: name === 'home' }),
      createDiscoveryExtension(),
      createOpenApiExtension(),
      createCrdExtension(),
      createProxyExtension({ tls: toAgents }),
      createResourceMetricsExtension({ tls: toAgents }),
    ],
  })
  const certificate = await issuePartitionCertificate(certificates, name)
  const identity = { ca, certificate, clock: systemClock }
  const client =
    home === undefined ? undefined : createHttpClient(partitionClientConfig([`https://127.0.0.1:${home}`], identity))
  const membership = createMembership(test.server.reader, name)
  const endpoint = urlOf(test)
  const endpoints = startEndpointReporter({
    ...deps,
    home: client ?? test.client,
    membership,
    endpoint,
    sharesStore: false,
  })
  const sync = await startMembershipSync({
    ...deps,
    membership,
    reader: test.server.reader,
    client: test.client,
    store,
    home: client,
  })
  return {
    test,
    async stop() {
      await sync.close()
      await endpoints.close()
      await client?.close()
      await test.close()
    },
  }
}

function keepOpen(store: Store): Store {
  return new Proxy(store, {
    get: (target, key) => {
      if (key === 'close') return async () => {}
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

/** Waits for a state that comes from elsewhere. */
export async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  for (let left = 2000; !(await check()); left--) {
    assert.ok(left > 0, 'state was not reached')
    await systemClock.sleep(5)
  }
}
