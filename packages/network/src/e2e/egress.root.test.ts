import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { after, before, beforeEach, it } from 'node:test'
import { setTimeout } from 'node:timers/promises'
import { formatEgressTable } from '../egress/egress-rules.ts'
import { planAliases } from '../egress/plan-aliases.ts'
import { ASK, ECHO } from '../host/testing/echo.ts'
import { sendInBulk } from '../testing/bulk.ts'
import { type AttachMode, TestCluster, type TestHost } from '../testing/cluster.ts'
import { describeHosts } from '../testing/describe-hosts.ts'
import { findWrongProbes } from '../testing/reachability.ts'
import { Socket } from '../testing/sockets.ts'

/** Two tenants that share the hosts' addresses and have an address of their own in the world each, and one that has none. */
const [GREEN, BLUE, PLAIN] = [2, 3, 4]
/** Two with a CIDR of their own, whose pods have the same addresses, and one like them without an address in the world. */
const [RED, VIOLET, GREY] = [7, 8, 9]
const RED_ADDRESS = '192.168.77.53'
const VIOLET_ADDRESS = '192.168.77.54'
/** By host. */
const OWN_BLOCKS = ['10.9.0.0/26', '10.9.0.64/26', '10.9.0.128/26']
const GREEN_ADDRESS = '192.168.77.50'
const BLUE_ADDRESS = '192.168.77.51'
const SPARE_ADDRESS = '192.168.77.52'
const WORLD = '192.168.77.254'
const NOBODY = 'no answer'

describeHosts({ title: 'egress addresses', file: import.meta.url }, testEgress)

function testEgress(attach: AttachMode): void {
  let cluster: TestCluster
  let server: ChildProcess
  const ask = (pod: string, kind: 'tcp' | 'udp'): string => {
    const command = [process.execPath, '-e', ASK, kind, WORLD, kind === 'tcp' ? '80' : '53']
    return cluster.pod(pod).namespace.exec(command).trim()
  }
  const translate = (host: TestHost, sources: Readonly<Record<number, string>>): void => {
    const byVni = new Map(Object.entries(sources).map(([vni, address]) => [Number(vni), address]))
    host.namespace.exec(['nft', '-f', '-'], { input: formatEgressTable(byVni) })
  }
  /** What every host's daemon makes of the API. */
  const lead = (vni: number, node: TestHost | undefined): void => {
    for (const host of cluster.hosts)
      cluster.on(host, (dataplane) => dataplane.setEgress({ vni, node: node?.plan.address, isHere: host === node }))
  }
  /** What the daemon of a host that has addresses makes of the blocks of other hosts. */
  const standIn = (host: TestHost, vnis: readonly number[]): void => {
    const others = OWN_BLOCKS.filter((_, index) => cluster.hosts[index] !== host)
    const blocks = vnis.flatMap((vni) => others.map((cidr) => ({ vni, cidr })))
    cluster.on(host, (dataplane) => {
      for (const alias of planAliases(blocks, dataplane.listAliases()).aliases.values()) dataplane.setAlias(alias)
    })
  }
  const dropsOf = (host: TestHost): number =>
    cluster.on(host, (dataplane) => dataplane.readCounters().drops.get('NoEgress')?.packets ?? 0)

  before(async () => {
    cluster = await TestCluster.create({ hosts: 3, attach })
    const add = (name: string, host: number, vni: number): void =>
      void cluster.addPod({ name, host, vni, identity: 256, sharesHostAddresses: true, hasEgress: vni !== PLAIN })
    add('green', 1, GREEN)
    add('green-there', 2, GREEN)
    add('blue', 1, BLUE)
    add('plain', 1, PLAIN)
    for (const [color, vni] of Object.entries({ red: RED, violet: VIOLET, grey: GREY }))
      for (const host of [1, 2, 3]) {
        const options = { host, vni, ip: inBlock(OWN_BLOCKS[host - 1]!), identity: 256, hasEgress: vni !== GREY }
        cluster.addPod({ name: `${color}-${host}`, ...options, ports: [{ protocol: 'UDP', port: 53 }] })
      }
    const [, second, third] = cluster.hosts as [TestHost, TestHost, TestHost]
    second.namespace.ip(`addr add ${GREEN_ADDRESS}/24 dev eth0\naddr add ${BLUE_ADDRESS}/24 dev eth0`)
    second.namespace.ip(`addr add ${RED_ADDRESS}/24 dev eth0\naddr add ${VIOLET_ADDRESS}/24 dev eth0`)
    third.namespace.ip(`addr add ${SPARE_ADDRESS}/24 dev eth0`)
    server = spawn('ip', ['netns', 'exec', cluster.wire.name, process.execPath, '-e', ECHO, 'world'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(server.stdout!, 'data')
  })
  beforeEach(() => {
    const sources = { [GREEN]: GREEN_ADDRESS, [BLUE]: BLUE_ADDRESS, [RED]: RED_ADDRESS, [VIOLET]: VIOLET_ADDRESS }
    translate(cluster.host(2), sources)
    standIn(cluster.host(2), [RED, VIOLET])
    for (const vni of Object.keys(sources)) lead(Number(vni), cluster.host(2))
  })
  after(() => {
    server?.kill('SIGKILL')
    cluster?.close()
  })

  it('are what the world sees of pods on the host that has them and on others, each network by its own', () => {
    for (const kind of ['tcp', 'udp'] as const) {
      assert.equal(ask('green', kind), `world saw ${GREEN_ADDRESS}`)
      assert.equal(ask('green-there', kind), `world saw ${GREEN_ADDRESS}`)
      assert.equal(ask('blue', kind), `world saw ${BLUE_ADDRESS}`)
      assert.equal(ask('plain', kind), 'world saw 192.168.77.1')
    }
  })

  it('carry a stream both ways, byte by byte', () => {
    const ends = { client: cluster.pod('green').namespace, server: cluster.wire, ip: WORLD, port: 5000 }
    const bytes = 8 * 2 ** 20
    assert.deepEqual(sendInBulk({ ...ends, bytes }), { received: bytes, isIntact: true })
  })

  it('follow to another host, with flows that go on', () => {
    assert.equal(ask('green', 'udp'), `world saw ${GREEN_ADDRESS}`)
    translate(cluster.host(3), { [GREEN]: SPARE_ADDRESS })
    lead(GREEN, cluster.host(3))
    for (const kind of ['tcp', 'udp'] as const) {
      assert.equal(ask('green', kind), `world saw ${SPARE_ADDRESS}`)
      assert.equal(ask('green-there', kind), `world saw ${SPARE_ADDRESS}`)
      assert.equal(ask('blue', kind), `world saw ${BLUE_ADDRESS}`)
    }
  })

  it('count for flows that began by another address, or by the host’s', () => {
    cluster.setHasEgress('green-there', { hasEgress: false })
    assert.equal(ask('green-there', 'udp'), 'world saw 192.168.77.2')
    cluster.setHasEgress('green-there', { hasEgress: true })
    assert.equal(ask('green-there', 'udp'), `world saw ${GREEN_ADDRESS}`)
    translate(cluster.host(2), { [GREEN]: BLUE_ADDRESS })
    assert.equal(ask('green-there', 'udp'), `world saw ${BLUE_ADDRESS}`)
    assert.equal(ask('green', 'udp'), `world saw ${BLUE_ADDRESS}`)
    cluster.setHasEgress('green-there', { hasEgress: false })
    assert.equal(ask('green-there', 'tcp'), 'world saw 192.168.77.2')
    cluster.setHasEgress('green-there', { hasEgress: true })
  })

  it('are never replaced by another one while no host has them', () => {
    lead(GREEN, undefined)
    const [sender] = cluster.hosts as [TestHost]
    const dropped = dropsOf(sender)
    assert.equal(ask('green', 'udp'), NOBODY)
    assert.ok(dropsOf(sender) > dropped)
    assert.equal(ask('blue', 'udp'), `world saw ${BLUE_ADDRESS}`)
  })

  it('are never replaced by another one when the host’s translation is gone', () => {
    cluster.host(2).namespace.exec(['nft', 'delete', 'table', 'ip', 'centaurus-egress'])
    assert.equal(ask('green', 'udp'), NOBODY)
    assert.equal(ask('green-there', 'udp'), NOBODY)
  })

  it('tell pods of networks with a CIDR of their own apart that have the same address, on every host', () => {
    for (const kind of ['tcp', 'udp'] as const)
      for (const host of [1, 2, 3]) {
        assert.equal(ask(`red-${host}`, kind), `world saw ${RED_ADDRESS}`)
        assert.equal(ask(`violet-${host}`, kind), `world saw ${VIOLET_ADDRESS}`)
        assert.equal(ask(`grey-${host}`, kind), `world saw 192.168.77.${host}`)
      }
  })

  it('carry a stream of each of them, byte by byte', () => {
    for (const name of ['red-1', 'violet-1', 'violet-2', 'red-3']) {
      const ends = { client: cluster.pod(name).namespace, server: cluster.wire, ip: WORLD, port: 5000 }
      const bytes = 2 ** 20
      assert.deepEqual(sendInBulk({ ...ends, bytes }), { received: bytes, isIntact: true }, name)
    }
  })

  it('let nobody in who was not asked', () => {
    const aliases = cluster.on(cluster.host(2), (dataplane) => dataplane.listAliases())
    assert.equal(aliases.length, 4)
    cluster.wire.ip('route replace 240.0.0.0/8 via 192.168.77.2')
    const probes = aliases.flatMap(({ alias }) =>
      [cluster.wire, cluster.pod('grey-2').namespace, cluster.pod('plain').namespace].map((from) => {
        const to = inBlock(alias)
        return { from, to, protocol: 'UDP', port: 53, expected: 'closed', name: `${from.name} → ${to}` } as const
      }),
    )
    const servers = cluster.pods.map(({ server }) => server)
    assert.deepEqual(findWrongProbes(probes, servers), [])
  })

  it('are left by ports that no Service has', async () => {
    const world = Socket.udp(cluster.wire).bind({ ip: WORLD, port: 5300 })
    const ports = Array.from({ length: 100 }, (_, index) => 30_000 + index)
    const senders = ['red-1', 'green'].flatMap((name) => {
      const { namespace, endpoint } = cluster.pod(name)
      return ports.map((port) => Socket.udp(namespace).bind({ ip: endpoint.ip, port }))
    })
    /** By sender. */
    const seen = new Map<number, number>()
    while (seen.size < senders.length) {
      for (const [index, sender] of senders.entries())
        if (!seen.has(index)) sender.sendTo(Buffer.from(String(index)), { ip: WORLD, port: 5300 })
      await setTimeout(20)
      for (const { data, from } of world.receiveAll()) seen.set(Number(data.toString()), from.port)
    }
    for (const socket of [world, ...senders]) socket.close()
    assert.deepEqual(
      [...seen.values()].filter((port) => port < 32_768),
      [],
    )
  })
}

/** The sixth address. */
function inBlock(cidr: string): string {
  return cidr.replace(/(\d+)\/26$/, (_, last: string) => String(Number(last) + 5))
}
