import assert from 'node:assert/strict'
import { after, before, beforeEach } from 'node:test'
import type { Endpoint } from '../dataplane/dataplane.ts'
import type { VerdictList } from '../policy/policy-set.ts'
import { DEFAULT_SHAPER } from '../qos/levels.ts'
import type { ServiceFrontend, ServiceProtocol } from '../services/service-tables.ts'
import {
  checksum,
  ethernet,
  geneve,
  GENEVE_PORT,
  identityOption,
  ipv4,
  PROTOCOL_NUMBERS,
  sctpInit,
  tcp,
  udp,
  withTransportChecksum,
} from './frames.ts'
import { openTestDataplane, TEST_HOST, type TestDataplane, type TestVerdict } from './test-dataplane.ts'

/** A host with pods and Services, without devices, for tests of the programs: pods A and B of one network, a stranger of another one, and another node. */

export const VNI = 7
const OTHER_VNI = 8
export const NODE = TEST_HOST.nodeIP
export const NODE_B = '192.168.77.2'
export const GATEWAY = TEST_HOST.hostDevice.address
export const [HOST_DEVICE, UPLINK] = [2, 3]
export const GATEWAY_MAC = '02:ce:47:00:00:01'
export const SERVICE = '10.96.0.10'
export const WORLD = '203.0.113.9'
export const HAIRPIN = '169.254.42.1'
export const TCP_FIN = 0x01
export const TCP_RST = 0x04

export interface Packet {
  readonly source: string
  readonly sourcePort: number
  readonly destination: string
  readonly destinationPort: number
  readonly flags?: number
  readonly protocol?: ServiceProtocol
  readonly payload?: string
}

export const OPEN: VerdictList = (['TCP', 'UDP', 'SCTP', 'other'] as const).map((protocol) => ({
  protocol,
  firstPort: 0,
  lastPort: 65_535,
  allow: true,
  precedence: 65_535,
  rule: 0,
}))

export function pod(last: number, vni = VNI): Endpoint {
  const ip = `10.244.1.${last}`
  const mac = `0a:ce:0a:f4:01:${last.toString(16).padStart(2, '0')}`
  return {
    vni,
    ip,
    hostIP: ip,
    mac,
    ifindex: 100 + last,
    identity: 300 + last,
    policySet: 1,
    routeDomain: 0,
    blockPrefix: 24,
    shaper: DEFAULT_SHAPER,
  }
}

export const A = pod(10)
export const B = pod(11)
export const STRANGER = pod(12, OTHER_VNI)
export const REMOTE = '10.244.2.20'

export const backend = (ip: string, port = 8080) => ({ ip, port, isLocal: ip.startsWith('10.244.1.') })

export function clusterIP(ips: readonly string[], more: Partial<ServiceFrontend> = {}): ServiceFrontend {
  return {
    vni: VNI,
    ip: SERVICE,
    scope: 'cluster',
    port: 80,
    protocol: 'TCP',
    backends: ips.map((ip) => backend(ip)),
    whenEmpty: 'refuse',
    externalBackends: [],
    whenExternalEmpty: 'drop',
    draining: [],
    keepsSource: false,
    sourceRanges: undefined,
    affinitySeconds: 0,
    name: 'default/web:http',
    ...more,
  }
}

export function nodePort(ips: readonly string[], more: Partial<ServiceFrontend> = {}): ServiceFrontend {
  const backends = ips.map((ip) => backend(ip))
  return { ...clusterIP(ips), scope: 'external', ip: undefined, port: 30_080, externalBackends: backends, ...more }
}

function transport({ sourcePort, destinationPort, flags, protocol = 'TCP', payload = 'hello' }: Packet): Buffer {
  const ports = { sourcePort, destinationPort }
  if (protocol === 'UDP') return udp(ports, Buffer.from(payload))
  if (protocol === 'SCTP') return sctpInit(ports)
  return tcp({ ...ports, ...(flags === undefined ? {} : { flags }) }, Buffer.from(payload))
}

export function ipPacket(packet: Packet): Buffer {
  const { source, destination, protocol = 'TCP' } = packet
  const bytes = ipv4({ source, destination, protocol: PROTOCOL_NUMBERS[protocol] }, transport(packet))
  return protocol === 'SCTP' ? bytes : withTransportChecksum(bytes)
}

export function frameOf(packet: Packet, mac = GATEWAY_MAC): Buffer {
  return ethernet({ source: mac, destination: GATEWAY_MAC }, ipPacket(packet))
}

/** As another node sends it to this one. */
export function tunnelled(packet: Packet, { identity = 320, vni = VNI } = {}): Buffer {
  const inner = geneve({ vni, options: [identityOption(identity)] }, frameOf(packet))
  const outer = udp({ sourcePort: 50_000, destinationPort: GENEVE_PORT }, inner)
  return ethernet(
    { source: '0a:00:00:00:00:02', destination: '0a:00:00:00:00:01' },
    ipv4({ source: NODE_B, destination: NODE, protocol: PROTOCOL_NUMBERS.UDP }, outer),
  )
}

function sumOf(packet: Buffer): number {
  const transportBytes = packet.subarray(20)
  const pseudo = Buffer.concat([packet.subarray(12, 20), Buffer.from([0, packet[9]!, 0, 0]), transportBytes])
  pseudo.writeUInt16BE(transportBytes.length, 10)
  return checksum(pseudo)
}

export const formatIP = (bytes: Buffer): string => [...bytes].join('.')

/** What a frame says, after its checksums were found right. `A:1 > B:2`. */
export function describeFrame(frame: Buffer, offset = 14): string {
  const length = frame.readUInt16BE(offset + 2)
  const packet = frame.subarray(offset, offset + length)
  assert.equal(checksum(packet.subarray(0, 20)), 0, 'IP checksum')
  const protocol = packet[9]!
  if (protocol === PROTOCOL_NUMBERS.TCP) assert.equal(sumOf(packet), 0, 'TCP checksum')
  if (protocol === PROTOCOL_NUMBERS.UDP && packet.readUInt16BE(26) !== 0) assert.equal(sumOf(packet), 0, 'UDP checksum')
  const [source, destination] = [formatIP(packet.subarray(12, 16)), formatIP(packet.subarray(16, 20))]
  if (protocol === PROTOCOL_NUMBERS.ICMP) {
    assert.equal(checksum(packet.subarray(20)), 0, 'ICMP checksum')
    return `${source} > ${destination} icmp ${packet[20]}/${packet[21]}`
  }
  return `${source}:${packet.readUInt16BE(20)} > ${destination}:${packet.readUInt16BE(22)}`
}

/** The packet in a tunnel. */
export function describeTunnelled(frame: Buffer): string {
  assert.equal(frame.readUInt16BE(36), GENEVE_PORT)
  return `${formatIP(frame.subarray(30, 34))} [${describeFrame(frame, 72)}]`
}

export const portOf = (end: string): number => Number(end.split(':')[1])

/** What became of a frame: verdict or reason, device, and the packet. */
export function asked({ verdict, reason, target, frame }: TestVerdict): [string, number, string] {
  return [reason === 'None' ? verdict : reason, target, verdict === 'redirect' ? describeFrame(frame) : '']
}

export interface ServiceHost {
  readonly host: TestDataplane
  /** Of the client: no test meets flows of another. The hundred from here on are this test's. */
  readonly port: number
  /** All Services of the host, from now on. */
  apply(...frontends: ServiceFrontend[]): void
  fromPod(from: Endpoint, packet: Omit<Packet, 'source'>): TestVerdict
  fromHost(packet: Packet): TestVerdict
  fromWorld(packet: Omit<Packet, 'source'> & { source?: string }): TestVerdict
  /** A client's packet to the ClusterIP. */
  ask(more?: Partial<Packet>): Omit<Packet, 'source'>
}

/** The host of the tests in this `describe`; it is there once they run. */
export function useServiceHost(): ServiceHost {
  let host: TestDataplane
  let port = 20_000
  before(async () => {
    host = await openTestDataplane()
    fillTables(host)
  })
  after(() => host.close())
  beforeEach(() => {
    port += 100
  })
  return {
    get host() {
      return host
    },
    get port() {
      return port
    },
    apply: (...frontends) => assert.deepEqual(host.tables.applyServices({ frontends }), []),
    fromPod: (from, packet) =>
      host.run('from_pod', frameOf({ source: from.ip, ...packet }, from.mac), { ifindex: from.ifindex }),
    fromHost: (packet) => host.run('from_host', frameOf(packet)),
    fromWorld: (packet) => host.run('from_uplink', frameOf({ source: WORLD, ...packet })),
    ask: (more = {}) => ({ sourcePort: port, destination: SERVICE, destinationPort: 80, ...more }),
  }
}

function fillTables({ tables }: TestDataplane): void {
  tables.addPolicySet({
    key: 'open',
    ingress: { byIdentity: new Map(), others: OPEN, cidrs: [] },
    egressOfPeers: new Map(),
    egress: { isolated: false, toPods: OPEN, outside: { others: OPEN, cidrs: [] } },
  })
  for (const endpoint of [A, B, STRANGER]) tables.setEndpoint(endpoint)
  for (const node of [NODE, NODE_B]) tables.setNode(node)
  tables.setRoute({ domain: 0, cidr: '10.244.1.0/24', node: NODE })
  tables.setRoute({ domain: 0, cidr: '10.244.2.0/24', node: NODE_B })
}
