import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom, type Random } from '@centaurus/base'
import { findKeys, identifyPods, labelsOf, podKey } from '../testing/policy-identities.ts'
import { generateWorld } from '../testing/policy-generator.ts'
import type { OraclePod, OracleWorld } from '../testing/policy-oracle.ts'
import { compilePolicySet, LocalSets, type SetChanges } from './local-sets.ts'
import type { PolicySet, PolicySetPeers } from './policy-set.ts'
import { PolicyWorld } from './policy-world.ts'
import { RuleBook } from './rule-book.ts'
import { OPEN_LIST } from './verdict-list.ts'

/** What a data plane has after it did as it was told. */
class Tables {
  readonly sets = new Map<string, PolicySet>()
  readonly pods = new Map<string, string>()

  apply({ sets, pods, unused }: SetChanges): void {
    const changed = [...sets].map(([before, { key, peers }]) => ({
      before,
      set: { ...extend(this.sets.get(before)!, peers), key },
    }))
    for (const { before } of changed) this.sets.delete(before)
    for (const { before, set } of changed) {
      this.sets.set(set.key, set)
      for (const [pod, key] of this.pods) if (key === before) this.pods.set(pod, set.key)
    }
    for (const [pod, set] of pods) {
      if (!this.sets.has(set.key)) this.sets.set(set.key, copy(set))
      this.pods.set(pod, set.key)
    }
    for (const key of unused) assert.ok(this.sets.delete(key), `set ${key} is unused but was never given out`)
  }

  setOf(pod: string): PolicySet {
    return this.sets.get(this.pods.get(pod) ?? '') ?? assert.fail(`${pod} has no set`)
  }
}

function copy(set: PolicySet): PolicySet {
  return extend(set, { ingress: new Map(), egressOfPeers: new Map() })
}

function extend(set: PolicySet, peers: PolicySetPeers): PolicySet {
  return {
    ...set,
    ingress: { ...set.ingress, byIdentity: new Map([...set.ingress.byIdentity, ...peers.ingress]) },
    egressOfPeers: new Map([...set.egressOfPeers, ...peers.egressOfPeers]),
  }
}

/** Comparable, without the key, and without peers that are gone. */
function contentOf({ ingress, egress, egressOfPeers }: PolicySet, ids: ReadonlySet<number>): unknown {
  const entries = <T>(map: ReadonlyMap<number, T>): [number, T][] =>
    [...map].filter(([id]) => id < 256 || ids.has(id)).sort(([a], [b]) => a - b)
  const cidrs = ingress.cidrs.toSorted((a, b) => (a.cidr < b.cidr ? -1 : 1))
  const outside = egress.outside.cidrs.toSorted((a, b) => (a.cidr < b.cidr ? -1 : 1))
  return {
    ingress: { byIdentity: entries(ingress.byIdentity), others: ingress.others, cidrs },
    // Tables keep peers that are allowed everything again.
    egressOfPeers: entries(egressOfPeers).filter(([, list]) => list !== OPEN_LIST),
    egress: { ...egress, outside: { ...egress.outside, cidrs: outside } },
  }
}

type Change = (world: PolicyWorld) => void

/** A life of a host: objects of two generated worlds come and go in any order. */
class Life {
  readonly rules = new RuleBook()
  readonly world = new PolicyWorld({ tenant: 't', rules: this.rules })
  readonly local = new LocalSets(this.world)
  readonly tables = new Tables()
  readonly pods = new Map<string, OraclePod>()
  readonly ids = new Set<number>()
  grown = 0
  flipped = 0
  /** What made each object that is there, by a name for it. */
  readonly #objects = new Map<string, Change>()
  readonly #random: Random
  readonly #worlds: readonly OracleWorld[]
  #nextId = 256

  constructor(seed: number) {
    this.#random = createSeededRandom(seed)
    this.#worlds = [generateWorld(seed * 2), generateWorld(seed * 2 + 1)].map(withTwins)
  }

  step(): string {
    const world = this.#pick(this.#worlds)!
    const policy = this.#pick(this.#worlds.flatMap((one) => one.networkPolicies))
    const cluster = this.#pick(this.#worlds.flatMap((one) => one.clusterNetworkPolicies))
    switch (this.#random.integer(11)) {
      case 0:
      case 1:
        return policy === undefined ? '' : this.#set(`policy ${key(policy)}`, (one) => one.setNetworkPolicy(policy))
      case 2:
        return cluster === undefined
          ? ''
          : this.#set(`cluster ${key(cluster)}`, (one) => one.setClusterNetworkPolicy(cluster))
      case 3:
        if (policy === undefined) return ''
        return this.#unset(`policy ${key(policy)}`, (one) =>
          one.removeNetworkPolicy(policy.metadata.namespace!, policy.metadata.name!),
        )
      case 4:
        if (cluster === undefined) return ''
        return this.#unset(`cluster ${key(cluster)}`, (one) => one.removeClusterNetworkPolicy(cluster.metadata.name!))
      case 5: {
        const [name, labels] = this.#pick(Object.entries(world.namespaces))!
        if (this.#random.next() < 0.2)
          return this.#unset(`namespace ${name}`, (one) => one.setNamespace(name, undefined))
        return this.#set(`namespace ${name}`, (one) => one.setNamespace(name, labels))
      }
      case 6: {
        const { name, labels, addresses } = this.#pick(world.nodes)!
        if (this.#random.next() < 0.3) return this.#unset(`node ${name}`, (one) => one.removeNode(name))
        return this.#set(`node ${name}`, (one) => one.setNode(name, labels, addresses))
      }
      case 7:
        return this.#dropPod()
      case 8: {
        const id = this.#pick([...this.ids]) ?? 0
        this.ids.delete(id)
        return this.#unset(`identity ${id}`, (one) => one.removeIdentity(id))
      }
      default:
        return this.#addPod(this.#pick(world.pods)!)
    }
  }

  /** Everything again from nothing. */
  check(): void {
    const changes = this.local.takeChanges()
    this.grown += changes.sets.size
    this.flipped += changes.pods.size
    this.tables.apply(changes)
    const fresh = new PolicyWorld({ tenant: 't', rules: this.rules })
    for (const change of this.#objects.values()) change(fresh)
    for (const [name, pod] of this.pods) {
      const expected = contentOf(compilePolicySet(pod, fresh), this.ids)
      assert.deepEqual(contentOf(this.tables.setOf(name), this.ids), expected, `tables of ${name}`)
      const set = this.local.get(name)!
      assert.deepEqual(contentOf(set, this.ids), expected, `set of ${name}`)
      assert.ok(![...set.egressOfPeers.values()].includes(OPEN_LIST))
      assert.equal(this.tables.pods.get(name), set.key)
    }
  }

  #set(name: string, change: Change): string {
    change(this.world)
    this.#objects.set(name, change)
    return name
  }

  #unset(name: string, change: Change): string {
    change(this.world)
    this.#objects.delete(name)
    return `no ${name}`
  }

  #addPod(pod: OraclePod): string {
    // Some identities know less than policies ask for.
    const keys = findKeys({ ...this.#worlds[0]!, clusterNetworkPolicies: [] })(pod.namespace)
    const id = this.#nextId++
    this.ids.add(id)
    this.#set(`identity ${id}`, (one) =>
      one.addIdentity({ id, namespace: pod.namespace, labels: labelsOf(pod, keys), keys }),
    )
    if (this.#random.next() < 0.7) {
      this.pods.set(podKey(pod), pod)
      this.local.setPod(podKey(pod), pod)
    }
    return `pod ${podKey(pod)} with identity ${id}`
  }

  #dropPod(): string {
    const name = this.#pick([...this.pods.keys()]) ?? ''
    this.local.removePod(name)
    this.pods.delete(name)
    this.tables.pods.delete(name)
    return `no pod ${name}`
  }

  #pick<T>(from: readonly T[]): T | undefined {
    return from[this.#random.integer(Math.max(1, from.length))]
  }
}

/** Half of the pods have no named ports, so that more of them are alike, as replicas are. */
function withTwins(world: OracleWorld): OracleWorld {
  return { ...world, pods: world.pods.map((pod, i) => (i % 2 === 0 ? { ...pod, namedPorts: [] } : pod)) }
}

function key({ metadata }: { metadata: { namespace?: string | undefined; name?: string | undefined } }): string {
  return `${metadata.namespace}/${metadata.name}`
}

describe('local sets', () => {
  it('are after any changes what a fresh compilation of everything gives', () => {
    let grown = 0
    let flipped = 0
    for (let seed = 1; seed <= 50; seed++) {
      const life = new Life(seed)
      const steps: string[] = []
      for (let batch = 0; batch < 40; batch++) {
        for (let i = 0; i <= batch % 3; i++) steps.push(life.step())
        try {
          life.check()
        } catch (cause) {
          throw new Error(`seed ${seed}, after ${steps.length} steps, the last: ${steps.slice(-4).join('; ')}`, {
            cause,
          })
        }
      }
      grown += life.grown
      flipped += life.flipped
    }
    assert.ok(grown > 300 && flipped > 1000, `peers of ${grown} sets changed, ${flipped} pods got another`)
  })

  it('part where an egress rule names the address of one of two pods that are alike', () => {
    const world = new PolicyWorld({ tenant: 't', rules: new RuleBook() })
    const local = new LocalSets(world)
    world.addIdentity({ id: 300, namespace: 'y', labels: {}, keys: [] })
    for (const ip of ['10.244.0.1', '10.244.1.1']) local.setPod(ip, { namespace: 'x', labels: {}, ip, namedPorts: [] })
    world.setNetworkPolicy({
      metadata: { namespace: 'y', name: 'to-block' },
      spec: { policyTypes: ['Egress'], egress: [{ to: [{ ipBlock: { cidr: '10.244.0.0/24' } }] }] },
    })
    const { pods } = local.takeChanges()
    assert.equal(pods.get('10.244.0.1')?.egressOfPeers.size, 0)
    assert.deepEqual(
      pods
        .get('10.244.1.1')
        ?.egressOfPeers.get(300)
        ?.map(({ allow }) => allow),
      [false, false, false, false],
    )
  })

  it('see a pod as it is, also when policies begin to ask for what it does not have', () => {
    const world = new PolicyWorld({ tenant: 't', rules: new RuleBook() })
    const local = new LocalSets(world)
    world.addIdentity({ id: 300, namespace: 'x', labels: {}, keys: [] })
    const plain = { namespace: 'x', labels: {}, ip: '10.244.0.2', namedPorts: [] }
    local.setPod('labelled', { ...plain, labels: { app: 'a' }, ip: '10.244.0.1' })
    local.setPod('plain', plain)
    assert.equal(new Set([...local.takeChanges().pods.values()].map(({ key }) => key)).size, 1)
    world.setNetworkPolicy({
      metadata: { namespace: 'x', name: 'to-a' },
      spec: { policyTypes: ['Egress'], egress: [{ to: [{ podSelector: { matchLabels: { app: 'a' } } }] }] },
    })
    local.takeChanges()
    assert.deepEqual(local.get('plain')?.egressOfPeers, compilePolicySet(plain, world).egressOfPeers)
    assert.equal(local.get('plain')?.egressOfPeers.get(300)?.[0]?.allow, false)
    assert.equal(local.get('labelled')?.egressOfPeers.size, 0)
  })

  it('are shared by pods of which policies say the same', () => {
    const { pods } = generateWorld(1)
    const world = new PolicyWorld({ tenant: 't', rules: new RuleBook() })
    const local = new LocalSets(world)
    for (const identity of identifyPods(pods, () => []).values()) world.addIdentity(identity)
    for (const pod of pods) local.setPod(podKey(pod), pod)
    const { pods: changed } = local.takeChanges()
    assert.equal(changed.size, pods.length)
    assert.equal(new Set([...changed.values()].map(({ key }) => key)).size, 1)
    assert.deepEqual(local.takeChanges(), { sets: new Map(), pods: new Map(), unused: [] })
  })
})
