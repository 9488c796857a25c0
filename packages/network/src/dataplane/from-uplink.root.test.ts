import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { checksum, ethernet, identityOption, ipv4, type GeneveOption } from '../testing/frames.ts'
import { openTestDataplane, type TestDataplane, type TestVerdict } from '../testing/test-dataplane.ts'
import {
  addOtherHost,
  CLOSED,
  everywhere,
  fromPod,
  onlyPorts,
  OTHER_NODE,
  podOf,
  policySetOf,
  tcpPacket,
  THIS_NODE,
  throughTunnel,
  udpPacket,
  type SetParts,
  type TunnelParts,
} from '../testing/test-world.ts'

const A = '10.244.1.2'
const REMOTE = '10.244.2.9'
const packet = udpPacket({ source: REMOTE, destination: A })

for (const program of ['from_uplink', 'from_uplink_xdp'] as const) {
  describe(`What arrives by the tunnel (${program})`, () => {
    let host: TestDataplane
    let sets = 0
    const run = (frame: Buffer): TestVerdict => host.run(program, frame)
    const arrive = (parts: TunnelParts = {}, inner = packet): TestVerdict => run(throughTunnel(inner, parts))
    const use = (parts: SetParts): void => {
      const policySet = host.tables.addPolicySet(policySetOf(`set ${++sets}`, parts))
      host.tables.setEndpoint(podOf(2, { policySet }))
    }
    before(async () => {
      host = await openTestDataplane()
      addOtherHost(host.tables)
    })
    beforeEach(() => {
      host.map('ct').deleteMany(host.map('ct').keys())
      use({})
    })
    after(() => host.close())

    it('reaches its pod without the tunnel', () => {
      const { verdict, target, frame } = arrive()
      assert.deepEqual([verdict, target], ['redirect', 12])
      assert.deepEqual(frame, ethernet({ source: '02:ce:47:00:00:01', destination: '0a:ce:0a:f4:01:02' }, packet))
    })

    it('is believed only from nodes', () => {
      assert.equal(arrive({ node: '192.168.77.66' }).reason, 'UnknownNode')
      host.tables.removeNode(OTHER_NODE)
      assert.equal(arrive().reason, 'UnknownNode')
      host.tables.setNode(OTHER_NODE)
      assert.equal(arrive().verdict, 'redirect')
    })

    it('reaches only pods of its network', () => {
      const strays = [arrive({ vni: 6 }), arrive({}, udpPacket({ source: REMOTE, destination: '10.244.1.77' }))]
      // XDP leaves to the next hook whatever it does not know
      for (const { verdict, reason } of strays)
        assert.deepEqual([verdict, reason], program === 'from_uplink' ? ['drop', 'NoEndpoint'] : ['pass', 'None'])
    })

    it('is judged by the identity that it carries', () => {
      use({ others: CLOSED, byIdentity: { 302: onlyPorts('UDP', [53]) } })
      assert.equal(arrive().verdict, 'redirect')
      assert.deepEqual([arrive({ identity: 303 }).reason, arrive({ identity: 303 }).rule], ['PolicyIngress', 1])
      assert.equal(
        arrive({}, udpPacket({ source: REMOTE, destination: A, destinationPort: 54 })).reason,
        'PolicyIngress',
      )
    })

    it('is nobody known without an identity', () => {
      use({ others: CLOSED, byIdentity: { 302: everywhere(true) } })
      assert.equal(arrive({ options: [] }).reason, 'PolicyIngress')
    })

    it("takes no tenant's identity in the hosts' own network", () => {
      use({ others: CLOSED, byIdentity: { 302: everywhere(true), 1: everywhere(true) } })
      assert.equal(arrive({ vni: 0 }).reason, 'PolicyIngress')
      assert.equal(arrive({ vni: 0, identity: 1 }).verdict, 'redirect')
    })

    it('must be of a known identity when the sender is under egress policies', () => {
      use({ egressOfPeers: { 304: onlyPorts('UDP', [53]) } })
      assert.equal(arrive({ isIsolated: true }).reason, 'UnknownIdentity')
      assert.equal(arrive({ isIsolated: false }).verdict, 'redirect')
      host.tables.addIdentities(5, [302])
      assert.equal(arrive({ isIsolated: true }).verdict, 'redirect')
      host.tables.removeIdentities(5, [302])
      assert.equal(arrive({ isIsolated: true, identity: 304 }).verdict, 'redirect')
      const other = udpPacket({ source: REMOTE, destination: A, destinationPort: 54 })
      assert.equal(arrive({ isIsolated: true, identity: 304 }, other).reason, 'PolicyPeerEgress')
    })

    it('is judged by address and by identity, and the stronger rule holds', () => {
      const strong = everywhere(false, { rule: 7, precedence: 10 })
      use({
        others: CLOSED,
        byIdentity: { 302: everywhere(true, { rule: 3, precedence: 50 }) },
        ingressCidrs: { '10.244.2.8/29': strong, '10.244.0.0/16': everywhere(true, { rule: 4, precedence: 60 }) },
      })
      const from = (source: string, identity: number): TestVerdict =>
        arrive({ identity }, udpPacket({ source, destination: A }))
      assert.deepEqual([from(REMOTE, 302).reason, from(REMOTE, 302).rule], ['PolicyIngress', 7])
      assert.equal(from('10.244.2.100', 302).verdict, 'redirect')
      assert.equal(from('10.244.2.100', 999).verdict, 'redirect', 'the address alone allows')
      assert.equal(from('10.1.1.1', 999).reason, 'PolicyIngress')
    })

    it('is dropped until its pod has a policy', () => {
      host.tables.setEndpoint(podOf(2))
      assert.equal(arrive().reason, 'NotReady')
    })

    it('is read option by option', () => {
      const data = (bytes: number): Buffer => Buffer.alloc(bytes)
      const unknown: GeneveOption = { class: 0x0102, type: 1, data: data(8) }
      const critical: GeneveOption = { class: 0x0102, type: 0x81, data: data(0) }
      const identity = identityOption(302)
      assert.equal(arrive({ options: [unknown, identity, unknown] }).verdict, 'redirect')
      assert.equal(arrive({ options: [critical, identity] }).reason, 'TunnelOption')
      assert.equal(arrive({ options: [identity, critical] }).reason, 'TunnelOption')
      assert.equal(arrive({ options: [identity, identity] }).reason, 'TunnelMalformed')
      assert.equal(arrive({ options: [{ ...identity, data: data(8) }] }).reason, 'TunnelMalformed')
      assert.equal(arrive({ options: Array.from({ length: 9 }, () => unknown) }).reason, 'TunnelMalformed')
      assert.equal(arrive({ options: Array.from({ length: 7 }, () => unknown) }).verdict, 'redirect')
    })

    it('has a verdict for every malformed tunnel', () => {
      const changed = (at: number, value: number): Buffer => {
        const frame = throughTunnel(packet)
        frame[at] = value
        return frame
      }
      const cases: [string, Buffer, string][] = [
        ['version', changed(42, 0x42), 'TunnelMalformed'],
        ['control', changed(43, 0x80), 'TunnelMalformed'],
        ['protocol', changed(44, 0x08), 'TunnelMalformed'],
        ['option longer than the header', changed(53, 9), 'TunnelMalformed'],
        ['options longer than the frame', changed(42, 63), 'TunnelMalformed'],
        ['outer fragment', throughTunnel(packet, { outer: { fragment: 0x2000 } }), 'TunnelMalformed'],
        ['inner IPv6', throughTunnel(packet, { innerType: 0x86dd }), 'IPv6'],
        ['inner VLAN', throughTunnel(packet, { innerType: 0x8100 }), 'EtherType'],
        ['inner truncated', throughTunnel(packet).subarray(0, 85), 'Truncated'],
        ['no inner frame', throughTunnel(Buffer.alloc(0)).subarray(0, 60), 'Truncated'],
        ['inner multicast', throughTunnel(udpPacket({ source: REMOTE, destination: '224.0.0.1' })), 'Multicast'],
      ]
      for (const [name, frame, reason] of cases) {
        const { verdict, reason: found } = run(frame)
        assert.deepEqual([verdict, found], ['drop', reason], name)
      }
    })

    it('combines the marks of congestion as RFC 6040 says', () => {
      const table: [outer: number, inner: number, result: number | 'drop'][] = [
        [0, 0, 0],
        [0, 1, 1],
        [0, 2, 2],
        [0, 3, 3],
        [1, 0, 0],
        [1, 1, 1],
        [1, 2, 1],
        [1, 3, 3],
        [2, 0, 0],
        [2, 1, 1],
        [2, 2, 2],
        [2, 3, 3],
        [3, 0, 'drop'],
        [3, 1, 3],
        [3, 2, 3],
        [3, 3, 3],
      ]
      for (const [outer, inner, result] of table) {
        const { verdict, reason, frame } = arrive(
          { tos: outer },
          udpPacket({ source: REMOTE, destination: A, tos: 0xb8 | inner }),
        )
        if (result === 'drop') {
          assert.deepEqual([verdict, reason], ['drop', 'Ecn'])
          continue
        }
        assert.equal(frame[15], 0xb8 | result, `${outer} over ${inner}`)
        assert.equal(checksum(frame.subarray(14, 34)), 0)
      }
    })

    it('leaves everything else to the host', () => {
      const plain = udpPacket({ source: '192.168.77.9', destination: THIS_NODE, destinationPort: 6082 })
      const fragment = ipv4(
        { source: OTHER_NODE, destination: THIS_NODE, protocol: 17, fragment: 1 },
        Buffer.from('c35017c1', 'hex'),
      )
      const frames = [
        fromPod(plain),
        fromPod(fragment),
        fromPod(packet),
        ethernet({ source: '02:77:00:00:00:02', destination: 'ff:ff:ff:ff:ff:ff', type: 0x0806 }, Buffer.alloc(28)),
        ethernet({ source: '02:77:00:00:00:02', destination: '33:33:00:00:00:01', type: 0x86dd }, Buffer.alloc(60)),
        Buffer.alloc(20),
      ]
      for (const frame of frames) {
        const { verdict, frame: after } = run(frame)
        assert.deepEqual([verdict, after], ['pass', frame])
      }
    })

    it('has few look-ups for a new flow, and fewer for one that is known', () => {
      host.tables.addIdentities(5, [302])
      use({
        others: CLOSED,
        byIdentity: { 302: onlyPorts('UDP', [53]) },
        egressOfPeers: { 302: everywhere(true, { rule: 9 }) },
      })
      // nodes, endpoints, conntrack, routes, pairs and two lists
      assert.equal(arrive().lookups, 7)
      assert.equal(arrive().lookups, 3)
      use({ others: CLOSED, ingressCidrs: { '10.0.0.0/8': everywhere(true, { precedence: 3 }) } })
      const other = udpPacket({ source: REMOTE, destination: A, sourcePort: 7 })
      assert.equal(arrive({}, other).lookups, 8)
    })
  })
}

describe('What arrives for the host itself', () => {
  it('is taken out of the tunnel and given to the host', async () => {
    const host = await openTestDataplane()
    addOtherHost(host.tables)
    const answer = tcpPacket({ source: REMOTE, destination: '10.244.1.1', flags: 0x12 })
    const { verdict, target, frame } = host.run('from_uplink', throughTunnel(answer))
    assert.deepEqual([verdict, target], ['redirect', 2])
    assert.deepEqual(frame.subarray(14), answer)
    assert.equal(host.run('from_uplink_xdp', throughTunnel(answer)).verdict, 'pass')
    host.close()
  })
})
