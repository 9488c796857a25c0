import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { type AttachMode, TestCluster, type TestPod } from '../testing/cluster.ts'
import { describeHosts } from '../testing/describe-hosts.ts'
import { findWrongProbes, type Probe, type ServedPort } from '../testing/reachability.ts'

const PORTS: readonly ServedPort[] = [
  { protocol: 'TCP', port: 80 },
  { protocol: 'UDP', port: 53 },
]
/** Two networks with addresses of their own, and two that share the hosts' plan. */
const [RED, BLUE, GREEN] = [7, 8, 2]

describeHosts({ title: 'tenants', file: import.meta.url }, testTenants)

function testTenants(attach: AttachMode): void {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.create({ hosts: 2, attach })
    for (const [color, vni] of [
      ['red', RED],
      ['blue', BLUE],
    ] as const) {
      // every address of red is also one of blue
      cluster.addPod({ name: `${color}-1`, host: 1, vni, ip: '10.9.0.1', identity: 256, ports: PORTS })
      cluster.addPod({ name: `${color}-2`, host: 1, vni, ip: '10.9.0.2', identity: 257, ports: PORTS })
      cluster.addPod({ name: `${color}-3`, host: 2, vni, ip: '10.9.0.65', identity: 258, ports: PORTS })
    }
    cluster.addPod({ name: 'system', host: 1, identity: 300, ports: PORTS })
    cluster.addPod({ name: 'green', host: 1, vni: GREEN, sharesHostAddresses: true, identity: 300, ports: PORTS })
    cluster.addPod({ name: 'green-far', host: 2, vni: GREEN, sharesHostAddresses: true, identity: 301, ports: PORTS })
  })
  after(() => cluster?.close())

  const probe = (from: TestPod, to: TestPod, expected: Probe['expected']): Probe[] =>
    PORTS.map(({ protocol, port }) => {
      const name = `${from.name} → ${to.name} ${protocol}`
      return { from: from.namespace, to: to.endpoint.ip, protocol, port, expected, name }
    })
  const servers = () => cluster.pods.map(({ server }) => server)

  it('reach their own pods by addresses that others have too, and the packets are theirs', () => {
    for (const color of ['red', 'blue']) {
      const own = cluster.pods.filter(({ name }) => name.startsWith(color))
      const others = cluster.pods.filter(({ name }) => !name.startsWith(color)).map(({ server }) => server)
      const probes = own.flatMap((from) => own.flatMap((to) => probe(from, to, 'open')))
      // only the servers of this network answer here: a packet that went to the other one would stay without an answer
      assert.deepEqual(
        findWrongProbes(
          probes,
          own.map(({ server }) => server),
        ),
        [],
      )
      for (const server of others) assert.deepEqual(server.takeArrivals(), [])
    }
  })

  it('never reach pods of another tenant, on the same host or another', () => {
    const color = (pod: TestPod): string => pod.name.split('-')[0]!
    const pairs = cluster.pods.flatMap((from) =>
      cluster.pods.filter((to) => color(to) !== color(from) && !overlaps(from, to)).map((to) => ({ from, to })),
    )
    assert.deepEqual(
      findWrongProbes(
        pairs.flatMap(({ from, to }) => probe(from, to, 'closed')),
        servers(),
      ),
      [],
    )
  })

  it('never reach each other by the addresses that a host knows pods by', () => {
    const pairs = cluster.pods.flatMap((from) =>
      cluster.pods
        .filter((to) => to.host === from.host && to.endpoint.vni !== from.endpoint.vni)
        .map((to) => ({ from, to })),
    )
    const probes = pairs.map(({ from, to }): Probe => {
      const name = `${from.name} → ${to.name} by ${to.endpoint.hostIP}`
      return { from: from.namespace, to: to.endpoint.hostIP, protocol: 'TCP', port: 80, expected: 'closed', name }
    })
    assert.deepEqual(findWrongProbes(probes, servers()), [])
  })

  it('are reached by their own host by the address that it knows', () => {
    const probes = cluster.pods.map((to): Probe => {
      const name = `${to.host.plan.name} → ${to.name}`
      return { from: to.host.namespace, to: to.endpoint.hostIP, protocol: 'TCP', port: 80, expected: 'open', name }
    })
    assert.deepEqual(findWrongProbes(probes, servers()), [])
  })

  /** Where both have the same addresses, the packet goes to the sender's own network, which the first test shows. */
  function overlaps(from: TestPod, to: TestPod): boolean {
    return [RED, BLUE].includes(from.endpoint.vni) && [RED, BLUE].includes(to.endpoint.vni)
  }
}
