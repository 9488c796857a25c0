import { createHash } from 'node:crypto'
import type { CidrVerdicts, PolicySet, VerdictList } from './policy-set.ts'
import { hashList, isSameList, OPEN_LIST } from './verdict-list.ts'

/** A set without its key; its maps belong to whoever made it. */
export interface SetContent {
  readonly ingress: {
    readonly byIdentity: Map<number, VerdictList>
    readonly others: VerdictList
    readonly cidrs: readonly CidrVerdicts[]
  }
  readonly egressOfPeers: Map<number, VerdictList>
  readonly egress: PolicySet['egress']
}

export interface SetPeers {
  readonly ingress: Map<number, VerdictList>
  readonly egressOfPeers: Map<number, VerdictList>
}

/** A set that pods use, and who uses it. */
export interface LiveSet<User> {
  /** Equal keys, equal contents; what was changed in place may also have another key than what was made so. */
  readonly key: string
  readonly content: SetContent
  readonly users: Set<User>
}

interface Entry<User> extends LiveSet<User> {
  key: string
}

/** Sets by content: pods of which policies say the same share one. */
export class SetTable<User> {
  readonly #entries = new Map<string, Entry<User>>()

  /** The set with this content, which from now on belongs to the table. */
  intern(content: SetContent, user: User): LiveSet<User> {
    const key = hashSet(content)
    let entry = this.#entries.get(key)
    if (entry === undefined) this.#entries.set(key, (entry = { key, content, users: new Set<User>() }))
    entry.users.add(user)
    return entry
  }

  /** Something else is said of peers from now on, in the set and for all who use it; the set has another key. */
  change(live: LiveSet<User>, peers: SetPeers): void {
    changePeers(live.content, peers)
    const entry = this.#entries.get(live.key)!
    this.#entries.delete(entry.key)
    // From the old key and what changed, not from all that the set says: that may be ten thousand times more.
    entry.key = hashOf([entry.key, hashPeers(peers.ingress), hashPeers(peers.egressOfPeers)])
    while (this.#entries.has(entry.key)) entry.key = hashOf([entry.key])
    this.#entries.set(entry.key, entry)
  }

  leave(live: LiveSet<User>, user: User): void {
    live.users.delete(user)
  }

  /** Forgets sets that nobody uses; returns their keys. */
  sweep(): string[] {
    const unused = [...this.#entries.values()].filter(({ users }) => users.size === 0).map(({ key }) => key)
    for (const key of unused) this.#entries.delete(key)
    return unused
  }
}

export function createSet(key: string, { ingress, egressOfPeers, egress }: SetContent): PolicySet {
  return { key, ingress, egressOfPeers, egress }
}

/** Peers that are allowed everything again have no entry any more. */
export function changePeers({ ingress, egressOfPeers }: SetContent, peers: SetPeers): void {
  for (const [id, list] of peers.ingress) ingress.byIdentity.set(id, list)
  for (const [id, list] of peers.egressOfPeers) {
    if (list === OPEN_LIST) egressOfPeers.delete(id)
    else egressOfPeers.set(id, list)
  }
}

/** Equal hashes, equal contents. */
export function hashSet({ ingress, egressOfPeers, egress }: SetContent): string {
  return hashOf([
    hashList(ingress.others),
    hashPeers(ingress.byIdentity),
    hashBlocks(ingress.cidrs),
    hashPeers(egressOfPeers),
    `${egress.isolated}`,
    hashList(egress.toPods),
    hashList(egress.outside.others),
    hashBlocks(egress.outside.cidrs),
  ])
}

export function hasNoPeers({ ingress, egressOfPeers }: SetPeers): boolean {
  return ingress.size === 0 && egressOfPeers.size === 0
}

export function hasSamePeers(a: SetPeers, b: SetPeers): boolean {
  return hasSameLists(a.ingress, b.ingress) && hasSameLists(a.egressOfPeers, b.egressOfPeers)
}

export function isSameIngress(a: SetContent['ingress'], b: SetContent['ingress']): boolean {
  if (a === b) return true
  return isSameList(a.others, b.others) && hasSameBlocks(a.cidrs, b.cidrs) && hasSameLists(a.byIdentity, b.byIdentity)
}

export function isSameEgress(a: SetContent['egress'], b: SetContent['egress']): boolean {
  if (a === b) return true
  const isSame = a.isolated === b.isolated && isSameList(a.toPods, b.toPods)
  return isSame && isSameList(a.outside.others, b.outside.others) && hasSameBlocks(a.outside.cidrs, b.outside.cidrs)
}

function hasSameLists(a: ReadonlyMap<number, VerdictList>, b: ReadonlyMap<number, VerdictList>): boolean {
  if (a.size !== b.size) return false
  for (const [id, list] of a) if (!isSameList(list, b.get(id))) return false
  return true
}

function hasSameBlocks(a: readonly CidrVerdicts[], b: readonly CidrVerdicts[]): boolean {
  return a.length === b.length && hashBlocks(a) === hashBlocks(b)
}

function hashPeers(peers: ReadonlyMap<number, VerdictList>): string {
  const ids = [...peers.keys()].sort((a, b) => a - b)
  return hashOf(ids.map((id) => `${id}:${hashList(peers.get(id)!)}`))
}

function hashBlocks(blocks: readonly CidrVerdicts[]): string {
  return hashOf(blocks.map(({ cidr, list }) => `${cidr}:${hashList(list)}`).sort())
}

function hashOf(parts: readonly string[]): string {
  return createHash('sha256').update(parts.join()).digest('hex').slice(0, 32)
}
