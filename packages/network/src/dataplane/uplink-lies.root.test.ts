import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { checksum } from '../testing/frames.ts'
import { openTestDataplane, type TestDataplane, type TestVerdict } from '../testing/test-dataplane.ts'
import {
  addOtherHost,
  fromPod,
  OTHER_NODE,
  podOf,
  policySetOf,
  tcpPacket,
  THIS_NODE,
  throughTunnel,
  udpPacket,
  VNI,
} from '../testing/test-world.ts'

const POD = '10.244.1.2'
const REMOTE = '10.244.2.9'
const THIRD_NODE = '192.168.77.3'
/** Offsets in a frame. */
const IP = 14
const TOTAL_LENGTH = IP + 2
const IP_SUM = IP + 10
const UDP_LENGTH = IP + 24
const UDP_SUM = IP + 26
const packet = udpPacket({ source: REMOTE, destination: POD })

/** A frame whose outer header was changed by hand, with a right sum again. */
function tunnelWith(changes: Readonly<Record<number, number>>): Buffer {
  const frame = throughTunnel(packet)
  for (const [at, value] of Object.entries(changes)) frame.writeUInt16BE(value, Number(at))
  frame.writeUInt16BE(0, IP_SUM)
  frame.writeUInt16BE(checksum(frame.subarray(IP, IP + 20)), IP_SUM)
  return frame
}

for (const program of ['from_uplink', 'from_uplink_xdp'] as const) {
  describe(`What a host may say by the tunnel (${program})`, () => {
    let host: TestDataplane
    const run = (frame: Buffer): TestVerdict => host.run(program, frame)
    const from = (source: string, parts: Parameters<typeof throughTunnel>[1] = {}): TestVerdict =>
      run(throughTunnel(udpPacket({ source, destination: POD }), parts))
    before(async () => {
      host = await openTestDataplane()
      addOtherHost(host.tables)
      host.tables.setRoute({ domain: 0, cidr: '10.244.3.0/24', node: THIRD_NODE })
      host.tables.setNode(THIRD_NODE)
    })
    beforeEach(() => {
      host.map('ct').deleteMany(host.map('ct').keys())
      const policySet = host.tables.addPolicySet(policySetOf('open', {}))
      for (const number of [2, 3]) host.tables.setEndpoint(podOf(number, { policySet }))
    })
    after(() => host.close())

    it('has right sums', () => {
      assert.equal(run(tunnelWith({})).verdict, 'redirect')
      for (let at = IP; at < IP + 20; at++) {
        const frame = throughTunnel(packet)
        frame[at]! ^= 1
        const { verdict, reason } = run(frame)
        // another version, protocol or destination is no tunnel of this host: the stack looks itself
        if ([IP, IP + 6, IP + 9].includes(at) || at >= IP + 16 || at === IP + 7)
          assert.equal(verdict, 'pass', `byte ${at}`)
        else assert.deepEqual([verdict, reason], ['drop', 'TunnelChecksum'], `byte ${at}`)
      }
      assert.equal(run(tunnelWith({ [UDP_SUM]: 0x1234 })).reason, 'TunnelChecksum')
    })

    it('is as long as it says, but for the padding of Ethernet', () => {
      const length = throughTunnel(packet).length - IP
      assert.equal(run(Buffer.concat([throughTunnel(packet), Buffer.alloc(30)])).verdict, 'redirect')
      assert.equal(run(tunnelWith({ [TOTAL_LENGTH]: length + 1, [UDP_LENGTH]: length + 1 - 20 })).reason, 'Truncated')
      assert.equal(run(tunnelWith({ [TOTAL_LENGTH]: length - 1, [UDP_LENGTH]: length - 1 - 20 })).reason, 'Truncated')
      assert.equal(run(tunnelWith({ [TOTAL_LENGTH]: length - 1 })).reason, 'TunnelMalformed')
      for (const wrong of [0, 7, length - 21, length - 19, 0xffff])
        assert.equal(run(tunnelWith({ [UDP_LENGTH]: wrong })).reason, 'TunnelMalformed')
      for (const short of [0, 19, 20, 27])
        assert.equal(run(tunnelWith({ [TOTAL_LENGTH]: short })).reason, 'TunnelMalformed')
    })

    it('says whose packet it was before what is inside is known, and who sent it afterwards', () => {
      host.readDrops()
      from(REMOTE, { node: '192.168.77.66' })
      from('127.0.0.1')
      const [unknown, inner] = host.readDrops()
      assert.deepEqual(
        [unknown?.reason, unknown?.source, unknown?.destination, unknown?.destinationPort, unknown?.node],
        ['UnknownNode', '192.168.77.66', THIS_NODE, 6081, '192.168.77.66'],
      )
      assert.deepEqual([inner?.reason, inner?.source, inner?.node], ['Martian', '127.0.0.1', OTHER_NODE])
    })

    it('has a source that somebody can have', () => {
      for (const source of ['0.1.2.3', '127.0.0.1']) assert.equal(from(source).reason, 'Martian')
      for (const source of ['224.0.0.1', '255.255.255.255']) assert.equal(from(source).reason, 'Multicast')
    })

    it('is not from pods of other hosts, or this one', () => {
      assert.equal(from(REMOTE).verdict, 'redirect')
      assert.equal(from('10.244.3.9').reason, 'SpoofedAddress')
      assert.equal(from('10.244.3.9', { node: THIRD_NODE }).verdict, 'redirect')
      assert.equal(from('10.244.2.10', { node: THIRD_NODE, vni: 0 }).reason, 'SpoofedAddress')
      for (const own of ['10.244.1.3', '10.244.1.77', '10.244.1.1', THIS_NODE])
        for (const vni of [VNI, 0]) assert.equal(from(own, { vni }).reason, 'SpoofedAddress', own)
    })

    it('is from the host itself, and from the world that it forwards', () => {
      const sources = [OTHER_NODE, '10.244.2.1', '203.0.113.7', '10.9.9.9']
      for (const source of sources) for (const vni of [VNI, 0]) assert.equal(from(source, { vni }).verdict, 'redirect')
    })

    it('is asked in the network that it is of', () => {
      const network = { vni: 9, ip: '10.20.0.2', hostIP: '169.254.64.9', routeDomain: 9, blockPrefix: 28 }
      const policySet = host.tables.addPolicySet(policySetOf('open', {}))
      host.tables.setEndpoint(podOf(8, { ...network, policySet }))
      host.tables.setEndpoint(podOf(9, { ...network, ip: '10.20.0.40', hostIP: '169.254.64.10', policySet }))
      host.tables.setRoute({ domain: 9, cidr: '10.20.0.16/28', node: OTHER_NODE })
      host.tables.setRoute({ domain: 9, cidr: '10.244.2.0/28', node: THIRD_NODE })
      const inNine = (source: string): TestVerdict =>
        run(throughTunnel(udpPacket({ source, destination: '10.20.0.2' }), { vni: 9 }))
      assert.equal(inNine('10.20.0.17').verdict, 'redirect')
      assert.equal(inNine(REMOTE).reason, 'SpoofedAddress')
      assert.equal(inNine('10.20.0.3').reason, 'SpoofedAddress', 'of the block of this host')
      assert.equal(inNine('10.20.0.40').reason, 'SpoofedAddress', 'a pod of another block')
      assert.equal(inNine('10.244.3.9').verdict, 'redirect', 'what it means elsewhere is not asked')
    })

    it('is not asked again while a flow goes on', () => {
      assert.equal(from('10.244.2.77').lookups, 5, 'nodes, endpoints, conntrack, routes and pairs')
      assert.equal(from('10.244.2.77').lookups, 3)
      assert.equal(from(OTHER_NODE).lookups, 4)
      assert.equal(from('203.0.113.7').lookups, 6)
    })

    it("does not go on with a flow between this host's own pods", () => {
      const own = { source: '10.244.1.3', destination: POD }
      assert.equal(host.run('from_pod', fromPod(tcpPacket(own)), { ifindex: 13 }).verdict, 'redirect')
      assert.equal(run(throughTunnel(tcpPacket({ ...own, flags: 0x10 }))).reason, 'SpoofedAddress')
    })
  })
}
