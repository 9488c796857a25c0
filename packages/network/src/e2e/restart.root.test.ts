import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { type AttachMode, TestCluster, type TestPod } from '../testing/cluster.ts'
import { describeHosts } from '../testing/describe-hosts.ts'
import { allowPorts, DENY_ALL, policySet } from '../testing/policy-sets.ts'
import { findWrongProbes, type Probe, type ServedPort } from '../testing/reachability.ts'
import { findTrafficFaults, type Flow, startTraffic } from '../testing/traffic.ts'

const PORTS: readonly ServedPort[] = [{ protocol: 'TCP', port: 80 }]
/** Of every host; each loads all programs anew, which takes seconds on a busy machine. */
const RESTARTS = 2
/** Of traffic, so that some packets go between any two restarts. */
const PAUSE_MS = 20

describeHosts({ title: 'hosts that fail', file: import.meta.url }, testFailures)

function testFailures(attach: AttachMode): void {
  let cluster: TestCluster
  before(async () => {
    cluster = await TestCluster.create({ hosts: 3, attach })
    const served = allowPorts([
      { protocol: 'TCP', firstPort: 80, lastPort: 80 },
      { protocol: 'TCP', firstPort: 7000, lastPort: 7099 },
      { protocol: 'UDP', firstPort: 7000, lastPort: 7099 },
    ])
    const friends = policySet({ ingress: { byIdentity: new Map([[256, served]]), others: DENY_ALL } })
    for (const host of [1, 2, 3]) {
      cluster.addPod({ name: `client-${host}`, host, identity: 256, ports: PORTS })
      cluster.addPod({ name: `enemy-${host}`, host, identity: 257, ports: PORTS })
      cluster.addPod({ name: `server-${host}`, host, identity: 258, policySet: friends, ports: PORTS })
    }
  })
  after(() => cluster?.close())

  /** Clients reach servers of all hosts, enemies none. */
  function flows(): Flow[] {
    let port = 7000
    return [1, 2, 3].flatMap((from) =>
      [1, 2, 3].flatMap((to) => {
        const at = { server: cluster.namespaceName(`server-${to}`), ip: cluster.pod(`server-${to}`).endpoint.ip }
        const flow = (who: 'client' | 'enemy', protocol: 'TCP' | 'UDP'): Flow => {
          const client = cluster.namespaceName(`${who}-${from}`)
          const expected = who === 'client' ? 'lossless' : 'never'
          return { ...at, client, protocol, port: port++, expected, name: `${who}-${from} → server-${to} ${protocol}` }
        }
        return [flow('client', 'TCP'), flow('client', 'UDP'), flow('enemy', 'UDP')]
      }),
    )
  }

  it('lose no packet of established flows while their daemons restart, and let none pass that was denied', async () => {
    const traffic = await startTraffic(flows())
    for (let i = 0; i < RESTARTS; i++) {
      for (const host of cluster.hosts) cluster.restartDaemon(host)
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
    }
    const reports = await traffic.stop()
    assert.deepEqual(findTrafficFaults(reports), [])
    assert.ok(Math.min(...reports.filter(({ expected }) => expected === 'lossless').map(({ sent }) => sent)) > RESTARTS)
  })

  it('find everything again after a restart', () => {
    for (const host of cluster.hosts) cluster.restartDaemon(host)
    for (const host of cluster.hosts) {
      const known = cluster.on(host, (dataplane) => dataplane.listEndpoints())
      const own = cluster.pods.filter((pod) => pod.host === host).map(({ endpoint }) => endpoint)
      const byAddress = (endpoints: typeof known) => endpoints.toSorted((x, y) => x.ip.localeCompare(y.ip))
      assert.deepEqual(byAddress(known), byAddress(own))
    }
    assert.deepEqual(findWrongProbes(matrix(), servers()), [])
  })

  it('harm nobody else when one is cut off, and are reached again when it is back', () => {
    const [, , third] = cluster.hosts
    cluster.wire.ip(`link set ${third!.plan.name} down`)
    const isOn = (pod: TestPod): boolean => pod.host === third
    const others = matrix().filter(({ pair: [from, to] }) => !isOn(from) && !isOn(to))
    const within = matrix().filter(({ pair: [from, to] }) => isOn(from) && isOn(to))
    const across = matrix()
      .filter(({ pair: [from, to] }) => isOn(from) !== isOn(to))
      .map((probe): Probe => ({ ...probe, expected: 'closed' }))
    assert.deepEqual(findWrongProbes([...others, ...within, ...across], servers()), [])
    cluster.wire.ip(`link set ${third!.plan.name} up`)
    assert.deepEqual(findWrongProbes(matrix(), servers()), [])
  })

  const servers = () => cluster.pods.map(({ server }) => server)

  function matrix(): (Probe & { readonly pair: readonly [TestPod, TestPod] })[] {
    return cluster.pods.flatMap((from) =>
      cluster.pods.map((to) => {
        const isServer = to.name.startsWith('server')
        const expected = from === to || !isServer || from.name.startsWith('client') ? 'open' : 'closed'
        const name = `${from.name} → ${to.name}`
        return { from: from.namespace, to: to.endpoint.ip, protocol: 'TCP', port: 80, expected, name, pair: [from, to] }
      }),
    )
  }
}
