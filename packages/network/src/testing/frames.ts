/** Frames written byte by byte, right by default; a test changes what it wants wrong. */

export const ETHERTYPE_IPV4 = 0x0800
export const PROTOCOL_NUMBERS = { ICMP: 1, TCP: 6, UDP: 17, SCTP: 132 } as const
export const GENEVE_PORT = 6081
/** Class of our option, and its types: without and with an egress policy of the sender. The highest bit of a type: critical. */
const OPTION_CLASS = 0x0173
const OPTION_CRITICAL = 0x80
const UDP_HEADER_BYTES = 8
const TRANSPORT_ETHERNET_BRIDGING = 0x6558

export interface Ethernet {
  readonly source: string
  readonly destination: string
  readonly type?: number
}

export interface Ipv4 {
  readonly source: string
  readonly destination: string
  readonly protocol: number
  readonly ttl?: number
  readonly tos?: number
  readonly id?: number
  /** The 16 bits of flags and offset, such as 0x4000 for don't-fragment (the default), 0x2000 for more fragments. */
  readonly fragment?: number
  /** Whole words. */
  readonly options?: Buffer
  /** Lies about the length. */
  readonly totalLength?: number
}

/** One frame. */
export function ethernet({ source, destination, type = ETHERTYPE_IPV4 }: Ethernet, payload: Buffer): Buffer {
  return Buffer.concat([macBytes(destination), macBytes(source), uint16(type), payload])
}

/** One packet with a right header checksum. */
export function ipv4(header: Ipv4, payload: Buffer): Buffer {
  const { ttl = 64, tos = 0, id = 0, fragment = 0x4000, options = Buffer.alloc(0) } = header
  const bytes = Buffer.alloc(20 + options.length)
  bytes[0] = 0x40 | (bytes.length / 4)
  bytes[1] = tos
  bytes.writeUInt16BE(header.totalLength ?? bytes.length + payload.length, 2)
  bytes.writeUInt16BE(id, 4)
  bytes.writeUInt16BE(fragment, 6)
  bytes[8] = ttl
  bytes[9] = header.protocol
  ipBytes(header.source).copy(bytes, 12)
  ipBytes(header.destination).copy(bytes, 16)
  options.copy(bytes, 20)
  bytes.writeUInt16BE(checksum(bytes), 10)
  return Buffer.concat([bytes, payload])
}

export interface Ports {
  readonly sourcePort: number
  readonly destinationPort: number
}

/** A datagram without a checksum, which IPv4 allows. */
export function udp({ sourcePort, destinationPort }: Ports, payload: Buffer): Buffer {
  const bytes = Buffer.alloc(UDP_HEADER_BYTES)
  bytes.writeUInt16BE(sourcePort, 0)
  bytes.writeUInt16BE(destinationPort, 2)
  bytes.writeUInt16BE(UDP_HEADER_BYTES + payload.length, 4)
  return Buffer.concat([bytes, payload])
}

export const TCP_SYN = 0x02
export const TCP_ACK = 0x10

/** A segment; its checksum is left to {@link withTransportChecksum}. */
export function tcp(
  { sourcePort, destinationPort, flags = TCP_SYN }: Ports & { flags?: number },
  payload: Buffer,
): Buffer {
  const bytes = Buffer.alloc(20)
  bytes.writeUInt16BE(sourcePort, 0)
  bytes.writeUInt16BE(destinationPort, 2)
  bytes.writeUInt32BE(1, 4)
  bytes[12] = 0x50
  bytes[13] = flags
  bytes.writeUInt16BE(65_535, 14)
  return Buffer.concat([bytes, payload])
}

/** An echo request with its checksum. */
export function icmpEcho(
  { id, sequence }: { readonly id: number; readonly sequence: number },
  payload: Buffer,
): Buffer {
  const bytes = Buffer.alloc(8)
  bytes[0] = 8
  bytes.writeUInt16BE(id, 4)
  bytes.writeUInt16BE(sequence, 6)
  const whole = Buffer.concat([bytes, payload])
  whole.writeUInt16BE(checksum(whole), 2)
  return whole
}

/** The first packet of an association (INIT), or the answer to it (INIT ACK), with its CRC32c; source: RFC 9260 section 3.3.2. */
export function sctpInit({ sourcePort, destinationPort, isAnswer = false }: Ports & { isAnswer?: boolean }): Buffer {
  const bytes = Buffer.alloc(32)
  bytes.writeUInt16BE(sourcePort, 0)
  bytes.writeUInt16BE(destinationPort, 2)
  bytes[12] = isAnswer ? 2 : 1
  bytes.writeUInt16BE(20, 14)
  bytes.writeUInt32BE(0x1234_5678, 16)
  bytes.writeUInt32BE(65_536, 20)
  bytes.writeUInt16BE(1, 24)
  bytes.writeUInt16BE(1, 26)
  bytes.writeUInt32LE(crc32c(bytes), 8)
  return bytes
}

export interface GeneveOption {
  readonly class: number
  readonly type: number
  readonly data: Buffer
}

/** The option that carries a sender's identity. */
export function identityOption(identity: number, { isIsolated = false } = {}): GeneveOption {
  const data = Buffer.alloc(4)
  data.writeUInt32BE(identity)
  return { class: OPTION_CLASS, type: OPTION_CRITICAL | (isIsolated ? 2 : 1), data }
}

/** A GENEVE header and an inner Ethernet frame; source: RFC 8926 section 3.4. */
export function geneve(
  {
    vni,
    options,
    protocol = TRANSPORT_ETHERNET_BRIDGING,
  }: { vni: number; options: readonly GeneveOption[]; protocol?: number },
  frame: Buffer,
): Buffer {
  const encoded = Buffer.concat(options.map(encodeOption))
  const bytes = Buffer.alloc(8)
  bytes[0] = encoded.length / 4
  bytes[1] = options.some(({ type }) => type >= OPTION_CRITICAL) ? 0x40 : 0
  bytes.writeUInt16BE(protocol, 2)
  bytes.writeUIntBE(vni, 4, 3)
  return Buffer.concat([bytes, encoded, frame])
}

function encodeOption({ class: optionClass, type, data }: GeneveOption): Buffer {
  const header = Buffer.alloc(4)
  header.writeUInt16BE(optionClass, 0)
  header[2] = type
  header[3] = data.length / 4
  return Buffer.concat([header, data])
}

/** Fills in the checksum of the TCP segment or UDP datagram of an IPv4 packet. */
export function withTransportChecksum(packet: Buffer): Buffer {
  const headerBytes = (packet[0]! & 15) * 4
  const protocol = packet[9]!
  const offset = headerBytes + (protocol === PROTOCOL_NUMBERS.TCP ? 16 : 6)
  const whole = Buffer.from(packet)
  whole.writeUInt16BE(0, offset)
  const transport = whole.subarray(headerBytes)
  const pseudo = Buffer.concat([
    whole.subarray(12, 20),
    Buffer.from([0, protocol]),
    uint16(transport.length),
    transport,
  ])
  whole.writeUInt16BE(checksum(pseudo) || 0xffff, offset)
  return whole
}

/** The one's complement sum of RFC 1071. */
export function checksum(bytes: Buffer): number {
  let sum = 0
  for (let i = 0; i < bytes.length; i += 2) sum += (bytes[i]! << 8) | (bytes[i + 1] ?? 0)
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16)
  return ~sum & 0xffff
}

function crc32c(bytes: Buffer): number {
  let crc = 0xffff_ffff
  for (const byte of bytes) {
    crc ^= byte
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f6_3b78 : 0)
  }
  return ~crc >>> 0
}

export function macBytes(mac: string): Buffer {
  return Buffer.from(mac.replaceAll(':', ''), 'hex')
}

export function ipBytes(ip: string): Buffer {
  return Buffer.from(ip.split('.').map(Number))
}

function uint16(value: number): Buffer {
  return Buffer.from([value >>> 8, value & 255])
}
