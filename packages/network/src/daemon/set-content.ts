import type { CidrVerdicts, PolicySet, PolicySetPeers, VerdictList } from '../policy/policy-set.ts'
import { OPEN_LIST } from '../policy/verdict-list.ts'

/** Identities below it are reserved: they are always known and never go away. */
const FIRST_IDENTITY = 256

export interface IdentityChange {
  /** Which senders were known while the set was in use. */
  readonly before: ReadonlySet<number>
  readonly now: ReadonlySet<number>
}

/**
 * Whether a set in use can become `wanted` in place: by learning of identities that nobody knew before, and by other lists for the egress of peers, each of which
 * is replaced at once. A policy about a few senders so costs a few writes, and not all that the host's sets say. What it says of identities that went away does
 * no harm: they are never given again.
 */
export function canLearn(set: PolicySet, wanted: PolicySet, change: IdentityChange): boolean {
  return (
    set.egress.isolated === wanted.egress.isolated &&
    isSameList(set.ingress.others, wanted.ingress.others) &&
    isSameList(set.egress.toPods, wanted.egress.toPods) &&
    isSameList(set.egress.outside.others, wanted.egress.outside.others) &&
    isSameCidrs(set.ingress.cidrs, wanted.ingress.cidrs) &&
    isSameCidrs(set.egress.outside.cidrs, wanted.egress.outside.cidrs) &&
    canGrow(set.ingress.byIdentity, wanted.ingress.byIdentity, change)
  )
}

/** What has to be written so that a set that can learn it says what `wanted` says. */
export function peersBeyond(set: PolicySet, wanted: PolicySet, { now }: IdentityChange): PolicySetPeers {
  const ingress = new Map([...wanted.ingress.byIdentity].filter(([id]) => !set.ingress.byIdentity.has(id)))
  const egressOfPeers = new Map(
    [...wanted.egressOfPeers].filter(([id, list]) => !isSameList(list, set.egressOfPeers.get(id) ?? OPEN_LIST)),
  )
  for (const [id, list] of set.egressOfPeers)
    if (!wanted.egressOfPeers.has(id) && now.has(id) && !isSameList(list, OPEN_LIST)) egressOfPeers.set(id, OPEN_LIST)
  return { ingress, egressOfPeers }
}

/** A copy that stays as it is: whoever compiled the set lets it grow in place. */
export function copySet(set: PolicySet): PolicySet {
  return {
    ...set,
    ingress: { ...set.ingress, byIdentity: new Map(set.ingress.byIdentity) },
    egressOfPeers: new Map(set.egressOfPeers),
  }
}

/** The content of a set after it learnt `peers`, which makes it a place for `wanted`. */
export function learn(set: PolicySet, wanted: PolicySet, peers: PolicySetPeers): PolicySet {
  return {
    ...wanted,
    ingress: { ...wanted.ingress, byIdentity: new Map([...set.ingress.byIdentity, ...peers.ingress]) },
    egressOfPeers: new Map([...set.egressOfPeers, ...peers.egressOfPeers]),
  }
}

type Lists = ReadonlyMap<number, VerdictList>

function canGrow(lists: Lists, wanted: Lists, { before, now }: IdentityChange): boolean {
  for (const [id, list] of lists) {
    const other = wanted.get(id)
    const isGone = id >= FIRST_IDENTITY && !now.has(id)
    if (other === undefined ? !isGone : !isSameList(list, other)) return false
  }
  for (const id of wanted.keys()) {
    if (!lists.has(id) && (id < FIRST_IDENTITY || before.has(id))) return false
  }
  return true
}

function isSameCidrs(a: readonly CidrVerdicts[], b: readonly CidrVerdicts[]): boolean {
  return (
    a === b ||
    (a.length === b.length && a.every(({ cidr, list }, i) => cidr === b[i]!.cidr && isSameList(list, b[i]!.list)))
  )
}

function isSameList(a: VerdictList, b: VerdictList): boolean {
  return (
    a === b ||
    (a.length === b.length &&
      a.every((segment, i) => {
        const other = b[i]!
        return (
          segment.protocol === other.protocol &&
          segment.firstPort === other.firstPort &&
          segment.lastPort === other.lastPort &&
          segment.allow === other.allow &&
          segment.precedence === other.precedence &&
          segment.rule === other.rule
        )
      }))
  )
}
