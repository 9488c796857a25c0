import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sendInBulk } from '../testing/bulk.ts'
import { type AttachMode, TestCluster, type TestPod } from '../testing/cluster.ts'
import { describeHosts } from '../testing/describe-hosts.ts'
import {
  EchoServer,
  findWrongProbes,
  type Probe,
  type ProbeProtocol,
  type ServedPort,
} from '../testing/reachability.ts'

const PORTS: readonly ServedPort[] = [
  { protocol: 'TCP', port: 80 },
  { protocol: 'UDP', port: 53 },
  { protocol: 'SCTP', port: 9000 },
]
const PROBED: readonly [ProbeProtocol, number][] = [
  ['TCP', 80],
  ['UDP', 53],
  ['SCTP', 9000],
  ['ICMP', 0],
]
const MEGABYTE = 2 ** 20

describeHosts({ title: 'pods on two hosts', file: import.meta.url }, (attach) => {
  for (const mtu of [1500, 9000]) describe(`MTU ${mtu}`, () => testPods(attach, mtu))
})

function testPods(attach: AttachMode, mtu: number): void {
  let cluster: TestCluster
  let pods: readonly TestPod[]
  before(async () => {
    cluster = await TestCluster.create({ hosts: 2, attach, mtu })
    pods = [
      cluster.addPod({ name: 'a', host: 1, identity: 256, ports: PORTS }),
      cluster.addPod({ name: 'b', host: 1, identity: 257, ports: PORTS }),
      cluster.addPod({ name: 'c', host: 2, identity: 256, ports: PORTS }),
      cluster.addPod({ name: 'd', host: 2, identity: 258, ports: PORTS }),
    ]
  })
  after(() => cluster?.close())
  const servers = (): EchoServer[] => pods.map(({ server }) => server)

  it('lets every pod reach every other by TCP, UDP, SCTP and ICMP', () => {
    const probes = pods.flatMap((from) => pods.flatMap((to) => PROBED.map((what) => openProbe(from, { to, what }))))
    assert.deepEqual(findWrongProbes(probes, servers()), [])
  })

  for (const [from, to, where] of [
    ['a', 'b', 'on one host'],
    ['a', 'c', 'between hosts'],
    ['c', 'a', 'back'],
  ] as const) {
    it(`carries a stream ${where} byte by byte`, () => {
      const [client, server] = [cluster.pod(from), cluster.pod(to)]
      const ends = { client: client.namespace, server: server.namespace, ip: server.endpoint.ip, port: 5000 }
      assert.deepEqual(sendInBulk({ ...ends, bytes: 32 * MEGABYTE }), { received: 32 * MEGABYTE, isIntact: true })
    })
  }

  it('lets a host reach its own pods, and pods answer', () => {
    const probes = pods.map((to): Probe => {
      const name = `${to.host.plan.name} → ${to.name}`
      return { from: to.host.namespace, to: to.endpoint.hostIP, protocol: 'TCP', port: 80, expected: 'open', name }
    })
    assert.deepEqual(findWrongProbes(probes, servers()), [])
  })

  it('lets pods reach the world behind their host’s address, and nobody there reaches pods', () => {
    const world = new EchoServer(cluster.wire, PORTS)
    const out = pods.flatMap((from) =>
      (['TCP', 'UDP'] as const).map((protocol): Probe => {
        const port = protocol === 'TCP' ? 80 : 53
        return {
          from: from.namespace,
          to: '192.168.77.254',
          protocol,
          port,
          expected: 'open',
          name: `${from.name} → world`,
        }
      }),
    )
    assert.deepEqual(findWrongProbes(out, [...servers(), world]), [])
    world.close()
  })

  it('lets pods reach their own host and the other one', () => {
    const hosts = cluster.hosts.map(({ namespace }) => new EchoServer(namespace, [{ protocol: 'TCP', port: 81 }]))
    const probes = pods.flatMap((from) =>
      cluster.hosts.map(({ plan }): Probe => {
        const name = `${from.name} → ${plan.name}`
        return { from: from.namespace, to: plan.address, protocol: 'TCP', port: 81, expected: 'open', name }
      }),
    )
    assert.deepEqual(findWrongProbes(probes, [...servers(), ...hosts]), [])
    for (const host of hosts) host.close()
  })
}

function openProbe(from: TestPod, { to, what }: { to: TestPod; what: readonly [ProbeProtocol, number] }): Probe {
  const [protocol, port] = what
  const name = `${from.name} → ${to.name} ${protocol}`
  return { from: from.namespace, to: to.endpoint.ip, protocol, port, expected: 'open', name }
}
