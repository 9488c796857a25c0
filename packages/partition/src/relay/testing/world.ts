import { RESOURCE_PARTITION_ANNOTATION } from '@centaurus/api'
import { partitions, tenants, type Partition } from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import {
  createAccessExtension,
  createProxyExtension,
  createResourceMetricsExtension,
  createTokenSigner,
  KUBELET_CLIENT_IDENTITY,
  SERVER_USER,
  type ClusterCertificates,
  type CreateExtension,
  type ProxyOptions,
} from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { silentLogger, systemClock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { createHttpClient } from '@centaurus/client/http'
import type { Store } from '@centaurus/store'
import { PeerStates } from '../../epoch/peer-states.ts'
import { createMembershipExtension } from '../../membership/membership-extension.ts'
import { createMembership, type Membership } from '../../membership/membership.ts'
import { createOpenLink, issuePartitionCertificate, type OpenLink } from '../../membership/partition-link.ts'
import { TenantOwners } from '../../membership/tenant-owners.ts'
import { createRegistryExtension } from '../../registry/registry-extension.ts'
import { createBatchServer } from '../batch-server.ts'
import { createPeerUsage } from '../../usage/peer-usage.ts'
import { createReachNodes } from '../reach-nodes.ts'
import { createRelaySource } from '../relay-source.ts'
import { startRelay, type Relay } from '../relay.ts'
import { createWriteForwarding } from '../write-forwarding.ts'

/** One partition of a test: a whole API server over a store that outlives it. */
export interface TestPartition {
  readonly name: string
  readonly server: TestServer
  readonly client: Client
  readonly membership: Membership
  readonly peers: PeerStates
  readonly relay: Relay
  /** As the tenant. */
  of(tenant: string): Client
  /** An agent of a node, over HTTP. */
  agent(node: string): Promise<Client>
  /** Ends it as a crash would leave it; the store stays. */
  close(): Promise<void>
}

export interface TestPartitionOptions {
  readonly name: string
  readonly store: Store
  readonly certificates: ClusterCertificates
  /** Lets the test look at, or cut, what goes between partitions. */
  readonly wrapLink?: ((openLink: OpenLink) => OpenLink) | undefined
}

export async function startPartition({
  name,
  store,
  certificates,
  wrapLink = (open) => open,
}: TestPartitionOptions): Promise<TestPartition> {
  const certificate = await issuePartitionCertificate(certificates, name)
  const ca = certificates.authority.certificatePem
  const toNodes = await certificates.client('kubelet-client', KUBELET_CLIENT_IDENTITY)
  const openLink = wrapLink(createOpenLink({ ca, certificate, clock: systemClock }))
  const kept: Store = Object.assign(Object.create(store) as Store, { close: async () => {} })
  const withMembership =
    (create: (membership: Membership) => CreateExtension): CreateExtension =>
    (core) =>
      create(createMembership(core.reader, name))(core)
  const tls = { ca, cert: toNodes.certificatePem, key: toNodes.keyPem }
  const toAgents: ProxyOptions = {
    tls,
    reach: ({ reader }) => createReachNodes({ membership: createMembership(reader, name), ca, certificate }),
  }
  const server = await startTestServer({
    store: bindAll(store, kept),
    certificates,
    partition: name,
    extensions: [
      createAccessExtension({ signer: createTokenSigner({ keyPem: certificates.serviceAccountKeyPem }) }),
      createRegistryExtension(),
      createMembershipExtension({ self: name, home: true }),
      withMembership((membership) => createRelaySource({ store, membership })),
      withMembership((membership) => createBatchServer({ membership })),
      withMembership((membership) =>
        createWriteForwarding({ membership, owners: new TenantOwners(() => membership), openLink }),
      ),
      createProxyExtension(toAgents),
      createResourceMetricsExtension({
        tls,
        peers: ({ reader }) => createPeerUsage({ membership: createMembership(reader, name), openLink }),
      }),
    ],
  })
  const peers = new PeerStates({ store, clock: systemClock, logger: silentLogger })
  await peers.start()
  const membership = createMembership(server.server.reader, name)
  const relay = startRelay({
    server: server.server,
    store,
    membership,
    owners: new TenantOwners(() => membership),
    openLink,
    peers,
    clock: systemClock,
    logger: silentLogger,
  })
  const agents: Client[] = []
  return {
    name,
    server,
    client: server.client,
    membership,
    peers,
    relay,
    of: (tenant) => server.server.client({ ...SERVER_USER, tenant }),
    async agent(node) {
      const user = `system:node:${node}`
      const { certificatePem, keyPem } = await certificates.client(user, {
        commonName: user,
        organizations: ['system:nodes'],
      })
      const agent = createHttpClient({
        server: `https://127.0.0.1:${server.port}`,
        ca: certificates.authority.certificatePem,
        cert: certificatePem,
        key: keyPem,
      })
      agents.push(agent)
      return agent
    },
    async close() {
      for (const agent of agents) await agent.close()
      await relay.close()
      await peers.close()
      await server.close()
    },
  }
}

/** A store that its server can't close. */
function bindAll(store: Store, kept: Store): Store {
  return {
    currentRevision: () => store.currentRevision(),
    get: (...of) => store.get(...of),
    range: (...of) => store.range(...of),
    commit: (...of) => store.commit(...of),
    watch: (...of) => store.watch(...of),
    compact: (...of) => store.compact(...of),
    close: () => kept.close(),
  }
}

/** Says in each partition's registry which partitions there are, at the addresses that they have now. */
export async function putPartitions(
  all: readonly TestPartition[],
  roles: Readonly<Record<string, Partition['spec']['roles']>>,
): Promise<void> {
  for (const at of all) {
    for (const { name, server } of all) {
      const spec = { roles: roles[name] ?? ['Tenant'], endpoints: [`https://127.0.0.1:${server.port}`] }
      await at.client.patch(
        partitions,
        { name },
        {
          type: 'apply',
          body: { apiVersion: 'centaurus.io/v1', kind: 'Partition', metadata: { name }, spec },
        },
        { fieldManager: 'test', force: true },
      )
    }
  }
}

/** Says in each partition's registry where the tenant lives, and makes there what every tenant has. */
export async function putTenant(all: readonly TestPartition[], name: string, partition: string): Promise<void> {
  for (const at of all) {
    const found = (await at.client.list(tenants)).items.find(({ metadata }) => metadata.name === name)
    const made = found ?? (await at.client.create(tenants, { metadata: { name } }))
    const status = { phase: 'Active' as const, partition, epoch: (found?.status?.epoch ?? 0) + 1 }
    await at.client.updateStatus(tenants, { ...made, status })
    if (at.name === partition && found === undefined) await at.server.server.bootstrapTenant(name)
  }
}

export async function addNode(rp: TestPartition, name: string): Promise<void> {
  await rp.client.create(nodes, { metadata: { name } })
}

export interface RunPodOptions {
  readonly name: string
  readonly node: string
  readonly partition: string
  readonly spec?: Partial<Pod['spec']> | undefined
}

/** Makes a pod and binds it to a node of the partition, as its scheduler does. */
export async function runPod(client: Client, { name, node, partition, spec }: RunPodOptions): Promise<void> {
  const metadata = { namespace: 'default', name }
  await client.create(pods, {
    metadata,
    spec: { serviceAccountName: 'default', containers: [{ name: 'c', image: 'i' }], ...spec },
  })
  await client.createSubresource(pods, metadata, 'binding', {
    metadata: { ...metadata, annotations: { [RESOURCE_PARTITION_ANNOTATION]: partition } },
    target: { kind: 'Node', name: node },
  })
}

/** Resolves when the condition holds. */
export async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const deadlineMs = systemClock.monotonicMs() + 20_000
  while (!(await condition())) {
    if (systemClock.monotonicMs() > deadlineMs) throw new Error(`It did not happen in 20 s: ${what}`)
    await systemClock.sleep(5)
  }
}
