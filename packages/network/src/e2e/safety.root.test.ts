import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { type AttachMode, TestCluster, type TestPod } from '../testing/cluster.ts'
import { describeHosts } from '../testing/describe-hosts.ts'
import { Conversation } from '../testing/conversation.ts'
import {
  ethernet,
  geneve,
  GENEVE_PORT,
  type GeneveOption,
  identityOption,
  ipv4,
  PROTOCOL_NUMBERS,
  udp,
  withTransportChecksum,
} from '../testing/frames.ts'
import { FrameWatch, sendFrames } from '../testing/frame-watch.ts'
import { GATEWAY_MAC } from '../layouts/layouts.ts'
import { ALLOW_ALL, allowPort, CLOSED, DENY_ALL, OPEN, policySet } from '../testing/policy-sets.ts'
import { findWrongProbes, type Probe, type ServedPort } from '../testing/reachability.ts'

const PORTS: readonly ServedPort[] = [
  { protocol: 'TCP', port: 80 },
  { protocol: 'UDP', port: 53 },
]
/** Pods `a` and `far` may come, nobody else. */
const FRIENDS_ONLY = policySet({
  ingress: {
    byIdentity: new Map([
      [256, ALLOW_ALL],
      [258, ALLOW_ALL],
    ]),
    others: DENY_ALL,
  },
})
/** Anybody may say of a Service that a node's address is behind it. */
const SERVICE = {
  vni: 1,
  ip: '10.96.0.66',
  scope: 'cluster',
  port: GENEVE_PORT,
  protocol: 'UDP',
  whenEmpty: 'refuse',
  externalBackends: [],
  whenExternalEmpty: 'drop',
  draining: [],
  keepsSource: false,
  sourceRanges: undefined,
  affinitySeconds: 0,
  name: 'default/trap:',
} as const
const STRANGER = '192.168.77.99'

describeHosts({ title: 'what must not pass', file: import.meta.url }, testSafety)

function testSafety(attach: AttachMode): void {
  let cluster: TestCluster
  let a: TestPod, b: TestPod, far: TestPod
  before(async () => {
    cluster = await TestCluster.create({ hosts: 2, attach })
    a = cluster.addPod({ name: 'a', host: 1, identity: 256, ports: PORTS })
    b = cluster.addPod({ name: 'b', host: 1, identity: 257, ports: PORTS })
    far = cluster.addPod({ name: 'far', host: 2, identity: 258, ports: PORTS })
  })
  after(() => cluster?.close())

  const servers = () => cluster.pods.map(({ server }) => server)
  const probes = (from: TestPod, to: TestPod, expected: Probe['expected']): Probe[] =>
    PORTS.map(({ protocol, port }) => {
      const name = `${from.name} → ${to.name} ${protocol}`
      return { from: from.namespace, to: to.endpoint.ip, protocol, port, expected, name }
    })

  describe('a pod that is not ready', () => {
    it('is reached by its host alone, and reaches nobody', () => {
      const early = cluster.addPod({ name: 'early', host: 1, identity: 259, ports: PORTS, isReady: false })
      const closed = [a, far].flatMap((peer) => [...probes(peer, early, 'closed'), ...probes(early, peer, 'closed')])
      const host: Probe = {
        from: early.host.namespace,
        to: early.endpoint.hostIP,
        protocol: 'TCP',
        port: 80,
        expected: 'open',
        name: 'host → early',
      }
      assert.deepEqual(findWrongProbes([...closed, host], servers()), [])
      cluster.setPolicySet('early', OPEN)
      const ready = cluster.pod('early')
      const open = [a, far].flatMap((peer) => [...probes(peer, ready, 'open'), ...probes(ready, peer, 'open')])
      assert.deepEqual(findWrongProbes(open, servers()), [])
      cluster.removePod('early')
    })
  })

  describe('a policy that changes', () => {
    for (const protocol of ['TCP', 'UDP'] as const) {
      for (const sender of ['a', 'far']) {
        it(`cuts an established flow at once (${protocol} from ${sender})`, () => {
          const flow = Conversation.begin(protocol, { from: cluster.pod(sender), to: cluster.pod('b'), port: 6000 })
          assert.equal(flow.isHeard({ expected: true }), true, 'before')
          cluster.setPolicySet('b', CLOSED)
          assert.equal(flow.isHeard({ expected: false }), false, 'denied')
          cluster.setPolicySet(
            'b',
            policySet({
              ingress: {
                byIdentity: new Map([
                  [256, allowPort(6000)],
                  [258, allowPort(6000)],
                ]),
                others: DENY_ALL,
              },
            }),
          )
          assert.equal(flow.isHeard({ expected: true }), true, 'allowed again')
          cluster.setPolicySet('b', OPEN)
          flow.close()
        })
      }
      it(`cuts what its own egress rules no longer allow (${protocol})`, () => {
        const flow = Conversation.begin(protocol, { from: cluster.pod('a'), to: cluster.pod('far'), port: 6000 })
        assert.equal(flow.isHeard({ expected: true }), true, 'before')
        cluster.setPolicySet('a', policySet({ egress: { isolated: true, toPods: DENY_ALL } }))
        assert.equal(flow.isHeard({ expected: false }), false, 'denied')
        cluster.setPolicySet('a', OPEN)
        assert.equal(flow.isHeard({ expected: true }), true, 'allowed again')
        flow.close()
      })
    }
  })

  describe('a frame from the wire', () => {
    before(() => cluster.setPolicySet('b', FRIENDS_ONLY))
    after(() => cluster.setPolicySet('b', OPEN))

    /** What host 2 sends for pod `far` to pod `b`, with one thing changed. */
    const tunnel = (change: Partial<Tunnel> = {}): Buffer => tunnelFrame({ far, to: b, ...change })
    const assertArrives = (frame: Buffer, { expected }: { readonly expected: boolean }): void => {
      const watch = new FrameWatch(b)
      sendFrames(cluster.wire, { device: 'br0', frames: [frame] })
      assert.equal(watch.sees(frame.subarray(-PAYLOAD_BYTES), { expected }), expected)
      watch.close()
    }

    it('arrives when a node sent it', () => assertArrives(tunnel(), { expected: true }))
    it('arrives with an option that nobody has to know', () => {
      const unknown: GeneveOption = { class: 0x0102, type: 1, data: Buffer.alloc(8) }
      assertArrives(tunnel({ options: [unknown, identityOption(258)] }), { expected: true })
    })

    const forged: Readonly<Record<string, () => Partial<Tunnel>>> = {
      'from an address that is no node': () => ({ node: STRANGER }),
      'for a network that the pod is not in': () => ({ vni: 99 }),
      'without an identity': () => ({ options: [] }),
      'with the identity of a stranger': () => ({ options: [identityOption(259)] }),
      'with two identities': () => ({ options: [identityOption(259), identityOption(258)] }),
      'with an option that is critical and unknown': () => ({
        options: [identityOption(258), { class: 0x0102, type: 0x81, data: Buffer.alloc(4) }],
      }),
      'that is no Ethernet': () => ({ protocol: 0x0800 }),
      'to an inner address that is no pod': () => ({ innerDestination: '10.244.1.200' }),
    }
    for (const [what, change] of Object.entries(forged))
      it(`is dropped ${what}`, () => assertArrives(tunnel(change()), { expected: false }))

    it('is nobody’s without a tunnel, whatever its address', () => {
      const packet = withTransportChecksum(
        ipv4(
          { source: far.endpoint.ip, destination: b.endpoint.ip, protocol: PROTOCOL_NUMBERS.UDP },
          udp({ sourcePort: 1, destinationPort: 53 }, payload()),
        ),
      )
      assertArrives(ethernet({ source: '02:00:00:00:00:99', destination: uplinkMac(b) }, packet), { expected: false })
    })
  })

  describe('a frame from a pod', () => {
    const assertArrives = (frame: Buffer, { expected }: { readonly expected: boolean }): void => {
      const watch = new FrameWatch(b)
      sendFrames(a.namespace, { device: 'eth0', frames: [frame] })
      assert.equal(watch.sees(frame.subarray(-PAYLOAD_BYTES), { expected }), expected)
      watch.close()
    }
    const frame = (change: { source?: string; mac?: string; type?: number } = {}): Buffer => {
      const header = {
        source: change.source ?? a.endpoint.ip,
        destination: b.endpoint.ip,
        protocol: PROTOCOL_NUMBERS.UDP,
      }
      const packet = withTransportChecksum(ipv4(header, udp({ sourcePort: 1, destinationPort: 53 }, payload())))
      return ethernet({ source: change.mac ?? a.mac, destination: GATEWAY_MAC, type: change.type ?? 0x0800 }, packet)
    }

    it('arrives when it is its own', () => assertArrives(frame(), { expected: true }))
    it('is dropped with another pod’s address', () =>
      assertArrives(frame({ source: far.endpoint.ip }), { expected: false }))
    it('is dropped with an address of the world', () =>
      assertArrives(frame({ source: '8.8.8.8' }), { expected: false }))
    it('is dropped with another MAC', () => assertArrives(frame({ mac: '0a:ce:01:02:03:04' }), { expected: false }))
    it('is dropped with a VLAN tag', () => assertArrives(frame({ type: 0x8100 }), { expected: false }))
  })

  for (const way of ['straight', 'by a Service'] as const)
    it(`believes no pod that plays a node, though its packets leave with a node’s address, ${way}`, () => playNode(way))

  it('believes nobody in the world that plays a node by a node port', () => {
    const node = far.host.plan.address
    const backends = [{ ip: node, port: GENEVE_PORT, isLocal: false }]
    const frontend = { ...SERVICE, ip: undefined, scope: 'external', port: 30_081, backends } as const
    cluster.on(a.host, (dataplane) =>
      dataplane.applyServices({ frontends: [{ ...frontend, externalBackends: backends }] }),
    )
    const inner = innerFrame({ source: a.endpoint.ip, destination: far.endpoint.ip })
    const tunnelled = geneve({ vni: far.endpoint.vni, options: [identityOption(999)] }, inner)
    const header = { source: STRANGER, destination: a.host.plan.address, protocol: PROTOCOL_NUMBERS.UDP }
    const ports = { sourcePort: 50_000, destinationPort: 30_081 }
    const packet = withTransportChecksum(ipv4(header, udp(ports, tunnelled)))
    const watch = new FrameWatch(far)
    const frames = [ethernet({ source: '02:77:00:00:00:fe', destination: uplinkMac(a) }, packet)]
    sendFrames(cluster.wire, { device: 'br0', frames })
    assert.equal(watch.sees(inner.subarray(-PAYLOAD_BYTES), { expected: false }), false)
    watch.close()
    cluster.on(a.host, (dataplane) => dataplane.applyServices({ frontends: [] }))
  })

  function playNode(way: 'straight' | 'by a Service'): void {
    const node = far.host.plan.address
    const frontend = { ...SERVICE, backends: [{ ip: node, port: GENEVE_PORT, isLocal: false }] }
    const services = way === 'straight' ? [] : [frontend]
    cluster.on(a.host, (dataplane) => dataplane.applyServices({ frontends: services }))
    const inner = innerFrame({ source: a.endpoint.ip, destination: far.endpoint.ip })
    const forgedTunnel = geneve({ vni: far.endpoint.vni, options: [identityOption(999)] }, inner)
    const destination = way === 'straight' ? node : SERVICE.ip
    const header = { source: a.endpoint.ip, destination, protocol: PROTOCOL_NUMBERS.UDP }
    const packet = withTransportChecksum(
      ipv4(header, udp({ sourcePort: 50_000, destinationPort: GENEVE_PORT }, forgedTunnel)),
    )
    const watch = new FrameWatch(far)
    sendFrames(a.namespace, { device: 'eth0', frames: [ethernet({ source: a.mac, destination: GATEWAY_MAC }, packet)] })
    assert.equal(watch.sees(inner.subarray(-PAYLOAD_BYTES), { expected: false }), false)
    watch.close()
    cluster.on(a.host, (dataplane) => dataplane.applyServices({ frontends: [] }))
  }
}

interface Tunnel {
  readonly far: TestPod
  readonly to: TestPod
  readonly node: string
  readonly vni: number
  readonly options: readonly GeneveOption[]
  readonly protocol: number
  readonly innerSource: string
  readonly innerDestination: string
}

const PAYLOAD_BYTES = 32
let payloads = 0

/** Different in every frame, so that none is taken for another. */
function payload(): Buffer {
  return Buffer.from(`payload ${++payloads}`.padEnd(PAYLOAD_BYTES, '.'))
}

function innerFrame({ source, destination }: { readonly source: string; readonly destination: string }): Buffer {
  const packet = withTransportChecksum(
    ipv4(
      { source, destination, protocol: PROTOCOL_NUMBERS.UDP },
      udp({ sourcePort: 4000, destinationPort: 53 }, payload()),
    ),
  )
  return ethernet({ source: GATEWAY_MAC, destination: GATEWAY_MAC }, packet)
}

function tunnelFrame({ far, to, ...change }: Pick<Tunnel, 'far' | 'to'> & Partial<Tunnel>): Buffer {
  const source = change.innerSource ?? far.endpoint.ip
  const inner = innerFrame({ source, destination: change.innerDestination ?? to.endpoint.ip })
  const { options = [identityOption(258)], vni = to.endpoint.vni, protocol = 0x6558 } = change
  const header = {
    source: change.node ?? far.host.plan.address,
    destination: to.host.plan.address,
    protocol: PROTOCOL_NUMBERS.UDP,
  }
  const packet = ipv4(
    header,
    udp({ sourcePort: 50_000, destinationPort: GENEVE_PORT }, geneve({ vni, options, protocol }, inner)),
  )
  return ethernet({ source: '02:77:00:00:00:fe', destination: uplinkMac(to) }, packet)
}

function uplinkMac({ host }: TestPod): string {
  const [link] = JSON.parse(host.namespace.exec(['ip', '-j', 'link', 'show', 'eth0'])) as { address: string }[]
  return link!.address
}
