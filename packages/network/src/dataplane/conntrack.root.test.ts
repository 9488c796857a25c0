import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { ctEntry, ctKey } from '../layouts/layouts.ts'
import { checksum, icmpEcho, ipv4, sctpInit } from '../testing/frames.ts'
import { openTestDataplane, type TestDataplane, type TestVerdict } from '../testing/test-dataplane.ts'
import {
  addOtherHost,
  CLOSED,
  everywhere,
  fromPod,
  onlyPorts,
  OPEN,
  podOf,
  policySetOf,
  tcpPacket,
  throughTunnel,
  udpPacket,
} from '../testing/test-world.ts'

const A = '10.244.1.2'
const B = '10.244.1.3'
const REMOTE = '10.244.2.9'
const SYN = 0x02
const SYN_ACK = 0x12
const ACK = 0x10
const FIN = 0x11
const RST = 0x14

describe('Flows', () => {
  let host: TestDataplane
  let sets = 0
  /** A may only begin; B may only be asked at TCP 80 and UDP 53. */
  let client = 0
  let server = 0
  const add = (parts: Parameters<typeof policySetOf>[1]): number =>
    host.tables.addPolicySet(policySetOf(`set ${++sets}`, parts))
  const send = (packet: Buffer): TestVerdict => {
    const source = [...packet.subarray(12, 16)].join('.')
    return host.run('from_pod', fromPod(packet), { ifindex: source === A ? 12 : 13 })
  }
  const ask = (flags = SYN, sourcePort = 40_000): TestVerdict =>
    send(tcpPacket({ source: A, destination: B, sourcePort, flags }))
  const answer = (flags = SYN_ACK, destinationPort = 40_000): TestVerdict =>
    send(tcpPacket({ source: B, destination: A, sourcePort: 80, destinationPort, flags }))
  const flow = () => {
    const [only, ...others] = host.listFlows()
    assert.equal(others.length, 0)
    assert.ok(only !== undefined)
    return only
  }
  const age = (seconds: number): void => {
    const { key, entry } = flow()
    host.map('ct').set(ctKey.encode(key), ctEntry.encode({ ...entry, seen: (entry.seen - seconds) >>> 0 }))
  }

  before(async () => {
    host = await openTestDataplane()
    addOtherHost(host.tables)
  })
  beforeEach(() => {
    host.map('ct').deleteMany(host.map('ct').keys())
    client = add({ others: CLOSED })
    server = add({ others: CLOSED, byIdentity: { 302: onlyPorts('TCP', [80]) }, toPods: CLOSED })
    host.tables.setEndpoint(podOf(2, { policySet: client }))
    host.tables.setEndpoint(podOf(3, { policySet: server }))
  })
  after(() => host.close())

  it('let answers pass that no policy would', () => {
    assert.equal(answer().reason, 'PolicyEgress')
    assert.equal(ask().target, 13)
    assert.equal(answer().target, 12)
    assert.equal(ask(ACK).target, 13)
  })

  it('begin with who asks: a server may not ask back on the same ports', () => {
    ask()
    answer()
    ask(ACK)
    assert.equal(answer(SYN).reason, 'PolicyEgress')
    assert.equal(answer(ACK).target, 12, 'the flow goes on')
  })

  it('have one entry for both directions', () => {
    ask()
    answer()
    const { key } = flow()
    assert.deepEqual(key, { vni: 5, low: A, high: B, lowPort: 40_000, highPort: 80, protocol: 6 })
  })

  it('pass the states of TCP', () => {
    const states = [
      ['ask', SYN, 0],
      ['answer', SYN_ACK, 0],
      ['ask', ACK, 1],
      ['answer', FIN, 3],
      ['ask', ACK, 3],
      ['ask', FIN, 4],
      ['answer', ACK, 4],
    ] as const
    for (const [who, flags, state] of states) {
      assert.equal((who === 'ask' ? ask : answer)(flags).verdict, 'redirect')
      assert.equal(flow().entry.state, state, `${who} ${flags}`)
    }
    ask(SYN)
    assert.equal(flow().entry.state, 0, 'a port is used again')
    answer(RST)
    assert.equal(flow().entry.state, 4)
  })

  it('end after a time that depends on their state', () => {
    const table: [name: string, prepare: () => void, seconds: number][] = [
      ['opening', () => ask(), 60],
      ['established', () => [ask(), answer(), ask(ACK)], 21_600],
      ['half closed', () => [ask(), answer(), ask(ACK), ask(FIN)], 300],
      ['closed', () => [ask(), answer(RST)], 10],
    ]
    for (const [name, prepare, seconds] of table) {
      host.map('ct').deleteMany(host.map('ct').keys())
      prepare()
      age(seconds - 2)
      assert.equal(answer(ACK).target, 12, name)
      host.map('ct').deleteMany(host.map('ct').keys())
      prepare()
      age(seconds + 2)
      assert.equal(answer(ACK).reason, 'PolicyEgress', name)
    }
  })

  it('are written when their state changes or their time is stale, and not else', () => {
    ask()
    answer()
    ask(ACK)
    const seen = flow().entry.seen
    age(7)
    ask(ACK)
    assert.equal(flow().entry.seen, seen - 7)
    age(3)
    ask(ACK)
    assert.ok(flow().entry.seen >= seen)
  })

  it('cost one look-up of conntrack and no policy when established', () => {
    // devices, services' flows are asked only where one could be, endpoints, conntrack
    ask()
    const { lookups } = ask(ACK)
    assert.equal(lookups, 3)
    host.tables.setEndpoint(podOf(3, { policySet: add({ others: CLOSED, byIdentity: { 302: OPEN } }) }))
    assert.ok(ask(ACK).lookups > 3, 'judged again')
    assert.equal(ask(ACK).lookups, 3)
  })

  it('are judged again at once when the pod gets another policy', () => {
    ask()
    answer()
    assert.equal(ask(ACK).target, 13)
    host.tables.setEndpoint(podOf(3, { policySet: add({ others: CLOSED, toPods: CLOSED }) }))
    assert.equal(ask(ACK).reason, 'PolicyIngress')
    assert.equal(answer(ACK).reason, 'PolicyIngress', 'answers too')
    host.tables.setEndpoint(podOf(3, { policySet: server }))
    assert.equal(ask(ACK).target, 13)
    host.tables.setEndpoint(podOf(2, { policySet: add({ others: CLOSED, toPods: CLOSED }) }))
    assert.equal(answer(ACK).reason, 'PolicyEgress')
  })

  it('are judged again when their set learns of new identities', () => {
    const inUse = add({ others: OPEN, toPods: CLOSED })
    host.tables.setEndpoint(podOf(3, { policySet: inUse }))
    assert.equal(ask().target, 13)
    host.tables.extendPolicySet(inUse, { ingress: new Map([[302, CLOSED]]), egressOfPeers: new Map() })
    assert.equal(ask(ACK).reason, 'PolicyIngress')
  })

  it('are judged again when their sender becomes somebody else', () => {
    ask()
    answer()
    host.tables.setEndpoint(podOf(2, { policySet: client, identity: 399 }))
    assert.equal(ask(ACK).reason, 'PolicyIngress')
  })

  it('are judged again when a pod gets the address that they go to', () => {
    host.tables.setEndpoint(podOf(2, { policySet: add({ toPods: CLOSED }) }))
    const packet = udpPacket({ source: A, destination: '10.244.7.7' })
    assert.equal(send(packet).target, 2)
    host.tables.setRoute({ domain: 0, cidr: '10.244.7.0/24', node: '192.168.77.7' })
    assert.equal(send(packet).reason, 'PolicyEgress')
    host.tables.removeRoute({ domain: 0, cidr: '10.244.7.0/24' })
  })

  it('are not inherited by a pod that gets the address', () => {
    ask()
    answer()
    assert.equal(ask(ACK).target, 13)
    host.tables.removeEndpoint({ vni: 5, ip: A })
    host.tables.setEndpoint(podOf(2, { policySet: client, ifindex: 40 }))
    assert.equal(answer(ACK).reason, 'PolicyEgress')
  })

  it('over another host keep the identity that began them', () => {
    const fromRemote = (flags: number, identity: number): TestVerdict =>
      host.run('from_uplink', throughTunnel(tcpPacket({ source: REMOTE, destination: B, flags }), { identity }))
    const toRemote = (flags: number): TestVerdict =>
      send(tcpPacket({ source: B, destination: REMOTE, sourcePort: 80, destinationPort: 40_000, flags }))
    assert.equal(toRemote(SYN_ACK).reason, 'PolicyEgress')
    assert.equal(fromRemote(SYN, 302).target, 13)
    assert.equal(toRemote(SYN_ACK).target, 3)
    assert.equal(fromRemote(ACK, 303).reason, 'PolicyIngress')
    assert.equal(fromRemote(ACK, 302).target, 13)
  })

  it('are forgotten by UDP sooner than by TCP', () => {
    host.tables.setEndpoint(podOf(3, { policySet: add({ others: onlyPorts('UDP', [53]), toPods: CLOSED }) }))
    const question = udpPacket({ source: A, destination: B })
    const reply = udpPacket({ source: B, destination: A, sourcePort: 53, destinationPort: 40_000 })
    send(question)
    age(32)
    assert.equal(send(reply).reason, 'PolicyEgress')
    send(question)
    assert.equal(send(reply).target, 12)
    age(150)
    assert.equal(send(reply).target, 12)
    age(200)
    assert.equal(send(reply).reason, 'PolicyEgress')
  })

  it('of pings let the answer pass, and no question back', () => {
    host.tables.setEndpoint(podOf(3, { policySet: add({ toPods: CLOSED }) }))
    const echo = (source: string, destination: string, type: number): Buffer => {
      const message = icmpEcho({ id: 9, sequence: 1 }, Buffer.alloc(8))
      message[0] = type
      return ipv4({ source, destination, protocol: 1 }, message)
    }
    assert.equal(send(echo(B, A, 0)).reason, 'PolicyEgress')
    assert.equal(send(echo(A, B, 8)).target, 13)
    assert.equal(send(echo(B, A, 0)).target, 12)
    assert.equal(send(echo(B, A, 8)).reason, 'PolicyEgress')
  })

  it('of SCTP begin with INIT', () => {
    host.tables.setEndpoint(podOf(3, { policySet: add({ others: onlyPorts('SCTP', [9000]), toPods: CLOSED }) }))
    const init = (parts: {
      source: string
      destination: string
      from: number
      to: number
      isAnswer?: boolean
    }): Buffer => {
      const chunk = sctpInit({ sourcePort: parts.from, destinationPort: parts.to, isAnswer: parts.isAnswer ?? false })
      return ipv4({ source: parts.source, destination: parts.destination, protocol: 132 }, chunk)
    }
    assert.equal(send(init({ source: A, destination: B, from: 5000, to: 9000 })).target, 13)
    assert.equal(send(init({ source: B, destination: A, from: 9000, to: 5000, isAnswer: true })).target, 12)
    assert.equal(send(init({ source: B, destination: A, from: 9000, to: 5000 })).reason, 'PolicyEgress')
    assert.equal(send(init({ source: A, destination: B, from: 5000, to: 9001 })).reason, 'PolicyIngress')
  })

  it('let ICMP errors pass that are about them', () => {
    ask()
    const error = (quoted: Buffer, to = A): Buffer => {
      const message = Buffer.concat([Buffer.from('0303000000000000', 'hex'), quoted.subarray(0, 28)])
      message.writeUInt16BE(checksum(message), 2)
      return ipv4({ source: B, destination: to, protocol: 1 }, message)
    }
    const asked = tcpPacket({ source: A, destination: B })
    assert.equal(send(error(asked)).target, 12)
    assert.equal(send(error(tcpPacket({ source: A, destination: B, sourcePort: 1 }))).reason, 'PolicyEgress')
    assert.equal(send(error(asked, '10.244.1.9')).reason, 'NoEndpoint')
    host.tables.setEndpoint(podOf(4, { policySet: client }))
    assert.equal(send(error(asked, '10.244.1.4')).reason, 'PolicyEgress', 'an error goes to who sent what it quotes')
  })
})

describe('The host', () => {
  let host: TestDataplane
  before(async () => {
    host = await openTestDataplane()
    addOtherHost(host.tables)
  })
  after(() => host.close())
  const fromHost = (packet: Buffer, forwardedFrom = 0): TestVerdict =>
    host.run('from_host', fromPod(packet, '10.244.1.1'), { forwardedFrom })
  const closed = () =>
    host.tables.addPolicySet(policySetOf('closed', { others: CLOSED, toPods: CLOSED, outside: CLOSED }))

  it('always reaches its own pods, and they answer', () => {
    for (const policySet of [0, closed()]) {
      host.tables.setEndpoint(podOf(2, { policySet }))
      const port = 1000 + policySet
      assert.equal(fromHost(tcpPacket({ source: '10.244.1.1', destination: A, sourcePort: port })).target, 12)
      const reply = tcpPacket({
        source: A,
        destination: '10.244.1.1',
        sourcePort: 80,
        destinationPort: port,
        flags: SYN_ACK,
      })
      assert.deepEqual(
        [
          host.run('from_pod', fromPod(reply), { ifindex: 12 }).target,
          host.run('from_pod', fromPod(reply), { ifindex: 12 }).reason,
        ],
        [2, 'None'],
      )
    }
  })

  it('is not everybody whose packets it forwards', () => {
    host.tables.setEndpoint(podOf(2, { policySet: closed() }))
    assert.equal(fromHost(tcpPacket({ source: '8.8.8.8', destination: A }), 3).reason, 'PolicyIngress')
    const nodes = { others: CLOSED, byIdentity: { 1: OPEN } }
    host.tables.setEndpoint(podOf(2, { policySet: host.tables.addPolicySet(policySetOf('nodes', nodes)) }))
    assert.equal(fromHost(tcpPacket({ source: '8.8.8.8', destination: A, sourcePort: 2 }), 3).reason, 'PolicyIngress')
    assert.equal(fromHost(tcpPacket({ source: '192.168.77.2', destination: A, sourcePort: 3 }), 3).target, 12)
  })

  it('shows a pod that comes back by its stack as itself, in its own network only', () => {
    const policySet = host.tables.addPolicySet(policySetOf('only 303', { others: CLOSED, byIdentity: { 303: OPEN } }))
    host.tables.setEndpoint(podOf(2, { policySet }))
    host.tables.setEndpoint(podOf(3, { policySet }))
    host.tables.setEndpoint(podOf(4, { policySet, identity: 303, vni: 6 }))
    assert.equal(fromHost(tcpPacket({ source: B, destination: A, sourcePort: 4 }), 2).target, 12)
    assert.equal(
      fromHost(tcpPacket({ source: '10.244.1.4', destination: A, sourcePort: 5 }), 2).reason,
      'PolicyIngress',
    )
  })

  it('knows pods whose addresses overlap by addresses of its own', () => {
    const policySet = closed()
    const own = { vni: 9, ip: '10.0.0.2', hostIP: '100.64.0.7', routeDomain: 9, blockPrefix: 26, policySet }
    host.tables.setEndpoint(podOf(5, own))
    host.tables.setEndpoint(podOf(6, { ...own, vni: 10, hostIP: '100.64.0.8', routeDomain: 10 }))
    const to = (hostIP: string): TestVerdict => fromHost(tcpPacket({ source: '10.244.1.1', destination: hostIP }))
    assert.deepEqual([to('100.64.0.7').target, to('100.64.0.8').target], [15, 16])
    assert.deepEqual(
      to('100.64.0.7').frame.subarray(14),
      tcpPacket({ source: '10.244.1.1', destination: own.ip }),
      'with right sums',
    )
    assert.equal(to('10.0.0.2').reason, 'NoRoute')
    const reply = tcpPacket({
      source: own.ip,
      destination: '10.244.1.1',
      sourcePort: 80,
      destinationPort: 40_000,
      flags: SYN_ACK,
    })
    const back = host.run('from_pod', fromPod(reply), { ifindex: 15 })
    assert.equal(back.target, 2)
    assert.deepEqual(
      back.frame.subarray(14),
      tcpPacket({
        source: '100.64.0.7',
        destination: '10.244.1.1',
        sourcePort: 80,
        destinationPort: 40_000,
        flags: SYN_ACK,
      }),
    )
  })

  it('is told of errors by the address that it knows', () => {
    const own = { vni: 9, ip: '10.0.0.2', hostIP: '100.64.0.7', routeDomain: 9, blockPrefix: 26, policySet: closed() }
    host.tables.setEndpoint(podOf(5, own))
    fromHost(udpPacket({ source: '10.244.1.1', destination: own.hostIP }))
    const errorAbout = (source: string, quoted: Buffer): Buffer => {
      const message = Buffer.concat([Buffer.from('0303000000000000', 'hex'), quoted.subarray(0, 28)])
      message.writeUInt16BE(checksum(message), 2)
      return ipv4({ source, destination: '10.244.1.1', protocol: 1 }, message)
    }
    const sent = errorAbout(own.ip, udpPacket({ source: '10.244.1.1', destination: own.ip }))
    const { target, frame } = host.run('from_pod', fromPod(sent), { ifindex: 15 })
    assert.equal(target, 2)
    const packet = frame.subarray(14)
    assert.equal(checksum(packet.subarray(0, 20)), 0)
    assert.equal(checksum(packet.subarray(20)), 0)
    assert.equal(checksum(packet.subarray(28, 48)), 0)
    assert.equal([...packet.subarray(44, 48)].join('.'), own.hostIP)
  })

  it('reaches pods of other hosts as a host', () => {
    const { target, frame } = fromHost(tcpPacket({ source: '10.244.1.1', destination: REMOTE }))
    assert.equal(target, 3)
    assert.deepEqual([frame.readUIntBE(46, 3), frame[52], frame.readUInt32BE(54)], [0, 0x81, 1])
    assert.equal(fromHost(tcpPacket({ source: '8.8.8.8', destination: REMOTE }), 3).frame.readUInt32BE(54), 2)
    assert.equal(fromHost(tcpPacket({ source: '10.244.1.1', destination: '10.244.99.9' })).reason, 'NoRoute')
  })

  it('is answered by pods it asked from another host', () => {
    host.tables.setEndpoint(
      podOf(2, {
        policySet: host.tables.addPolicySet(
          policySetOf('host', { others: CLOSED, byIdentity: { 1: everywhere(true) }, toPods: CLOSED, outside: CLOSED }),
        ),
      }),
    )
    const ask = (source: string, sourcePort: number): TestVerdict =>
      host.run('from_uplink', throughTunnel(tcpPacket({ source, destination: A, sourcePort }), { vni: 0, identity: 1 }))
    const answer = (destination: string, destinationPort: number): TestVerdict =>
      host.run(
        'from_pod',
        fromPod(tcpPacket({ source: A, destination, sourcePort: 80, destinationPort, flags: SYN_ACK })),
        { ifindex: 12 },
      )
    for (const [source, port] of [
      ['10.244.2.1', 61],
      ['192.168.77.2', 62],
    ] as const) {
      assert.equal(ask(source, port).target, 12)
      const { target, frame } = answer(source, port)
      assert.deepEqual([target, [...frame.subarray(30, 34)].join('.')], [3, '192.168.77.2'], source)
    }
  })
})
