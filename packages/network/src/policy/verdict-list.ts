import { createHash } from 'node:crypto'
import type { PortProtocol, Segment, VerdictList } from './policy-set.ts'

/** Order of protocols in a list. */
export const PROTOCOLS: readonly PortProtocol[] = ['TCP', 'UDP', 'SCTP', 'other']

export const LAST_PORT = 65_535

/** A host can't tell more segments of one peer apart. */
export const SEGMENTS_MAX = 4096

/**
 * Precedence by what decided. Within a list everything is decided; precedence is for what the list of an identity and that of an address say of
 * the same packet: an Admin rule about the identity goes before a NetworkPolicy's ipBlock, which goes before that nothing allows.
 */
export const PRECEDENCE = { admin: 0, allow: 1, isolation: 2, baseline: 3, open: 4 } as const

/** Everything is allowed, since no policy says anything. */
export const OPEN_LIST: VerdictList = PROTOCOLS.map((protocol) => ({
  protocol,
  firstPort: 0,
  lastPort: LAST_PORT,
  allow: true,
  precedence: PRECEDENCE.open,
  rule: 0,
}))

const texts = new WeakMap<VerdictList, string>()
const hashes = new WeakMap<VerdictList, string>()

/** Equal hashes, equal lists. */
export function hashList(list: VerdictList): string {
  let hash = hashes.get(list)
  if (hash === undefined) {
    hash = createHash('sha256').update(textOf(list)).digest('hex').slice(0, 32)
    hashes.set(list, hash)
  }
  return hash
}

export function isSameList(a: VerdictList | undefined, b: VerdictList | undefined): boolean {
  return a === b || (a !== undefined && b !== undefined && a.length === b.length && textOf(a) === textOf(b))
}

export function allowsAll(list: VerdictList): boolean {
  return list.every(({ allow }) => allow)
}

/** Adds a segment to a list that grows by port; joins it to the one before if they say the same. */
export function appendSegment(list: Segment[], segment: Segment): void {
  const before = list.at(-1)
  const joins =
    before !== undefined &&
    before.protocol === segment.protocol &&
    before.lastPort + 1 === segment.firstPort &&
    before.allow === segment.allow &&
    before.precedence === segment.precedence &&
    before.rule === segment.rule
  if (joins) list[list.length - 1] = { ...before, lastPort: segment.lastPort }
  else list.push(segment)
}

/** A list that is too long keeps its beginning and denies the rest, so that who makes one hurts nobody else. */
export function closeRest(list: Segment[]): VerdictList {
  const cut = list[SEGMENTS_MAX - PROTOCOLS.length]
  if (list.length <= SEGMENTS_MAX || cut === undefined) return list
  const closed = { lastPort: LAST_PORT, allow: false, precedence: PRECEDENCE.admin, rule: cut.rule }
  const later = PROTOCOLS.slice(PROTOCOLS.indexOf(cut.protocol) + 1)
  return [
    ...list.slice(0, SEGMENTS_MAX - PROTOCOLS.length),
    { protocol: cut.protocol, firstPort: cut.firstPort, ...closed },
    ...later.map((protocol) => ({ protocol, firstPort: 0, ...closed })),
  ]
}

function textOf(list: VerdictList): string {
  let text = texts.get(list)
  if (text === undefined) {
    text = list
      .map(
        ({ protocol, firstPort, allow, precedence, rule }) =>
          `${protocol[0]}${firstPort}${allow ? '+' : '-'}${precedence}.${rule}`,
      )
      .join()
    texts.set(list, text)
  }
  return text
}
