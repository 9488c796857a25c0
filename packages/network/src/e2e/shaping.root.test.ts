import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import type { Shaper } from '../dataplane/dataplane.ts'
import { LEVEL_DSCP } from '../qos/levels.ts'
import { sendInBulk } from '../testing/bulk.ts'
import { type AttachMode, TestCluster, type TestPod } from '../testing/cluster.ts'
import type { NetworkNamespace } from '../testing/network-namespace.ts'
import { pollSockets, Socket } from '../testing/sockets.ts'

/** Each limit has a shaper of its own: its bucket is full, and nothing waits. */
const FIRST_SHAPER = 20
const WORLD = '192.168.77.254'
const PORT = 7000
const WAIT_MS_MAX = 10_000
const TOS_OF_POD = 0x28
const INGRESS = 40e6
/** Of what is counted there, TCP's payload is at least so much. */
const PAYLOAD_PART = 0.94
/** What a pod may get at once: 400 ms. */
const BURST_BYTES = (INGRESS / 8) * 0.4

if (!isInNamespaces()) {
  describe('shaping on real ways', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  isolateHost()
  for (const attach of ['tcx', 'xdp'] as const) describe(`shaping on real ways, ${attach}`, () => testShaping(attach))
}

function testShaping(attach: AttachMode): void {
  let cluster: TestCluster
  let a: TestPod
  let near: TestPod
  let far: TestPod
  let shaper = FIRST_SHAPER
  const shape = (pod: TestPod, limits: Pick<Shaper, 'egressBandwidth' | 'ingressBandwidth'>): void =>
    cluster.on(pod.host, (dataplane) => {
      dataplane.setShaper({ id: ++shaper, level: 1, ...limits })
      dataplane.setEndpoint({ ...pod.endpoint, shaper })
    })
  const shaperOf = (pod: TestPod) =>
    cluster.on(pod.host, (dataplane) => dataplane.readShapers().find(({ id }) => id === shaper)!)
  const dropsOf = (pod: TestPod, reason: string): number =>
    cluster.on(pod.host, (dataplane) => dataplane.readCounters().drops.get(reason)?.packets ?? 0)

  before(async () => {
    cluster = await TestCluster.create({ hosts: 2, attach })
    a = cluster.addPod({ name: 'a', host: 1, identity: 256 })
    near = cluster.addPod({ name: 'near', host: 1, identity: 257 })
    far = cluster.addPod({ name: 'far', host: 2, identity: 257 })
    for (const host of cluster.hosts)
      cluster.on(host, (dataplane) => dataplane.setShaping({ mode: 'edt', rates: [], overheadBytes: 24 }))
  })
  after(() => cluster?.close())

  /** IPv4 headers, as the wire has them, of the frames that end in `tail`. */
  function wireHeaders(tail: Buffer, send: () => void): Buffer[] {
    const wire = Socket.frames(cluster.wire, 'host1')
    send()
    const deadline = performance.now() + WAIT_MS_MAX
    const seen: Buffer[] = []
    while (seen.length === 0 && performance.now() < deadline) {
      pollSockets([{ socket: wire, wants: 'read' }], 20)
      for (const { data } of wire.receiveAll())
        if (data.subarray(-tail.length).equals(tail)) seen.push(data.subarray(14))
    }
    wire.close()
    return seen
  }

  const datagram = (from: NetworkNamespace, ip: string, data: Buffer): void => {
    const socket = Socket.udp(from)
    socket.setOption(0, { option: 1, value: TOS_OF_POD }) // IP_TOS
    socket.sendTo(data, { ip, port: PORT })
    socket.close()
  }

  it("says the pod's level in the outer header, through the tunnel and by the host's stack, and leaves the inner one alone", () => {
    shape(a, {})
    const packets = shaperOf(a).packets
    const inTunnel = wireHeaders(Buffer.from('through the tunnel'), () =>
      datagram(a.namespace, far.endpoint.ip, Buffer.from('through the tunnel')),
    )
    assert.equal(inTunnel[0]?.[1], LEVEL_DSCP[1]! << 2)
    assert.equal(inTunnel[0]?.[58 + 1], TOS_OF_POD)
    const masqueraded = wireHeaders(Buffer.from('to the world'), () =>
      datagram(a.namespace, WORLD, Buffer.from('to the world')),
    )
    assert.equal(masqueraded[0]?.[1], LEVEL_DSCP[1]! << 2)
    assert.deepEqual([...masqueraded[0]!.subarray(12, 16)], [192, 168, 77, 1])
    assert.ok(shaperOf(a).packets >= packets + 2, 'both were known as the pod’s')
  })

  it('leaves what the host itself sends as it is', () => {
    const { packets } = shaperOf(a)
    const [header] = wireHeaders(Buffer.from('by the host'), () =>
      datagram(cluster.host(1).namespace, WORLD, Buffer.from('by the host')),
    )
    assert.equal(header?.[1], TOS_OF_POD)
    assert.equal(shaperOf(a).packets, packets)
  })

  it('drops what a pod sends beyond its limit, by either way', () => {
    shape(a, { egressBandwidth: 100_000 })
    for (const ip of [far.endpoint.ip, WORLD]) {
      const before = dropsOf(a, 'EgressBandwidth')
      const socket = Socket.udp(a.namespace)
      for (let i = 0; i < 400; i++) socket.sendTo(Buffer.alloc(1000), { ip, port: PORT })
      socket.close()
      assert.ok(dropsOf(a, 'EgressBandwidth') > before + 100)
    }
    assert.ok(shaperOf(a).backlogNs > 0)
    assert.ok(shaperOf(a).drops > 200)
    shape(a, {})
  })

  for (const [way, sender] of [
    ['from another host', () => far],
    ['from its own host', () => near],
  ] as const)
    it(`lets a stream reach a pod's limit and no more (${way})`, () => {
      shape(a, { ingressBandwidth: INGRESS })
      const bytes = 12e6
      const startMs = performance.now()
      const sent = sendInBulk({ client: sender().namespace, server: a.namespace, ip: a.endpoint.ip, port: 5000, bytes })
      const bandwidth = ((bytes - BURST_BYTES) * 8e3) / (performance.now() - startMs)
      assert.deepEqual(sent, { received: bytes, isIntact: true })
      process.stderr.write(`# ${attach} ${way}: ${(bandwidth / INGRESS).toFixed(3)}\n`)
      assert.ok(bandwidth < INGRESS * 1.02 && bandwidth > INGRESS * PAYLOAD_PART * 0.9, `${bandwidth / INGRESS}`)
      shape(a, {})
    })

  it('lets datagrams reach a pod up to its limit', () => {
    shape(a, { ingressBandwidth: 1e6 })
    const server = Socket.udp(a.namespace).takeManyPackets().bind({ ip: '0.0.0.0', port: PORT })
    const client = Socket.udp(far.namespace)
    const data = Buffer.alloc(1200)
    const startMs = performance.now()
    let received = 0
    // a bucket of 256 KiB, and what flows in
    while (performance.now() - startMs < 1_500) {
      for (let i = 0; i < 20; i++) client.sendTo(data, { ip: a.endpoint.ip, port: PORT })
      pollSockets([{ socket: server, wants: 'read' }], 5)
      received += server.receiveAll().length
    }
    const seconds = (performance.now() - startMs) / 1e3
    const most = 2 ** 18 + (seconds * 1e6) / 8 + 1242
    const got = received * 1242
    assert.ok(got <= most && got > most * 0.9, `${got / most}`)
    assert.ok(dropsOf(a, 'IngressBandwidth') > 0)
    for (const socket of [server, client]) socket.close()
    shape(a, {})
  })
}
