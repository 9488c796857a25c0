/** A small world for tests of the programs: pods .2 to .9 of this host (10.244.1.0/24), another host with 10.244.2.0/24, and frames between them. */
import { macOf } from '../cni/attachment.ts'
import type { Endpoint } from '../dataplane/dataplane.ts'
import type { DataplaneTables } from '../dataplane/open-tables.ts'
import { PRECEDENCE_LAST } from '../layouts/layouts.ts'
import { DEFAULT_SHAPER } from '../qos/levels.ts'
import type { PolicySet, PortProtocol, VerdictList } from '../policy/policy-set.ts'
import {
  ethernet,
  geneve,
  identityOption,
  ipv4,
  PROTOCOL_NUMBERS,
  tcp,
  TCP_SYN,
  udp,
  withTransportChecksum,
  type GeneveOption,
  type Ipv4,
} from './frames.ts'

export const VNI = 5
export const GATEWAY = '02:ce:47:00:00:01'
export const THIS_NODE = '192.168.77.1'
export const OTHER_NODE = '192.168.77.2'
const PROTOCOLS: readonly PortProtocol[] = ['TCP', 'UDP', 'SCTP', 'other']

/** The same for every protocol and port. */
export function everywhere(allow: boolean, { rule = 0, precedence = PRECEDENCE_LAST } = {}): VerdictList {
  return PROTOCOLS.map((protocol) => ({ protocol, firstPort: 0, lastPort: 65_535, allow, precedence, rule }))
}

export const OPEN = everywhere(true)
export const CLOSED = everywhere(false, { rule: 1 })

/** Allows some ports of one protocol, and denies the rest. */
export function onlyPorts(
  protocol: PortProtocol,
  ports: readonly number[],
  { rule = 2, precedence = 100 } = {},
): VerdictList {
  return PROTOCOLS.flatMap((each) => {
    const cuts =
      each === protocol ? [...new Set([0, ...ports.flatMap((port) => [port, port + 1])])].sort((a, b) => a - b) : [0]
    return cuts
      .filter((port) => port <= 65_535)
      .map((firstPort, i, all) => {
        const allow = each === protocol && ports.includes(firstPort)
        const lastPort = (all[i + 1] ?? 65_536) - 1
        return {
          protocol: each,
          firstPort,
          lastPort,
          allow,
          precedence: allow ? precedence : PRECEDENCE_LAST,
          rule: allow ? rule : 1,
        }
      })
  })
}

export interface SetParts {
  readonly byIdentity?: Readonly<Record<number, VerdictList>>
  readonly others?: VerdictList
  readonly ingressCidrs?: Readonly<Record<string, VerdictList>>
  readonly egressOfPeers?: Readonly<Record<number, VerdictList>>
  readonly isolated?: boolean
  readonly toPods?: VerdictList
  readonly outside?: VerdictList
  readonly egressCidrs?: Readonly<Record<string, VerdictList>>
}

/** A set that is open where nothing is said. */
export function policySetOf(key: string, parts: SetParts = {}): PolicySet {
  const byNumber = (lists: Readonly<Record<number, VerdictList>> = {}): Map<number, VerdictList> =>
    new Map(Object.entries(lists).map(([id, list]) => [Number(id), list]))
  const cidrs = (lists: Readonly<Record<string, VerdictList>> = {}) =>
    Object.entries(lists).map(([cidr, list]) => ({ cidr, list }))
  return {
    key,
    ingress: {
      byIdentity: byNumber(parts.byIdentity),
      others: parts.others ?? OPEN,
      cidrs: cidrs(parts.ingressCidrs),
    },
    egressOfPeers: byNumber(parts.egressOfPeers),
    egress: {
      isolated: parts.isolated ?? false,
      toPods: parts.toPods ?? OPEN,
      outside: { others: parts.outside ?? OPEN, cidrs: cidrs(parts.egressCidrs) },
    },
  }
}

/** Pod `10.244.1.<number>` on device 10 + number, with identity 300 + number. */
export function podOf(number: number, changes: Partial<Endpoint> = {}): Endpoint {
  const ip = `10.244.1.${number}`
  return {
    vni: VNI,
    ip,
    hostIP: ip,
    mac: macOf(changes.ip ?? ip),
    ifindex: 10 + number,
    identity: 300 + number,
    policySet: 0,
    routeDomain: 0,
    blockPrefix: 24,
    shaper: DEFAULT_SHAPER,
    ...changes,
  }
}

/** The other host: its pods' block, and that its identities are believed. */
export function addOtherHost(tables: DataplaneTables): void {
  tables.setRoute({ domain: 0, cidr: '10.244.2.0/24', node: OTHER_NODE })
  tables.setNode(OTHER_NODE)
}

export interface PacketParts extends Partial<Omit<Ipv4, 'protocol'>> {
  readonly source: string
  readonly destination: string
  readonly sourcePort?: number
  readonly destinationPort?: number
  readonly payload?: Buffer
}

/** An IPv4 packet with a UDP datagram, from port 40,000 to 53 unless told. */
export function udpPacket(parts: PacketParts): Buffer {
  const { sourcePort = 40_000, destinationPort = 53, payload = Buffer.alloc(20, 7) } = parts
  const packet = ipv4({ ...parts, protocol: PROTOCOL_NUMBERS.UDP }, udp({ sourcePort, destinationPort }, payload))
  return withTransportChecksum(packet)
}

/** An IPv4 packet with a TCP segment, SYN from port 40,000 to 80 unless told. */
export function tcpPacket(parts: PacketParts & { readonly flags?: number }): Buffer {
  const { sourcePort = 40_000, destinationPort = 80, payload = Buffer.alloc(0), flags = TCP_SYN } = parts
  const packet = ipv4(
    { ...parts, protocol: PROTOCOL_NUMBERS.TCP },
    tcp({ sourcePort, destinationPort, flags }, payload),
  )
  return withTransportChecksum(packet)
}

/** As a pod sends it: from its own MAC to the gateway. */
export function fromPod(packet: Buffer, source = sourceOf(packet)): Buffer {
  return ethernet({ source: macOf(source), destination: GATEWAY }, packet)
}

function sourceOf(packet: Buffer): string {
  return [...packet.subarray(12, 16)].join('.')
}

export interface TunnelParts {
  readonly node?: string
  readonly vni?: number
  readonly identity?: number
  readonly isIsolated?: boolean
  readonly options?: readonly GeneveOption[]
  readonly tos?: number
  readonly innerType?: number
  /** Changes to the outer IPv4 header. */
  readonly outer?: Partial<Ipv4>
}

/** A packet as it comes from the other host. */
export function throughTunnel(packet: Buffer, parts: TunnelParts = {}): Buffer {
  const { node = OTHER_NODE, vni = VNI, identity = 302, isIsolated = false, tos = 0, innerType = 0x0800 } = parts
  const options = parts.options ?? [identityOption(identity, { isIsolated })]
  const inner = ethernet({ source: GATEWAY, destination: GATEWAY, type: innerType }, packet)
  const outer = udp({ sourcePort: 50_000, destinationPort: 6081 }, geneve({ vni, options }, inner))
  const addresses = { source: node, destination: THIS_NODE }
  return ethernet(
    { source: '02:77:00:00:00:02', destination: '02:77:00:00:00:01' },
    ipv4({ ...addresses, protocol: PROTOCOL_NUMBERS.UDP, tos, ...parts.outer }, outer),
  )
}

export interface DecodedTunnel {
  readonly source: string
  readonly destination: string
  readonly tos: number
  readonly sourcePort: number
  readonly vni: number
  readonly optionType: number
  readonly identity: number
  readonly inner: Buffer
}

/** Reads what a program encapsulated. */
export function decodeTunnel(frame: Buffer): DecodedTunnel {
  const ip = (offset: number): string => [...frame.subarray(offset, offset + 4)].join('.')
  return {
    source: ip(26),
    destination: ip(30),
    tos: frame[15]!,
    sourcePort: frame.readUInt16BE(34),
    vni: frame.readUIntBE(46, 3),
    optionType: frame[52]!,
    identity: frame.readUInt32BE(54),
    inner: frame.subarray(58),
  }
}
