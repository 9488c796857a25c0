import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { partitions, tenants } from '@centaurus/api/centaurus/v1'
import { configmaps, namespaces } from '@centaurus/api/core/v1'
import {
  createAccessExtension,
  createTokenSigner,
  openClusterCertificates,
  SERVER_USER,
  type ClusterCertificates,
} from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { createSeededRandom, silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { createHttpClient } from '@centaurus/client/http'
import { createMemoryStore, REVISION_SPAN, withRevisionBase, type Store, type Transaction } from '@centaurus/store'
import { eventually } from '../gateway/testing/world.ts'
import { createMembershipExtension } from '../membership/membership-extension.ts'
import { createMembership } from '../membership/membership.ts'
import { createOpenLink, issuePartitionCertificate, partitionClientConfig } from '../membership/partition-link.ts'
import { startMembershipSync } from '../membership/sync.ts'
import { createRegistryExtension } from '../registry/registry-extension.ts'
import { startMover } from './mover.ts'
import { createMoveSource } from './source-extension.ts'
import { TenantFences } from './tenant-fence.ts'
import { MortalStore, type Death } from './testing/mortal-store.ts'

const ACME = { ...SERVER_USER, tenant: 'acme' }
const FILLED = 30
const COUNTER = { namespace: 'shop', name: 'c-0' }
const SEED = Number(process.env['SEED'] ?? 8)
/** Every so many steps are tried; 1: all of them. */
const STRIDE = Number(process.env['STRIDE'] ?? 4)
const deps = { clock: systemClock, random: systemRandom, logger: silentLogger }

/** A partition that is killed and started again over the same store, at the same address. */
class Part {
  readonly name: string
  readonly store: Store
  readonly #certificates: ClusterCertificates
  readonly #home: Part | undefined
  #port = 0
  #running:
    | { readonly server: TestServer; readonly mortal: MortalStore; readonly close: () => Promise<void> }
    | undefined

  constructor(name: string, store: Store, { certificates, home }: { certificates: ClusterCertificates; home?: Part }) {
    this.name = name
    this.store = store
    this.#certificates = certificates
    this.#home = home
  }

  get server(): TestServer {
    return this.#running!.server
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`
  }

  async start(): Promise<void> {
    const { name } = this
    const certificates = this.#certificates
    const mortal = new MortalStore(this.store)
    const fences = new TenantFences({ ...deps, store: mortal })
    const server: TestServer = await startTestServer({
      store: mortal,
      certificates,
      port: this.#port,
      partition: name,
      extensions: [
        createAccessExtension({ signer: createTokenSigner({ keyPem: certificates.serviceAccountKeyPem }) }),
        createRegistryExtension(),
        createMembershipExtension({ self: name, home: this.#home === undefined }),
        createMoveSource({ ...deps, store: mortal, fences, membership: () => membership }),
      ],
    })
    this.#port = server.port
    const membership = createMembership(server.server.reader, name)
    const certificate = await issuePartitionCertificate(certificates, name)
    const identity = { ca: certificates.authority.certificatePem, certificate, clock: systemClock }
    const home =
      this.#home === undefined ? undefined : createHttpClient(partitionClientConfig([this.#home.url], identity))
    const own = { reader: server.server.reader, client: server.client, store: mortal }
    const sync = await startMembershipSync({ ...deps, ...own, membership, home })
    const registryClient = home ?? server.client
    const openLink = createOpenLink(identity)
    const mover = startMover({ ...deps, store: mortal, fences, membership, openLink, registryClient })
    const close = async (): Promise<void> => {
      await Promise.all([mover.close(), sync.close(), home?.close()])
      await server.close()
    }
    this.#running = { server, mortal, close }
  }

  dieAt(death: Death): void {
    this.#running!.mortal.dieAt(death)
  }

  spare(): void {
    this.#running!.mortal.spare()
  }

  async stop(): Promise<void> {
    await this.#running?.close()
    this.#running = undefined
  }

  async keysOfAcme(): Promise<string[]> {
    return (await this.store.range('/registry/acme/', { keysOnly: true })).entries.map(({ key }) => key)
  }
}

/** Steps of a move, and not what the tenant's users write. */
function isStep({ compare = [], changes }: Transaction): boolean {
  return (
    changes.some(({ key }) => /[/]acme(?:$|[/])/.test(key)) && compare[0]?.key.startsWith('/registry/acme/') !== true
  )
}

describe(`a move whose partitions are killed at any of its steps (SEED=${SEED} STRIDE=${STRIDE})`, () => {
  const random = createSeededRandom(SEED)
  let home: Part
  let at: Part
  let to: Part
  let acknowledged = 0
  let keys: number
  const writing = new AbortController()
  let writer: Promise<void>

  before(async () => {
    const certificates = await openClusterCertificates()
    const store = (index: number): Store => withRevisionBase(createMemoryStore(), index * REVISION_SPAN)
    home = new Part('home', store(0), { certificates })
    at = new Part('tp1', store(1), { certificates, home })
    to = new Part('tp2', store(2), { certificates, home })
    await home.start()
    const registry = home.server.client
    for (const { name } of [home, at, to]) {
      const isHome = name === 'home' ? { home: true } : {}
      await registry.create(partitions, {
        metadata: { name },
        spec: { roles: ['Tenant'], endpoints: [home.url], ...isHome },
      })
    }
    for (const part of [at, to]) {
      await part.start()
      const found = await registry.get(partitions, { name: part.name })
      await registry.update(partitions, { ...found, spec: { ...found.spec, endpoints: [part.url] } })
    }
    const acme = await registry.create(tenants, { metadata: { name: 'acme' }, spec: { partition: 'tp1' } })
    await registry.updateStatus(tenants, { ...acme, status: { phase: 'Active', partition: 'tp1', epoch: 1 } })
    await eventually(() => at.server.server.tenants.isHosted('acme'))
    const client = at.server.server.client(ACME)
    await client.create(namespaces, { metadata: { name: 'shop' } })
    for (let i = 0; i < FILLED; i++)
      await client.create(configmaps, { metadata: { namespace: 'shop', name: `c-${i}` } })
    keys = (await at.keysOfAcme()).length
    writer = write()
  })
  after(async () => {
    writing.abort()
    await writer
    for (const part of [at, to, home]) await part.stop()
    for (const part of [at, to, home]) await part.store.close()
  })

  /** Counts wherever it is taken: only one of the two may, or a number would be lost. */
  async function write(): Promise<void> {
    for (let i = 1; !writing.signal.aborted; i++) {
      for (const part of [at, to]) {
        try {
          const body = { data: { count: `${i}` } }
          await part.server.server.client(ACME).patch(configmaps, COUNTER, { type: 'merge', body })
          acknowledged = i
        } catch {
          // not here, or not now
        }
      }
      await systemClock.sleep(2)
    }
  }

  /** Moves it, with a death on the way. Resolves to whether somebody died, when the tenant has moved all the same. */
  async function moveAndKill(victim: Part, death: Pick<Death, 'step' | 'when'>): Promise<boolean> {
    const died = Promise.withResolvers<true>()
    victim.dieAt({ ...death, counts: isStep, onDeath: () => died.resolve(true) })
    await patchTenant()
    const hasDied = await Promise.race([died.promise, untilMoved().then(() => false)])
    if (hasDied) {
      await victim.stop()
      await victim.start()
      await patchTenant() // as whoever moves it does again, who got no answer
      await untilMoved()
    } else victim.spare()
    ;[at, to] = [to, at]
    return hasDied
  }

  async function patchTenant(): Promise<void> {
    const body = { spec: { partition: to.name } }
    await home.server.client.patch(tenants, { name: 'acme' }, { type: 'merge', body }).catch(() => undefined)
  }

  function untilMoved(): Promise<void> {
    return eventually(async () => {
      if ((await at.keysOfAcme()).length > 0) return false
      const { status } = await home.server.client.get(tenants, { name: 'acme' })
      const moved = status?.conditions?.find(({ type }) => type === 'Moved')
      return status?.partition === to.name && moved?.reason === 'CleanedUp'
    })
  }

  const isHosted = (part: Part): boolean => part.server.server.tenants.isHosted('acme')
  const partOf = (role: 'source' | 'target' | 'home'): Part => ({ source: at, target: to, home })[role]

  for (const role of ['source', 'target', 'home'] as const) {
    for (const when of ['before', 'after'] as const) {
      it(`comes to its end when the ${role} dies ${when} it has written something`, async (t) => {
        let step = 1 + random.integer(STRIDE)
        while (await moveAndKill(partOf(role), { step, when })) {
          await eventually(() => isHosted(at) && !isHosted(to))
          const count = acknowledged
          await eventually(() => acknowledged > count)
          const { data } = await at.server.server.client(ACME).get(configmaps, COUNTER)
          assert.ok(Number(data?.['count']) > count, `${data?.['count']} after ${count} was acknowledged`)
          assert.equal((await at.keysOfAcme()).length, keys)
          step += STRIDE
        }
        t.diagnostic(`fewer than ${step} steps`)
        assert.ok(step > 3, 'a move has more steps')
      })
    }
  }
})
