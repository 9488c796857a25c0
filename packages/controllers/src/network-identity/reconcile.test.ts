import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import fc from 'fast-check'
import {
  identityContentOf,
  identityNameOf,
  isInPodNetwork,
  UsedLabelKeys,
  type KubeObject,
  type ResourceType,
} from '@centaurus/api'
import { networkidentities, vpcs, type NetworkIdentity } from '@centaurus/api/centaurus/v1'
import { events, pods, type Pod } from '@centaurus/api/core/v1'
import { networkpolicies } from '@centaurus/api/networking/v1'
import { clusternetworkpolicies } from '@centaurus/api/policy-networking/v1alpha2'
import { createApiServer, createNetworkExtension } from '@centaurus/apiserver'
import { createManualClock, createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Client } from '@centaurus/client'
import { createMemoryStore, type Store } from '@centaurus/store'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startNetworkIdentityController } from './reconcile.ts'

const NAMESPACE = 'default'

function podOf(name: string, labels: Record<string, string>, hostNetwork = false): Pod {
  const spec = { hostNetwork, containers: [{ name: 'a', image: 'a' }] }
  return { metadata: { name, namespace: NAMESPACE, labels }, spec }
}

function policyFor(name: string, key: string) {
  const matchExpressions = [{ key, operator: 'Exists' }]
  return { metadata: { name, namespace: NAMESPACE }, spec: { podSelector: { matchExpressions } } }
}

async function identitiesOf(client: Client): Promise<readonly NetworkIdentity[]> {
  return (await client.list(networkidentities)).items
}

function labelsOf(identities: readonly NetworkIdentity[]): string[] {
  return identities.map(({ spec }) => JSON.stringify([spec.keys, spec.labels])).toSorted()
}

describe('identities of pods', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({
      controllers: [(deps) => startNetworkIdentityController(deps, { quarantineMs: 0 })],
      extensions: [createNetworkExtension()],
    })
  })
  after(() => plane.close())
  const show = (...expected: string[]) =>
    plane.eventually(async () => {
      const found = labelsOf(await identitiesOf(plane.client))
      assert.deepEqual(found, expected.toSorted())
      return true
    })

  it('are made for each combination of labels that policies ask for, before pods have a node', async () => {
    const { client } = plane
    await client.create(pods, podOf('a', { app: 'web', hash: '1' }))
    await client.create(pods, podOf('host', { app: 'host' }, true))
    await show('[[],{}]')
    await client.create(networkpolicies, policyFor('by-app', 'app'))
    await show('[["app"],{"app":"web"}]')
    await client.create(pods, podOf('b', { app: 'db', hash: '2' }))
    await show('[["app"],{"app":"db"}]', '[["app"],{"app":"web"}]')
    const [one, two] = await identitiesOf(client)
    assert.notEqual(one!.spec.id, two!.spec.id)
    assert.ok(one!.spec.id >= 256)
    const web = (await client.list(pods)).items.find(({ metadata }) => metadata.name === 'a')!
    const name = identityNameOf(identityContentOf(web, ['app']))
    assert.equal((await client.get(networkidentities, { name })).spec.labels['app'], 'web')
  })

  it('cost nothing for pods like others', async () => {
    const { client } = plane
    const before = await client.get(vpcs, { name: 'default' })
    const versions = async () =>
      (await client.list(networkidentities)).items.map(({ metadata }) => metadata.resourceVersion)
    const known = await versions()
    for (let i = 0; i < 20; i++) await client.create(pods, podOf(`more-${i}`, { app: 'web', hash: `${i}` }))
    for (let i = 0; i < 20; i++)
      await client.delete(pods, { namespace: NAMESPACE, name: `more-${i}` }, { gracePeriodSeconds: 0 })
    await client.create(pods, podOf('last', { app: 'last' })) // when it has its identity, all others were looked at
    await show('[["app"],{"app":"db"}]', '[["app"],{"app":"web"}]', '[["app"],{"app":"last"}]')
    await client.delete(pods, { namespace: NAMESPACE, name: 'last' }, { gracePeriodSeconds: 0 })
    await show('[["app"],{"app":"db"}]', '[["app"],{"app":"web"}]')
    assert.deepEqual(await versions(), known)
    const vpc = await client.get(vpcs, { name: 'default' })
    assert.equal(vpc.metadata.resourceVersion, before.metadata.resourceVersion, 'numbers were reserved before')
  })

  it('are refined by a policy for many namespaces, and coarse again when it goes', async () => {
    const { client } = plane
    const subject = { pods: { podSelector: { matchLabels: { hash: '1' } } } }
    const spec = { tier: 'Admin' as const, priority: 1, subject }
    await client.create(clusternetworkpolicies, { metadata: { name: 'all' }, spec })
    await show('[["app","hash"],{"app":"db","hash":"2"}]', '[["app","hash"],{"app":"web","hash":"1"}]')
    await client.delete(clusternetworkpolicies, { name: 'all' })
    await show('[["app"],{"app":"db"}]', '[["app"],{"app":"web"}]')
  })

  it('go with what a pod was, and come with what it is', async () => {
    const { client } = plane
    const web = await client.get(pods, { namespace: NAMESPACE, name: 'a' })
    await client.update(pods, { ...web, metadata: { ...web.metadata, labels: { app: 'api' } } })
    await show('[["app"],{"app":"db"}]', '[["app"],{"app":"api"}]')
    const db = await client.get(pods, { namespace: NAMESPACE, name: 'b' })
    await client.updateStatus(pods, { ...db, status: { phase: 'Succeeded' } })
    await show('[["app"],{"app":"api"}]')
  })
})

describe('identities that nobody has', () => {
  it('stay for a while', async () => {
    const clock = createManualClock()
    const store = createMemoryStore()
    const server = createApiServer({
      store,
      clock: systemClock,
      random: createSeededRandom(1),
      logger: silentLogger,
      extensions: [createNetworkExtension()],
    })
    await server.start()
    const client = server.client()
    const informers = createInformerFactory(client, { logger: silentLogger, random: createSeededRandom(1) })
    const deps = { client, informers, clock, logger: silentLogger, random: createSeededRandom(1) }
    const controller = startNetworkIdentityController(deps)
    const count = async (wanted: number): Promise<void> => {
      while ((await identitiesOf(client)).length !== wanted) await new Promise((resolve) => setTimeout(resolve, 5))
    }
    const informer = informers.informer(pods)
    await client.create(pods, podOf('a', {}))
    await count(1)
    await client.delete(pods, { namespace: NAMESPACE, name: 'a' }, { gracePeriodSeconds: 0 })
    while (informer.list().length > 0) await new Promise((resolve) => setTimeout(resolve, 5))
    await clock.advance(599_000)
    assert.equal((await identitiesOf(client)).length, 1)
    await clock.advance(1_000)
    await count(0)
    await controller.close()
    await informers.close()
    await server.close()
  })
})

describe('a tenant with too many identities', () => {
  it('is told of the label that makes them many, and gets the rest when some are gone', async () => {
    const plane = await startControlPlane({
      controllers: [(deps) => startNetworkIdentityController(deps, { quarantineMs: 0, identitiesMax: 3 })],
      extensions: [createNetworkExtension()],
    })
    const { client } = plane
    await client.create(networkpolicies, policyFor('bad', 'pod'))
    for (let i = 0; i < 5; i++) await client.create(pods, podOf(`p${i}`, { pod: `p${i}` }))
    const vpc = await plane.eventually(async () => {
      const found = await client.get(vpcs, { name: 'default' })
      return found.status?.conditions?.some(({ type, status }) => type === 'IdentitiesExhausted' && status === 'True')
        ? found
        : undefined
    })
    assert.match(vpc.status?.conditions?.[0]?.message ?? '', /"pod" \(\d values\)/)
    await plane.eventually(async () => (await identitiesOf(client)).length === 3)
    await plane.eventually(async () =>
      (await client.list(events)).items.some(
        ({ reason, involvedObject }) => reason === 'TooManyIdentities' && involvedObject.kind === 'Vpc',
      ),
    )
    await client.delete(networkpolicies, { namespace: NAMESPACE, name: 'bad' })
    await plane.eventually(async () => {
      const { status } = await client.get(vpcs, { name: 'default' })
      return status?.conditions?.[0]?.status === 'False'
    })
    await plane.eventually(async () => labelsOf(await identitiesOf(client)).join() === '[[],{}]')
    await plane.close()
  })
})

/** Loses commits, or says that it did: as `next` decides. */
function losing(store: Store, next: () => 'question' | 'answer' | undefined): Store {
  return new Proxy(store, {
    get(target, property) {
      if (property === 'commit') {
        return async (commit: Parameters<Store['commit']>[0]) => {
          const lost = next()
          if (lost === 'question') throw new Error('the store is away')
          const result = await target.commit(commit)
          if (lost === 'answer') throw new Error('the store did not answer')
          return result
        }
      }
      const value: unknown = Reflect.get(target, property)
      return typeof value === 'function' ? value.bind(target) : value
    },
  })
}

describe('identities through crashes', () => {
  it('are complete in the end, and no number was ever given twice', async () => {
    const step = fc.oneof(
      fc.record({
        type: fc.constant('pod' as const),
        app: fc.constantFrom('a', 'b', 'c'),
        role: fc.constantFrom('x', 'y'),
      }),
      fc.record({ type: fc.constant('policy' as const), key: fc.constantFrom('app', 'role') }),
      fc.record({ type: fc.constant('delete' as const), kind: fc.constantFrom('pod' as const, 'policy' as const) }),
      fc.record({ type: fc.constant('crash' as const) }),
    )
    const losses = fc.array(fc.constantFrom(undefined, undefined, 'question' as const, 'answer' as const), {
      minLength: 5,
    })
    await fc.assert(
      fc.asyncProperty(fc.array(step, { minLength: 5, maxLength: 25 }), losses, async (steps, lost) => {
        let calls = 0
        let isLosing = false
        const store = losing(createMemoryStore(), () => (isLosing ? lost[calls++ % lost.length] : undefined))
        const world = await CrashWorld.start(store)
        isLosing = true
        for (const each of steps) await world.take(each)
        isLosing = false
        await world.settle()
        await world.close()
      }),
      { numRuns: 25 },
    )
  })
})

type CrashStep =
  | { readonly type: 'pod'; readonly app: string; readonly role: string }
  | { readonly type: 'policy'; readonly key: string }
  | { readonly type: 'delete'; readonly kind: 'pod' | 'policy' }
  | { readonly type: 'crash' }

async function deleteFirst<T extends KubeObject>(client: Client, type: ResourceType<T>): Promise<void> {
  const [first] = (await client.list(type)).items
  if (first === undefined) return
  await client.delete(type, { namespace: NAMESPACE, name: first.metadata.name }, { gracePeriodSeconds: 0 })
}

/** A server whose store loses what it is told, and a controller that ends and begins again. */
class CrashWorld {
  readonly #server: ReturnType<typeof createApiServer>
  readonly #seen = new Map<number, string>()
  readonly #twice: number[] = []
  readonly #stopWatch: () => void
  #controller: { close(): Promise<void> } | undefined
  #made = 0

  private constructor(server: ReturnType<typeof createApiServer>) {
    this.#server = server
    const watch = server.client().watch(networkidentities, {
      onEvent: (_type, { metadata, spec }) => {
        const known = this.#seen.get(spec.id)
        if (known !== undefined && known !== metadata.uid) this.#twice.push(spec.id)
        this.#seen.set(spec.id, metadata.uid)
      },
      onEnd: () => {},
    })
    this.#stopWatch = () => watch.close()
    this.#begin()
  }

  static async start(store: Store): Promise<CrashWorld> {
    const server = createApiServer({
      store,
      clock: systemClock,
      random: createSeededRandom(1),
      logger: silentLogger,
      extensions: [createNetworkExtension()],
    })
    await server.start()
    return new CrashWorld(server)
  }

  async take(step: CrashStep): Promise<void> {
    const client = this.#server.client()
    if (step.type === 'crash') {
      await this.#controller?.close()
      return this.#begin()
    }
    const name = `n${this.#made++}`
    const write = async (): Promise<unknown> => {
      if (step.type === 'pod') return client.create(pods, podOf(name, { app: step.app, role: step.role }))
      if (step.type === 'policy') return client.create(networkpolicies, policyFor(name, step.key))
      return step.kind === 'pod' ? deleteFirst(client, pods) : deleteFirst(client, networkpolicies)
    }
    await write().catch(() => undefined) // it was lost
  }

  /** Waits until each pod has its identity. */
  async settle(): Promise<void> {
    const client = this.#server.client()
    for (;;) {
      const used = new UsedLabelKeys()
      for (const policy of (await client.list(networkpolicies)).items) used.putPolicy(policy)
      const wanted = (await client.list(pods)).items
        .filter(isInPodNetwork)
        .map((pod) => identityNameOf(identityContentOf(pod, used.of('system', NAMESPACE))))
      const found = new Set((await client.list(networkidentities)).items.map(({ metadata }) => metadata.name))
      if (wanted.every((name) => found.has(name))) break
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
    assert.deepEqual(this.#twice, [])
    const { status } = await client.get(vpcs, { name: 'default' })
    for (const id of this.#seen.keys())
      assert.ok(id < (status?.nextIdentity ?? 0), `${id} was given before it was reserved`)
  }

  async close(): Promise<void> {
    this.#stopWatch()
    await this.#controller?.close()
    await this.#server.close()
  }

  #begin(): void {
    const client = this.#server.client()
    const random = createSeededRandom(1)
    const informers = createInformerFactory(client, { logger: silentLogger, random })
    const deps = { client, informers, clock: systemClock, logger: silentLogger, random }
    const controller = startNetworkIdentityController(deps, { quarantineMs: 1 })
    this.#controller = {
      async close() {
        await controller.close()
        await informers.close()
      },
    }
  }
}
