import assert from 'node:assert/strict'
import { afterEach, beforeEach, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { partitions, tenants, type Partition } from '@centaurus/api/centaurus/v1'
import { pods } from '@centaurus/api/core/v1'
import {
  createAccessExtension,
  createTokenSigner,
  openClusterCertificates,
  type ClusterCertificates,
} from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { createManualClock, silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createInformerFactory, type Client } from '@centaurus/client'
import { createHttpClient } from '@centaurus/client/http'
import { createMemoryStore, type Store } from '@centaurus/store'
import { createRegistryExtension } from '../registry/registry-extension.ts'
import { HEARTBEAT_GRACE_MS } from './heartbeat.ts'
import { readmitHome } from './home-memory.ts'
import { createMembershipExtension } from './membership-extension.ts'
import { createMembership } from './membership.ts'
import { issuePartitionCertificate, partitionClientConfig } from './partition-link.ts'
import { startPartitionHealth } from './partition-health.ts'
import { startEndpointReporter } from './endpoint-reporter.ts'
import { FENCED, findCondition } from './partition-status.ts'
import { startMembershipSync, type MembershipSync } from './sync.ts'

const deps = { clock: systemClock, random: systemRandom, logger: silentLogger }

async function startServer(self: string, store: Store, certificates: ClusterCertificates): Promise<TestServer> {
  const extensions = [
    createAccessExtension({ signer: createTokenSigner({ keyPem: certificates.serviceAccountKeyPem }) }),
    createRegistryExtension(),
    createMembershipExtension({ self, home: self === 'home', readmit: () => readmitHome(store) }),
  ]
  return startTestServer({ store, certificates, extensions })
}

async function eventually(check: () => boolean | Promise<boolean>): Promise<void> {
  for (let left = 2000; !(await check()); left--) {
    assert.ok(left > 0, 'state was not reached')
    await systemClock.sleep(5)
  }
}

const partition = (name: string, spec: Partial<Partition['spec']> = {}): Partition => ({
  metadata: { name },
  spec: { roles: ['Tenant'], endpoints: [], ...spec },
})

describe('membership sync', () => {
  let certificates: ClusterCertificates
  let home: TestServer
  let store: Store
  let other: TestServer
  let client: Client
  let sync: MembershipSync
  const namesAt = async (server: TestServer): Promise<string> =>
    (await server.client.list(tenants)).items.map((item) => item.metadata.name).join()

  const startSync = async (server: TestServer): Promise<MembershipSync> =>
    startMembershipSync({
      ...deps,
      membership: createMembership(server.server.reader, 'tp1'),
      reader: server.server.reader,
      client: server.client,
      store,
      home: client,
    })

  beforeEach(async () => {
    certificates = await openClusterCertificates()
    home = await startServer('home', createMemoryStore(), certificates)
    await home.client.create(partitions, partition('home', { home: true }))
    await home.client.create(partitions, partition('tp1'))
    await home.client.create(tenants, { metadata: { name: 'acme' }, spec: { quota: { pods: '3' } } })
    store = createMemoryStore()
    other = await startServer('tp1', store, certificates)
    const certificate = await issuePartitionCertificate(certificates, 'tp1')
    const identity = { ca: certificates.authority.certificatePem, certificate, clock: systemClock }
    client = createHttpClient(partitionClientConfig([`https://127.0.0.1:${home.port}`], identity))
    sync = await startSync(other)
  })
  afterEach(async () => {
    await sync.close()
    await client.close()
    await other.close()
    await home.close()
  })

  it('copies the registry under the same identity, and follows it', async () => {
    await eventually(async () => (await namesAt(other)) === 'acme')
    const [original, copy] = await Promise.all([home, other].map((at) => at.client.get(tenants, { name: 'acme' })))
    assert.deepEqual(copy!.spec, original!.spec)
    assert.equal(copy!.metadata.uid, original!.metadata.uid)
    await home.client.create(tenants, { metadata: { name: 'beta' } })
    await home.client.delete(tenants, { name: 'acme' })
    await eventually(async () => (await namesAt(other)) === 'beta')
  })

  it('reports at home that the partition is there, and where', async () => {
    await eventually(async () => {
      const { status } = await home.client.get(partitions, { name: 'tp1' })
      return status?.tenants === 0 && status.conditions?.[0]?.status === 'True'
    })
    const membership = createMembership(other.server.reader, 'tp1')
    const endpointsOf = async (): Promise<string> =>
      (await home.client.get(partitions, { name: 'tp1' })).spec.endpoints.join(' ')
    const options = { ...deps, home: client, membership, sharesStore: true }
    const reporters = ['https://a:1', 'https://b:1'].map((endpoint) => startEndpointReporter({ ...options, endpoint }))
    await eventually(async () => /^https:\/\/(a:1 https:\/\/b|b:1 https:\/\/a):1$/.test(await endpointsOf()))
    for (const reporter of reporters) await reporter.close()
    const alone = startEndpointReporter({ ...options, sharesStore: false, endpoint: 'https://c:1' })
    await eventually(async () => (await endpointsOf()) === 'https://c:1')
    await alone.close()
  })

  it('keeps what it knows while home is away, also across a restart', async () => {
    await eventually(async () => (await namesAt(other)) === 'acme')
    await home.close()
    await sync.close()
    await other.server.close()
    other = await startServer('tp1', store, certificates)
    sync = await startSync(other)
    assert.equal(await namesAt(other), 'acme')
    assert.equal(createMembership(other.server.reader, 'tp1').get('home')?.spec.home, true)
  })

  it('lets nobody write to copies, nor run pods among them', async () => {
    await eventually(async () => (await namesAt(other)) === 'acme')
    const isRefused = (error: unknown): boolean => isStatus(error, 'Forbidden') && /"home"/.test(error.message)
    await assert.rejects(other.client.create(tenants, { metadata: { name: 'own' } }), isRefused)
    await assert.rejects(other.client.delete(tenants, { name: 'acme' }), isRefused)
    const pod = { metadata: { name: 'p', namespace: 'default' }, spec: { containers: [{ name: 'c', image: 'i' }] } }
    await assert.rejects(other.client.create(pods, pod), isRefused)
    await assert.doesNotReject(home.client.create(tenants, { metadata: { name: 'own' } }))
  })

  it('does not believe a home that went back in time until it is readmitted', async () => {
    await eventually(async () => (await namesAt(other)) === 'acme')
    await sync.close()
    await client.close()
    // A home that has forgotten everything since its backup, at the same address with the same certificates.
    const backup = await startServer('home', createMemoryStore(), certificates)
    const { uid } = (await home.client.get(partitions, { name: 'home' })).metadata
    await backup.client.create(partitions, { ...partition('home', { home: true }), metadata: { name: 'home', uid } })
    const identity = {
      ca: certificates.authority.certificatePem,
      certificate: await issuePartitionCertificate(certificates, 'tp1'),
      clock: systemClock,
    }
    client = createHttpClient(partitionClientConfig([`https://127.0.0.1:${backup.port}`], identity))
    sync = await startSync(other)
    await eventually(() => sync.homeFence !== undefined)
    await eventually(async () => {
      const told = await backup.client.get(partitions, { name: 'home' })
      return findCondition(told, FENCED)?.status === 'True'
    })
    assert.equal(await namesAt(other), 'acme')
    await sync.close()
    sync = await startSync(other)
    assert.match(sync.homeFence ?? '', /went back in time|another one/, 'a restart does not lift the fence')
    await readmitHome(store)
    await eventually(async () => (await namesAt(other)) === '')
    assert.equal(sync.homeFence, undefined)
    await backup.close()
  })
})

describe('partition health', () => {
  it('doubts a partition that is not heard of, and only that', async () => {
    const certificates = await openClusterCertificates()
    const home = await startServer('home', createMemoryStore(), certificates)
    const informers = createInformerFactory(home.client)
    const clock = createManualClock()
    const health = startPartitionHealth({ client: home.client, informers, clock, logger: silentLogger })
    await home.client.create(partitions, partition('tp1'))
    const readyOf = async (): Promise<string | undefined> =>
      findCondition(await home.client.get(partitions, { name: 'tp1' }), 'Ready')?.status
    const source = informers.informer(partitions)
    await eventually(() => source.list().length === 1)
    await clock.advance(HEARTBEAT_GRACE_MS - 1)
    assert.equal(await readyOf(), undefined)
    await eventually(async () => {
      await clock.advance(1000) // the controller may have looked at it only now
      return (await readyOf()) === 'Unknown'
    })
    await health.close()
    await informers.close()
    await home.close()
  })
})
