import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { partitions, tenants, type Tenant } from '@centaurus/api/centaurus/v1'
import { configmaps, namespaces } from '@centaurus/api/core/v1'
import {
  createAccessExtension,
  createTokenSigner,
  openClusterCertificates,
  SERVER_USER,
  type ClusterCertificates,
} from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { silentLogger, systemClock } from '@centaurus/base'
import type { Client, RunningController } from '@centaurus/client'
import { createMemoryStore, REVISION_SPAN, withRevisionBase, type Store } from '@centaurus/store'
import { createMembership, type Membership } from '../membership/membership.ts'
import { createOpenLink, issuePartitionCertificate } from '../membership/partition-link.ts'
import { createMembershipExtension } from '../membership/membership-extension.ts'
import { createRegistryExtension } from '../registry/registry-extension.ts'
import { startMover } from './mover.ts'
import { FROZEN_MS_MAX, planMove } from './plan-move.ts'
import { createMoveSource } from './source-extension.ts'
import { TenantFences, type TenantFence } from './tenant-fence.ts'

const ACME = { ...SERVER_USER, tenant: 'acme' }

interface TestPartition {
  readonly server: TestServer
  readonly store: Store
  readonly fences: TenantFences
}

async function startPartition(
  name: string,
  base: number,
  { certificates, home }: { certificates: ClusterCertificates; home?: TestServer },
): Promise<TestPartition> {
  const store = withRevisionBase(createMemoryStore(), base)
  const fences = new TenantFences({ store, clock: systemClock, logger: silentLogger })
  // Both read the one registry of this test: what the copies of a registry do is tested elsewhere.
  const membership = (): Membership => createMembership((home ?? server).server.reader, name)
  const deps = { store, fences, membership, clock: systemClock, logger: silentLogger }
  const signer = createTokenSigner({ keyPem: certificates.serviceAccountKeyPem })
  const extensions = [
    createAccessExtension({ signer }),
    createRegistryExtension(),
    createMembershipExtension({ self: name, home: home === undefined }),
    createMoveSource(deps),
  ]
  const server: TestServer = await startTestServer({ store, certificates, extensions, partition: name })
  return { server, store, fences }
}

describe('the move of a tenant', () => {
  let home: TestPartition
  let other: TestPartition
  let movers: RunningController[]
  let registry: Client

  before(async () => {
    const certificates = await openClusterCertificates()
    home = await startPartition('p0', 0, { certificates })
    other = await startPartition('p1', REVISION_SPAN, { certificates, home: home.server })
    registry = home.server.client
    for (const [name, { server }] of [['p0', home] as const, ['p1', other] as const]) {
      const endpoints = [`https://127.0.0.1:${server.port}`]
      await registry.create(partitions, { metadata: { name }, spec: { roles: ['Tenant'], endpoints } })
    }
    await registry.create(tenants, { metadata: { name: 'acme' } })
    const acme = await registry.get(tenants, { name: 'acme' })
    await registry.updateStatus(tenants, { ...acme, status: { phase: 'Active', partition: 'p0', epoch: 1 } })
    movers = []
    for (const [name, { store, fences }] of [['p0', home] as const, ['p1', other] as const]) {
      const certificate = await issuePartitionCertificate(certificates, name)
      movers.push(
        startMover({
          store,
          fences,
          membership: createMembership(home.server.server.reader, name),
          openLink: createOpenLink({ ca: certificates.authority.certificatePem, certificate, clock: systemClock }),
          registryClient: registry,
          clock: systemClock,
          logger: silentLogger,
        }),
      )
    }
  })
  after(async () => {
    await Promise.all(movers.map((mover) => mover.close()))
    await other.server.close()
    await home.server.close()
  })

  const clientOf = ({ server }: TestPartition): Client => server.server.client(ACME)

  async function moveTo(partition: string): Promise<void> {
    const current = await registry.get(tenants, { name: 'acme' })
    await registry.update(tenants, { ...current, spec: { ...current.spec, partition } })
  }

  async function until(check: () => Promise<boolean> | boolean): Promise<void> {
    const deadline = performance.now() + 10_000
    while (!(await check())) {
      assert.ok(performance.now() < deadline, `waited 10 s: ${check.toString()}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }

  it('loses no write that was acknowledged and lets none in at two places', async (t) => {
    await clientOf(home).create(namespaces, { metadata: { name: 'shop' } })
    const acknowledged: string[] = []
    const writing = new AbortController()
    let refused = 0
    const writer = (async () => {
      for (let i = 0; !writing.signal.aborted; i++) {
        const name = `c-${i}`
        const place = home.fences.get('acme').state === 'away' ? other : home
        try {
          await clientOf(place).create(configmaps, { metadata: { namespace: 'shop', name }, data: { i: `${i}` } })
          acknowledged.push(name)
        } catch (error) {
          assert.ok(isStatus(error, 'ServiceUnavailable') || isStatus(error, 'NotFound'), String(error))
          refused++
        }
        await new Promise((resolve) => setImmediate(resolve))
      }
    })()
    t.after(() => writing.abort())
    await until(() => acknowledged.length > 50)
    await moveTo('p1')
    await until(() => other.fences.get('acme').epoch === 2 && home.fences.get('acme').state === 'away')
    const atFlip = acknowledged.length
    await until(() => acknowledged.length > atFlip + 50)
    writing.abort()
    await writer
    assert.ok(refused > 0)
    const { items } = await clientOf(other).list(configmaps, { namespace: 'shop' })
    const found = new Set(items.map((item) => item.metadata.name))
    assert.deepEqual(
      acknowledged.filter((name) => !found.has(name)),
      [],
    )
    assert.equal(items.length, new Set(acknowledged).size)
    await assert.rejects(
      clientOf(home).create(configmaps, { metadata: { namespace: 'shop', name: 'late' } }),
      (error) => isStatus(error, 'ServiceUnavailable') || isStatus(error, 'NotFound'),
    )
    assert.equal((await registry.get(tenants, { name: 'acme' })).status?.partition, 'p1')
  })

  it('can go back, where watches resume and objects keep their versions', async () => {
    const first = await clientOf(other).create(configmaps, { metadata: { namespace: 'shop', name: 'first' } })
    await clientOf(other).create(configmaps, { metadata: { namespace: 'shop', name: 'second' } })
    const before = await clientOf(other).list(configmaps, { namespace: 'shop' })
    await moveTo('p0')
    await until(() => home.fences.get('acme').epoch === 3 && other.fences.get('acme').state === 'away')
    assert.equal((await clientOf(other).list(configmaps, { namespace: 'shop' })).items.length, 0)
    const after = await clientOf(home).list(configmaps, { namespace: 'shop' })
    assert.deepEqual(after.items, before.items)
    const seen: string[] = []
    const { resourceVersion } = before
    const watch = clientOf(home).watch(configmaps, {
      resourceVersion,
      onEvent: (type, { metadata }) => seen.push(`${type} ${metadata.name}`),
      onEnd: (error) => seen.push(String(error)),
    })
    const changed = await clientOf(home).update(configmaps, { ...first, data: { changed: 'yes' } })
    await assert.rejects(clientOf(home).update(configmaps, first), (error) => isStatus(error, 'Conflict'))
    const { metadata } = before.items.find((item) => item.metadata.name === 'second')!
    await clientOf(home).delete(configmaps, metadata, { preconditions: { resourceVersion: metadata.resourceVersion } })
    await until(() => seen.length === 2)
    assert.deepEqual(seen, ['MODIFIED first', 'DELETED second'])
    watch.close()
    assert.ok(Number(changed.metadata.resourceVersion) < REVISION_SPAN, 'what is written here has a version of here')
  })

  it('sends watchers back to a list that have missed something, or come from nowhere', async () => {
    const { items } = await clientOf(home).list(configmaps, { namespace: 'shop' })
    const [oldest] = items.map(({ metadata }) => metadata.resourceVersion).toSorted()
    for (const resourceVersion of [oldest!, String(REVISION_SPAN + 1), String(5 * REVISION_SPAN)]) {
      const end = await new Promise<Error | undefined>((resolve) => {
        clientOf(home).watch(configmaps, { resourceVersion, onEvent: () => {}, onEnd: resolve })
      })
      assert.ok(isStatus(end, 'Expired'), resourceVersion)
    }
  })

  it('lets writes in again when it is called off', async () => {
    await home.fences.set('acme', { state: 'frozen', epoch: 3, to: 'p1', sinceMs: Date.now() }, () => true)
    const write = (): Promise<unknown> =>
      clientOf(home).create(configmaps, { metadata: { namespace: 'shop', generateName: 'again-' } })
    await assert.rejects(write(), (error) => isStatus(error, 'ServiceUnavailable'))
    const current = await registry.get(tenants, { name: 'acme' })
    await registry.update(tenants, { ...current, spec: { ...current.spec, admin: 'someone' } }) // a change, so that they look
    await until(() => home.fences.get('acme').state === 'serving')
    await write()
    assert.equal((await registry.get(tenants, { name: 'acme' })).status?.epoch, 4)
  })
})

describe('planning a move', () => {
  const tenant = (wanted: string | undefined, partition: string | undefined, epoch: number): Tenant => ({
    metadata: { name: 't' },
    spec: wanted === undefined ? {} : { partition: wanted },
    status: { partition, epoch },
  })
  const fence = (state: TenantFence['state'], epoch: number, to?: string): TenantFence => ({
    state,
    epoch,
    to,
    sinceMs: 0,
  })
  const plan = (of: Tenant | undefined, to: TenantFence, nowMs = 1) => planMove(of, { self: 'a', fence: to, nowMs })
  const cases = [
    { says: 'not placed', tenant: tenant('a', undefined, 0), fence: fence('serving', 0), step: 'nothing' },
    { says: 'placed here', tenant: tenant('a', 'a', 1), fence: fence('serving', 0), step: 'serve' },
    { says: 'served here', tenant: tenant('a', 'a', 1), fence: fence('serving', 1), step: 'nothing' },
    { says: 'just come', tenant: tenant('a', 'a', 1), fence: { ...fence('serving', 1), isNew: true }, step: 'serve' },
    { says: 'wanted here', tenant: tenant('a', 'b', 1), fence: fence('serving', 0), step: 'fetch' },
    { says: 'wanted back', tenant: tenant('a', 'b', 2), fence: fence('gone', 2), step: 'fetch' },
    { says: 'wanted elsewhere', tenant: tenant('b', 'a', 1), fence: fence('serving', 1), step: 'nothing' },
    { says: 'frozen for b', tenant: tenant('b', 'a', 1), fence: fence('frozen', 1, 'b'), step: 'wait' },
    { says: 'frozen, wanted at c', tenant: tenant('c', 'a', 1), fence: fence('frozen', 1, 'b'), step: 'thaw' },
    { says: 'frozen, called off', tenant: tenant('a', 'a', 1), fence: fence('frozen', 1, 'b'), step: 'thaw' },
    { says: 'gone to b', tenant: tenant('b', 'b', 2), fence: fence('frozen', 1, 'b'), step: 'leave' },
    { says: 'left', tenant: tenant('b', 'b', 2), fence: fence('gone', 2), step: 'clean' },
    { says: 'cleaned', tenant: tenant('b', 'b', 2), fence: fence('away', 2), step: 'nothing' },
    { says: 'called off while it came', tenant: tenant('b', 'b', 1), fence: fence('fetching', 1), step: 'clean' },
    { says: 'came', tenant: tenant('a', 'a', 2), fence: fence('fetching', 1), step: 'serve' },
    { says: 'deleted elsewhere', tenant: undefined, fence: fence('gone', 2), step: 'clean' },
    { says: 'deleted', tenant: undefined, fence: fence('away', 2), step: 'forget' },
    { says: 'back here', tenant: tenant('a', 'a', 3), fence: fence('gone', 2), step: 'serve' },
    { says: 'a registry that is behind', tenant: tenant('a', 'a', 1), fence: fence('gone', 2), step: 'nothing' },
    { says: 'never here', tenant: tenant('b', 'b', 1), fence: fence('serving', 0), step: 'nothing' },
  ]
  for (const one of cases) {
    it(`${one.step}: ${one.says}`, () => assert.equal(plan(one.tenant, one.fence).type, one.step))
  }
  it('lets a tenant go on that was frozen for too long', () => {
    const step = plan(tenant('b', 'a', 1), fence('frozen', 1, 'b'), FROZEN_MS_MAX)
    assert.deepEqual(step, { type: 'thaw', epoch: 2 })
  })
})
