import { CLASS_IN, FLAG, HEADER_BYTES, OPT_BYTES, RCODE, RCODE_MASK, TYPE } from './protocol.ts'
import { parseQuery, skipName, type DnsQuery } from './query.ts'
import { writeOptTo } from './response.ts'

interface RecordPlace {
  readonly end: number
  readonly ttlAt: number
  /** 0: answers, 1: authorities, 2: additionals. */
  readonly section: 0 | 1 | 2
}

/** An answer of another server, as it came, and where its parts are. */
export interface ForwardedAnswer {
  readonly bytes: Buffer
  readonly rcode: number
  readonly isTruncated: boolean
  readonly questionEnd: number
  readonly records: readonly RecordPlace[]
  /** How long it may be kept; 0: not at all. */
  readonly ttlSeconds: number
}

const RECORD_FIXED_BYTES = 10
/** Records in one message; more are a mistake or an attack. */
const RECORDS_MAX = 4_000
const SOA_MINIMUM_BYTES = 4

/** The query that is sent on: the client's question, letter by letter, with an id and limits of our own. */
export function encodeForward(query: DnsQuery, id: number): Buffer {
  const message = Buffer.alloc(query.questionEnd + OPT_BYTES)
  query.message.copy(message, HEADER_BYTES, HEADER_BYTES, query.questionEnd)
  message.writeUInt16BE(id, 0)
  const kept = query.flags & (FLAG.CHECKING_DISABLED | FLAG.AUTHENTIC_DATA)
  message.writeUInt16BE(FLAG.RECURSION_DESIRED | kept, 2)
  message.writeUInt16BE(1, 4)
  message.writeUInt16BE(1, 10)
  writeOptTo(message, query.questionEnd, { wantsDnssec: query.edns?.wantsDnssec === true, extendedRcode: 0 })
  return message
}

/** A query for the name that a service's alias leads to, with the client's limits. */
export function queryFor(name: string, { message, flags, type, edns }: DnsQuery): DnsQuery | undefined {
  const bytes = Buffer.alloc(HEADER_BYTES + Buffer.byteLength(name) + 6)
  let at = HEADER_BYTES
  for (const label of name.split('.')) {
    const length = bytes.write(label, at + 1)
    bytes[at] = length
    at += length + 1
  }
  bytes.writeUInt16BE(type, at + 1)
  bytes.writeUInt16BE(CLASS_IN, at + 3)
  message.copy(bytes, 0, 0, 2)
  bytes.writeUInt16BE(1, 4)
  const parsed = parseQuery(bytes)
  return parsed.type === 'query' ? { ...parsed.query, flags, edns } : undefined
}

/** Reads what a server sent; undefined unless it is a whole answer to that message. Any bytes are allowed. */
export function parseForwarded(bytes: Buffer, sent: Buffer): ForwardedAnswer | undefined {
  if (bytes.byteLength < HEADER_BYTES || bytes.readUInt16BE(0) !== sent.readUInt16BE(0)) return undefined
  const flags = bytes.readUInt16BE(2)
  const questionEnd = sent.byteLength - OPT_BYTES
  if ((flags & FLAG.RESPONSE) === 0 || !hasQuestion(bytes, sent, questionEnd)) return undefined
  const isTruncated = (flags & FLAG.TRUNCATED) !== 0
  const counts = [bytes.readUInt16BE(6), bytes.readUInt16BE(8), bytes.readUInt16BE(10)] as const
  if (counts[0] + counts[1] + counts[2] > RECORDS_MAX) return undefined
  const records: RecordPlace[] = []
  let rcode = flags & RCODE_MASK
  let ttlSeconds = Infinity
  let at = questionEnd
  for (const section of [0, 1, 2] as const) {
    for (let i = 0; i < counts[section]; i++) {
      const fixed = skipName(bytes, at)
      if (fixed === undefined || fixed + RECORD_FIXED_BYTES > bytes.byteLength) return undefined
      const end = fixed + RECORD_FIXED_BYTES + bytes.readUInt16BE(fixed + 8)
      if (end > bytes.byteLength) return undefined
      at = end
      const type = bytes.readUInt16BE(fixed)
      if (type === TYPE.OPT) {
        if (section !== 2 || i !== counts[2] - 1) return undefined // it is left out, which must not move others
        rcode |= bytes[fixed + 4]! << 4
        continue
      }
      records.push({ end, ttlAt: fixed + 4, section })
      if (section < 2) ttlSeconds = Math.min(ttlSeconds, ttlOf(bytes, { type, fixed, end }))
    }
  }
  const isKept = !isTruncated && (rcode === RCODE.NOERROR || rcode === RCODE.NXDOMAIN)
  return {
    bytes,
    rcode,
    isTruncated,
    questionEnd,
    records,
    ttlSeconds: isKept && Number.isFinite(ttlSeconds) ? ttlSeconds : 0,
  }
}

/** Servers may change the case of letters, and nothing else. */
function hasQuestion(bytes: Buffer, sent: Buffer, end: number): boolean {
  if (bytes.byteLength < end || bytes.readUInt16BE(4) !== 1) return false
  const asked = sent.toString('latin1', HEADER_BYTES, end)
  const repeated = bytes.toString('latin1', HEADER_BYTES, end)
  return asked === repeated || lowerAscii(asked) === lowerAscii(repeated)
}

function lowerAscii(text: string): string {
  return text.replace(/[A-Z]/g, (letter) => letter.toLowerCase())
}

/** That something does not exist is kept as long as its zone says. Source: RFC 2308 section 5. */
function ttlOf(
  bytes: Buffer,
  { type, fixed, end }: { readonly type: number; readonly fixed: number; readonly end: number },
): number {
  const ttl = readTtl(bytes, fixed + 4)
  const hasMinimum = type === TYPE.SOA && end - SOA_MINIMUM_BYTES >= fixed + RECORD_FIXED_BYTES
  return hasMinimum ? Math.min(ttl, readTtl(bytes, end - SOA_MINIMUM_BYTES)) : ttl
}

/** Source: RFC 2181 section 8, a first bit that is set means 0. */
function readTtl(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32BE(at)
  return value > 0x7fffffff ? 0 : value
}

export interface ForwardedOptions {
  /** Bytes that the client takes. */
  readonly limit: number
  /** How long ago the answer came. */
  readonly ageSeconds: number
  /** Longest time that a client is told to keep it. */
  readonly ttlSecondsMax: number
}

/**
 * The answer for one client: its question as it wrote it, times as they are by now, and only as many records as it takes. Records that are left out come
 * last, so no pointer leads to them.
 */
export function encodeForwarded(query: DnsQuery, answer: ForwardedAnswer, options: ForwardedOptions): Buffer {
  const { limit, ageSeconds, ttlSecondsMax } = options
  const room = limit - (query.edns === undefined ? 0 : OPT_BYTES)
  const kept: RecordPlace[] = []
  for (const record of answer.records) {
    if (record.end > room) break
    kept.push(record)
  }
  const end = kept.at(-1)?.end ?? answer.questionEnd
  const message = Buffer.alloc(end + (query.edns === undefined ? 0 : OPT_BYTES))
  answer.bytes.copy(message, 0, 0, end)
  query.message.copy(message, HEADER_BYTES, HEADER_BYTES, answer.questionEnd)
  for (const { ttlAt } of kept) {
    const ttl = Math.min(readTtl(answer.bytes, ttlAt), ttlSecondsMax) - ageSeconds
    message.writeUInt32BE(Math.max(0, ttl), ttlAt)
  }
  const counts = [0, 0, 0]
  for (const { section } of kept) counts[section]!++
  const isCut = answer.isTruncated || answer.records.some(({ section, end: at }) => section < 2 && at > room)
  message.writeUInt16BE(query.id, 0)
  message.writeUInt16BE(flagsOf(query, answer, isCut), 2)
  message.writeUInt16BE(1, 4)
  if (query.edns !== undefined) {
    counts[2]!++
    writeOptTo(message, end, { wantsDnssec: query.edns.wantsDnssec, extendedRcode: answer.rcode >> 4 })
  }
  for (const [i, count] of counts.entries()) message.writeUInt16BE(count, 6 + 2 * i)
  return message
}

function flagsOf(query: DnsQuery, { bytes, rcode }: ForwardedAnswer, isCut: boolean): number {
  return (
    FLAG.RESPONSE |
    FLAG.RECURSION_AVAILABLE |
    (query.flags & (FLAG.RECURSION_DESIRED | FLAG.CHECKING_DISABLED)) |
    (bytes.readUInt16BE(2) & FLAG.AUTHENTIC_DATA) |
    (isCut ? FLAG.TRUNCATED : 0) |
    (rcode & RCODE_MASK)
  )
}
