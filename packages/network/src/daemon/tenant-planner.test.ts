import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  IdentityBook,
  identityContentOf,
  identityNameOf,
  UsedLabelKeys,
  type KubeObject,
  type ResourceType,
  type TenantNetwork,
} from '@centaurus/api'
import { networkidentities, vpcs, type NetworkIdentity, type Vpc } from '@centaurus/api/centaurus/v1'
import { namespaces, pods, type Namespace, type Pod } from '@centaurus/api/core/v1'
import { networkpolicies, type NetworkPolicy, type NetworkPolicySpec } from '@centaurus/api/networking/v1'
import { createManualClock, createSeededRandom, type Random } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'
import { createMemoryClient } from '@centaurus/node/testing'
import type { PolicySet } from '../policy/policy-set.ts'
import { RuleBook } from '../policy/rule-book.ts'
import { OPEN_LIST } from '../policy/verdict-list.ts'
import { ClusterView, type ViewChange } from './cluster-view.ts'
import { diffNetwork } from './diff-network.ts'
import type { LocalPod } from './local-pod.ts'
import { advance, emptyNetwork, type NetworkState } from './network-state.ts'
import { TenantPlanner } from './tenant-planner.ts'

const VNI = 1
const NODE = 'n1'

/** One tenant's API and a planner that follows it. */
class World {
  readonly client = createMemoryClient()
  readonly clock = createManualClock()
  readonly informers = createInformerFactory(this.client)
  readonly view = new ClusterView({ podInformers: this.informers, informers: this.informers, nodeName: NODE })
  readonly keys = new UsedLabelKeys()
  readonly identities = new IdentityBook()
  readonly rules = new RuleBook()
  #heard = 0
  #expected = 0
  #wake = (): void => {}

  async start(): Promise<void> {
    this.view.follow((change) => this.#take(change))
    await this.view.whenSynced()
  }

  /** Changes that mattered, so far. */
  get heard(): number {
    return this.#heard
  }

  planner(tenant = 'system'): TenantPlanner {
    const { view, rules, keys, identities, clock } = this
    return new TenantPlanner(tenant, { view, rules, keys, identities, clock, dnsAddresses: ['10.96.0.10'] })
  }

  /** Follows along from its making on. */
  readonly followers: TenantPlanner[] = []

  #take(change: ViewChange): void {
    if (change.kind === 'networkPolicy') {
      if (change.isGone) this.keys.remove(change.object)
      else this.keys.putPolicy(change.object)
    }
    if (change.kind === 'identity') {
      if (change.isGone) this.identities.remove(change.object)
      else this.identities.put(change.object, -Infinity)
    }
    for (const planner of this.followers) planner.change(change)
    this.#heard++
    this.#wake()
  }

  /** Makes or replaces an object whose content is new, and waits until the view shows it. */
  async put<T extends KubeObject>(type: ResourceType<T>, object: T): Promise<void> {
    this.#expected++
    const { namespace, name = '' } = object.metadata
    const known = await this.client.get(type, { namespace, name }).catch(() => undefined)
    if (known === undefined) await this.client.create(type, object)
    else await this.client.update(type, { ...object, metadata: { ...known.metadata, ...object.metadata } })
    await this.#caughtUp()
  }

  async remove<T extends KubeObject>(type: ResourceType<T>, { metadata: { namespace, name = '' } }: T): Promise<void> {
    this.#expected++
    await this.client.delete(type, { namespace, name }, { gracePeriodSeconds: 0 })
    await this.#caughtUp()
  }

  async #caughtUp(): Promise<void> {
    while (this.#heard < this.#expected) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      await promise
    }
  }

  close(): Promise<void> {
    return this.informers.close()
  }
}

const vpc: Vpc = { metadata: { name: 'default' }, status: { vni: VNI } }
const namespace = (name: string, labels: Record<string, string>): Namespace => ({
  metadata: { name, labels: { 'kubernetes.io/metadata.name': name, ...labels } },
})
const pod = (name: string, labels: Record<string, string>): Pod => ({
  metadata: { namespace: 'shop', name, labels },
  spec: { nodeName: NODE, containers: [{ name: 'c', ports: [{ name: 'http', containerPort: 8080 }] }] },
})
const policy = (name: string, spec: NetworkPolicySpec): NetworkPolicy => ({
  metadata: { namespace: 'shop', name },
  spec,
})
function identity(id: number, of: Pod, keys: readonly string[]): NetworkIdentity {
  const content = identityContentOf(of, keys)
  return { metadata: { name: identityNameOf(content) }, spec: { ...content, keys: [...keys], id } }
}
const local = (name: string, last: number, known = 0): LocalPod => ({
  endpoint: {
    vni: VNI,
    ip: `10.244.0.${last}`,
    hostIP: `10.244.0.${last}`,
    mac: '0a:ce:00:00:00:01',
    ifindex: last,
    routeDomain: 0,
    blockPrefix: 24,
    identity: known,
  },
  reference: { namespace: 'shop', name, uid: undefined, containerId: name },
})

/** As the view over all tenants shows what is acme's. */
function ofAcme<T extends KubeObject>(object: T): T {
  const { name = '', namespace: own } = object.metadata
  const annotations = { 'centaurus.io/tenant': 'acme' }
  if (own !== undefined) return { ...object, metadata: { ...object.metadata, namespace: `${own}--acme`, annotations } }
  return { ...object, metadata: { ...object.metadata, name: `${name}--acme`, annotations } }
}

/** What `state` says, so that two can be compared: lists by identity, whatever sets are called and whoever has gone. */
function meaning(state: NetworkState): unknown {
  const ids = [...state.identities].sort()
  return [...state.endpoints.values()]
    .map(({ ip, identity: own, slot }) => ({
      ip,
      own,
      says: slot === undefined ? 'closed' : said(state.slots.get(slot)!, ids),
    }))
    .sort((a, b) => (a.ip < b.ip ? -1 : 1))
}

function said({ ingress, egressOfPeers, egress }: PolicySet, ids: readonly number[]): unknown {
  return {
    ingress: ids.map((id) => ingress.byIdentity.get(id) ?? ingress.others),
    others: ingress.others,
    peers: ids.map((id) => egressOfPeers.get(id) ?? OPEN_LIST),
    egress,
  }
}

function apply(state: NetworkState, planner: TenantPlanner, pods: readonly LocalPod[]): string[] {
  return planner.plan(pods).networks.flatMap((plan) =>
    diffNetwork(state, plan).map((step) => {
      advance(state, step)
      return step.type
    }),
  )
}

describe("the plan of a tenant's networks", () => {
  const web = pod('web', { app: 'web' })
  const db = pod('db', { app: 'db' })
  const onlyWeb = policy('db', {
    podSelector: { matchLabels: { app: 'db' } },
    ingress: [{ from: [{ podSelector: { matchLabels: { app: 'web' } } }] }],
  })

  async function started(...objects: readonly [ResourceType<KubeObject>, KubeObject][]): Promise<World> {
    const world = new World()
    await world.start()
    for (const [type, object] of objects) await world.put(type, object)
    return world
  }

  const basics: [ResourceType<KubeObject>, KubeObject][] = [
    [vpcs, vpc],
    [namespaces, namespace('shop', {})],
    [networkpolicies, onlyWeb],
    [pods, web],
    [pods, db],
    [networkidentities, identity(300, web, ['app'])],
    [networkidentities, identity(301, db, ['app'])],
  ]

  it('gives pods their identity and a set that says who may send to them', async () => {
    const world = await started(...basics)
    const state = emptyNetwork(VNI)
    apply(state, world.planner(), [local('web', 2), local('db', 3)])
    const endpoint = state.endpoints.get('10.244.0.3')!
    assert.equal(endpoint.identity, 301)
    const { ingress } = state.slots.get(endpoint.slot!)!
    assert.deepEqual([ingress.byIdentity.get(300)?.[0]?.allow, ingress.others[0]?.allow], [true, false])
    await world.close()
  })

  it('says what a pod waits for', async () => {
    const world = await started([vpcs, { metadata: { name: 'default' } }], [pods, web])
    const planner = world.planner()
    const find = () =>
      planner.networkOf(world.view.podOf({ namespace: 'shop', name: 'web', uid: undefined, containerId: '' })!)
    assert.deepEqual(find(), { type: 'missing', what: 'Vpc "default" of tenant system has no number yet' })
    await world.put(vpcs, vpc)
    assert.deepEqual(find(), { type: 'missing', what: 'Pod shop/web has no NetworkIdentity yet' })
    await world.put(networkidentities, identity(300, web, []))
    const found = { vpc: 'default', vni: VNI, routeDomain: 0, blockPrefix: 24, identity: 300 }
    assert.deepEqual(find(), { type: 'found', network: found, isExact: true })
    await world.close()
  })

  it('keeps what a pod has while its object can not be seen', async () => {
    const world = await started(...basics)
    const state = emptyNetwork(VNI)
    const planner = world.planner()
    world.followers.push(planner)
    const locals = [local('db', 3, 301)]
    apply(state, planner, locals)
    await world.remove(pods, db)
    assert.deepEqual(apply(state, planner, locals), [])
    await world.remove(networkpolicies, onlyWeb)
    assert.deepEqual(apply(state, planner, locals), ['addSet', 'setEndpoint', 'removeSet'])
    await world.close()
  })

  it('does not go through all objects of the tenant when one of them changes', async (test) => {
    const world = await started(...basics)
    const state = emptyNetwork(VNI)
    const planner = world.planner()
    world.followers.push(planner)
    const locals = [local('web', 2, 300), local('db', 3, 301)]
    apply(state, planner, locals)
    const looks = test.mock.method(world.view, 'objectsOf')
    await world.put(networkpolicies, policy('db', { ...onlyWeb.spec, ingress: [] }))
    assert.notDeepEqual(apply(state, planner, locals), [])
    assert.equal(looks.mock.callCount(), 0)
    await world.close()
  })

  it('writes nothing when a pod with known labels comes or goes elsewhere, or here beside others', async () => {
    const world = await started(...basics)
    const state = emptyNetwork(VNI)
    const planner = world.planner()
    world.followers.push(planner)
    const locals = [local('web', 2, 300), local('db', 3, 301)]
    apply(state, planner, locals)
    const other = pod('web-2', { app: 'web' })
    await world.put(pods, other)
    assert.deepEqual(apply(state, planner, locals), [])
    assert.deepEqual(apply(state, planner, [...locals, local('web-2', 4)]), ['setEndpoint'])
    await world.remove(pods, other)
    assert.deepEqual(apply(state, planner, locals), ['removeEndpoint'])
    await world.close()
  })

  it("follows what a pod, its namespace and its tenant say of its packets' quality, and plans nothing else again", async () => {
    const world = await started(...basics.map(([type, object]) => [type, ofAcme(object)] as [typeof type, KubeObject]))
    const state = emptyNetwork(VNI)
    const planner = world.planner('acme')
    world.followers.push(planner)
    const locals = [local('web', 2, 300), local('db', 3, 301)].map((each) => ({
      ...each,
      reference: { ...each.reference!, namespace: 'shop--acme' },
    }))
    assert.notDeepEqual(apply(state, planner, locals), [])
    const plan = () => {
      const { networks } = planner.plan(locals)
      const steps = apply(state, planner, locals)
      assert.ok(
        steps.every((type) => type === 'setEndpoint'),
        'policy sets stay',
      )
      return [...networks[0]!.endpoints.values()].map(({ quality }) => quality)
    }
    const said = async <T extends KubeObject>(
      type: ResourceType<T>,
      object: T,
      annotations: Record<string, string>,
    ) => {
      const { metadata } = ofAcme(object)
      await world.put(type, {
        ...object,
        metadata: { ...metadata, annotations: { ...metadata.annotations, ...annotations } },
      })
    }
    const granted = (tenantNetwork: TenantNetwork) =>
      world.put(vpcs, { ...ofAcme(vpc), status: { ...vpc.status, tenantNetwork } })
    const least = { networkClass: 'best-effort', priority: 'medium' }
    assert.deepEqual(plan(), [least, least])
    await said(pods, web, { 'centaurus.io/network-class': 'premium', 'kubernetes.io/egress-bandwidth': '10M' })
    assert.deepEqual(plan(), [{ ...least, egressBandwidth: 1e7 }, least], 'no class that was not granted')
    await granted({ priority: 'low', ingressBandwidth: '1G', max: { class: 'premium', egressBandwidth: '1M' } })
    const premium = { networkClass: 'premium', priority: 'low', egressBandwidth: 1e6, ingressBandwidth: 1e9 }
    const dull = { ...premium, networkClass: 'best-effort' }
    assert.deepEqual(plan(), [premium, dull])
    await said(namespaces, namespace('shop', {}), { 'mizar.com/network-class': 'Expedited' })
    assert.deepEqual(plan(), [premium, { ...dull, networkClass: 'expedited' }])
    await said(pods, web, { 'centaurus.io/network-class': 'nonsense', 'mizar.com/network-priority': 'High' })
    assert.deepEqual(plan(), [
      { ...premium, networkClass: 'expedited', priority: 'high' },
      { ...dull, networkClass: 'expedited' },
    ])
    await granted({})
    assert.deepEqual(plan(), [least, least])
    const { heard } = world
    const { name, namespace: shop } = ofAcme(web).metadata
    const seen = await world.client.get(pods, { name: name!, namespace: shop })
    const noted = { ...seen.metadata.annotations, 'example.com/note': 'tea' }
    await world.client.update(pods, { ...seen, metadata: { ...seen.metadata, annotations: noted } })
    await said(pods, db, { 'kubernetes.io/egress-bandwidth': '1M' })
    assert.equal(world.heard, heard + 1, 'what does not matter is no news')
    await world.remove(pods, ofAcme(web))
    assert.deepEqual(plan(), [undefined, { ...least, egressBandwidth: 1e6 }], 'what was applied last stays')
    await world.close()
  })

  it('ends where a fresh start ends, whatever came before', { timeout: 60_000 }, async () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = createSeededRandom(seed)
      const world = await started([vpcs, vpc])
      const state = emptyNetwork(VNI)
      const planner = world.planner()
      world.followers.push(planner)
      const names = ['a', 'b', 'c']
      let locals = names.map((name, i) => local(name, 10 + i))
      for (let round = 0; round < 12; round++) {
        await changeSomething(world, random, round)
        apply(state, planner, locals)
        // what packets carry now is what the next choice begins with
        locals = locals.map((each) => ({
          ...each,
          endpoint: { ...each.endpoint, identity: state.endpoints.get(each.endpoint.ip)?.identity ?? 0 },
        }))
      }
      const fresh = emptyNetwork(VNI)
      apply(fresh, world.planner(), locals)
      assert.deepEqual(meaning(state), meaning(fresh), `seed ${seed}`)
      await world.close()
    }
  })
})

const LABELS = [{ app: 'a' }, { app: 'b' }, { app: 'a', tier: 'x' }, {}] as const

async function changeSomething(world: World, random: Random, round: number): Promise<void> {
  const one = <T>(list: readonly T[]): T => list[random.integer(list.length)]!
  const name = one(['a', 'b', 'c'])
  const mark = { round: String(round) }
  switch (random.integer(5)) {
    case 0:
      return world.put(namespaces, namespace('shop', { env: one(['live', 'test']), ...mark }))
    case 1:
      return world.put(pods, pod(name, { ...one(LABELS), ...mark }))
    case 2:
      return world.put(networkpolicies, policy(name, randomSpec(random, round)))
    case 3: {
      const { items } = await world.client.list(networkpolicies)
      return items.length === 0 ? undefined : world.remove(networkpolicies, one(items))
    }
    default: {
      const keys = world.keys.of('system', 'shop')
      const made = identity(300 + round, pod('x', one(LABELS)), keys)
      const { items } = await world.client.list(networkidentities)
      if (items.some(({ metadata }) => metadata.name === made.metadata.name)) return undefined
      return world.put(networkidentities, made)
    }
  }
}

function randomSpec(random: Random, round: number): NetworkPolicySpec {
  const one = <T>(list: readonly T[]): T => list[random.integer(list.length)]!
  const peers = [
    { podSelector: { matchLabels: { ...one(LABELS) } } },
    { namespaceSelector: { matchExpressions: [{ key: 'env', operator: 'In', values: [one(['live', 'test'])] }] } },
    { ipBlock: { cidr: '10.244.0.0/24', except: [`10.244.0.${round}/32`] } },
  ]
  const ports = [{ port: one(['http', 80 + round]) }]
  return {
    podSelector: { matchLabels: { ...one(LABELS) } },
    policyTypes: one([['Ingress'], ['Egress'], ['Ingress', 'Egress']]),
    ingress: [{ from: [one(peers)], ports }],
    egress: [{ to: [one(peers)], ports }],
  }
}
