import { DataplaneError } from '../kernel/dataplane-error.ts'
import {
  LIST_PROTOCOLS,
  LIST_SEGMENTS_MAX,
  PRECEDENCE_LAST,
  SEGMENT_ALLOW,
  SEGMENT_DENY,
  SEGMENT_JUMP,
  segment,
  type SegmentRecord,
} from '../layouts/layouts.ts'
import type { VerdictList } from '../policy/policy-set.ts'

/** Segments of one list in the kernel, in order. */
export type EncodedList = readonly SegmentRecord[]

/** A list in the kernel, or one that leads to several. */
export type ListTree =
  | { readonly kind: 'open' }
  | { readonly kind: 'list'; readonly segments: EncodedList }
  | { readonly kind: 'tree'; readonly parts: readonly EncodedList[] }

/**
 * The kernel's form of a list: neighbours that say the same are one segment, and a list that is too long becomes several behind one that leads to them. Throws
 * `DataplaneError` beyond 64 × 64 segments.
 */
export function encodeList(list: VerdictList): ListTree {
  const segments = mergeNeighbours(list.map(encodeSegment))
  const [only] = segments
  if (only === undefined || only.start !== 0) throw new DataplaneError('A list of verdicts must begin with TCP port 0')
  if (segments.length === 1 && isOpen(only)) return { kind: 'open' }
  if (segments.length <= LIST_SEGMENTS_MAX) return { kind: 'list', segments }
  const parts = Array.from({ length: Math.ceil(segments.length / LIST_SEGMENTS_MAX) }, (_, i) =>
    segments.slice(i * LIST_SEGMENTS_MAX, (i + 1) * LIST_SEGMENTS_MAX),
  )
  if (parts.length > LIST_SEGMENTS_MAX)
    throw new DataplaneError(
      `Policies may not cut the ports of one peer into more than ${LIST_SEGMENTS_MAX ** 2} ranges: these make ${segments.length}`,
    )
  return { kind: 'tree', parts }
}

/** The segment that leads to another list, from where that one begins. */
export function encodeJump(part: EncodedList, id: number): SegmentRecord {
  return { start: part[0]!.start, rule: id, precedence: 0, verdict: SEGMENT_JUMP }
}

function encodeSegment(item: VerdictList[number]): SegmentRecord {
  return {
    start: LIST_PROTOCOLS.indexOf(item.protocol) * 65_536 + item.firstPort,
    rule: item.rule,
    precedence: item.precedence,
    verdict: item.allow ? SEGMENT_ALLOW : SEGMENT_DENY,
  }
}

function mergeNeighbours(segments: readonly SegmentRecord[]): SegmentRecord[] {
  return segments.filter((item, i) => {
    const before = segments[i - 1]
    if (before !== undefined && before.start >= item.start)
      throw new DataplaneError(`Segments of a list must be sorted: ${before.start} comes before ${item.start}`)
    return (
      before === undefined ||
      before.rule !== item.rule ||
      before.precedence !== item.precedence ||
      before.verdict !== item.verdict
    )
  })
}

function isOpen(item: SegmentRecord): boolean {
  return item.verdict === SEGMENT_ALLOW && item.rule === 0 && item.precedence === PRECEDENCE_LAST
}

/** Equal lists, equal texts. */
export function listText(segments: EncodedList): string {
  return Buffer.concat(segments.map((item) => segment.encode(item))).toString('latin1')
}
