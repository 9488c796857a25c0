/** Numbers of the protocol. Source: RFC 1035, RFC 6891, and IANA's registry of DNS parameters. */
export const TYPE = {
  A: 1,
  NS: 2,
  CNAME: 5,
  SOA: 6,
  PTR: 12,
  TXT: 16,
  AAAA: 28,
  SRV: 33,
  OPT: 41,
  IXFR: 251,
  AXFR: 252,
  ANY: 255,
} as const

export const RCODE = {
  NOERROR: 0,
  FORMERR: 1,
  SERVFAIL: 2,
  NXDOMAIN: 3,
  NOTIMP: 4,
  REFUSED: 5,
  /** Of EDNS: its upper bits are in the OPT record. */
  BADVERS: 16,
} as const

export const CLASS_IN = 1

export const FLAG = {
  RESPONSE: 0x8000,
  AUTHORITATIVE: 0x0400,
  TRUNCATED: 0x0200,
  RECURSION_DESIRED: 0x0100,
  RECURSION_AVAILABLE: 0x0080,
  AUTHENTIC_DATA: 0x0020,
  CHECKING_DISABLED: 0x0010,
} as const

/** Bits 11 to 14 of the flags: what is asked for. */
export const OPCODE_MASK = 0x7800
export const RCODE_MASK = 0x000f

export const HEADER_BYTES = 12
/** Longest name on the wire. */
export const NAME_BYTES_MAX = 255
export const LABEL_BYTES_MAX = 63
/** First byte of a pointer to a name that was written before. */
export const POINTER_BITS = 0xc0
/** An OPT record without options: root, type, size, extended rcode and flags, no data. */
export const OPT_BYTES = 11

/** What every client takes over UDP. Source: RFC 1035 section 4.2.1. */
export const UDP_BYTES_MIN = 512
/**
 * What is sent at most over UDP, however much a client allows: it fits into one packet on every network, so no answer hangs on fragments. Source: DNS flag
 * day 2020.
 */
export const UDP_BYTES_MAX = 1_232
export const TCP_BYTES_MAX = 65_535
