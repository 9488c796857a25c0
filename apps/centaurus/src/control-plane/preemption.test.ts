/**
 * Two tenant partitions, each with schedulers that are killed at any step, and a resource partition whose API servers are killed, over a network and
 * a store that fail. Everything is the product's, but for the kubelet (a Pod ends when it was told to) and the relay (its room is given back then).
 */
import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import type { Partition } from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import { createAccessExtension, createTokenSigner, openClusterCertificates } from '@centaurus/apiserver'
import { startTestServer, type TestServer } from '@centaurus/apiserver/testing'
import { createSeededRandom, silentLogger, systemClock, type Clock, type Random } from '@centaurus/base'
import { createInformerFactory, type Client } from '@centaurus/client'
import {
  acquireEpoch,
  ClaimBook,
  createClaimBinder,
  createClaimsExtension,
  createForeignUse,
  createOpenLink,
  issuePartitionCertificate,
  PartitionReach,
  type OpenLink,
  type PartitionLink,
} from '@centaurus/partition'
import { checkStoredClaims, readNominated, readStoredClaims, withFaults } from '@centaurus/partition/testing'
import { startScheduler } from '@centaurus/scheduler'
import { createMemoryStore, type Store } from '@centaurus/store'

const NODES = ['n1', 'n2', 'n3', 'n4', 'n5', 'n6']
const ALLOCATABLE = { cpu: '1', memory: '1Gi', pods: '10' }
const AMOUNTS = { cpu: 1000, memory: 1024 ** 3, pods: 10 }
const FILLERS = NODES.length * 2
const IMPORTANT = 6
const SPEED = 5
/** Longest wait for anything, on a busy machine. */
const WAIT_MS = 60_000
const START = systemClock.now()

/** Everything takes a fifth of its time. */
const hasty: Clock = {
  now: () => START + (systemClock.now() - START) * SPEED,
  monotonicMs: () => systemClock.monotonicMs() * SPEED,
  sleep: (ms, options) => systemClock.sleep(ms / SPEED, options),
  setTimer: (ms, fire) => systemClock.setTimer(ms / SPEED, fire),
}
const soon = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 5))

/** The resource partition: two API servers that come and go over one store. */
class Resources {
  readonly store = createMemoryStore()
  readonly certificates: Awaited<ReturnType<typeof openClusterCertificates>>
  readonly #faulty: Store
  readonly #random: Random
  readonly #servers: { server: TestServer; book: ClaimBook }[] = []

  constructor(random: Random, certificates: Awaited<ReturnType<typeof openClusterCertificates>>) {
    this.#random = random
    this.certificates = certificates
    this.#faulty = withFaults(this.store, { refused: 0.03, answerLost: 0.03 }, random)
  }

  async replace(at: number): Promise<void> {
    await this.#servers[at]?.server.close()
    const book = new ClaimBook({ store: this.#faulty, clock: hasty, logger: silentLogger })
    const signer = createTokenSigner({ keyPem: this.certificates.serviceAccountKeyPem })
    const claims = createClaimsExtension({ claims: book, membership: this.membership('rp'), store: this.store })
    const extensions = [createAccessExtension({ signer }), claims]
    const store = { ...withFaults(this.store, { refused: 0, answerLost: 0 }, this.#random), close: async () => {} }
    const server = await startTestServer({ store, certificates: this.certificates, extensions, clock: hasty })
    this.#servers[at] = { server, book }
    if ((await server.client.list(nodes)).items.length > 0) return
    for (const name of NODES) await addNode(server.client, name)
  }

  membership(self: string) {
    const spec = { roles: ['Resource' as const], endpoints: ['https://rp'] }
    const rp: Stored<Partition> = {
      metadata: { name: 'rp', uid: 'rp', resourceVersion: '1', creationTimestamp: '' },
      spec,
    }
    return { self, get: () => rp, list: () => [rp], hosts: () => true, tenants: () => [], onChange: () => () => {} }
  }

  /** A way to it on which requests get lost and come twice; each goes to one of the servers. */
  async openLink(partition: string, step: () => void): Promise<OpenLink> {
    const certificate = await issuePartitionCertificate(this.certificates, partition)
    const open = createOpenLink({ ca: this.certificates.authority.certificatePem, certificate, clock: systemClock })
    return (to) => {
      const links = new Map<number, PartitionLink>()
      const any = (): PartitionLink => {
        step()
        const { port } = this.#servers[this.#random.integer(this.#servers.length)]!.server
        const link = links.get(port) ?? open({ ...to, spec: { ...to.spec, endpoints: [`https://127.0.0.1:${port}`] } })
        links.set(port, link)
        return link
      }
      return {
        request: async (request) => {
          if (this.#random.next() < 0.05) throw new Error('The request was lost')
          if (this.#random.next() < 0.05)
            void any()
              .request(request)
              .catch(() => {})
          const answer = await any().request(request)
          step()
          if (this.#random.next() < 0.05) throw new Error('The answer was lost')
          return answer
        },
        stream: async (options) => any().stream(options),
        async close() {
          for (const link of links.values()) await link.close()
        },
      }
    }
  }

  /** What the relay does: room of pods that are gone is free again. */
  async release(existing: ReadonlySet<string>): Promise<void> {
    const { book } = this.#servers[this.#random.integer(this.#servers.length)]!
    for (const { uid, partition } of await readStoredClaims(this.store)) {
      if (!existing.has(uid)) await book.release(partition, [{ op: 'release', uid }]).catch(() => {})
    }
  }

  async close(): Promise<void> {
    for (const { server } of this.#servers) await server.close()
    await this.store.close()
  }
}

async function addNode(client: Client, name: string): Promise<void> {
  const node = await client.create(nodes, { metadata: { name } })
  const open = await client.update(nodes, { ...node, spec: {} })
  await client.updateStatus(nodes, { ...open, status: { allocatable: ALLOCATABLE, capacity: ALLOCATABLE } })
}

/** A tenant partition and its schedulers, of which the last one leads. */
class Tenants {
  readonly name: string
  readonly server: TestServer
  readonly #resources: Resources
  readonly #random: Random
  #kill: () => Promise<void> = async () => {}

  constructor(name: string, server: TestServer, { resources, random }: { resources: Resources; random: Random }) {
    this.name = name
    this.server = server
    this.#resources = resources
    this.#random = random
  }

  async prepare(): Promise<void> {
    const { client } = this.server
    for (const name of NODES) await addNode(client, name)
    await client.create(priorityclasses, { metadata: { name: 'low' }, value: 1 })
    await client.create(priorityclasses, { metadata: { name: 'high' }, value: 100 })
    await this.elect()
  }

  /** Another scheduler leads. The one before is killed, or has been after some step. */
  async elect({ steps = Infinity } = {}): Promise<void> {
    await this.#kill()
    const { epoch } = await acquireEpoch(this.server.store)
    let left = steps
    const step = (): void => {
      if (left-- <= 0) throw new Error('Killed')
    }
    const client = mortal(this.server.client, step)
    const deps = { clock: hasty, random: this.#random, logger: silentLogger }
    const informers = createInformerFactory(this.server.client, deps)
    const membership = this.#resources.membership(this.name)
    const openLink = await this.#resources.openLink(this.name, step)
    const reach = new PartitionReach({ self: this.name, clock: hasty })
    const foreignUse = createForeignUse({ ...deps, membership, openLink, reach })
    const common = { ...deps, membership, openLink, client, epoch, partitionOf: () => 'rp', reach }
    const binder = createClaimBinder({ ...common, onDeposed: () => {} })
    const onNodes = reach.ofNodes(() => 'rp')
    const scheduler = startScheduler({ ...deps, client, informers, binder, foreignUse, reach: onNodes })
    this.#kill = async () => {
      left = 0
      await Promise.all([binder.close(), foreignUse.close()])
      await scheduler.close()
      await informers.close()
      reach.close()
    }
  }

  async create(prefix: string, count: number, priorityClassName: string): Promise<void> {
    for (let i = 0; i < count; i++) {
      const containers = [{ name: 'c', image: 'i', resources: { requests: { cpu: '500m' } } }]
      const metadata = { name: `${prefix}-${i}`, namespace: 'default' }
      await this.server.client.create(pods, { metadata, spec: { containers, priorityClassName } })
    }
  }

  async list(): Promise<readonly Stored<Pod>[]> {
    return (await this.server.client.list(pods)).items
  }

  /** What kubelets do: pods end that were told to. */
  async endPods(): Promise<void> {
    for (const { metadata } of await this.list()) {
      if (metadata.deletionTimestamp === undefined || this.#random.next() < 0.5) continue
      const name = { namespace: 'default', name: metadata.name }
      await this.server.client.delete(pods, name, { gracePeriodSeconds: 0 }).catch(() => {})
    }
  }

  async close(): Promise<void> {
    await this.#kill()
    await this.server.close()
  }
}

/** Whose calls count as steps; after the last one it is dead. */
function mortal(client: Client, step: () => void): Client {
  return new Proxy(client, {
    get(target, key) {
      const value: unknown = Reflect.get(target, key, target)
      if (typeof value !== 'function' || key === 'watch' || key === 'close') return value
      return async (...args: unknown[]) => {
        step()
        const answer: unknown = await (value as (...all: unknown[]) => Promise<unknown>).apply(target, args)
        step()
        return answer
      }
    },
  })
}

/** No overcommit, no bound pod without its room. Returns the pods. */
async function check(resources: Resources, tenants: readonly Tenants[]): Promise<Stored<Pod>[]> {
  const claims = await checkStoredClaims(resources.store, AMOUNTS)
  const nodeOf = new Map(claims.map(({ uid, node }) => [uid, node]))
  const all = (await Promise.all(tenants.map((each) => each.list()))).flat()
  const later = new Map((await checkStoredClaims(resources.store, AMOUNTS)).map(({ uid, node }) => [uid, node]))
  for (const { metadata, spec } of all) {
    if (!spec?.nodeName) continue
    const claimed = later.get(metadata.uid) ?? nodeOf.get(metadata.uid)
    assert.equal(claimed, spec.nodeName, `bound pod ${metadata.name} has lost its room`)
  }
  return all
}

async function until(check: () => Promise<boolean>, tenants: readonly Tenants[]): Promise<void> {
  const deadline = performance.now() + WAIT_MS
  while (!(await check())) if (performance.now() > deadline) await fail(tenants)
}

/** Says what the pods wait for. */
async function fail(tenants: readonly Tenants[]): Promise<never> {
  const all = (await Promise.all(tenants.map((each) => each.list()))).flat()
  const lines = all.map(({ metadata, spec, status }) => {
    const why = status?.conditions?.find(({ type }) => type === 'PodScheduled')?.message
    return [metadata.name, spec?.nodeName, metadata.deletionTimestamp && 'leaving', why].join(' ')
  })
  assert.fail(`waited ${WAIT_MS} ms:\n${lines.join('\n')}`)
}

const isBound = ({ spec, metadata }: Stored<Pod>): boolean =>
  Boolean(spec?.nodeName) && metadata.deletionTimestamp === undefined
const isImportant = ({ spec }: Stored<Pod>): boolean => spec?.priorityClassName === 'high'

describe('preemption across partitions, with faults', () => {
  for (const seed of [1, 2, 3, 4]) {
    it(`takes what it needs and no more, whoever dies when (seed ${seed})`, { timeout: 200_000 }, async (context) => {
      const random = createSeededRandom(seed)
      const resources = new Resources(random, await openClusterCertificates())
      await resources.replace(0)
      await resources.replace(1)
      const tenants: Tenants[] = []
      context.after(async () => {
        for (const each of tenants) await each.close()
        await resources.close()
      })
      for (const name of ['tp1', 'tp2']) {
        const server = await startTestServer({ certificates: resources.certificates })
        tenants.push(new Tenants(name, server, { resources, random }))
        await tenants.at(-1)!.prepare()
      }
      const [tp1, tp2] = tenants as [Tenants, Tenants]
      await tp1.create('low', FILLERS / 2, 'low')
      await tp2.create('low', FILLERS / 2, 'low')
      const step = async (): Promise<Stored<Pod>[]> => {
        const all = await check(resources, tenants)
        await resources.release(new Set(all.map(({ metadata }) => metadata.uid)))
        await soon()
        return all
      }
      await until(async () => (await step()).every(isBound), tenants)
      await tp2.create('high', seed % 2 === 0 ? IMPORTANT / 2 : IMPORTANT, 'high')
      if (seed % 2 === 0) await tp1.create('high', IMPORTANT / 2, 'high')
      const deadline = performance.now() + WAIT_MS
      for (let round = 0; ; round++) {
        const all = await step()
        if (performance.now() > deadline) await fail(tenants)
        for (const each of tenants) await each.endPods()
        const important = all.filter(isImportant)
        if (important.every(isBound) && all.every(isBound)) break
        if (random.next() < 0.05 && round < 200) await tenants[random.integer(2)]!.elect({ steps: random.integer(40) })
        else if (random.next() < 0.02 && round < 200) await resources.replace(random.integer(2))
        else if (round % 50 === 49) for (const each of tenants) await each.elect()
      }
      let all = await step()
      const isSettled = async (): Promise<boolean> => {
        all = await step()
        const claims = (await readStoredClaims(resources.store)).map(({ uid }) => uid)
        const bound = all.filter(isBound).map(({ metadata }) => metadata.uid)
        return (
          claims.toSorted().join() === bound.toSorted().join() && (await readNominated(resources.store)).length === 0
        )
      }
      await until(isSettled, tenants)
      const evicted = FILLERS - all.filter((pod) => !isImportant(pod)).length
      // The nodes were full, a node's victims and whom they leave for are one value in the store, and free room is told with whom it is kept for.
      assert.equal(evicted, IMPORTANT)
    })
  }
})
