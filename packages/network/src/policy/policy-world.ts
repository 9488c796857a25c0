import type { NetworkPolicy } from '@centaurus/api/networking/v1'
import { parseAddress, type Block } from './block.ts'
import { BlockIndex } from './block-index.ts'
import type { OutsideView, SubjectView } from './compile-set.ts'
import { FIRST_IDENTITY, IdentityTable, type IdentitySpec } from './identity-table.ts'
import { parseClusterPolicy } from './parse-cluster-policy.ts'
import { parseNetworkPolicy, type ParseContext } from './parse-network-policy.ts'
import type { KnownLabels } from './pod-selector.ts'
import type { ClusterNetworkPolicy } from '@centaurus/api/policy-networking/v1alpha2'
import type { BlockPeer, ParsedPolicy, PolicyRule } from './policy-rule.ts'
import type { RuleId } from './policy-set.ts'
import { isSubject, PolicyTable } from './policy-table.ts'
import { ProfileTable } from './profile-table.ts'
import type { NamedPort } from './program.ts'
import type { RuleBook, RuleEntry } from './rule-book.ts'

/** What policies can know of a pod. */
export interface PodFacts {
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  readonly ip: string
  /** Container ports with names. */
  readonly namedPorts: readonly NamedPort[]
}

export interface PolicyWorldOptions {
  /** Whose objects these are; stands in the entries of the rule book. */
  readonly tenant: string
  /** Shared by the worlds of a host. */
  readonly rules: RuleBook
}

/** What changed since the last delta was taken. */
export interface WorldDelta {
  readonly policies: readonly PolicyChange[]
  readonly namespaces: ReadonlySet<string>
  /** Texts of peers that mean others now because a namespace's labels changed. */
  readonly peerTexts: ReadonlySet<string>
  readonly newPeers: ReadonlySet<number>
  /** Identities that other egress policies select now. */
  readonly changedPeers: ReadonlySet<number>
  readonly removedPeers: number
  /** Node addresses, or that of the DNS. */
  readonly hasOutsideChanged: boolean
  /** Policies use other label keys or blocks, so they may distinguish pods that they did not. */
  readonly mustRegroup: boolean
}

export interface PolicyChange {
  readonly before: ParsedPolicy | undefined
  readonly after: ParsedPolicy | undefined
}

interface PolicyEntry {
  /** Of the spec, to tell writes that change nothing. */
  readonly text: string
  readonly parsed: ParsedPolicy
  readonly ruleIds: readonly RuleId[]
}

interface MutableDelta {
  readonly policies: Map<string, PolicyChange>
  readonly namespaces: Set<string>
  readonly peerTexts: Set<string>
  readonly newPeers: Set<number>
  readonly changedPeers: Set<number>
  removedPeers: number
  hasOutsideChanged: boolean
  mustRegroup: boolean
}

/**
 * Everything that decides what pods of one network may send and receive: change it as objects change. Pure: no I/O, no clock. A change costs what it selects and
 * is selected by: policies are found by namespace and label, and selectors are asked once for each identity. Who wants to follow it takes deltas; there is
 * one such follower.
 */
export class PolicyWorld {
  readonly policies = new PolicyTable()
  readonly identities = new IdentityTable()
  readonly #options: PolicyWorldOptions
  readonly #entries = new Map<string, PolicyEntry>()
  readonly #profiles = new ProfileTable()
  readonly #nodes = new Map<string, { readonly known: KnownLabels; readonly addresses: readonly Block[] }>()
  readonly #usedKeys = new Map<string, number>()
  readonly #blocks = new BlockIndex()
  readonly #unprofiled = new Set<number>()
  #dns: readonly Block[] = []
  #versions = 0
  #delta = createDelta()

  constructor(options: PolicyWorldOptions) {
    this.#options = options
  }

  /** Undefined labels: the namespace is gone. */
  setNamespace(name: string, labels: Readonly<Record<string, string>> | undefined): void {
    const texts = this.identities.setNamespace(name, labels)
    if (texts === undefined) return
    for (const text of texts) this.#delta.peerTexts.add(text)
    for (const id of this.identities.inNamespace(name)) if (id >= FIRST_IDENTITY) this.#unprofiled.add(id)
    this.#delta.namespaces.add(name)
  }

  setNetworkPolicy(policy: NetworkPolicy): void {
    const { namespace = '', name = '' } = policy.metadata
    const text = JSON.stringify(policy.spec ?? {})
    this.#setPolicy({ kind: 'NetworkPolicy', namespace, name, text }, (context) => parseNetworkPolicy(policy, context))
  }

  removeNetworkPolicy(namespace: string, name: string): void {
    this.#setEntry(`${namespace}/${name}`, undefined)
  }

  setClusterNetworkPolicy(policy: ClusterNetworkPolicy): void {
    const entry = { kind: 'ClusterNetworkPolicy', namespace: '', name: policy.metadata.name ?? '' } as const
    this.#setPolicy({ ...entry, text: JSON.stringify(policy.spec) }, (context) => parseClusterPolicy(policy, context))
  }

  removeClusterNetworkPolicy(name: string): void {
    this.#setEntry(name, undefined)
  }

  /** What could not be understood of a policy and is therefore closed, a sentence each; for its status. ClusterNetworkPolicies have the namespace ''. */
  problemsOf(namespace: string, name: string): readonly string[] {
    return this.#entries.get(namespace === '' ? name : `${namespace}/${name}`)?.parsed.problems ?? []
  }

  /** Identities never change, and their numbers are never used again. */
  addIdentity(spec: IdentitySpec): void {
    if (spec.id < FIRST_IDENTITY || this.identities.get(spec.id) !== undefined) return
    this.identities.add(spec)
    this.#unprofiled.add(spec.id)
    this.#delta.newPeers.add(spec.id)
  }

  removeIdentity(id: number): void {
    if (id < FIRST_IDENTITY || this.identities.get(id) === undefined) return
    this.identities.remove(id)
    this.#profiles.set(id, undefined)
    this.#unprofiled.delete(id)
    this.#delta.changedPeers.delete(id)
    if (!this.#delta.newPeers.delete(id)) this.#delta.removedPeers++
  }

  /** Of a node its addresses on the network between hosts; for egress rules with `nodes`. */
  setNode(name: string, labels: Readonly<Record<string, string>>, addresses: readonly string[]): void {
    this.#nodes.set(name, { known: { labels }, addresses: addresses.flatMap(toBlock) })
    this.#delta.hasOutsideChanged = true
  }

  removeNode(name: string): void {
    if (this.#nodes.delete(name)) this.#delta.hasOutsideChanged = true
  }

  /** Where the cluster's DNS answers pods, after translation of service addresses. */
  setDnsAddresses(addresses: readonly string[]): void {
    this.#dns = addresses.flatMap(toBlock)
    this.#delta.hasOutsideChanged = true
  }

  /** Which egress policies are for whom. */
  get profiles(): ProfileTable {
    for (const id of this.#unprofiled) {
      const view = this.identities.get(id)
      if (view === undefined) continue
      const hasChanged = this.#profiles.set(id, this.policies.select(view, 'egress'))
      if (hasChanged && !this.#delta.newPeers.has(id)) this.#delta.changedPeers.add(id)
    }
    this.#unprofiled.clear()
    return this.#profiles
  }

  get outside(): OutsideView {
    return { nodes: [...this.#nodes.values()], dns: { view: this.identities.dns, addresses: this.#dns } }
  }

  get rules(): RuleBook {
    return this.#options.rules
  }

  viewOf({ namespace, labels, namedPorts, ip }: PodFacts): SubjectView {
    return { namespace: this.identities.namespace(namespace), labels, namedPorts, address: toBlock(ip)[0] }
  }

  /** Pods with the same answer are alike to all policies. */
  distinguish({ namespace, labels, namedPorts, ip }: PodFacts): string {
    const used = Object.keys(labels).filter((key) => this.#usedKeys.has(key))
    const ports = namedPorts.map(({ name, protocol, port }) => `${name}/${protocol}/${port}`)
    const address = parseAddress(ip)
    const blocks = address === undefined ? 'none' : this.#blocks.find(address)
    return JSON.stringify([namespace, used.sort().map((key) => [key, labels[key]]), ports.sort(), blocks])
  }

  /** For the follower: what changed since it last asked. */
  takeDelta(): WorldDelta {
    void this.profiles
    const { policies, ...rest } = this.#delta
    this.#delta = createDelta()
    return { ...rest, policies: [...policies.values()] }
  }

  #setPolicy(
    object: Pick<RuleEntry, 'kind' | 'namespace' | 'name' | 'text'>,
    parse: (context: ParseContext) => ParsedPolicy,
  ): void {
    const { kind, namespace, name, text } = object
    const key = kind === 'NetworkPolicy' ? `${namespace}/${name}` : name
    if (this.#entries.get(key)?.text === text) return
    const { tenant, rules } = this.#options
    const ruleIds: RuleId[] = []
    const number: ParseContext['number'] = (direction, index, rule) => {
      const ruleText = index < 0 ? '' : JSON.stringify(rule)
      const id = rules.acquire({ tenant, kind, namespace, name, direction, index, text: ruleText })
      ruleIds.push(id)
      return id
    }
    const parsed = parse({ version: ++this.#versions, number })
    this.#setEntry(key, { text, parsed, ruleIds })
  }

  #setEntry(key: string, entry: PolicyEntry | undefined): void {
    const before = this.#entries.get(key)
    if (before !== undefined) {
      this.policies.remove(before.parsed)
      this.#countUses(before.parsed, -1)
    }
    if (entry === undefined) this.#entries.delete(key)
    else {
      this.#entries.set(key, entry)
      this.policies.add(entry.parsed)
      this.#countUses(entry.parsed, 1)
    }
    for (const id of before?.ruleIds ?? []) this.#options.rules.release(id)
    const first = this.#delta.policies.get(key)
    this.#delta.policies.set(key, { before: first === undefined ? before?.parsed : first.before, after: entry?.parsed })
    this.#unprofile(before?.parsed)
    this.#unprofile(entry?.parsed)
  }

  /** Whose egress the policy may restrict. */
  #unprofile(policy: ParsedPolicy | undefined): void {
    if (policy?.egress === undefined || this.#unprofiled.size === this.identities.size) return
    const { namespace } = policy.subject
    for (const id of namespace === undefined ? this.identities.ids() : this.identities.inNamespace(namespace)) {
      if (id < FIRST_IDENTITY || this.#unprofiled.has(id)) continue
      if (isSubject(policy, this.identities.get(id)!) !== 'no') this.#unprofiled.add(id)
    }
  }

  #countUses(policy: ParsedPolicy, step: 1 | -1): void {
    const rules = [...(policy.ingress?.rules ?? []), ...(policy.egress?.rules ?? [])]
    const selectors = rules.flatMap(({ peers }) => peers.flatMap((peer) => (peer.kind === 'pods' ? [peer.pods] : [])))
    for (const key of [policy.subject.pods, ...selectors].flatMap(({ keys }) => keys)) {
      const count = (this.#usedKeys.get(key) ?? 0) + step
      if (count === 0) this.#usedKeys.delete(key)
      else this.#usedKeys.set(key, count)
      if (count === 0 || (count === 1 && step === 1)) this.#delta.mustRegroup = true
    }
    for (const block of (policy.egress?.rules ?? []).flatMap(blocksOf)) {
      if (step === 1) this.#blocks.add(block)
      else this.#blocks.remove(block)
      this.#delta.mustRegroup = true
    }
  }
}

function createDelta(): MutableDelta {
  return {
    policies: new Map(),
    namespaces: new Set(),
    peerTexts: new Set(),
    newPeers: new Set(),
    changedPeers: new Set(),
    removedPeers: 0,
    hasOutsideChanged: false,
    mustRegroup: false,
  }
}

function blocksOf({ peers }: PolicyRule): BlockPeer[] {
  return peers.flatMap((peer) => (peer.kind === 'block' ? [peer] : []))
}

/** Nothing for what is no IPv4 address. */
function toBlock(ip: string): Block[] {
  const first = parseAddress(ip)
  return first === undefined ? [] : [{ first, prefix: 32 }]
}
