import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import type { BpfMap } from '../kernel/bpf-map.ts'
import { openTestDataplane, TEST_HOST, type TestDataplane, type TestVerdict } from '../testing/test-dataplane.ts'
import {
  addOtherHost,
  CLOSED,
  everywhere,
  onlyPorts,
  OPEN,
  podOf,
  policySetOf,
  tcpPacket,
  throughTunnel,
} from '../testing/test-world.ts'
import { openTables } from './open-tables.ts'

const A = '10.244.1.2'
const REMOTE = '10.244.2.9'
const TABLES = ['endpoints', 'devices', 'routes', 'networks', 'nodes', 'pairs', 'lists', 'cidrs', 'identities']

describe('Tables of policy', () => {
  let host: TestDataplane
  before(async () => {
    host = await openTestDataplane()
    addOtherHost(host.tables)
  })
  after(() => host.close())
  const count = (map: string): number => host.map(map).keys().length
  const arrive = (destinationPort: number, identity = 302): TestVerdict =>
    host.run('from_uplink', throughTunnel(tcpPacket({ source: REMOTE, destination: A, destinationPort }), { identity }))

  it('hold equal sets and equal lists once', () => {
    const parts = { others: CLOSED, byIdentity: { 302: onlyPorts('TCP', [80]), 303: onlyPorts('TCP', [80]) } }
    const first = host.tables.addPolicySet(policySetOf('one', parts))
    assert.equal(host.tables.addPolicySet(policySetOf('one', parts)), first)
    const second = host.tables.addPolicySet(policySetOf('two', parts))
    assert.notEqual(second, first)
    assert.deepEqual([count('pairs'), count('lists')], [4, 2])
    host.tables.removePolicySet(first)
    assert.deepEqual([count('pairs'), count('lists')], [2, 2])
    host.tables.removePolicySet(second)
    assert.deepEqual([count('pairs'), count('lists')], [0, 0])
    host.tables.removePolicySet(second)
  })

  it('hold lists of thousands of port ranges', () => {
    const ports = Array.from({ length: 1500 }, (_, i) => i * 3 + 1)
    const policySet = host.tables.addPolicySet(policySetOf('long', { others: onlyPorts('TCP', ports) }))
    host.tables.setEndpoint(podOf(2, { policySet }))
    assert.equal(count('lists'), 48)
    for (const port of [1, 4, 2998, 4498]) assert.equal(arrive(port).verdict, 'redirect', `${port}`)
    for (const port of [2, 3, 2999, 4499, 65_535]) assert.equal(arrive(port).reason, 'PolicyIngress', `${port}`)
    assert.equal(arrive(4498 - 3).lookups, 7)
    host.tables.setEndpoint(podOf(2))
    host.tables.removePolicySet(policySet)
    assert.equal(count('lists'), 0)
  })

  it('decide every port as the list says', () => {
    const list = onlyPorts('TCP', [0, 1, 80, 443, 1024, 65_534, 65_535])
    const policySet = host.tables.addPolicySet(policySetOf('edges', { others: list }))
    host.tables.setEndpoint(podOf(2, { policySet }))
    for (const port of [0, 1, 2, 79, 80, 81, 442, 443, 444, 1023, 1024, 1025, 65_533, 65_534, 65_535]) {
      const allowed = list.find((s) => s.protocol === 'TCP' && s.firstPort <= port && port <= s.lastPort)!.allow
      assert.equal(arrive(port).verdict, allowed ? 'redirect' : 'drop', `${port}`)
    }
    host.tables.setEndpoint(podOf(2))
    host.tables.removePolicySet(policySet)
  })

  it('give back what they took for a set that does not fit', async () => {
    const small = await openTestDataplane({ maxEntries: new Map([['pairs', 3]]) })
    const sizes = (): number[] => ['pairs', 'lists'].map((map) => small.map(map).keys().length)
    const peers = (count: number): Record<number, typeof OPEN> =>
      Object.fromEntries(Array.from({ length: count }, (_, i) => [300 + i, onlyPorts('TCP', [i])]))
    assert.throws(
      () => small.tables.addPolicySet(policySetOf('big', { byIdentity: peers(9) })),
      /map pairs of 3 entries/,
    )
    assert.deepEqual(sizes(), [0, 0])
    const id = small.tables.addPolicySet(policySetOf('small', { byIdentity: peers(2) }))
    const ranges = onlyPorts(
      'TCP',
      Array.from({ length: 3000 }, (_, i) => i * 2),
    )
    const ingress = new Map([
      [400, CLOSED],
      [401, ranges],
    ])
    assert.throws(
      () => small.tables.extendPolicySet(id, { ingress, egressOfPeers: new Map() }),
      /into more than 4096 ranges/,
    )
    assert.deepEqual(sizes(), [2, 2])
    small.close()
  })

  it('forget counters of rules that are long gone', async () => {
    const other = await openTestDataplane()
    const hits = other.map('rule_hits')
    for (let rule = 1; rule <= 5000; rule++)
      hits.set(Buffer.from(Uint32Array.of(rule).buffer), Buffer.alloc(hits.valueBytes))
    openTables({ areAdopted: true, programFd: () => 0, map: other.map, close: () => {} }, TEST_HOST).close()
    assert.equal(hits.keys().length, 4096)
    other.close()
  })

  it('refuse what would leave a pod without a policy that is there', () => {
    assert.throws(() => host.tables.setEndpoint(podOf(2, { policySet: 77 })), /policy set 77: there is none/)
    const policySet = host.tables.addPolicySet(policySetOf('used'))
    host.tables.setEndpoint(podOf(2, { policySet }))
    assert.throws(() => host.tables.removePolicySet(policySet), /a pod uses it/)
    assert.throws(
      () => host.tables.extendPolicySet(99, { ingress: new Map(), egressOfPeers: new Map() }),
      /no policy set 99/,
    )
    host.tables.removeEndpoint({ vni: 5, ip: A })
    host.tables.removePolicySet(policySet)
  })

  it('forget a pod wholly', () => {
    host.tables.setEndpoint(podOf(2, { hostIP: '100.64.0.2' }))
    assert.deepEqual([count('endpoints'), count('devices')], [2, 1])
    host.tables.setEndpoint(podOf(2, { hostIP: '100.64.0.3', ifindex: 33 }))
    assert.deepEqual([count('endpoints'), count('devices')], [2, 1])
    host.tables.removeEndpoint({ vni: 5, ip: A })
    assert.deepEqual([count('endpoints'), count('devices')], [0, 0])
    host.tables.removeEndpoint({ vni: 5, ip: A })
  })

  it('are taken over by the next daemon, which finds the same sets and takes away what nobody asks for', () => {
    const tables = host.tables
    const kept = policySetOf('kept', {
      others: CLOSED,
      byIdentity: { 302: onlyPorts('TCP', [80]) },
      ingressCidrs: { '10.0.0.0/8': everywhere(false, { rule: 4 }) },
      isolated: true,
    })
    const left = policySetOf('left', {
      others: onlyPorts(
        'TCP',
        Array.from({ length: 100 }, (_, i) => i * 2),
      ),
    })
    const [keptId, leftId] = [tables.addPolicySet(kept), tables.addPolicySet(left)]
    tables.setEndpoint(podOf(2, { policySet: keptId }))
    tables.setEndpoint(podOf(3, { policySet: leftId }))
    tables.addIdentities(5, [302, 303])
    const contents = (): string[] => TABLES.map((name) => `${name}: ${host.map(name).keys().length}`)
    const before = contents()

    const next = openTables({ areAdopted: true, programFd: () => 0, map: host.map, close: () => {} }, TEST_HOST)
    assert.deepEqual(contents(), before)
    assert.deepEqual(
      next
        .listEndpoints()
        .map(({ ip }) => ip)
        .sort(),
      [A, '10.244.1.3'],
    )
    assert.deepEqual(next.listRoutes(), [{ domain: 0, cidr: '10.244.2.0/24', node: '192.168.77.2' }])
    assert.deepEqual(next.listNodes(), ['192.168.77.2'])
    assert.deepEqual(
      next.listIdentities().sort((a, b) => a.id - b.id),
      [
        { vni: 5, id: 302 },
        { vni: 5, id: 303 },
      ],
    )
    assert.equal(next.addPolicySet(kept), keptId)
    const fresh = next.addPolicySet(policySetOf('fresh', { others: OPEN }))
    assert.ok(fresh !== keptId && fresh !== leftId)
    const listsBefore = count('lists')
    next.setEndpoint(podOf(3, { policySet: fresh }))
    assert.ok(count('lists') < listsBefore, 'the set that was left went with its last pod')
    next.setEndpoint(podOf(2, { policySet: fresh }))
    next.removePolicySet(keptId)
    for (const ip of [A, '10.244.1.3']) next.removeEndpoint({ vni: 5, ip })
    next.removePolicySet(fresh)
    assert.deepEqual(['pairs', 'lists', 'cidrs', 'endpoints', 'devices'].map(count), [0, 0, 0, 0, 0])
  })
})

describe('The size of tables', () => {
  it('changes no number of look-ups: 10 sets or 10,000, 10 peers or 10,000', async () => {
    const lookupsWith = async (sets: number, peers: number): Promise<number[]> => {
      const host = await openTestDataplane()
      addOtherHost(host.tables)
      const byIdentity = Object.fromEntries(
        Array.from({ length: peers }, (_, i) => [302 + i, onlyPorts('TCP', [80], { rule: (i % 50) + 2 })]),
      )
      for (let i = 0; i < sets; i++)
        host.tables.addPolicySet(policySetOf(`set ${i}`, { others: CLOSED, byIdentity: { [400 + i]: OPEN } }))
      const policySet = host.tables.addPolicySet(policySetOf('subject', { others: CLOSED, byIdentity }))
      host.tables.setEndpoint(podOf(2, { policySet }))
      const arrive = (identity: number): number =>
        host.run(
          'from_uplink',
          throughTunnel(tcpPacket({ source: REMOTE, destination: A, sourcePort: identity }), { identity }),
        ).lookups
      const lookups = [arrive(302), arrive(305), arrive(60_000), arrive(302)]
      host.close()
      return lookups
    }
    const few = await lookupsWith(10, 10)
    assert.deepEqual(await lookupsWith(10_000, 10_000), few)
    assert.deepEqual(few, [6, 6, 6, 3])
  })

  it('keeps kernel memory below 64 MiB for 250 pods', async () => {
    const host = await openTestDataplane()
    for (let node = 0; node < 1000; node++) {
      const address = `192.168.${64 + (node >> 8)}.${node & 255}`
      host.tables.setNode(address)
      host.tables.setRoute({ domain: 0, cidr: `10.${node >> 8}.${node & 255}.0/24`, node: address })
    }
    host.tables.addIdentities(
      5,
      Array.from({ length: 5000 }, (_, i) => 256 + i),
    )
    for (let pod = 2; pod < 252; pod++) {
      const byIdentity = Object.fromEntries(
        Array.from({ length: 100 }, (_, i) => [256 + pod * 10 + i, onlyPorts('TCP', [pod])]),
      )
      const policySet = host.tables.addPolicySet(policySetOf(`set ${pod}`, { others: CLOSED, byIdentity }))
      host.tables.setEndpoint(podOf(pod, { policySet, ifindex: 100 + pod }))
    }
    const names = ['ct', 'fragments', 'rule_hits', 'drops', 'drop_log', 'log_budgets', '.data.state', ...TABLES]
    const services = [
      'service_frontends',
      'service_chunks',
      'service_backends',
      'service_sources',
      'service_clients',
      'service_flows',
    ]
    const sizes = [...names, ...services].map((name) => [name, memoryOf(host.map(name))] as const)
    const total = sizes.reduce((sum, [, bytes]) => sum + bytes, 0)
    const list = sizes.map(([name, bytes]) => `${name} ${Math.round(bytes / 1024)} KiB`).join(', ')
    assert.ok(total < 64 * 2 ** 20, `${Math.round(total / 2 ** 20)} MiB: ${list}`)
    host.close()
  })
})

/** As the kernel counts it. Source: map_mem_usage in kernel/bpf/syscall.c. */
function memoryOf(map: BpfMap): number {
  const text = readFileSync(`/proc/self/fdinfo/${map.fd}`, 'utf8')
  return Number(/memlock:\s+(\d+)/.exec(text)![1])
}
