import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { checksum, ipv4 } from '../testing/frames.ts'
import { openTestDataplane, type TestDataplane, type TestVerdict } from '../testing/test-dataplane.ts'
import {
  addOtherHost,
  CLOSED,
  decodeTunnel,
  fromPod,
  OTHER_NODE,
  podOf,
  policySetOf,
  tcpPacket,
  THIS_NODE,
  throughTunnel,
  udpPacket,
  VNI,
  type PacketParts,
  type SetParts,
} from '../testing/test-world.ts'

const HOST_DEVICE = 2
const UPLINK = 3
const A = '10.244.1.2'
const REMOTE = '10.244.2.9'
const WORLD = '203.0.113.9'

describe('A network with an address of its own in the world', () => {
  let host: TestDataplane
  let sets = 0
  const use = (parts: SetParts = {}, hasEgress = true): void => {
    const policySet = host.tables.addPolicySet(policySetOf(`set ${++sets}`, parts))
    host.tables.setEndpoint(podOf(2, { policySet, hasEgress }))
  }
  const send = (destination: string): TestVerdict =>
    host.run('from_pod', fromPod(udpPacket({ source: A, destination })), { ifindex: 12 })
  const arrive = (inner: Buffer, parts = {}): TestVerdict => host.run('from_uplink', throughTunnel(inner, parts))
  before(async () => {
    host = await openTestDataplane()
    addOtherHost(host.tables)
    host.tables.setOwnBlocks(['169.254.0.0/16', '10.96.0.0/12', '192.0.2.1'])
  })
  beforeEach(() => {
    host.map('ct').deleteMany(host.map('ct').keys())
    for (const { vni } of host.tables.listEgresses()) host.tables.removeEgress(vni)
    use()
  })
  after(() => host.close())

  it('sends what is for the world through the tunnel to the host that has it, and says who sends', () => {
    host.tables.setEgress({ vni: VNI, node: OTHER_NODE, isHere: false })
    const { verdict, target, frame } = send(WORLD)
    assert.deepEqual([verdict, target], ['redirect', UPLINK])
    const { destination, vni, identity, inner } = decodeTunnel(frame)
    assert.deepEqual([destination, vni, identity], [OTHER_NODE, VNI, 302])
    assert.deepEqual(inner.subarray(14), udpPacket({ source: A, destination: WORLD }))
  })

  it('leaves by its own stack when this host has it', () => {
    host.tables.setEgress({ vni: VNI, node: THIS_NODE, isHere: true })
    assert.deepEqual([send(WORLD).verdict, send(WORLD).target], ['redirect', HOST_DEVICE])
  })

  it('sends nothing while no host has it, and never by another address', () => {
    assert.equal(send(WORLD).reason, 'NoEgress')
    host.tables.setEgress({ vni: VNI, node: undefined, isHere: false })
    assert.equal(send(WORLD).reason, 'NoEgress')
    host.tables.setEgress({ vni: VNI, node: THIS_NODE, isHere: false })
    assert.equal(send(WORLD).reason, 'NoEgress')
  })

  it('reaches pods, its host and other nodes as any other', () => {
    host.tables.setEgress({ vni: VNI, node: '192.168.77.3', isHere: false })
    assert.equal(decodeTunnel(send(REMOTE).frame).destination, OTHER_NODE)
    for (const destination of [THIS_NODE, '10.244.1.1', OTHER_NODE, '169.254.169.254', '10.96.0.10', '192.0.2.1'])
      assert.equal(send(destination).target, HOST_DEVICE, destination)
    assert.equal(send('10.244.1.77').reason, 'NoEndpoint')
    assert.equal(decodeTunnel(send('192.0.2.2').frame).destination, '192.168.77.3')
    host.tables.setOwnBlocks(['169.254.0.0/16', '10.96.0.0/12', '192.0.2.0/24'])
    assert.equal(send('192.0.2.2').target, HOST_DEVICE)
  })

  it('obeys the policies of the sender before anything leaves', () => {
    host.tables.setEgress({ vni: VNI, node: OTHER_NODE, isHere: false })
    use({ outside: CLOSED })
    assert.equal(send(WORLD).reason, 'PolicyEgress')
  })

  it('answers who asked from the world by the way that the question came', () => {
    host.tables.setEgress({ vni: VNI, node: OTHER_NODE, isHere: false })
    const question = udpPacket({ source: WORLD, destination: A, sourcePort: 5000, destinationPort: 53 })
    const asked = host.run('from_host', fromPod(question), { forwardedFrom: UPLINK })
    assert.equal(asked.verdict, 'redirect')
    const answer = udpPacket({ source: A, destination: WORLD, sourcePort: 53, destinationPort: 5000 })
    assert.equal(host.run('from_pod', fromPod(answer), { ifindex: 12 }).target, HOST_DEVICE)
  })

  it('costs networks without one no look-up', () => {
    host.tables.setEgress({ vni: VNI, node: OTHER_NODE, isHere: false })
    use({}, false)
    send(WORLD)
    const without = send(WORLD)
    assert.equal(without.target, HOST_DEVICE)
    use()
    send(WORLD)
    assert.equal(send(WORLD).lookups, without.lookups + 3)
  })

  it('takes what other hosts’ pods of the network send to the world', () => {
    host.tables.setEgress({ vni: VNI, node: THIS_NODE, isHere: true })
    const packet = tcpPacket({ source: REMOTE, destination: WORLD })
    const { verdict, target, frame } = arrive(packet)
    assert.deepEqual([verdict, target], ['redirect', HOST_DEVICE])
    assert.deepEqual(frame.subarray(14), packet)
  })

  it('takes it too while this host believes that another one is to', () => {
    host.tables.setEgress({ vni: VNI, node: OTHER_NODE, isHere: true })
    assert.equal(arrive(tcpPacket({ source: REMOTE, destination: WORLD })).target, HOST_DEVICE)
  })

  it('takes nothing of other networks, and nothing that is not for the world', () => {
    const packet = udpPacket({ source: REMOTE, destination: WORLD })
    assert.equal(arrive(packet).reason, 'NoEndpoint')
    host.tables.setEgress({ vni: VNI, node: OTHER_NODE, isHere: false })
    assert.equal(arrive(packet).reason, 'NoEgress')
    host.tables.setEgress({ vni: VNI, node: THIS_NODE, isHere: true })
    assert.equal(arrive(packet, { vni: VNI + 1 }).reason, 'NoEndpoint')
    host.tables.setEndpoint(podOf(4, { vni: 9, ip: '10.0.0.2', hostIP: '100.64.0.7', routeDomain: 9, blockPrefix: 26 }))
    for (const destination of ['10.244.1.77', '10.244.2.10', '100.64.0.7'])
      assert.equal(arrive(udpPacket({ source: REMOTE, destination })).reason, 'NoEndpoint', destination)
    const asNode = { source: REMOTE, destination: OTHER_NODE, destinationPort: 6081 }
    assert.equal(arrive(udpPacket(asNode)).reason, 'SpoofedAddress')
  })

  it('takes only addresses of the host that sends', () => {
    host.tables.setEgress({ vni: VNI, node: THIS_NODE, isHere: true })
    for (const source of [A, '10.244.3.9', WORLD])
      assert.equal(arrive(udpPacket({ source, destination: '203.0.113.10' })).reason, 'SpoofedAddress', source)
  })

  describe('and a CIDR of its own', () => {
    const [OWN, THEIRS] = [9, 10]
    const ALIASES = { [OWN]: '240.7.7.64/26', [THEIRS]: '240.0.0.0/26' }
    const BLOCK = '10.0.0.64/26'
    const SENDER = '10.0.0.69'
    before(() => {
      for (const vni of [OWN, THEIRS]) {
        host.tables.setNetwork({ vni, cidr: '10.0.0.0/16' })
        host.tables.setRoute({ domain: vni, cidr: BLOCK, node: OTHER_NODE })
      }
    })
    beforeEach(() => {
      for (const vni of [OWN, THEIRS] as const) {
        host.tables.setEgress({ vni, node: THIS_NODE, isHere: true })
        host.tables.setAlias({ vni, cidr: BLOCK, alias: ALIASES[vni]! })
      }
    })

    it('is told apart by the alias of its block, on the way out and back', () => {
      for (const [vni, alias] of [
        [OWN, '240.7.7.69'],
        [THEIRS, '240.0.0.5'],
      ] as const) {
        const out = arrive(udpPacket({ source: SENDER, destination: WORLD }), { vni })
        assert.equal(out.target, HOST_DEVICE)
        assert.deepEqual(out.frame.subarray(14), udpPacket({ source: alias, destination: WORLD }))
        const answer = { source: WORLD, sourcePort: 53, destinationPort: 40_000 }
        const back = fromStack({ ...answer, destination: alias })
        assert.deepEqual([back.verdict, back.target], ['redirect', UPLINK])
        const { destination, inner, ...tunnel } = decodeTunnel(back.frame)
        assert.deepEqual([destination, tunnel.vni, tunnel.identity], [OTHER_NODE, vni, 2])
        assert.deepEqual(inner.subarray(14), udpPacket({ ...answer, destination: SENDER }))
      }
    })

    it('hears of errors about what it sent by its own address', () => {
      const quoted = udpPacket({ source: '240.7.7.69', destination: WORLD })
      const about = (packet: Buffer): Buffer => {
        const icmp = Buffer.concat([Buffer.from([3, 1, 0, 0, 0, 0, 0, 0]), packet.subarray(0, 28)])
        icmp.writeUInt16BE(checksum(icmp), 2)
        return icmp
      }
      const outer = { source: '203.0.113.1', protocol: 1 }
      const frame = fromPod(ipv4({ ...outer, destination: '240.7.7.69' }, about(quoted)))
      const { inner } = decodeTunnel(host.run('from_host', frame, { forwardedFrom: UPLINK }).frame)
      const own = udpPacket({ source: SENDER, destination: WORLD })
      // the sum of what is quoted is about addresses that changed: nobody looks at it, and the error's own is right
      own.writeUInt16BE(quoted.readUInt16BE(26), 26)
      assert.deepEqual(inner.subarray(14), ipv4({ ...outer, destination: SENDER }, about(own)))
    })

    it('sends nothing from a block that this host does not know, or that is not the sender’s', () => {
      const packet = udpPacket({ source: SENDER, destination: WORLD })
      host.tables.removeAlias({ vni: OWN, cidr: BLOCK, alias: ALIASES[OWN]! })
      assert.equal(arrive(packet, { vni: OWN }).reason, 'NoEgress')
      assert.equal(fromStack({ source: WORLD, destination: '240.7.7.69' }).reason, 'NoEndpoint')
      assert.equal(arrive(packet, { vni: THEIRS }).target, HOST_DEVICE)
      const stranger = udpPacket({ source: '10.0.0.129', destination: WORLD })
      assert.equal(arrive(stranger, { vni: THEIRS }).reason, 'SpoofedAddress')
      assert.equal(arrive(udpPacket({ source: REMOTE, destination: WORLD }), { vni: THEIRS }).reason, 'SpoofedAddress')
      assert.deepEqual(host.tables.listAliases(), [{ vni: THEIRS, cidr: BLOCK, alias: ALIASES[THEIRS] }])
    })

    it('leaves by its own host’s stack by the address that this knows it by', () => {
      const own = { vni: OWN, ip: '10.0.0.2', hostIP: '100.64.0.7', routeDomain: OWN, blockPrefix: 26, hasEgress: true }
      const policySet = host.tables.addPolicySet(policySetOf('own'))
      host.tables.setEndpoint(podOf(5, { ...own, policySet }))
      const frame = fromPod(udpPacket({ source: own.ip, destination: WORLD }))
      const sent = host.run('from_pod', frame, { ifindex: 15 })
      assert.equal(sent.target, HOST_DEVICE)
      assert.deepEqual(sent.frame.subarray(14), udpPacket({ source: own.hostIP, destination: WORLD }))
      const toAlias = fromPod(udpPacket({ source: own.ip, destination: '240.0.0.5' }))
      assert.equal(host.run('from_pod', toAlias, { ifindex: 15 }).reason, 'Multicast')
    })

    function fromStack(parts: PacketParts): TestVerdict {
      return host.run('from_host', fromPod(udpPacket(parts)), { forwardedFrom: UPLINK })
    }
  })
})
