import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import type { Endpoint } from '../dataplane/dataplane.ts'
import type { VerdictList } from '../policy/policy-set.ts'
import { DEFAULT_SHAPER } from '../qos/levels.ts'
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
  TCP_ACK,
  TCP_SYN,
  udp,
  withTransportChecksum,
} from '../testing/frames.ts'
import { openTestDataplane, TEST_HOST, type TestDataplane, type TestVerdict } from '../testing/test-dataplane.ts'
import type { ServiceFrontend, ServiceProtocol } from './service-tables.ts'
import { createServiceWriter } from './service-writer.ts'

const VNI = 7
const OTHER_VNI = 8
const NODE = TEST_HOST.nodeIP
const NODE_B = '192.168.77.2'
const GATEWAY = TEST_HOST.hostDevice.address
const [HOST_DEVICE, UPLINK] = [2, 3]
const GATEWAY_MAC = '02:ce:47:00:00:01'
const SERVICE = '10.96.0.10'
const WORLD = '203.0.113.9'
const HAIRPIN = '169.254.42.1'
const TCP_FIN = 0x01
const TCP_RST = 0x04

interface Packet {
  readonly source: string
  readonly sourcePort: number
  readonly destination: string
  readonly destinationPort: number
  readonly flags?: number
  readonly protocol?: ServiceProtocol
  readonly payload?: string
}

const OPEN: VerdictList = (['TCP', 'UDP', 'SCTP', 'other'] as const).map((protocol) => ({
  protocol,
  firstPort: 0,
  lastPort: 65_535,
  allow: true,
  precedence: 65_535,
  rule: 0,
}))

function pod(last: number, vni = VNI): Endpoint {
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

const A = pod(10)
const B = pod(11)
const STRANGER = pod(12, OTHER_VNI)
const REMOTE = '10.244.2.20'

const backend = (ip: string, port = 8080) => ({ ip, port, isLocal: ip.startsWith('10.244.1.') })

function clusterIP(ips: readonly string[], more: Partial<ServiceFrontend> = {}): ServiceFrontend {
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

function nodePort(ips: readonly string[], more: Partial<ServiceFrontend> = {}): ServiceFrontend {
  const backends = ips.map((ip) => backend(ip))
  return { ...clusterIP(ips), scope: 'external', ip: undefined, port: 30_080, externalBackends: backends, ...more }
}

function transport({ sourcePort, destinationPort, flags, protocol = 'TCP', payload = 'hello' }: Packet): Buffer {
  const ports = { sourcePort, destinationPort }
  if (protocol === 'UDP') return udp(ports, Buffer.from(payload))
  if (protocol === 'SCTP') return sctpInit(ports)
  return tcp({ ...ports, ...(flags === undefined ? {} : { flags }) }, Buffer.from(payload))
}

function ipPacket(packet: Packet): Buffer {
  const { source, destination, protocol = 'TCP' } = packet
  const bytes = ipv4({ source, destination, protocol: PROTOCOL_NUMBERS[protocol] }, transport(packet))
  return protocol === 'SCTP' ? bytes : withTransportChecksum(bytes)
}

function frameOf(packet: Packet, mac = GATEWAY_MAC): Buffer {
  return ethernet({ source: mac, destination: GATEWAY_MAC }, ipPacket(packet))
}

/** As another node sends it to this one. */
function tunnelled(packet: Packet, { identity = 320, vni = VNI } = {}): Buffer {
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

const formatIP = (bytes: Buffer): string => [...bytes].join('.')

/** What a frame says, after its checksums were found right. `A:1 > B:2`. */
function describeFrame(frame: Buffer, offset = 14): string {
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
function describeTunnelled(frame: Buffer): string {
  assert.equal(frame.readUInt16BE(36), GENEVE_PORT)
  return `${formatIP(frame.subarray(30, 34))} [${describeFrame(frame, 72)}]`
}

const portOf = (end: string): number => Number(end.split(':')[1])

describe('Services in the kernel', () => {
  let host: TestDataplane
  let clients = 20_000

  before(async () => {
    host = await openTestDataplane()
    host.tables.addPolicySet({
      key: 'open',
      ingress: { byIdentity: new Map(), others: OPEN, cidrs: [] },
      egressOfPeers: new Map(),
      egress: { isolated: false, toPods: OPEN, outside: { others: OPEN, cidrs: [] } },
    })
    for (const endpoint of [A, B, STRANGER]) host.tables.setEndpoint(endpoint)
    for (const node of [NODE, NODE_B]) host.tables.setNode(node)
    host.tables.setRoute({ domain: 0, cidr: '10.244.1.0/24', node: NODE })
    host.tables.setRoute({ domain: 0, cidr: '10.244.2.0/24', node: NODE_B })
  })

  after(() => host.close())

  beforeEach(() => {
    clients += 100 // no test meets flows of another
  })

  const apply = (...frontends: ServiceFrontend[]): void =>
    assert.deepEqual(host.tables.applyServices({ frontends }), [])
  const fromPod = (from: Endpoint, packet: Omit<Packet, 'source'>): TestVerdict =>
    host.run('from_pod', frameOf({ source: from.ip, ...packet }, from.mac), { ifindex: from.ifindex })
  const fromHost = (packet: Packet): TestVerdict => host.run('from_host', frameOf(packet))
  const fromWorld = (packet: Omit<Packet, 'source'> & { source?: string }): TestVerdict =>
    host.run('from_uplink', frameOf({ source: WORLD, ...packet }))
  const ask = (more: Partial<Packet> = {}): Omit<Packet, 'source'> => ({
    sourcePort: clients,
    destination: SERVICE,
    destinationPort: 80,
    ...more,
  })
  const asked = ({ verdict, reason, target, frame }: TestVerdict): [string, number, string] => [
    reason === 'None' ? verdict : reason,
    target,
    verdict === 'redirect' ? describeFrame(frame) : '',
  ]

  describe('ClusterIPs', () => {
    it('lead a pod to a backend of this host, and its answers come from the service', () => {
      apply(clusterIP([B.ip]))
      assert.deepEqual(asked(fromPod(A, ask())), ['redirect', B.ifindex, `${A.ip}:${clients} > ${B.ip}:8080`])
      const answer = { sourcePort: 8080, destination: A.ip, destinationPort: clients, flags: TCP_SYN | TCP_ACK }
      assert.deepEqual(asked(fromPod(B, answer)), ['redirect', A.ifindex, `${SERVICE}:80 > ${A.ip}:${clients}`])
    })

    it('lead to a backend on another host; answers are translated in XDP and tcx alike', () => {
      apply(clusterIP([REMOTE]))
      const sent = fromPod(A, ask())
      assert.deepEqual(
        [sent.target, describeTunnelled(sent.frame)],
        [UPLINK, `${NODE_B} [${A.ip}:${clients} > ${REMOTE}:8080]`],
      )
      const answer = {
        source: REMOTE,
        sourcePort: 8080,
        destination: A.ip,
        destinationPort: clients,
        flags: TCP_SYN | TCP_ACK,
      }
      for (const program of ['from_uplink', 'from_uplink_xdp'] as const)
        assert.deepEqual(asked(host.run(program, tunnelled(answer))), [
          'redirect',
          A.ifindex,
          `${SERVICE}:80 > ${A.ip}:${clients}`,
        ])
    })

    it('belong to their network: a pod of another one does not reach them', () => {
      apply(clusterIP([B.ip]))
      const { verdict, target, frame } = fromPod(STRANGER, ask())
      assert.deepEqual(
        [verdict, target, describeFrame(frame)],
        ['redirect', HOST_DEVICE, `${STRANGER.ip}:${clients} > ${SERVICE}:80`],
      )
      const forwarded = host.run('from_host', frame, { forwardedFrom: HOST_DEVICE })
      assert.equal(forwarded.reason, 'NoRoute')
    })

    it('keep a flow with its backend, and spread flows over all', () => {
      const backends = [B.ip, REMOTE, '10.244.2.21']
      apply(clusterIP(backends))
      const chosen = Array.from({ length: 60 }, (_, i) => {
        const first = fromPod(A, ask({ sourcePort: clients + i }))
        const next = fromPod(A, ask({ sourcePort: clients + i, flags: TCP_ACK }))
        assert.equal(next.target, first.target)
        return describeFrame(first.frame, first.target === UPLINK ? 72 : 14).split(' > ')[1]
      })
      assert.deepEqual([...new Set(chosen)].sort(), backends.map((ip) => `${ip}:8080`).sort())
    })

    it('cost a new flow two look-ups more than a direct one, its later packets one more', () => {
      apply(clusterIP([B.ip]))
      const direct = ask({ destination: B.ip, destinationPort: 9090 })
      const newDirect = fromPod(A, direct).lookups
      const nextDirect = fromPod(A, { ...direct, flags: TCP_ACK }).lookups
      const newFlow = fromPod(A, ask()).lookups
      const next = fromPod(A, ask({ flags: TCP_ACK })).lookups
      assert.deepEqual([newFlow - newDirect, next - nextDirect], [2, 1])
    })

    it('carry UDP and its checksums, and SCTP with its CRC', () => {
      apply(clusterIP([B.ip], { protocol: 'UDP' }), clusterIP([B.ip], { protocol: 'SCTP', name: 'default/web:sctp' }))
      assert.deepEqual(asked(fromPod(A, ask({ protocol: 'UDP' }))), [
        'redirect',
        B.ifindex,
        `${A.ip}:${clients} > ${B.ip}:8080`,
      ])
      const { frame } = fromPod(A, ask({ protocol: 'SCTP' }))
      assert.equal(describeFrame(frame), `${A.ip}:${clients} > ${B.ip}:8080`)
      const expected = sctpInit({ sourcePort: clients, destinationPort: 8080 })
      assert.equal(frame.subarray(34, 66).toString('hex'), expected.toString('hex'))
    })

    it('keep a UDP datagram without checksum without one', () => {
      apply(clusterIP([B.ip], { protocol: 'UDP' }))
      const datagram = udp({ sourcePort: clients, destinationPort: 80 }, Buffer.from('x'))
      const packet = ipv4({ source: A.ip, destination: SERVICE, protocol: PROTOCOL_NUMBERS.UDP }, datagram)
      const { frame } = host.run('from_pod', ethernet({ source: A.mac, destination: GATEWAY_MAC }, packet), {
        ifindex: A.ifindex,
      })
      assert.deepEqual([describeFrame(frame), frame.readUInt16BE(40)], [`${A.ip}:${clients} > ${B.ip}:8080`, 0])
    })

    it('let a pod reach itself, which sees another source', () => {
      apply(clusterIP([A.ip]))
      assert.deepEqual(asked(fromPod(A, ask())), ['redirect', A.ifindex, `${HAIRPIN}:${clients} > ${A.ip}:8080`])
      const answer = { sourcePort: 8080, destination: HAIRPIN, destinationPort: clients, flags: TCP_SYN | TCP_ACK }
      assert.deepEqual(asked(fromPod(A, answer)), ['redirect', A.ifindex, `${SERVICE}:80 > ${A.ip}:${clients}`])
    })

    it('lead this host to pods here and elsewhere', () => {
      apply(clusterIP([B.ip]))
      const packet = { source: GATEWAY, ...ask() }
      assert.deepEqual(asked(fromHost(packet)), ['redirect', B.ifindex, `${GATEWAY}:${clients} > ${B.ip}:8080`])
      const answer = { sourcePort: 8080, destination: GATEWAY, destinationPort: clients, flags: TCP_SYN | TCP_ACK }
      assert.deepEqual(asked(fromPod(B, answer)), ['redirect', HOST_DEVICE, `${SERVICE}:80 > ${GATEWAY}:${clients}`])
      apply(clusterIP([REMOTE]))
      const sent = fromHost({ ...packet, sourcePort: clients + 1 })
      assert.equal(describeTunnelled(sent.frame), `${NODE_B} [${GATEWAY}:${clients + 1} > ${REMOTE}:8080]`)
      const remote = {
        source: REMOTE,
        sourcePort: 8080,
        destination: GATEWAY,
        destinationPort: clients + 1,
        flags: TCP_ACK,
      }
      assert.deepEqual(asked(host.run('from_uplink', tunnelled(remote))), [
        'redirect',
        HOST_DEVICE,
        `${SERVICE}:80 > ${GATEWAY}:${clients + 1}`,
      ])
    })

    it('lead this host to pods of a network with addresses of its own, which know it by the node’s', () => {
      const own = 9
      host.tables.setRoute({ domain: own, cidr: '10.50.0.0/26', node: NODE_B })
      apply(clusterIP(['10.50.0.5'], { vni: own }))
      const sent = fromHost({ source: GATEWAY, ...ask() })
      const [source = '', destination] = describeFrame(sent.frame, 72).split(' > ')
      assert.deepEqual([source.split(':')[0], destination], [NODE, '10.50.0.5:8080'])
      const answer = {
        source: '10.50.0.5',
        sourcePort: 8080,
        destination: NODE,
        destinationPort: portOf(source),
        flags: TCP_ACK,
      }
      assert.deepEqual(asked(host.run('from_uplink', tunnelled(answer, { vni: own }))), [
        'redirect',
        HOST_DEVICE,
        `${SERVICE}:80 > ${GATEWAY}:${clients}`,
      ])
      host.tables.removeRoute({ domain: own, cidr: '10.50.0.0/26' })
    })

    it('lead pods and this host to nodes, such as the API server', () => {
      apply(clusterIP([NODE_B], { backends: [backend(NODE_B, 6443)] }))
      assert.deepEqual(asked(fromPod(A, ask())), ['redirect', HOST_DEVICE, `${A.ip}:${clients} > ${NODE_B}:6443`])
      const answer = {
        source: NODE_B,
        sourcePort: 6443,
        destination: A.ip,
        destinationPort: clients,
        flags: TCP_ACK | TCP_SYN,
      }
      assert.deepEqual(asked(fromHost(answer)), ['redirect', A.ifindex, `${SERVICE}:80 > ${A.ip}:${clients}`])
      const sent = fromHost({ source: GATEWAY, ...ask() })
      const [source = '', destination] = describeFrame(sent.frame).split(' > ')
      assert.deepEqual([sent.target, source.split(':')[0], destination], [UPLINK, NODE, `${NODE_B}:6443`])
      const back = fromWorld({
        source: NODE_B,
        sourcePort: 6443,
        destination: NODE,
        destinationPort: portOf(source),
        flags: TCP_ACK,
      })
      assert.deepEqual(asked(back), ['redirect', HOST_DEVICE, `${SERVICE}:80 > ${GATEWAY}:${clients}`])
    })

    it('lead pods of a network with addresses of its own to nodes, which know them by their address here', () => {
      const vni = 9
      const own = { ...pod(13, vni), ip: '10.50.0.5', hostIP: '169.254.64.5', routeDomain: vni, blockPrefix: 26 }
      host.tables.setEndpoint(own)
      for (const node of [NODE_B, NODE]) {
        apply(clusterIP([node], { vni, backends: [backend(node, 6443)] }))
        assert.deepEqual(asked(fromPod(own, ask())), [
          'redirect',
          HOST_DEVICE,
          `${own.hostIP}:${clients} > ${node}:6443`,
        ])
        const answer = {
          source: node,
          sourcePort: 6443,
          destination: own.hostIP,
          destinationPort: clients,
          flags: TCP_ACK | TCP_SYN,
        }
        assert.deepEqual(asked(fromHost(answer)), ['redirect', own.ifindex, `${SERVICE}:80 > ${own.ip}:${clients}`])
      }
      host.tables.removeEndpoint(own)
    })

    it('lead this host to itself by way of another source, so that answers pass here', () => {
      apply(clusterIP([NODE], { backends: [backend(NODE, 6443)] }))
      assert.deepEqual(asked(fromHost({ source: GATEWAY, ...ask() })), [
        'redirect',
        HOST_DEVICE,
        `${HAIRPIN}:${clients} > ${NODE}:6443`,
      ])
      const answer = {
        source: NODE,
        sourcePort: 6443,
        destination: HAIRPIN,
        destinationPort: clients,
        flags: TCP_ACK,
      }
      assert.deepEqual(asked(fromHost(answer)), ['redirect', HOST_DEVICE, `${SERVICE}:80 > ${GATEWAY}:${clients}`])
    })
  })

  describe('Policies', () => {
    const DENY: VerdictList = OPEN.map((segment) => ({ ...segment, allow: false, rule: 77 }))
    const only = (port: number): VerdictList =>
      OPEN.flatMap((segment) =>
        segment.protocol === 'TCP'
          ? [
              { ...segment, lastPort: port - 1, allow: false, rule: 77 },
              { ...segment, firstPort: port, lastPort: port },
              { ...segment, firstPort: port + 1, allow: false, rule: 77 },
            ]
          : [segment],
      )

    it('see the address and port of the backend, and the world behind a node port', () => {
      const restrict = (key: string, others: VerdictList): void => {
        const set = { byIdentity: new Map(), others, cidrs: [] }
        const egress = { isolated: false, toPods: OPEN, outside: { others: OPEN, cidrs: [] } }
        const policySet = host.tables.addPolicySet({ key, ingress: set, egressOfPeers: new Map(), egress })
        host.tables.setEndpoint({ ...B, policySet })
      }
      apply(clusterIP([B.ip]), nodePort([B.ip], { name: 'default/np:http' }))
      restrict('only 8080', only(8080))
      assert.equal(fromPod(A, ask()).target, B.ifindex)
      assert.equal(fromWorld(ask({ destination: NODE, destinationPort: 30_080 })).target, B.ifindex)
      restrict('only 80', only(80))
      assert.equal(fromPod(A, ask({ sourcePort: clients + 1 })).reason, 'PolicyIngress')
      restrict('nobody', DENY)
      assert.equal(fromPod(A, ask({ flags: TCP_ACK })).reason, 'PolicyIngress')
      assert.equal(
        fromWorld(ask({ destination: NODE, destinationPort: 30_080, flags: TCP_ACK })).reason,
        'PolicyIngress',
      )
      host.tables.setEndpoint(B)
    })
  })

  describe('Backends that go', () => {
    it('lose UDP flows at once, and end TCP flows with a reset', () => {
      for (const protocol of ['UDP', 'TCP'] as const) {
        apply(clusterIP([B.ip], { protocol }))
        assert.equal(fromPod(A, ask({ protocol })).target, B.ifindex)
        apply(clusterIP([A.ip], { protocol }))
        const next = fromPod(A, ask({ protocol, flags: TCP_ACK }))
        if (protocol === 'UDP') assert.equal(describeFrame(next.frame), `${HAIRPIN}:${clients} > ${A.ip}:8080`)
        else {
          assert.deepEqual(asked(next), ['redirect', A.ifindex, `${SERVICE}:80 > ${A.ip}:${clients}`])
          assert.equal(next.frame[47]! & TCP_RST, TCP_RST)
        }
      }
    })

    it('keep TCP flows until the endpoint is gone, and UDP flows while it serves', () => {
      const draining = (isServing: boolean) => [{ ...backend(B.ip), isServing }]
      for (const protocol of ['TCP', 'UDP'] as const) {
        apply(clusterIP([B.ip], { protocol }))
        assert.equal(fromPod(A, ask({ protocol })).target, B.ifindex)
        apply(clusterIP([A.ip], { protocol, draining: draining(true) }))
        assert.equal(fromPod(A, ask({ protocol, flags: TCP_ACK })).target, B.ifindex)
        apply(clusterIP([A.ip], { protocol, draining: draining(false) }))
        assert.equal(fromPod(A, ask({ protocol, flags: TCP_ACK })).target, protocol === 'TCP' ? B.ifindex : A.ifindex)
      }
    })

    it('get no new flow, also not one from a port that was used before', () => {
      apply(clusterIP([B.ip]))
      assert.equal(fromPod(A, ask()).target, B.ifindex)
      apply(clusterIP([A.ip], { draining: [{ ...backend(B.ip), isServing: true }] }))
      assert.equal(fromPod(A, ask({ flags: TCP_SYN })).target, A.ifindex)
    })

    it('do not disturb flows of the ones that stay', () => {
      apply(clusterIP([B.ip, REMOTE]))
      const targets = Array.from({ length: 20 }, (_, i) => fromPod(A, ask({ sourcePort: clients + i })).target)
      apply(clusterIP([A.ip, B.ip]))
      for (const [i, target] of targets.entries()) {
        const next = fromPod(A, ask({ sourcePort: clients + i, flags: TCP_ACK }))
        if (target === B.ifindex) assert.equal(describeFrame(next.frame), `${A.ip}:${clients + i} > ${B.ip}:8080`)
        else assert.equal(next.frame[47]! & TCP_RST, TCP_RST)
      }
    })
  })

  describe('Services without backends', () => {
    it('answer TCP with a reset that acknowledges the SYN, UDP with port unreachable', () => {
      apply(clusterIP([]), clusterIP([], { protocol: 'UDP', name: 'default/web:udp' }))
      const reset = fromPod(A, ask({ payload: '' }))
      assert.deepEqual(asked(reset), ['redirect', A.ifindex, `${SERVICE}:80 > ${A.ip}:${clients}`])
      assert.deepEqual([reset.frame.length, reset.frame[47], reset.frame.readUInt32BE(42)], [54, TCP_RST | TCP_ACK, 2])
      const unreachable = fromPod(A, ask({ protocol: 'UDP' }))
      assert.deepEqual(asked(unreachable), ['redirect', A.ifindex, `${SERVICE} > ${A.ip} icmp 3/3`])
      assert.equal(formatIP(unreachable.frame.subarray(54, 58)), A.ip)
      assert.equal(unreachable.frame.readUInt16BE(64), 80)
    })

    it('refuse other ports of a ClusterIP, and drop what has none', () => {
      apply(clusterIP([B.ip]))
      const other = fromPod(A, ask({ destinationPort: 81 }))
      assert.deepEqual([other.target, other.frame[47]! & TCP_RST], [A.ifindex, TCP_RST])
      const echo = ipv4(
        { source: A.ip, destination: SERVICE, protocol: PROTOCOL_NUMBERS.ICMP },
        Buffer.from('0800f7ff00000000', 'hex'),
      )
      const ping = host.run('from_pod', ethernet({ source: A.mac, destination: GATEWAY_MAC }, echo), {
        ifindex: A.ifindex,
      })
      assert.equal(ping.reason, 'ServiceNoBackend')
    })

    it('answer no reset with a reset', () => {
      apply(clusterIP([]))
      assert.equal(fromPod(A, ask({ flags: TCP_RST })).reason, 'ServiceNoBackend')
    })

    it('drop where other hosts have backends', () => {
      apply(clusterIP([], { whenEmpty: 'drop' }), nodePort([], { whenExternalEmpty: 'drop', name: 'default/web:np' }))
      assert.equal(fromPod(A, ask()).reason, 'ServiceNoBackend')
      assert.equal(fromWorld(ask({ destination: NODE, destinationPort: 30_080 })).reason, 'ServiceNoBackend')
    })
  })

  describe('Session affinity', () => {
    it('keeps a client with one backend, and another one as soon as that is gone', () => {
      const sticky = { affinitySeconds: 60 }
      const all = [B.ip, REMOTE, '10.244.2.21', '10.244.2.22']
      const choice = (port: number): string => {
        const { target, frame } = fromPod(A, ask({ sourcePort: port }))
        return describeFrame(frame, target === UPLINK ? 72 : 14).split(' > ')[1] ?? ''
      }
      apply(clusterIP(all, sticky))
      const first = choice(clients)
      for (let i = 1; i < 20; i++) assert.equal(choice(clients + i), first)
      const rest = all.filter((ip) => `${ip}:8080` !== first)
      apply(clusterIP(rest, sticky))
      const second = choice(clients + 30)
      assert.notEqual(second, first)
      apply(clusterIP(all, sticky))
      for (let i = 31; i < 40; i++) assert.equal(choice(clients + i), second)
    })
  })

  describe('Node ports', () => {
    const external = (more: Partial<Packet> = {}): Omit<Packet, 'source'> =>
      ask({ destination: NODE, destinationPort: 30_080, ...more })

    it('send the world to a pod here with the node as source, and answers back out of the same device', () => {
      apply(nodePort([B.ip]))
      const sent = fromWorld(external())
      const [source = '', destination] = describeFrame(sent.frame).split(' > ')
      assert.deepEqual([sent.target, source.split(':')[0], destination], [B.ifindex, NODE, `${B.ip}:8080`])
      const answer = {
        sourcePort: 8080,
        destination: NODE,
        destinationPort: portOf(source),
        flags: TCP_SYN | TCP_ACK,
      }
      assert.deepEqual(asked(fromPod(B, answer)), ['redirect', UPLINK, `${NODE}:30080 > ${WORLD}:${clients}`])
      const flow = host.listFlows().find(({ key }) => key.lowPort === portOf(source) || key.highPort === portOf(source))
      assert.equal(flow?.entry.identity, 2)
    })

    it('send the world to a pod elsewhere through the tunnel as world, and answers back', () => {
      apply(nodePort([REMOTE]))
      const sent = fromWorld(external())
      assert.equal(sent.target, UPLINK)
      assert.equal(sent.frame.readUInt32BE(54), 2)
      const [source = ''] = describeFrame(sent.frame, 72).split(' > ')
      const answer = {
        source: REMOTE,
        sourcePort: 8080,
        destination: NODE,
        destinationPort: portOf(source),
        flags: TCP_SYN | TCP_ACK,
      }
      assert.deepEqual(asked(host.run('from_uplink', tunnelled(answer))), [
        'redirect',
        UPLINK,
        `${NODE}:30080 > ${WORLD}:${clients}`,
      ])
    })

    it('give clients with equal ports different ones, and one client its own again', () => {
      apply(nodePort([REMOTE]))
      const sources = Array.from({ length: 200 }, (_, i) => {
        const { frame } = fromWorld({ source: `198.51.100.${i}`, ...external({ sourcePort: 40_000 }) })
        return describeFrame(frame, 72).split(' > ')[0]
      })
      assert.equal(new Set(sources).size, 200)
      const again = fromWorld({ source: '198.51.100.7', ...external({ sourcePort: 40_000, flags: TCP_ACK }) })
      assert.equal(describeFrame(again.frame, 72).split(' > ')[0], sources[7])
    })

    it('keep the source with externalTrafficPolicy Local, and answers leave with the node as source', () => {
      apply(nodePort([B.ip, REMOTE], { externalBackends: [backend(B.ip)], keepsSource: true }))
      assert.deepEqual(asked(fromWorld(external())), ['redirect', B.ifindex, `${WORLD}:${clients} > ${B.ip}:8080`])
      const answer = { sourcePort: 8080, destination: WORLD, destinationPort: clients, flags: TCP_SYN | TCP_ACK }
      assert.deepEqual(asked(fromPod(B, answer)), ['redirect', UPLINK, `${NODE}:30080 > ${WORLD}:${clients}`])
    })

    it('send the world to a node, and answers back, whichever node it is', () => {
      apply(nodePort([NODE_B], { externalBackends: [backend(NODE_B)] }))
      const sent = fromWorld(external())
      const [source = '', destination] = describeFrame(sent.frame).split(' > ')
      assert.deepEqual([sent.target, source.split(':')[0], destination], [UPLINK, NODE, `${NODE_B}:8080`])
      const answer = {
        source: NODE_B,
        sourcePort: 8080,
        destination: NODE,
        destinationPort: portOf(source),
        flags: TCP_ACK,
      }
      assert.deepEqual(asked(fromWorld(answer)), ['redirect', UPLINK, `${NODE}:30080 > ${WORLD}:${clients}`])
      apply(nodePort([NODE], { externalBackends: [backend(NODE)] }))
      const own = fromWorld(external({ sourcePort: clients + 1 }))
      assert.deepEqual(asked(own), ['redirect', HOST_DEVICE, `${HAIRPIN}:${clients + 1} > ${NODE}:8080`])
      const ownAnswer = {
        source: NODE,
        sourcePort: 8080,
        destination: HAIRPIN,
        destinationPort: clients + 1,
        flags: TCP_ACK,
      }
      assert.deepEqual(asked(fromHost(ownAnswer)), ['redirect', UPLINK, `${NODE}:30080 > ${WORLD}:${clients + 1}`])
    })

    it('send a node to itself by way of another one', () => {
      apply(nodePort([NODE_B], { externalBackends: [backend(NODE_B)] }))
      const sent = fromWorld({ source: NODE_B, ...external() })
      const [source = '', destination] = describeFrame(sent.frame).split(' > ')
      assert.deepEqual([sent.target, source.split(':')[0], destination], [UPLINK, NODE, `${NODE_B}:8080`])
    })

    it('answer this host at its own address, by way of the loopback', () => {
      apply(nodePort([B.ip]))
      const sent = host.run('from_loopback', frameOf({ source: NODE, ...external() }))
      assert.deepEqual(asked(sent), ['redirect', B.ifindex, `${NODE}:${clients} > ${B.ip}:8080`])
      const answer = { sourcePort: 8080, destination: NODE, destinationPort: clients, flags: TCP_SYN | TCP_ACK }
      assert.deepEqual(asked(fromPod(B, answer)), ['redirect', 1, `${NODE}:30080 > ${NODE}:${clients}`])
      assert.equal(
        host.run('from_loopback', frameOf({ source: NODE, ...external({ destinationPort: 22 }) })).verdict,
        'pass',
      )
      const loopback = { source: '127.0.0.1', ...external({ destination: '127.0.0.1' }) }
      assert.equal(host.run('from_loopback', frameOf(loopback)).lookups, 0)
    })

    it('answer pods of their network, and those of others as the world', () => {
      apply(nodePort([B.ip]))
      assert.deepEqual(asked(fromPod(A, external())), ['redirect', B.ifindex, `${A.ip}:${clients} > ${B.ip}:8080`])
      const sent = fromPod(STRANGER, external())
      const [source = '', destination] = describeFrame(sent.frame).split(' > ')
      assert.deepEqual([sent.target, source.split(':')[0], destination], [B.ifindex, NODE, `${B.ip}:8080`])
      const answer = {
        sourcePort: 8080,
        destination: NODE,
        destinationPort: portOf(source),
        flags: TCP_SYN | TCP_ACK,
      }
      assert.deepEqual(asked(fromPod(B, answer)), [
        'redirect',
        STRANGER.ifindex,
        `${NODE}:30080 > ${STRANGER.ip}:${clients}`,
      ])
    })

    it('lead pods of other networks to backends elsewhere, and answers back', () => {
      const own = { vni: 9, ip: '10.50.0.5', hostIP: '100.64.0.5', routeDomain: 9, blockPrefix: 26 }
      const guest = { ...pod(13), ...own }
      host.tables.setRoute({ domain: own.vni, cidr: '10.50.0.0/26', node: NODE })
      host.tables.setEndpoint(guest)
      apply(nodePort([REMOTE]))
      for (const client of [STRANGER, guest]) {
        const sent = fromPod(client, external())
        assert.deepEqual([sent.target, sent.frame.readUInt32BE(54)], [UPLINK, 2], client.ip)
        const [source = '', destination] = describeFrame(sent.frame, 72).split(' > ')
        assert.deepEqual([source.split(':')[0], destination], [NODE, `${REMOTE}:8080`])
        const answer = {
          source: REMOTE,
          sourcePort: 8080,
          destination: NODE,
          destinationPort: portOf(source),
          flags: TCP_SYN | TCP_ACK,
        }
        assert.deepEqual(asked(host.run('from_uplink', tunnelled(answer))), [
          'redirect',
          client.ifindex,
          `${NODE}:30080 > ${client.ip}:${clients}`,
        ])
      }
      host.tables.removeEndpoint(guest)
      host.tables.removeRoute({ domain: own.vni, cidr: '10.50.0.0/26' })
    })

    it('refuse the world without backends, and leave other packets to the host', () => {
      apply(nodePort([], { whenExternalEmpty: 'refuse' }), clusterIP([B.ip], { name: 'default/other:http' }))
      const reset = fromWorld(external())
      assert.deepEqual(asked(reset), ['redirect', UPLINK, `${NODE}:30080 > ${WORLD}:${clients}`])
      assert.equal(fromWorld(external({ destinationPort: 22 })).verdict, 'pass')
      assert.equal(fromWorld(ask()).verdict, 'pass')
    })

    it('cost packets that are no service no look-up', () => {
      apply(nodePort([B.ip]))
      assert.equal(fromWorld(external({ destinationPort: 22 })).lookups, 0)
    })

    it('tell a client whose packets do not fit the tunnel', () => {
      apply(nodePort([REMOTE], { protocol: 'UDP' }))
      const sent = fromWorld(external({ protocol: 'UDP', payload: 'x'.repeat(1450) }))
      assert.deepEqual(asked(sent), ['redirect', UPLINK, `${NODE} > ${WORLD} icmp 3/4`])
      assert.equal(sent.frame.readUInt16BE(40), TEST_HOST.podMtu)
      assert.equal(
        `${formatIP(sent.frame.subarray(54, 58))} ${formatIP(sent.frame.subarray(58, 62))}`,
        `${WORLD} ${NODE}`,
      )
      assert.deepEqual([sent.frame.readUInt16BE(62), sent.frame.readUInt16BE(64)], [clients, 30_080])
    })

    it('never lead to the tunnel of another node in this one’s name', () => {
      apply(nodePort([NODE_B], { protocol: 'UDP', externalBackends: [backend(NODE_B, GENEVE_PORT)] }))
      assert.equal(fromWorld(external({ protocol: 'UDP' })).reason, 'SpoofedAddress')
    })
  })

  describe('External addresses', () => {
    const EXTERNAL = '198.51.100.200'
    it('serve the world, but only from the source ranges of a load balancer', () => {
      apply(nodePort([B.ip], { ip: EXTERNAL, port: 80, sourceRanges: ['203.0.113.0/24'] }))
      const packet = ask({ destination: EXTERNAL })
      assert.equal(fromWorld(packet).target, B.ifindex)
      assert.equal(fromWorld({ ...packet, source: '192.0.2.66' }).reason, 'ServiceSource')
      assert.equal(fromPod(A, packet).reason, 'ServiceSource')
    })

    it('serve pods of other networks as the world', () => {
      apply(nodePort([B.ip], { ip: EXTERNAL, port: 80 }))
      const sent = fromPod(STRANGER, ask({ destination: EXTERNAL }))
      const [source = '', destination] = describeFrame(sent.frame).split(' > ')
      assert.deepEqual([sent.target, source.split(':')[0], destination], [B.ifindex, NODE, `${B.ip}:8080`])
    })
  })

  describe('ICMP errors', () => {
    /** Port unreachable of what was sent. */
    const unreachable = (from: string, about: Packet): Buffer => {
      const quoted = ipPacket(about).subarray(0, 28)
      const icmp = Buffer.concat([Buffer.from([3, 3, 0, 0, 0, 0, 0, 0]), quoted])
      icmp.writeUInt16BE(checksum(icmp), 2)
      return ipv4({ source: from, destination: about.source, protocol: PROTOCOL_NUMBERS.ICMP }, icmp)
    }
    const quotedOf = (frame: Buffer): string => {
      assert.equal(checksum(frame.subarray(42, 62)), 0, 'quoted IP checksum')
      return `${formatIP(frame.subarray(54, 58))}:${frame.readUInt16BE(62)} > ${formatIP(frame.subarray(58, 62))}:${frame.readUInt16BE(64)}`
    }

    it('of a backend come from the service and quote what the client sent', () => {
      apply(clusterIP([B.ip], { protocol: 'UDP' }))
      fromPod(A, ask({ protocol: 'UDP' }))
      const sent: Packet = {
        source: A.ip,
        sourcePort: clients,
        destination: B.ip,
        destinationPort: 8080,
        protocol: 'UDP',
      }
      const error = ethernet({ source: B.mac, destination: GATEWAY_MAC }, unreachable(B.ip, sent))
      const { target, frame } = host.run('from_pod', error, { ifindex: B.ifindex })
      assert.deepEqual([target, describeFrame(frame)], [A.ifindex, `${SERVICE} > ${A.ip} icmp 3/3`])
      assert.equal(quotedOf(frame), `${A.ip}:${clients} > ${SERVICE}:80`)
    })

    it('of a client go to the backend and quote what it sent', () => {
      apply(clusterIP([B.ip], { protocol: 'UDP' }))
      fromPod(A, ask({ protocol: 'UDP' }))
      fromPod(B, { sourcePort: 8080, destination: A.ip, destinationPort: clients, protocol: 'UDP' })
      const got: Packet = {
        source: SERVICE,
        sourcePort: 80,
        destination: A.ip,
        destinationPort: clients,
        protocol: 'UDP',
      }
      const error = ethernet({ source: A.mac, destination: GATEWAY_MAC }, unreachable(A.ip, got))
      const { target, frame } = host.run('from_pod', error, { ifindex: A.ifindex })
      assert.deepEqual([target, describeFrame(frame)], [B.ifindex, `${A.ip} > ${B.ip} icmp 3/3`])
      assert.equal(quotedOf(frame), `${B.ip}:8080 > ${A.ip}:${clients}`)
    })

    it('of a router on the way to the world reach the pod behind a node port', () => {
      apply(nodePort([B.ip], { protocol: 'UDP' }))
      const sent = fromWorld(ask({ destination: NODE, destinationPort: 30_080, protocol: 'UDP' }))
      const port = portOf(describeFrame(sent.frame).split(' > ')[0] ?? '')
      fromPod(B, { sourcePort: 8080, destination: NODE, destinationPort: port, protocol: 'UDP' })
      const left: Packet = {
        source: NODE,
        sourcePort: 30_080,
        destination: WORLD,
        destinationPort: clients,
        protocol: 'UDP',
      }
      const error = ethernet({ source: GATEWAY_MAC, destination: GATEWAY_MAC }, unreachable('203.0.113.1', left))
      const { target, frame } = host.run('from_uplink', error)
      assert.deepEqual([target, describeFrame(frame)], [B.ifindex, `203.0.113.1 > ${B.ip} icmp 3/3`])
      assert.equal(quotedOf(frame), `${B.ip}:8080 > ${NODE}:${port}`)
    })
  })

  describe('Ports of clients', () => {
    it('differ when two services lead one client’s equal ports to one backend', () => {
      apply(clusterIP([B.ip]), clusterIP([B.ip], { ip: '10.96.0.11', name: 'default/other:http' }))
      assert.equal(describeFrame(fromPod(A, ask()).frame), `${A.ip}:${clients} > ${B.ip}:8080`)
      const second = describeFrame(fromPod(A, ask({ destination: '10.96.0.11' })).frame)
      const port = portOf(second.split(' > ')[0] ?? '')
      assert.notEqual(port, clients)
      const answer = { sourcePort: 8080, destination: A.ip, destinationPort: port, flags: TCP_SYN | TCP_ACK }
      assert.equal(describeFrame(fromPod(B, answer).frame), `10.96.0.11:80 > ${A.ip}:${clients}`)
    })

    it('are used again for a flow that ended and begins anew', () => {
      apply(clusterIP([B.ip]))
      fromPod(A, ask())
      fromPod(A, ask({ flags: TCP_FIN | TCP_ACK }))
      assert.equal(describeFrame(fromPod(A, ask()).frame), `${A.ip}:${clients} > ${B.ip}:8080`)
    })
  })

  // last, since another writer leaves the host's own without knowledge of what the tables hold
  describe('A daemon that comes back', () => {
    it('finds the tables that it wrote: equal ones need one write, and flows go on', () => {
      const frontends = [
        clusterIP([B.ip, REMOTE]),
        nodePort([B.ip], { sourceRanges: ['203.0.113.0/24'], ip: '198.51.100.200' }),
      ]
      apply(...frontends)
      const { target } = fromPod(A, ask())
      const written: string[] = []
      const writer = createServiceWriter((name) => {
        const map = host.map(name)
        return {
          maxEntries: map.maxEntries,
          get: (key) => map.get(key),
          keys: () => map.keys(),
          entries: () => map.entries(),
          set: (key, value) => {
            written.push(name)
            map.set(key, value)
          },
          setMany: (entries) => {
            written.push(...entries.map(() => name))
            map.setMany(entries)
          },
          delete: (key) => {
            written.push(name)
            return map.delete(key)
          },
        }
      })
      assert.deepEqual(writer.apply({ frontends }), [])
      assert.deepEqual(written, ['.data.services'])
      assert.equal(fromPod(A, ask({ flags: TCP_ACK })).target, target)
      writer.apply({ frontends: frontends.slice(1) })
      assert.equal(fromPod(A, ask({ sourcePort: clients + 1 })).target, HOST_DEVICE)
    })
  })
})
