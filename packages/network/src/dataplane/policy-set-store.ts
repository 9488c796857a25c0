import { createHash } from 'node:crypto'
import { DataplaneError } from '../kernel/dataplane-error.ts'
import type { BpfMap } from '../kernel/bpf-map.ts'
import {
  cidr,
  cidrKey,
  CIDRS_EGRESS,
  CIDRS_INGRESS,
  pair,
  pairKey,
  POLICY_SETS_MAX,
  SET_EGRESS_CIDRS,
  SET_EGRESS_ISOLATED,
  SET_INGRESS_CIDRS,
  SET_USED,
  type PairRecord,
} from '../layouts/layouts.ts'
import type { CidrVerdicts, PolicySet, PolicySetPeers, VerdictList } from '../policy/policy-set.ts'
import type { HostState } from './host-state.ts'
import { ListStore } from './list-store.ts'
import { RuleCounters } from './rule-counters.ts'

/** Bits before the address in a CIDR's key, and before IPv4 in an address. */
const CIDR_KEY_BITS = 64 + 96
const DIGEST_BYTES = 16
const NO_LISTS: PairRecord = { ingress: 0, egress: 0 }
const UNUSED = { flags: 0, ingressOthers: 0, egressToPods: 0, egressOutside: 0, digest: new Uint8Array(DIGEST_BYTES) }

interface Stored {
  readonly id: number
  /** Undefined: it says something else than when it got its key. */
  digest: string | undefined
  /** By identity of the peer. */
  readonly pairs: Map<number, PairRecord>
  /** Keys of the CIDRs' table, encoded, and the list of each. */
  readonly cidrs: readonly (readonly [key: Uint8Array, list: number])[]
  /** Lists that the head names. */
  readonly lists: readonly number[]
  /** Left by an earlier daemon, and not asked for since. */
  isLeft: boolean
}

interface PolicySetStoreDeps {
  readonly state: HostState
  readonly pairs: BpfMap
  readonly cidrs: BpfMap
  readonly lists: BpfMap
  readonly ruleHits: BpfMap
}

/** Policy sets in the kernel: heads in shared memory, peers and CIDRs in tables, lists kept once. Numbers are places in an array, from 1 on. */
export class PolicySetStore {
  readonly #deps: PolicySetStoreDeps
  readonly #lists: ListStore
  readonly #byId = new Map<number, Stored>()
  readonly #byDigest = new Map<string, Stored>()
  #lastId = 0

  /** Takes over what an earlier daemon left. */
  constructor(deps: PolicySetStoreDeps) {
    this.#deps = deps
    const counters = new RuleCounters(deps.ruleHits)
    this.#lists = new ListStore(deps.lists, counters)
    this.#adopt()
    this.#lists.dropUnused()
    counters.retireUnused()
  }

  /** Number of the set, which is written when none with its key is there. */
  add(set: PolicySet): number {
    const digest = createHash('sha256')
      .update(set.key)
      .digest('hex')
      .slice(0, DIGEST_BYTES * 2)
    const known = this.#byDigest.get(digest)
    if (known !== undefined) {
      known.isLeft = false
      return known.id
    }
    const id = this.#nextId()
    this.#write(id, digest, set)
    return id
  }

  extend(id: number, peers: PolicySetPeers): void {
    const stored = this.#require(id)
    const { pairs, state } = this.#deps
    const changes = this.#withLists((addList) =>
      [...new Set([...peers.ingress.keys(), ...peers.egressOfPeers.keys()])].map((peer) => {
        const before = stored.pairs.get(peer) ?? NO_LISTS
        const [ingress, egress] = [peers.ingress.get(peer), peers.egressOfPeers.get(peer)]
        const after = {
          ingress: ingress === undefined ? before.ingress : addList(ingress),
          egress: egress === undefined ? before.egress : addList(egress),
        }
        const replaced = [ingress === undefined ? 0 : before.ingress, egress === undefined ? 0 : before.egress]
        return { peer, after, replaced }
      }),
    )
    this.#forgetKey(stored)
    pairs.setMany(changes.map(({ peer, after }) => [pairKey.encode({ set: id, peer }), pair.encode(after)] as const))
    state.raiseEpoch(id)
    for (const { peer, after, replaced } of changes) {
      stored.pairs.set(peer, after)
      for (const list of replaced) this.#lists.release(list)
    }
  }

  /** The set must be nobody's. Unknown ones are no error: then it is done already. */
  remove(id: number): void {
    const stored = this.#byId.get(id)
    if (stored === undefined) return
    this.#byId.delete(id)
    this.#forgetKey(stored)
    this.#deps.state.writeSet(id, UNUSED)
    this.#clear(stored)
    for (const { ingress, egress } of stored.pairs.values())
      for (const list of [ingress, egress]) this.#lists.release(list)
    for (const list of [...stored.cidrs.map(([, list]) => list), ...stored.lists]) this.#lists.release(list)
  }

  /** Whether an earlier daemon left it and nobody has asked for it since. */
  isLeft(id: number): boolean {
    return this.#byId.get(id)?.isLeft === true
  }

  has(id: number): boolean {
    return this.#byId.has(id)
  }

  get counts(): { readonly sets: number; readonly lists: number } {
    return { sets: this.#byId.size, lists: this.#lists.size }
  }

  #write(id: number, digest: string, set: PolicySet): void {
    const { state, pairs, cidrs } = this.#deps
    const stored = this.#withLists((addList) => planSet(set, { id, digest, addList }))
    try {
      pairs.setMany(
        [...stored.pairs].map(([peer, value]) => [pairKey.encode({ set: id, peer }), pair.encode(value)] as const),
      )
      cidrs.setMany(stored.cidrs.map(([key, list]) => [key, cidr.encode({ list })] as const))
    } catch (error) {
      this.#keep(stored)
      this.remove(id)
      throw error
    }
    const [ingressOthers, egressToPods, egressOutside] = stored.lists as [number, number, number]
    const head = { flags: flagsOf(set), ingressOthers, egressToPods, egressOutside }
    state.writeSet(id, { ...head, digest: Buffer.from(digest, 'hex') })
    this.#keep(stored)
  }

  /** Gives back what was added when not all could be. */
  #withLists<Result>(plan: (addList: (list: VerdictList) => number) => Result): Result {
    const added: number[] = []
    try {
      return plan((list) => {
        const id = this.#lists.add(list)
        added.push(id)
        return id
      })
    } catch (error) {
      for (const id of added) this.#lists.release(id)
      throw error
    }
  }

  #clear({ id, pairs, cidrs }: Stored): void {
    this.#deps.pairs.deleteMany([...pairs.keys()].map((peer) => pairKey.encode({ set: id, peer })))
    this.#deps.cidrs.deleteMany(cidrs.map(([key]) => key))
  }

  /** Neither this daemon nor the next one may take the set for what its key says any more. */
  #forgetKey(stored: Stored): void {
    if (stored.digest === undefined) return
    this.#byDigest.delete(stored.digest)
    stored.digest = undefined
    const { state } = this.#deps
    state.writeSet(stored.id, { ...state.readSet(stored.id), digest: UNUSED.digest })
  }

  /** Goes round, so that a number comes back late: packets on their way may still name it. */
  #nextId(): number {
    for (let i = 1; i < POLICY_SETS_MAX; i++) {
      const id = ((this.#lastId + i - 1) % (POLICY_SETS_MAX - 1)) + 1
      if (this.#byId.has(id)) continue
      this.#lastId = id
      return id
    }
    throw new DataplaneError(
      `A host can't have more than ${POLICY_SETS_MAX - 1} policy sets: remove those that nobody uses`,
    )
  }

  #keep(stored: Stored): void {
    this.#byId.set(stored.id, stored)
    if (stored.digest !== undefined) this.#byDigest.set(stored.digest, stored)
  }

  #require(id: number): Stored {
    const stored = this.#byId.get(id)
    if (stored === undefined) throw new DataplaneError(`There is no policy set ${id}`)
    return stored
  }

  #adopt(): void {
    const { state, pairs, cidrs } = this.#deps
    const pairsOf = new Map<number, Map<number, PairRecord>>()
    for (const [key, value] of pairs.entries()) {
      const { set, peer } = pairKey.decode(key)
      getOrMake(pairsOf, set, () => new Map<number, PairRecord>()).set(peer, pair.decode(value))
    }
    const cidrsOf = new Map<number, (readonly [Uint8Array, number])[]>()
    for (const [key, value] of cidrs.entries())
      getOrMake(cidrsOf, cidrKey.decode(key).set, () => []).push([key, cidr.decode(value).list])
    for (let id = 1; id < POLICY_SETS_MAX; id++) {
      const head = state.readSet(id)
      if ((head.flags & SET_USED) === 0) continue
      const lists = [head.ingressOthers, head.egressToPods, head.egressOutside]
      const own = { pairs: pairsOf.get(id) ?? new Map<number, PairRecord>(), cidrs: cidrsOf.get(id) ?? [] }
      const digest = head.digest.every((byte) => byte === 0) ? undefined : Buffer.from(head.digest).toString('hex')
      for (const { ingress, egress } of own.pairs.values()) for (const list of [ingress, egress]) this.#lists.hold(list)
      for (const list of [...own.cidrs.map(([, list]) => list), ...lists]) this.#lists.hold(list)
      this.#keep({ id, digest, ...own, lists, isLeft: true })
      this.#lastId = id
    }
    this.#dropStrays(pairsOf, cidrsOf)
  }

  /** Entries of sets that were never finished, or not wholly removed, when the daemon ended. */
  #dropStrays(
    pairsOf: ReadonlyMap<number, ReadonlyMap<number, PairRecord>>,
    cidrsOf: ReadonlyMap<number, readonly (readonly [Uint8Array, number])[]>,
  ): void {
    for (const [set, peers] of pairsOf)
      if (!this.#byId.has(set))
        this.#deps.pairs.deleteMany([...peers.keys()].map((peer) => pairKey.encode({ set, peer })))
    for (const [set, entries] of cidrsOf)
      if (!this.#byId.has(set)) this.#deps.cidrs.deleteMany(entries.map(([key]) => key))
  }
}

/** What a set will be in the tables. */
function planSet(
  { ingress, egress, egressOfPeers }: PolicySet,
  { id, digest, addList }: { id: number; digest: string; addList: (list: VerdictList) => number },
): Stored {
  const addOf = (peers: ReadonlyMap<number, VerdictList>, peer: number): number => {
    const list = peers.get(peer)
    return list === undefined ? 0 : addList(list)
  }
  const addCidrs = (direction: number, verdicts: readonly CidrVerdicts[]): (readonly [Uint8Array, number])[] =>
    verdicts.map(({ cidr: block, list }) => {
      const [ip, prefix] = block.split('/') as [string, string]
      return [
        cidrKey.encode({ prefixLength: CIDR_KEY_BITS + Number(prefix), set: id, direction, ip }),
        addList(list),
      ] as const
    })
  const peers = new Set([...ingress.byIdentity.keys(), ...egressOfPeers.keys()])
  return {
    id,
    digest,
    pairs: new Map(
      [...peers].map((peer) => [
        peer,
        { ingress: addOf(ingress.byIdentity, peer), egress: addOf(egressOfPeers, peer) },
      ]),
    ),
    cidrs: [...addCidrs(CIDRS_INGRESS, ingress.cidrs), ...addCidrs(CIDRS_EGRESS, egress.outside.cidrs)],
    lists: [ingress.others, egress.toPods, egress.outside.others].map(addList),
    isLeft: false,
  }
}

function flagsOf({ ingress, egress }: PolicySet): number {
  return (
    SET_USED |
    (ingress.cidrs.length > 0 ? SET_INGRESS_CIDRS : 0) |
    (egress.outside.cidrs.length > 0 ? SET_EGRESS_CIDRS : 0) |
    (egress.isolated ? SET_EGRESS_ISOLATED : 0)
  )
}

function getOrMake<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
