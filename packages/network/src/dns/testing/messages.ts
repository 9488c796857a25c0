import { encode, type DecodedPacket, type OptAnswer, type RecordType } from 'dns-packet'
import { parseQuery, type DnsQuery } from '../query.ts'

export interface QuestionOptions {
  readonly type?: RecordType | undefined
  readonly id?: number | undefined
  /** Default: recursion is desired. */
  readonly flags?: number | undefined
  /** With EDNS, and so much over UDP. */
  readonly udpBytes?: number | undefined
  readonly ednsVersion?: number | undefined
  readonly wantsDnssec?: boolean | undefined
}

/** A client's message. */
export function questionBytes(name: string, options: QuestionOptions = {}): Buffer {
  const { type = 'A', id = 1, flags = 0x100, udpBytes, ednsVersion = 0, wantsDnssec = false } = options
  const option: OptAnswer = {
    type: 'OPT',
    name: '.',
    udpPayloadSize: udpBytes ?? 0,
    extendedRcode: 0,
    ednsVersion,
    flags: wantsDnssec ? 0x8000 : 0,
    flag_do: wantsDnssec,
    options: [],
  }
  const questions = [{ type, name }]
  return encode({ type: 'query', id, flags, questions, ...(udpBytes === undefined ? {} : { additionals: [option] }) })
}

/** A client's message as it is read. */
export function questionOf(name: string, options: QuestionOptions = {}): DnsQuery {
  const parsed = parseQuery(questionBytes(name, options))
  if (parsed.type !== 'query') throw new Error(`${name} is no question: ${parsed.type}`)
  return parsed.query
}

/** Missing from the library's types, not from what it reads. */
export function rcodeOf(packet: DecodedPacket): string | undefined {
  return (packet as { rcode?: string }).rcode
}
