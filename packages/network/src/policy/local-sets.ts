import { compileEgress, compileEgressOfPeers, compileIngress } from './compile-set.ts'
import { LocalClass, type ClassChange, type ClassContext } from './local-class.ts'
import type { PolicySet, PolicySetPeers } from './policy-set.ts'
import { isSubject } from './policy-table.ts'
import type { PodFacts, PolicyChange, PolicyWorld, WorldDelta } from './policy-world.ts'
import {
  changePeers,
  createSet,
  hasNoPeers,
  hasSamePeers,
  hashSet,
  SetTable,
  type LiveSet,
  type SetContent,
  type SetPeers,
} from './set-table.ts'

/** Identities that are gone stay in tables until something else changes there, or so many have gone. */
const REMOVED_PEERS_MAX = 1024

/** What to do so that the data plane agrees with the world, in this order. */
export interface SetChanges {
  /** Sets in use that say something else of some peers now, by the key that they had. */
  readonly sets: ReadonlyMap<string, SetChange>
  /** Pods, by key, for which another set is now. */
  readonly pods: ReadonlyMap<string, PolicySet>
  /** Keys of sets that no pod has any more. */
  readonly unused: readonly string[]
}

export interface SetChange {
  /** Of the set as it is now. */
  readonly key: string
  readonly peers: PolicySetPeers
}

/** The policy sets of a host's pods in one network, kept up to date with the world. */
export class LocalSets {
  readonly #world: PolicyWorld
  readonly #sets = new SetTable<LocalClass>()
  readonly #pods = new Map<string, { readonly facts: PodFacts; class: LocalClass | undefined }>()
  readonly #classes = new Map<string, LocalClass>()
  readonly #moved = new Set<string>()
  #removedPeers = 0

  constructor(world: PolicyWorld) {
    this.#world = world
  }

  /** Adds or replaces a pod of this host; the key is the caller's. */
  setPod(key: string, facts: PodFacts): void {
    const before = this.#pods.get(key)
    this.#pods.set(key, { facts, class: before?.class })
    this.#moved.add(key)
  }

  removePod(key: string): void {
    this.#pods.get(key)?.class?.pods.delete(key)
    this.#pods.delete(key)
    this.#moved.delete(key)
  }

  /** The pod's set as of the last time that changes were taken. */
  get(key: string): PolicySet | undefined {
    const live = this.#pods.get(key)?.class?.live
    return live === undefined ? undefined : createSet(live.key, live.content)
  }

  /** Compiles what changed. Sets that were given out before change in place. */
  takeChanges(): SetChanges {
    const delta = this.#world.takeDelta()
    const regrouped = this.#regroup(delta)
    this.#mark(delta)
    const context: ClassContext = {
      policies: this.#world.policies,
      identities: this.#world.identities,
      profiles: this.#world.profiles,
      outside: this.#world.outside,
      newPeers: delta.newPeers,
      changedPeers: delta.changedPeers,
    }
    const changes = new Map([...this.#classes.values()].map((entry) => [entry, entry.update(context)]))
    const before = new Map([...this.#classes.values()].map((entry) => [entry, entry.live]))
    const sets = this.#commit(changes)
    const pods = new Map<string, PolicySet>()
    for (const entry of this.#classes.values()) {
      const set = createSet(entry.live!.key, entry.live!.content)
      for (const key of entry.pods) {
        const old = regrouped.has(key) ? regrouped.get(key) : before.get(entry)?.key
        if (old !== set.key) pods.set(key, set)
      }
    }
    this.#world.identities.keepMatches(new Set([...this.#classes.values()].flatMap(({ podPeers }) => podPeers)))
    return { sets, pods, unused: this.#sets.sweep() }
  }

  /** Puts pods into the classes that policies distinguish now. Returns the keys of the sets that pods that moved had. */
  #regroup(delta: WorldDelta): Map<string, string | undefined> {
    const had = new Map<string, string | undefined>()
    for (const key of delta.mustRegroup ? this.#pods.keys() : this.#moved) {
      const pod = this.#pods.get(key)!
      const classKey = this.#world.distinguish(pod.facts)
      if (pod.class?.key === classKey) continue
      had.set(key, pod.class?.live?.key)
      pod.class?.pods.delete(key)
      let entry = this.#classes.get(classKey)
      if (entry === undefined) {
        entry = new LocalClass(classKey, this.#world.viewOf(pod.facts))
        this.#classes.set(classKey, entry)
      }
      entry.pods.add(key)
      pod.class = entry
    }
    this.#moved.clear()
    for (const [key, entry] of this.#classes) {
      const [first] = entry.pods
      if (first === undefined) {
        this.#classes.delete(key)
        if (entry.live !== undefined) this.#sets.leave(entry.live, entry)
        // A class sees what one of its pods is, which may be one that policies have just set apart.
      } else if (delta.mustRegroup) this.#refreshView(entry)
    }
    return had
  }

  #refreshView(entry: LocalClass): void {
    const [first] = entry.pods
    if (first !== undefined) entry.view = this.#world.viewOf(this.#pods.get(first)!.facts)
  }

  #mark(delta: WorldDelta): void {
    this.#removedPeers += delta.removedPeers
    const isFull = this.#removedPeers > REMOVED_PEERS_MAX
    if (isFull) this.#removedPeers = 0
    for (const entry of this.#classes.values()) {
      if (delta.namespaces.has(entry.view.namespace.name)) this.#refreshView(entry)
      if (isFull || delta.namespaces.has(entry.view.namespace.name)) entry.markAll()
      if (delta.hasOutsideChanged) entry.dirty.egress = true
      for (const change of delta.policies) markPolicy(entry, change)
      if (delta.peerTexts.size > 0 && entry.podPeers.some((text) => delta.peerTexts.has(text)))
        entry.dirty.ingress = true
    }
  }

  /** Gives classes their sets; returns what changed of peers in sets that stay. */
  #commit(changes: ReadonlyMap<LocalClass, ClassChange>): Map<string, SetChange> {
    const replaced: [LocalClass, SetContent][] = []
    const staying = new Map<LiveSet<LocalClass>, [LocalClass, SetPeers][]>()
    for (const [entry, change] of changes) {
      if (change.kind === 'replaced') replaced.push([entry, change.content])
      else if (staying.has(entry.live!)) staying.get(entry.live!)!.push([entry, change.peers])
      else staying.set(entry.live!, [[entry, change.peers]])
    }
    const changed = new Map<string, SetChange>()
    for (const [live, users] of staying) {
      const [[, peers], ...others] = users as [[LocalClass, SetPeers], ...[LocalClass, SetPeers][]]
      // Classes that shared a set part when not the same is said of a peer to both.
      for (const [entry, own] of others)
        if (!hasSamePeers(peers, own)) replaced.push([entry, extend(live.content, own)])
      if (hasNoPeers(peers)) continue
      const before = live.key
      this.#sets.change(live, peers)
      changed.set(before, { key: live.key, peers })
    }
    // Last: contents are compared as they are now.
    for (const [entry, content] of replaced) this.#replace(entry, content)
    return changed
  }

  #replace(entry: LocalClass, content: SetContent): void {
    const before = entry.live
    entry.live = this.#sets.intern(content, entry)
    if (before !== undefined && before !== entry.live) this.#sets.leave(before, entry)
  }
}

/** The set of any pod, of this host or not, as the world is now. Not kept up to date. */
export function compilePolicySet(facts: PodFacts, world: PolicyWorld): PolicySet {
  const { policies, identities, profiles, outside } = world
  const view = world.viewOf(facts)
  const { byIdentity, others, cidrs } = compileIngress(policies.select(view, 'ingress'), view, identities)
  const egressOfPeers = compileEgressOfPeers(profiles, view)
  const egress = compileEgress(policies.select(view, 'egress'), outside)
  const content: SetContent = { ingress: { byIdentity, others, cidrs }, egressOfPeers, egress }
  return createSet(hashSet(content), content)
}

function extend({ ingress, egressOfPeers, egress }: SetContent, peers: SetPeers): SetContent {
  const content = {
    ingress: { ...ingress, byIdentity: new Map(ingress.byIdentity) },
    egressOfPeers: new Map(egressOfPeers),
    egress,
  }
  changePeers(content, peers)
  return content
}

function markPolicy({ view, dirty }: LocalClass, { before, after }: PolicyChange): void {
  for (const policy of dirty.ingress && dirty.egress ? [] : [before, after]) {
    if (policy === undefined || isSubject(policy, view) === 'no') continue
    dirty.ingress ||= policy.ingress !== undefined
    dirty.egress ||= policy.egress !== undefined
  }
}
