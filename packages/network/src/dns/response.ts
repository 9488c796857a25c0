import { encode, type Answer } from 'dns-packet'
import {
  CLASS_IN,
  FLAG,
  HEADER_BYTES,
  LABEL_BYTES_MAX,
  OPT_BYTES,
  POINTER_BITS,
  TCP_BYTES_MAX,
  TYPE,
  UDP_BYTES_MAX,
} from './protocol.ts'
import type { DnsQuery } from './query.ts'

/** What is answered to a question. Names of records are in lower case, except for those that were forwarded. */
export interface DnsResponse {
  /** Up to 12 bits. */
  readonly rcode: number
  readonly isAuthoritative: boolean
  readonly answers: readonly Answer[]
  readonly authorities?: readonly Answer[] | undefined
  /** May be left out where there is no room. */
  readonly additionals?: readonly Answer[] | undefined
}

/** One answer at a time is written here, and copied when it is whole. */
const scratch = Buffer.allocUnsafe(TCP_BYTES_MAX + 1)
const DNSSEC_OK_BIT = 0x8000
/** Furthest place that a pointer reaches. */
const POINTER_MAX = 0x3fff
const LAST_IPV4_PART = 3

/**
 * Bytes of an answer that is at most `limit` long. The question stays as it was asked, letter by letter, and names point to it and to each other; answers
 * that do not fit are left out, and the client is told, so that it asks over TCP. Throws RangeError for a record that can't be written, such as one with a
 * label of 64 characters.
 */
export function encodeResponse(query: DnsQuery, response: DnsResponse, limit: number): Buffer {
  const writer = new Writer(query, limit - (query.edns === undefined ? 0 : OPT_BYTES))
  const answers = writer.writeAll(response.answers)
  const isCut = answers < response.answers.length
  const authorities = isCut ? 0 : writer.writeAll(response.authorities ?? [])
  // names of what was left out may not be pointed to: nothing comes after it
  const isWhole = authorities === (response.authorities?.length ?? 0)
  const additionals = isCut || !isWhole ? 0 : writer.writeAll(response.additionals ?? [])
  const end = writeOpt(writer.end, query, response.rcode)
  const flags =
    FLAG.RESPONSE |
    FLAG.RECURSION_AVAILABLE |
    (query.flags & (FLAG.RECURSION_DESIRED | FLAG.CHECKING_DISABLED)) |
    (response.isAuthoritative ? FLAG.AUTHORITATIVE : 0) |
    (isCut ? FLAG.TRUNCATED : 0) |
    (response.rcode & 0xf)
  writeHeader(query.id, flags, [1, answers, authorities, additionals + (query.edns === undefined ? 0 : 1)])
  return Buffer.from(scratch.subarray(0, end))
}

/** An answer without a question, for a query that has none that could be repeated. */
export function encodeRefusal(message: Buffer, rcode: number): Buffer {
  const kept = message.readUInt16BE(2) & (FLAG.RECURSION_DESIRED | 0x7800)
  writeHeader(message.readUInt16BE(0), FLAG.RESPONSE | kept | rcode, [0, 0, 0, 0])
  return Buffer.from(scratch.subarray(0, HEADER_BYTES))
}

function writeHeader(id: number, flags: number, counts: readonly [number, number, number, number]): void {
  scratch.writeUInt16BE(id, 0)
  scratch.writeUInt16BE(flags, 2)
  for (const [i, count] of counts.entries()) scratch.writeUInt16BE(count, 4 + 2 * i)
}

/** Source: RFC 6891 section 6.1. Who asks with EDNS is answered with it. */
function writeOpt(at: number, query: DnsQuery, rcode: number): number {
  if (query.edns === undefined) return at
  return writeOptTo(scratch, at, { wantsDnssec: query.edns.wantsDnssec, extendedRcode: rcode >> 4 })
}

/** Writes an OPT record that allows {@link UDP_BYTES_MAX} bytes; returns where it ends. */
export function writeOptTo(
  target: Buffer,
  start: number,
  { wantsDnssec, extendedRcode }: { readonly wantsDnssec: boolean; readonly extendedRcode: number },
): number {
  target[start] = 0
  target.writeUInt16BE(TYPE.OPT, start + 1)
  target.writeUInt16BE(UDP_BYTES_MAX, start + 3)
  target[start + 5] = extendedRcode
  target[start + 6] = 0
  target.writeUInt16BE(wantsDnssec ? DNSSEC_OK_BIT : 0, start + 7)
  target.writeUInt16BE(0, start + 9)
  return start + OPT_BYTES
}

class NoRoom extends Error {}

class Writer {
  end: number
  readonly #query: DnsQuery
  readonly #limit: number
  /** Where each name that was written begins, with all that follows in it. Filled from the question when a second name comes. */
  #names: Map<string, number> | undefined

  constructor(query: DnsQuery, limit: number) {
    this.#query = query
    this.#limit = limit
    this.end = query.message.copy(scratch, HEADER_BYTES, HEADER_BYTES, query.questionEnd) + HEADER_BYTES
  }

  /** How many of them fitted. */
  writeAll(records: readonly Answer[]): number {
    for (let i = 0; i < records.length; i++) {
      const start = this.end
      if (this.#write(records[i]!) && this.end <= this.#limit) continue
      this.end = start
      return i
    }
    return records.length
  }

  #write(record: Answer): boolean {
    try {
      this.#writeRecord(record)
      return true
    } catch (error) {
      if (error instanceof NoRoom) return false
      throw error
    }
  }

  #writeRecord(record: Answer): void {
    switch (record.type) {
      case 'A':
        this.#begin(record.name, TYPE.A, record.ttl)
        return this.#data(() => this.#address(record.data))
      case 'CNAME':
      case 'PTR':
      case 'NS':
        this.#begin(record.name, TYPE[record.type], record.ttl)
        return this.#data(() => this.#name(record.data))
      case 'SRV':
        this.#begin(record.name, TYPE.SRV, record.ttl)
        return this.#data(() => {
          this.#number16(record.data.priority ?? 0)
          this.#number16(record.data.weight ?? 0)
          this.#number16(record.data.port)
          this.#plainName(record.data.target) // source: RFC 2782, no compression of the target
        })
      case 'SOA': {
        const { mname, rname, serial = 0, refresh = 0, retry = 0, expire = 0, minimum = 0 } = record.data
        this.#begin(record.name, TYPE.SOA, record.ttl)
        return this.#data(() => {
          this.#name(mname)
          this.#name(rname)
          this.#numbers32([serial, refresh, retry, expire, minimum])
        })
      }
      default:
        return this.#foreign(record)
    }
  }

  /** Bytes of the library's, which hold no pointers and so mean the same anywhere. */
  #foreign(record: Answer): void {
    const bytes = encode({ type: 'response', answers: [record] }).subarray(HEADER_BYTES)
    this.#need(bytes.byteLength)
    bytes.copy(scratch, this.end)
    this.end += bytes.byteLength
  }

  #begin(name: string, type: number, ttl: number | undefined): void {
    this.#name(name)
    this.#number16(type)
    this.#number16(CLASS_IN)
    this.#numbers32([ttl ?? 0])
  }

  #data(write: () => void): void {
    const start = this.end
    this.#number16(0)
    write()
    scratch.writeUInt16BE(this.end - start - 2, start)
  }

  #address(text: string): void {
    this.#need(4)
    let part = 0
    let parts = 0
    for (let i = 0; i < text.length; i++) {
      const code = text.charCodeAt(i)
      if (code !== 46) part = part * 10 + code - 48
      else {
        scratch[this.end++] = part
        part = 0
        parts++
      }
    }
    scratch[this.end++] = part
    if (parts !== LAST_IPV4_PART) throw new RangeError(`${JSON.stringify(text)} is no IPv4 address`)
  }

  #number16(value: number): void {
    this.#need(2)
    this.end = scratch.writeUInt16BE(value, this.end)
  }

  #numbers32(values: readonly number[]): void {
    this.#need(4 * values.length)
    for (const value of values) this.end = scratch.writeUInt32BE(value, this.end)
  }

  #name(text: string): void {
    if (text === this.#query.name) return this.#pointer(HEADER_BYTES)
    const names = (this.#names ??= namesOf(this.#query.name))
    let rest = text.replace(/\.$/, '')
    while (rest !== '') {
      const known = names.get(rest)
      if (known !== undefined) return this.#pointer(known)
      if (this.end <= POINTER_MAX) names.set(rest, this.end)
      rest = this.#label(rest)
    }
    this.#need(1)
    scratch[this.end++] = 0
  }

  #plainName(text: string): void {
    let rest = text.replace(/\.$/, '')
    while (rest !== '') rest = this.#label(rest)
    this.#need(1)
    scratch[this.end++] = 0
  }

  /** Writes the first label of a name; returns the others. */
  #label(name: string): string {
    const dot = name.indexOf('.')
    const label = dot < 0 ? name : name.slice(0, dot)
    const length = Buffer.byteLength(label)
    if (length === 0 || length > LABEL_BYTES_MAX) throw new RangeError(`${JSON.stringify(name)} is no name for DNS`)
    this.#need(length + 1)
    scratch[this.end] = length
    scratch.write(label, this.end + 1)
    this.end += length + 1
    return dot < 0 ? '' : name.slice(dot + 1)
  }

  #pointer(to: number): void {
    this.#number16((POINTER_BITS << 8) | to)
  }

  #need(bytes: number): void {
    if (this.end + bytes > this.#limit) throw new NoRoom()
  }
}

/** Where the question's name, and each shorter one in it, begins. Names with escapes are no records' names and are left out. */
function namesOf(question: string): Map<string, number> {
  const names = new Map<string, number>()
  if (question.includes('\\')) return names
  let at = HEADER_BYTES
  for (let rest = question; rest !== '';) {
    names.set(rest, at)
    const dot = rest.indexOf('.')
    at += (dot < 0 ? rest.length : dot) + 1
    rest = dot < 0 ? '' : rest.slice(dot + 1)
  }
  return names
}
