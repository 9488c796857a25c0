import {
  CLASS_IN,
  HEADER_BYTES,
  LABEL_BYTES_MAX,
  NAME_BYTES_MAX,
  OPCODE_MASK,
  POINTER_BITS,
  RCODE,
  TYPE,
  UDP_BYTES_MAX,
  UDP_BYTES_MIN,
} from './protocol.ts'

/** What a client's EDNS record says. */
export interface Edns {
  /** Bytes that it takes over UDP. */
  readonly udpBytes: number
  readonly version: number
  /** It wants signatures. */
  readonly wantsDnssec: boolean
}

/** One question, as far as it must be understood; the rest stays in `message`. */
export interface DnsQuery {
  readonly message: Buffer
  readonly id: number
  readonly flags: number
  /** In lower case, without the dot at the end, and with unusual bytes written as `\` and three digits, so that equal names are equal texts. */
  readonly name: string
  readonly type: number
  /** Where the question ends in `message`; it begins after the header. */
  readonly questionEnd: number
  readonly edns: Edns | undefined
}

export type ParsedQuery =
  | { readonly type: 'query'; readonly query: DnsQuery }
  /** Answered with the code alone; `query` when its question can be repeated. */
  | { readonly type: 'refused'; readonly rcode: number; readonly query: DnsQuery | undefined }
  /** Deserves no answer: not DNS, or itself an answer. */
  | { readonly type: 'ignored' }

const IGNORED: ParsedQuery = { type: 'ignored' }
const RESPONSE_BIT = 0x8000
const ADDITIONALS_MAX = 2
const PLAIN_LABEL = /^[\w-]+$/
/** Type, class, TTL and length of a record. */
const RECORD_FIXED_BYTES = 10
const DNSSEC_OK_BIT = 0x8000

/**
 * Reads a query without making objects of what nobody needs. Any bytes are allowed. What is refused at once, and how, is as in CoreDNS. Source: miekg/dns
 * DefaultMsgAcceptFunc; RFC 6891 section 6.1.3 for EDNS versions.
 */
export function parseQuery(message: Buffer): ParsedQuery {
  if (message.byteLength < HEADER_BYTES) return IGNORED
  const flags = message.readUInt16BE(2)
  if ((flags & RESPONSE_BIT) !== 0) return IGNORED
  if ((flags & OPCODE_MASK) !== 0) return refuse(RCODE.NOTIMP)
  const answers = message.readUInt16BE(6)
  const authorities = message.readUInt16BE(8)
  const additionals = message.readUInt16BE(10)
  if (message.readUInt16BE(4) !== 1 || answers > 0 || authorities > 0 || additionals > ADDITIONALS_MAX)
    return refuse(RCODE.FORMERR)
  const name = readQuestionName(message)
  if (name === undefined || name.end + 4 > message.byteLength) return refuse(RCODE.FORMERR)
  const questionEnd = name.end + 4
  const edns = readEdns(message, questionEnd, additionals)
  const query: DnsQuery = {
    message,
    id: message.readUInt16BE(0),
    flags,
    name: name.text,
    type: message.readUInt16BE(name.end),
    questionEnd,
    edns: edns === 'malformed' ? undefined : edns,
  }
  if (edns === 'malformed') return refuse(RCODE.FORMERR, query)
  if (edns !== undefined && edns.version !== 0) return refuse(RCODE.BADVERS, query)
  if (message.readUInt16BE(name.end + 2) !== CLASS_IN) return refuse(RCODE.REFUSED, query)
  return { type: 'query', query }
}

function refuse(rcode: number, query?: DnsQuery): ParsedQuery {
  return { type: 'refused', rcode, query }
}

/** How long an answer over UDP may be. */
export function udpLimit({ edns }: Pick<DnsQuery, 'edns'>): number {
  return Math.min(Math.max(edns?.udpBytes ?? 0, UDP_BYTES_MIN), UDP_BYTES_MAX)
}

/** The name after the header; nothing was written before it that it could point to. */
function readQuestionName(message: Buffer): { readonly text: string; readonly end: number } | undefined {
  let text = ''
  let at = HEADER_BYTES
  for (;;) {
    const length = message[at]
    if (length === undefined || length > LABEL_BYTES_MAX) return undefined
    at++
    if (length === 0) return at - HEADER_BYTES > NAME_BYTES_MAX ? undefined : { text: text.toLowerCase(), end: at }
    if (at + length > message.byteLength) return undefined
    const label = message.toString('latin1', at, at + length)
    const plain = PLAIN_LABEL.test(label) ? label : escapeLabel(label)
    text = text === '' ? plain : `${text}.${plain}`
    at += length
  }
}

function escapeLabel(label: string): string {
  return label.replace(/[^\w-]/g, (byte) => `\\${String(byte.charCodeAt(0)).padStart(3, '0')}`)
}

function readEdns(message: Buffer, start: number, count: number): Edns | undefined | 'malformed' {
  let at = start
  let found: Edns | undefined
  for (let i = 0; i < count; i++) {
    const isRoot = message[at] === 0
    const fixed = skipName(message, at)
    if (fixed === undefined || fixed + RECORD_FIXED_BYTES > message.byteLength) return 'malformed'
    const end = fixed + RECORD_FIXED_BYTES + message.readUInt16BE(fixed + 8)
    if (end > message.byteLength) return 'malformed'
    if (message.readUInt16BE(fixed) === TYPE.OPT) {
      if (found !== undefined || !isRoot) return 'malformed'
      found = {
        udpBytes: message.readUInt16BE(fixed + 2),
        version: message[fixed + 5]!,
        wantsDnssec: (message.readUInt16BE(fixed + 6) & DNSSEC_OK_BIT) !== 0,
      }
    }
    at = end
  }
  return found
}

/** Where a name that begins at an offset ends; undefined when it does not. Pointers are not followed. */
export function skipName(message: Buffer, start: number): number | undefined {
  for (let at = start; ;) {
    const length = message[at]
    if (length === undefined) return undefined
    if (length === 0) return at + 1
    if (length >= POINTER_BITS) return at + 2
    if (length > LABEL_BYTES_MAX || at - start > NAME_BYTES_MAX) return undefined
    at += length + 1
  }
}
