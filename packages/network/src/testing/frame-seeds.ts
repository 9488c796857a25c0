import {
  checksum,
  ethernet,
  geneve,
  GENEVE_PORT,
  type GeneveOption,
  icmpEcho,
  identityOption,
  ipv4,
  PROTOCOL_NUMBERS,
  sctpInit,
  tcp,
  udp,
  withTransportChecksum,
} from './frames.ts'

/** Frames that fuzzers begin with: what the world of bpf/fuzz/world.h knows, right and nearly right. */

const GATEWAY_MAC = '02:ce:47:00:00:01'
const POD_MAC = '0a:ce:0a:f4:01:02'
const POD = '10.244.1.2'
const NEIGHBOUR = '10.244.1.3'
const FAR = '10.244.2.2'
const NODE_HERE = '192.168.77.1'
const NODE_THERE = '192.168.77.2'
const VNI = 1
const FRIEND = 258
const DATA = Buffer.alloc(4)
/** Sources that the other node has no business with. */
const LIES = ['10.244.3.2', NEIGHBOUR, NODE_HERE, '127.0.0.1', '224.0.0.1', '0.0.0.0']
const { ICMP, TCP, UDP, SCTP } = PROTOCOL_NUMBERS

export type SeedKind = 'uplink' | 'pod' | 'service'

export function frameSeeds(kind: SeedKind): Buffer[] {
  return { uplink: uplinkSeeds, pod: podSeeds, service: serviceSeeds }[kind]()
}

function serviceSeeds(): Buffer[] {
  const own = (packet: Buffer): Buffer => ethernet({ source: POD_MAC, destination: GATEWAY_MAC }, packet)
  const toService = { source: POD, destination: '10.96.0.10' }
  const ask = (sourcePort: number, destinationPort = 80): Buffer[] => {
    const ports = { sourcePort, destinationPort }
    return [
      withTransportChecksum(ipv4({ ...toService, protocol: TCP }, tcp(ports, DATA))),
      withTransportChecksum(ipv4({ ...toService, protocol: UDP }, udp(ports, DATA))),
      ipv4({ ...toService, protocol: UDP }, udp(ports, DATA)),
      ipv4({ ...toService, protocol: SCTP }, sctpInit(ports)),
    ]
  }
  const nodePort = { sourcePort: 4000, destinationPort: 30_080 }
  const answered = withTransportChecksum(
    ipv4(
      { source: NEIGHBOUR, destination: POD, protocol: UDP },
      udp({ sourcePort: 8080, destinationPort: 4000 }, DATA),
    ),
  )
  const error = Buffer.concat([Buffer.from([3, 3, 0, 0, 0, 0, 0, 0]), answered.subarray(0, 28)])
  return [
    ...[4000, 4001, 4002, 4003].flatMap((port) => ask(port)),
    ...ask(4000, 81),
    ...ask(4000, 82),
    ipv4({ ...toService, protocol: ICMP }, icmpEcho({ id: 1, sequence: 1 }, DATA)),
    ipv4({ source: POD, destination: NEIGHBOUR, protocol: ICMP }, error),
    ipv4({ source: POD, destination: NODE_HERE, protocol: TCP }, tcp(nodePort, DATA)),
    ipv4({ ...toService, protocol: UDP, fragment: 0x2000 }, udp({ sourcePort: 4000, destinationPort: 80 }, DATA)),
  ].map(own)
}

function uplinkSeeds(): Buffer[] {
  const toPod = { source: FAR, destination: POD }
  const http = ipv4({ ...toPod, protocol: TCP }, tcp({ sourcePort: 4000, destinationPort: 80 }, DATA))
  const dns = ipv4({ ...toPod, protocol: UDP }, udp({ sourcePort: 4000, destinationPort: 53 }, DATA))
  const echo = ipv4({ source: FAR, destination: NEIGHBOUR, protocol: ICMP }, icmpEcho({ id: 1, sequence: 1 }, DATA))
  const error = ipv4({ ...toPod, protocol: ICMP }, Buffer.concat([Buffer.from([3, 4, 0, 0, 0, 0, 5, 0]), http]))
  const toDns = udp({ sourcePort: 4000, destinationPort: 53 }, DATA)
  const unknown: GeneveOption = { class: 0x0102, type: 1, data: Buffer.alloc(8) }
  return [
    tunnel([identityOption(FRIEND)], http),
    tunnel([identityOption(FRIEND, { isIsolated: true })], dns),
    tunnel([unknown, identityOption(999)], echo),
    tunnel([], echo),
    tunnel(
      [identityOption(FRIEND)],
      ipv4({ ...toPod, protocol: SCTP }, sctpInit({ sourcePort: 4000, destinationPort: 80 })),
    ),
    tunnel(
      [identityOption(FRIEND)],
      ipv4({ ...toPod, protocol: UDP, fragment: 0x2000 }, udp({ sourcePort: 4000, destinationPort: 53 }, DATA)),
    ),
    tunnel([identityOption(FRIEND)], ipv4({ ...toPod, protocol: UDP, fragment: 0x0010 }, DATA)),
    tunnel([identityOption(FRIEND)], error),
    tunnel([{ ...identityOption(FRIEND), type: 0x83 }], http),
    ...LIES.map((source) => tunnel([identityOption(FRIEND)], ipv4({ source, destination: POD, protocol: UDP }, toDns))),
    withoutEnd(tunnel([identityOption(FRIEND)], dns)),
    tunnel([identityOption(FRIEND)], ipv4({ source: '8.8.8.8', destination: NODE_HERE, protocol: UDP }, toDns)),
  ]
}

function tunnel(options: readonly GeneveOption[], packet: Buffer): Buffer {
  const inner = ethernet({ source: GATEWAY_MAC, destination: GATEWAY_MAC }, packet)
  const outer = ipv4(
    { source: NODE_THERE, destination: NODE_HERE, protocol: UDP },
    udp({ sourcePort: 50_000, destinationPort: GENEVE_PORT }, geneve({ vni: VNI, options }, inner)),
  )
  return ethernet({ source: '02:77:00:00:00:02', destination: '02:77:00:00:00:01' }, outer)
}

/** Its outer packet says that it ends before what is inside. */
function withoutEnd(frame: Buffer): Buffer {
  frame.writeUInt16BE(frame.length - 14 - 2, 16)
  frame.writeUInt16BE(frame.length - 34 - 2, 38)
  frame.writeUInt16BE(0, 24)
  frame.writeUInt16BE(checksum(frame.subarray(14, 34)), 24)
  return frame
}

function podSeeds(): Buffer[] {
  const from = { source: POD }
  const own = (packet: Buffer): Buffer => ethernet({ source: POD_MAC, destination: GATEWAY_MAC }, packet)
  const ports = { sourcePort: 4000, destinationPort: 80 }
  const playsNode = { sourcePort: 4000, destinationPort: GENEVE_PORT }
  return [
    own(ipv4({ ...from, destination: NEIGHBOUR, protocol: TCP }, tcp(ports, DATA))),
    own(ipv4({ ...from, destination: FAR, protocol: UDP }, udp(ports, DATA))),
    own(ipv4({ ...from, destination: FAR, protocol: UDP }, udp(ports, Buffer.alloc(1600)))),
    own(ipv4({ ...from, destination: FAR, protocol: UDP, fragment: 0x2000 }, udp(ports, DATA))),
    own(ipv4({ ...from, destination: NODE_THERE, protocol: UDP }, udp(playsNode, DATA))),
    own(ipv4({ ...from, destination: '8.8.8.8', protocol: ICMP }, icmpEcho({ id: 1, sequence: 1 }, DATA))),
    own(ipv4({ ...from, destination: FAR, protocol: SCTP }, sctpInit(ports))),
    ethernet({ source: POD_MAC, destination: 'ff:ff:ff:ff:ff:ff', type: 0x0806 }, arpRequest()),
  ]
}

function arpRequest(): Buffer {
  const mac = POD_MAC.replaceAll(':', '')
  const ip = Buffer.from(POD.split('.').map(Number)).toString('hex')
  return Buffer.from(`0001080006040001${mac}${ip}000000000000a9fe0101`, 'hex')
}
