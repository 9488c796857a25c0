import { badRequest, isRecord } from '@centaurus/api'
import { NODE_PORT_RANGE, type PortRange } from '@centaurus/apiserver'
import { decodeText } from '@centaurus/base'

/** Where a partition is asked for node ports, by other partitions. */
export const NODE_PORTS_PATH = '/partition/v1/node-ports'
/** What home gives a partition at once. */
export const BLOCK_PORTS = 64
const PORTS_MAX = NODE_PORT_RANGE.last - NODE_PORT_RANGE.first + 1

export type PortsQuestion =
  /** One port, which is of the caller's ranges (`given`), or will be returned (`lent`). */
  | { readonly op: 'borrow'; readonly port: number; readonly how: 'given' | 'lent' }
  | { readonly op: 'return'; readonly port: number }
  /** The partition that had borrowed them from the caller is gone: which of them do you use now? You borrow those. */
  | { readonly op: 'adopt'; readonly ports: readonly number[] }
  /** A block of home's, by whoever has so many already. */
  | { readonly op: 'more'; readonly have: number }

export interface PortsAnswer {
  /** For `borrow`; `unknown` says who can't know whether it is used. For `more`: `taken` when there are none. */
  readonly result?: 'lent' | 'taken' | 'unknown' | undefined
  /** For `adopt`: those in use. */
  readonly ports?: readonly number[] | undefined
}

/** Reads a question. Throws BadRequest. */
export function parseQuestion(body: Uint8Array): PortsQuestion {
  const value = parse(body)
  const { op, port, how, ports, have } = isRecord(value) ? value : {}
  if (op === 'borrow' && isPort(port) && (how === 'given' || how === 'lent')) return { op, port, how }
  if (op === 'return' && isPort(port)) return { op, port }
  if (op === 'adopt' && Array.isArray(ports) && ports.length <= PORTS_MAX && ports.every(isPort)) return { op, ports }
  if (op === 'more' && typeof have === 'number' && Number.isSafeInteger(have)) return { op, have }
  throw badRequest(
    'the body must be {"op":"borrow","port":N,"how":"given"|"lent"}, {"op":"return","port":N}, {"op":"adopt","ports":[N]} or {"op":"more","have":N}',
  )
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(decodeText(body))
  } catch {
    throw badRequest('the body is not JSON')
  }
}

export function parsePortsAnswer(value: unknown): PortsAnswer {
  if (!isRecord(value)) return {}
  const { result, ports } = value
  return {
    ...(result === 'lent' || result === 'taken' || result === 'unknown' ? { result } : {}),
    ...(Array.isArray(ports) ? { ports: ports.filter(isPort) } : {}),
  }
}

function isPort(value: unknown): value is number {
  return (
    Number.isInteger(value) && (value as number) >= NODE_PORT_RANGE.first && (value as number) <= NODE_PORT_RANGE.last
  )
}

/** Reads `30064-30127`; leaves out what is none, or beyond the range of node ports. */
export function parseRanges(texts: readonly string[] | undefined): PortRange[] {
  return (texts ?? []).flatMap((text) => {
    const [first, last] = text.split('-').map(Number)
    return isPort(first) && isPort(last) && first <= last ? [{ first, last }] : []
  })
}

/** The ranges, and the ports: as few ranges as will do. */
export function addPorts(texts: readonly string[], ports: readonly number[]): string[] {
  const added = ports.map((port): PortRange => ({ first: port, last: port }))
  const merged: { first: number; last: number }[] = []
  for (const { first, last } of [...parseRanges(texts), ...added].toSorted((a, b) => a.first - b.first)) {
    const before = merged.at(-1)
    if (before !== undefined && first <= before.last + 1) before.last = Math.max(before.last, last)
    else merged.push({ first, last })
  }
  return merged.map(({ first, last }) => `${first}-${last}`)
}

/** The ports to give away: the free ones of the block that has the most of them. Empty when none is free. Pure. */
export function planBlock(isFree: (port: number) => boolean): number[] {
  let best: number[] = []
  const { first, last } = NODE_PORT_RANGE
  for (let start = first; start <= last && best.length < BLOCK_PORTS; start += BLOCK_PORTS) {
    const count = Math.min(BLOCK_PORTS, last - start + 1)
    const free = Array.from({ length: count }, (_, i) => start + i).filter(isFree)
    if (free.length > best.length) best = free
  }
  return best
}
