/**
 * Two tenant partitions and one resource partition with two API servers, over a network that loses, repeats and delays messages and a store that
 * fails; schedulers are deposed while they still work, and API servers are killed. Everything is the product's but the network.
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { StatusError, type Stored } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { createSeededRandom, silentLogger, systemClock, type Clock, type Random } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { createMemoryStore, type Store } from '@centaurus/store'
import { acquireEpoch } from '../epoch/acquire-epoch.ts'
import type { PartitionLink } from '../membership/partition-link.ts'
import { createClaimBinder, type ClaimBinder } from './claim-binder.ts'
import { ClaimBook } from './claim-book.ts'
import { parseClaimsRequest } from './model.ts'
import { checkStoredClaims, readStoredClaims } from './testing/check-claims.ts'
import { withFaults } from './testing/faulty-store.ts'

const NODES = ['n1', 'n2', 'n3', 'n4', 'n5']
const CAPACITY = { cpu: 1000, pods: 6 }
const ROUNDS = 40
const SPEED = 50

/** Everything takes a fiftieth of its time. */
const hasty: Clock = {
  now: () => systemClock.now(),
  monotonicMs: () => systemClock.monotonicMs() * SPEED,
  sleep: (ms, options) => systemClock.sleep(ms / SPEED, options),
  setTimer: (ms, fire) => systemClock.setTimer(ms / SPEED, fire),
}

const turns = async (count: number): Promise<void> => {
  for (let i = 0; i < count; i++) await new Promise((resolve) => setImmediate(resolve))
}

/** The resource partition: API servers that come and go over one store. */
class Resources {
  readonly store: Store
  readonly #faulty: Store
  readonly #random: Random
  readonly #books: ClaimBook[] = []

  constructor(random: Random) {
    this.store = createMemoryStore()
    this.#random = random
    this.#faulty = withFaults(this.store, { refused: 0.05, answerLost: 0.05 }, random)
  }

  /** Starts an API server in the place of one that is killed: nobody waits for what that one was doing. */
  async replace(at: number): Promise<void> {
    const book = new ClaimBook({ store: this.#faulty, clock: hasty, logger: silentLogger })
    for (const node of NODES) book.ledger.setCapacity(node, CAPACITY)
    await book.start()
    this.#books[at] = book
  }

  any(): ClaimBook {
    return this.#books[this.#random.integer(this.#books.length)]!
  }

  async close(): Promise<void> {
    for (const book of this.#books) await book.close()
    await this.store.close()
  }

  /** What a tenant partition sends its requests over. */
  link(): PartitionLink {
    const random = this.#random
    const deliver = async (body: unknown): Promise<{ status: number; body: unknown }> => {
      await turns(random.integer(5))
      try {
        const request = parseClaimsRequest(JSON.parse(JSON.stringify(body)))
        return { status: 200, body: await this.any().submit(request) }
      } catch (error) {
        const status = error instanceof StatusError ? error : new StatusError({ reason: 'InternalError', message: 'x' })
        return { status: status.code, body: status.toStatus() }
      }
    }
    return {
      async request({ body }) {
        if (random.next() < 0.1) throw new Error('The request was lost')
        // A copy that comes again, up to much later.
        if (random.next() < 0.1) void turns(random.integer(400)).then(() => deliver(body))
        const answer = await deliver(body)
        if (random.next() < 0.1) throw new Error('The answer was lost')
        return answer
      },
      stream: () => assert.fail('nobody follows allocations here'),
      close: async () => {},
    }
  }
}

/** A tenant partition: one API server, and schedulers that follow each other and overlap. */
class Tenants {
  readonly name: string
  readonly server: TestServer
  readonly #resources: Resources
  readonly #random: Random
  readonly #binders: ClaimBinder[] = []
  #count = 0

  constructor(name: string, server: TestServer, { resources, random }: { resources: Resources; random: Random }) {
    this.name = name
    this.server = server
    this.#resources = resources
    this.#random = random
  }

  async elect(): Promise<void> {
    const { epoch } = await acquireEpoch(this.server.store)
    const partition = {
      metadata: { name: 'rp', uid: 'rp', resourceVersion: '1', creationTimestamp: '' },
      spec: { roles: ['Resource' as const], endpoints: ['https://rp'] },
    }
    this.#binders.push(
      createClaimBinder({
        membership: { self: this.name, get: () => partition, hosts: () => true },
        openLink: () => this.#resources.link(),
        client: slowToBind(this.server.client, this.#random),
        epoch,
        partitionOf: () => 'rp',
        clock: hasty,
        logger: silentLogger,
        onDeposed: () => {},
      }),
    )
  }

  /** Makes pods and lets the present scheduler, or one that is past, place all that wait. */
  async schedule(count: number): Promise<void> {
    const random = this.#random
    for (let i = 0; i < count; i++) {
      await this.server.client.create(pods, {
        metadata: { name: `pod-${this.#count++}`, namespace: 'default' },
        spec: { containers: [{ name: 'c', image: 'i' }] },
      })
    }
    const waiting = (await this.#list()).filter(({ spec }) => !spec?.nodeName)
    const binder = random.next() < 0.2 ? this.#binders[random.integer(this.#binders.length)]! : this.#binders.at(-1)!
    await binder.bind(
      waiting.map((pod) => ({
        pod,
        nodeName: NODES[random.integer(NODES.length)]!,
        requests: { cpu: 100 + (Number(pod.metadata.name.slice(4)) % 5) * 50 },
        ports: [],
      })),
    )
  }

  /** Deletes some pods; the relay would tell. */
  async remove(): Promise<void> {
    for (const { metadata } of await this.#list()) {
      if (this.#random.next() > 0.15) continue
      const name = { namespace: 'default', name: metadata.name }
      await this.server.client.delete(pods, name, { gracePeriodSeconds: 0 }).catch(() => {})
      await this.#untilDone(() => this.#resources.any().release(this.name, [{ op: 'release', uid: metadata.uid }]))
    }
  }

  /** What the relay does when it is synced. */
  async reconcile(): Promise<void> {
    const epoch = Number(
      JSON.parse(Buffer.from((await this.server.store.get('/centaurus/epoch')).entry!.value).toString()).epoch,
    )
    const bound = new Map((await this.#list()).map(({ metadata, spec }) => [metadata.uid, spec?.nodeName]))
    const isBound = (uid: string, node: string): boolean => bound.get(uid) === node
    await this.#untilDone(() => this.#resources.any().reconcile(this.name, { epoch, isBound }))
  }

  async close(): Promise<void> {
    for (const binder of this.#binders) await binder.close()
    await this.server.close()
  }

  async #list(): Promise<readonly Stored<Pod>[]> {
    return (await this.server.client.list(pods)).items
  }

  async #untilDone(work: () => Promise<void>): Promise<void> {
    for (;;) {
      try {
        return await work()
      } catch (error) {
        // A reconcile of an epoch that is over is nobody's business any more.
        if (error instanceof StatusError && error.code === 409) return
        await turns(1)
      }
    }
  }
}

/** A client whose bindings take long, and whose answers get lost. */
function slowToBind(client: Client, random: Random): Client {
  const slow: Client['createSubresource'] = async (type, name, subresource, body, options) => {
    await turns(random.integer(random.next() < 0.2 ? 300 : 10))
    const answer = await client.createSubresource(type, name, subresource, body, options)
    if (random.next() < 0.1) throw new Error('The answer was lost')
    return answer as never
  }
  return new Proxy(client, {
    get(target, key) {
      if (key === 'createSubresource') return slow
      const value: unknown = Reflect.get(target, key, target)
      return typeof value === 'function' ? (value as (...args: unknown[]) => unknown).bind(target) : value
    },
  })
}

/** Looks at all stores at one moment. */
async function checkInvariants(resources: Resources, tenants: readonly Tenants[]): Promise<void> {
  const [claims, ...lists] = await Promise.all([
    checkStoredClaims(resources.store, CAPACITY),
    ...tenants.map(({ server }) => server.store.range('/registry/system/core/pods/')),
  ])
  const nodeOf = new Map(claims.map(({ uid, node }) => [uid, node]))
  for (const { value } of lists.flatMap(({ entries }) => entries)) {
    const pod = JSON.parse(Buffer.from(value).toString('utf8')) as Stored<Pod>
    const node = pod.spec?.nodeName
    if (node) assert.equal(nodeOf.get(pod.metadata.uid), node, `bound pod ${pod.metadata.name} has lost its room`)
  }
}

describe('claims, simulated with faults', () => {
  for (const seed of [1, 2, 3, 4]) {
    it(
      `never overcommit, lose none of a bound pod, leak none at the end (seed ${seed})`,
      { timeout: 60_000 },
      async () => {
        const random = createSeededRandom(seed)
        const resources = new Resources(random)
        await resources.replace(0)
        await resources.replace(1)
        const tenants: Tenants[] = []
        for (const name of ['tp1', 'tp2']) {
          tenants.push(new Tenants(name, await startTestServer(), { resources, random }))
          await tenants.at(-1)!.elect()
        }
        for (let round = 0; round < ROUNDS; round++) {
          await Promise.all(
            tenants.map(async (each) => {
              const scheduling = each.schedule(1 + random.integer(4))
              await turns(random.integer(60))
              if (random.next() < 0.2) await each.elect()
              await turns(random.integer(60))
              if (random.next() < 0.4) await each.reconcile()
              await scheduling
              await each.remove()
            }),
          )
          if (random.next() < 0.1) await resources.replace(random.integer(2))
          await checkInvariants(resources, tenants)
        }
        const bound: string[] = []
        for (const each of tenants) {
          await each.elect()
          await each.reconcile()
          const { items } = await each.server.client.list(pods)
          bound.push(...items.filter(({ spec }) => spec?.nodeName).map(({ metadata }) => metadata.uid))
        }
        await checkInvariants(resources, tenants)
        const claims = await readStoredClaims(resources.store)
        assert.deepEqual(claims.map(({ uid }) => uid).toSorted(), bound.toSorted())
        assert.ok(bound.length > 5, `${bound.length} pods were bound`)
        for (const each of tenants) await each.close()
        await resources.close()
      },
    )
  }
})
