import { createHash } from 'node:crypto'
import type { CidrVerdicts, PolicySet, PolicySetPeers, VerdictList } from './policy-set.ts'
import { hashList, isSameList } from './verdict-list.ts'

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

/** A set that pods use, and who uses it. */
export interface LiveSet<User> {
  readonly key: string
  readonly content: SetContent
  readonly users: Set<User>
}

interface Entry<User> extends LiveSet<User> {
  /** Of the content as it is now; undefined: it grew since. The key is of the content as it was made. */
  hash: string | undefined
}

/** Sets by content: pods of which policies say the same share one. */
export class SetTable<User> {
  readonly #entries = new Map<string, Entry<User>>()

  /** The set with this content, which from now on belongs to the table. */
  intern(content: SetContent, user: User): LiveSet<User> {
    const hash = hashSet(content)
    let entry = this.#find(hash)
    if (entry === undefined) {
      // A set that grew still has the key of what it was.
      let key = hash
      for (let i = 2; this.#entries.has(key); i++) key = `${hash}-${i}`
      entry = { key, content, users: new Set<User>(), hash }
      this.#entries.set(key, entry)
    }
    entry.users.add(user)
    return entry
  }

  /** The set and all who use it now have more peers. */
  grow(live: LiveSet<User>, peers: PolicySetPeers): void {
    for (const [id, list] of peers.ingress) live.content.ingress.byIdentity.set(id, list)
    for (const [id, list] of peers.egressOfPeers) live.content.egressOfPeers.set(id, list)
    this.#entries.get(live.key)!.hash = undefined
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

  #find(hash: string): Entry<User> | undefined {
    for (const entry of this.#entries.values()) {
      entry.hash ??= hashSet(entry.content)
      if (entry.hash === hash) return entry
    }
    return undefined
  }
}

export function createSet(key: string, { ingress, egressOfPeers, egress }: SetContent): PolicySet {
  return { key, ingress, egressOfPeers, egress }
}

/** Equal hashes, equal contents. */
export function hashSet({ ingress, egressOfPeers, egress }: SetContent): string {
  const parts = [
    hashList(ingress.others),
    hashPeers(ingress.byIdentity),
    hashBlocks(ingress.cidrs),
    hashPeers(egressOfPeers),
    `${egress.isolated}`,
    hashList(egress.toPods),
    hashList(egress.outside.others),
    hashBlocks(egress.outside.cidrs),
  ]
  return createHash('sha256').update(parts.join('|')).digest('hex').slice(0, 32)
}

export function hasSamePeers(a: PolicySetPeers, b: PolicySetPeers): boolean {
  return hasSameLists(a.ingress, b.ingress) && hasSameLists(a.egressOfPeers, b.egressOfPeers)
}

function hasSameLists(a: ReadonlyMap<number, VerdictList>, b: ReadonlyMap<number, VerdictList>): boolean {
  if (a.size !== b.size) return false
  for (const [id, list] of a) if (!isSameList(list, b.get(id))) return false
  return true
}

function hashPeers(peers: ReadonlyMap<number, VerdictList>): string {
  return [...peers.keys()]
    .sort((a, b) => a - b)
    .map((id) => `${id}:${hashList(peers.get(id)!)}`)
    .join()
}

function hashBlocks(blocks: readonly CidrVerdicts[]): string {
  return blocks
    .map(({ cidr, list }) => `${cidr}:${hashList(list)}`)
    .sort()
    .join()
}
