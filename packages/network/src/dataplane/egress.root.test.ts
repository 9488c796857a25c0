import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
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
})
