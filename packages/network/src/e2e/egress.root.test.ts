import assert from 'node:assert/strict'
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { after, before, beforeEach, describe, it } from 'node:test'
import { isInNamespaces, isolateHost, runInNamespaces } from '@centaurus/node/testing'
import { formatEgressTable } from '../egress/egress-rules.ts'
import { ASK, ECHO } from '../host/testing/echo.ts'
import { sendInBulk } from '../testing/bulk.ts'
import { type AttachMode, TestCluster, type TestHost } from '../testing/cluster.ts'

/** Two tenants that share the hosts' addresses and have an address of their own in the world each, and one that has none. */
const [GREEN, BLUE, PLAIN] = [2, 3, 4]
const GREEN_ADDRESS = '192.168.77.50'
const BLUE_ADDRESS = '192.168.77.51'
const SPARE_ADDRESS = '192.168.77.52'
const WORLD = '192.168.77.254'
const NOBODY = 'no answer'

if (!isInNamespaces()) {
  describe('egress addresses', () => {
    it('passes in namespaces of its own', () => runInNamespaces(import.meta.url))
  })
} else {
  isolateHost()
  for (const attach of ['tcx', 'xdp'] as const) describe(`egress addresses, ${attach}`, () => testEgress(attach))
}

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
    const [, second, third] = cluster.hosts as [TestHost, TestHost, TestHost]
    second.namespace.ip(`addr add ${GREEN_ADDRESS}/24 dev eth0\naddr add ${BLUE_ADDRESS}/24 dev eth0`)
    third.namespace.ip(`addr add ${SPARE_ADDRESS}/24 dev eth0`)
    server = spawn('ip', ['netns', 'exec', cluster.wire.name, process.execPath, '-e', ECHO, 'world'], {
      stdio: ['ignore', 'pipe', 'inherit'],
    })
    await once(server.stdout!, 'data')
  })
  beforeEach(() => {
    translate(cluster.host(2), { [GREEN]: GREEN_ADDRESS, [BLUE]: BLUE_ADDRESS })
    for (const vni of [GREEN, BLUE]) lead(vni, cluster.host(2))
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
}
