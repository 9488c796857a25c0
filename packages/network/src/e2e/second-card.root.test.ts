import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import type { ServiceFrontend } from '../services/service-tables.ts'
import { type AttachMode, TestCluster, type TestHost, type TestPod } from '../testing/cluster.ts'
import { describeHosts } from '../testing/describe-hosts.ts'
import { NetworkNamespace } from '../testing/network-namespace.ts'
import { findWrongProbes, type Probe, type ServedPort } from '../testing/reachability.ts'

const PORTS: readonly ServedPort[] = [
  { protocol: 'TCP', port: 8080 },
  { protocol: 'UDP', port: 8080 },
]
const NODE_PORT = 30_080
const LOCAL_NODE_PORT = 30_081
/** Of the host at its second card, of who is there, and of who is further away. */
const OWN = '10.55.0.1'
const NEIGHBOUR = '10.55.0.9'
const FAR_AWAY = '203.0.113.5'

describeHosts({ title: 'a host with a second network card', file: import.meta.url }, testSecondCard)

function testSecondCard(attach: AttachMode): void {
  let cluster: TestCluster
  let there: NetworkNamespace
  let near: TestPod
  let far: TestPod

  before(async () => {
    cluster = await TestCluster.create({ hosts: 2, attach })
    near = cluster.addPod({ name: 'near', host: 1, identity: 257, ports: PORTS })
    far = cluster.addPod({ name: 'far', host: 2, identity: 258, ports: PORTS })
    const { namespace } = cluster.host(1)
    there = NetworkNamespace.create('there')
    namespace.ip(`
      link add eth1 type veth peer name eth1 netns ${there.name}
      addr add ${OWN}/24 dev eth1
      link set eth1 up`)
    there.ip(`
      addr add ${NEIGHBOUR}/24 dev eth1
      addr add ${FAR_AWAY}/32 dev lo
      link set eth1 up`)
  })
  after(() => {
    cluster?.close()
    there?.close()
  })

  /** As its daemon does when it sees the device, or that it is gone. */
  const seeCard = ({ isThere }: { readonly isThere: boolean }): void => {
    const host = cluster.host(1)
    const { plan, namespace } = host
    const card = { entrances: [{ ifindex: namespace.ifindex('eth1') }], ownAddresses: [OWN] }
    cluster.on(host, (dataplane) => {
      dataplane.setHost({ ...cluster.optionsOf(plan, namespace), ...(isThere ? card : {}) })
    })
  }
  const serve = (pod: TestPod): void => {
    for (const host of cluster.hosts)
      cluster.on(host, (dataplane) =>
        assert.deepEqual(dataplane.applyServices({ frontends: frontendsOf(host, pod) }), []),
      )
  }
  const ask = (port: number, expected: Probe['expected']): string[] =>
    findWrongProbes(
      PORTS.map(({ protocol }) => ({ from: there, to: OWN, protocol, port, expected, name: `${port} ${protocol}` })),
      cluster.pods.map(({ server }) => server),
    )

  it('serves nobody there before it sees the card, and when the card is gone', () => {
    serve(near)
    assert.deepEqual(ask(NODE_PORT, 'refused'), [])
    seeCard({ isThere: true })
    assert.deepEqual(ask(NODE_PORT, 'open'), [])
    seeCard({ isThere: false })
    assert.deepEqual(ask(NODE_PORT, 'refused'), [])
  })

  it('serves node ports there, whichever host has the pod; answers leave by it', () => {
    seeCard({ isThere: true })
    for (const pod of [near, far]) {
      serve(pod)
      assert.deepEqual(ask(NODE_PORT, 'open'), [], pod.name)
      assert.deepEqual(ask(LOCAL_NODE_PORT, pod === near ? 'open' : 'closed'), [], pod.name)
    }
  })

  it('answers by a router there when its routes by source say so', () => {
    seeCard({ isThere: true })
    there.ip(`route replace ${OWN} dev eth1 src ${FAR_AWAY}`)
    cluster.host(1).namespace.ip(`
      route add default via ${NEIGHBOUR} dev eth1 table 55
      rule add from ${OWN} lookup 55`)
    for (const pod of [near, far]) {
      serve(pod)
      assert.deepEqual(ask(NODE_PORT, 'open'), [], pod.name)
    }
  })
}

function frontendsOf(host: TestHost, pod: TestPod): ServiceFrontend[] {
  const backends = [{ ip: pod.endpoint.ip, port: 8080, isLocal: pod.host === host }]
  return PORTS.flatMap(({ protocol }) =>
    [NODE_PORT, LOCAL_NODE_PORT].map((port): ServiceFrontend => ({
      vni: 1,
      ip: undefined,
      scope: 'external',
      port,
      protocol,
      backends,
      whenEmpty: 'refuse',
      externalBackends: port === NODE_PORT ? backends : backends.filter(({ isLocal }) => isLocal),
      whenExternalEmpty: port === NODE_PORT ? 'refuse' : 'drop',
      draining: [],
      keepsSource: port === LOCAL_NODE_PORT,
      sourceRanges: undefined,
      affinitySeconds: 0,
      name: `default/web:${protocol}-${port}`,
    })),
  )
}
