import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import { OUTSIDE_RULE, planOutsideRoutes } from '../host/outside-routes.ts'
import type { ServiceFrontend } from '../services/service-tables.ts'
import { type AttachMode, TestCluster, type TestPod } from '../testing/cluster.ts'
import { describeHosts } from '../testing/describe-hosts.ts'
import { EchoServer, findWrongProbes, type Probe, type ServedPort } from '../testing/reachability.ts'

const BOTH = ['TCP', 'UDP'] as const
const PORTS: readonly ServedPort[] = BOTH.map((protocol) => ({ protocol, port: 8080 }))
/** Of a load balancer, which also has something else at another port. */
const BALANCER = '198.51.100.200'
const SERVED = 80
const ELSE = 81
/** Of the host, on no network that the other one knows. */
const ASIDE = '10.66.0.1'

describeHosts({ title: "a load balancer's address, from the host itself", file: import.meta.url }, testOutside)

function testOutside(attach: AttachMode): void {
  let cluster: TestCluster
  let balancer: EchoServer
  let near: TestPod
  let far: TestPod

  before(async () => {
    cluster = await TestCluster.create({ hosts: 2, attach })
    near = cluster.addPod({ name: 'near', host: 1, identity: 257, ports: PORTS })
    far = cluster.addPod({ name: 'far', host: 2, identity: 258, ports: PORTS })
    // it answers by the address that it was asked at
    cluster.wire.ip(`
      addr add ${BALANCER}/32 dev lo
      route add ${cluster.host(1).plan.address} dev br0 src ${BALANCER}`)
    cluster.host(1).namespace.ip(`addr add ${ASIDE}/32 dev lo`)
    balancer = new EchoServer(
      cluster.wire,
      [SERVED, ELSE].flatMap((port) => BOTH.map((protocol) => ({ protocol, port }))),
    )
  })
  after(() => {
    balancer?.close()
    cluster?.close()
  })

  /** As its daemon does when such a Service comes. */
  const leadHost = (source: string): void =>
    cluster.host(1).namespace.ip(planOutsideRoutes([], { addresses: [BALANCER], source }).join('\n'))
  const serve = (pod: TestPod): void => {
    const { plan, namespace } = cluster.host(1)
    cluster.on(cluster.host(1), (dataplane) => {
      dataplane.setHost({ ...cluster.optionsOf(plan, namespace), ownAddresses: [ASIDE] })
      assert.deepEqual(dataplane.applyServices({ frontends: frontendsOf(pod) }), [])
    })
  }
  const ask = (port: number, who: EchoServer): string[] => {
    const from = cluster.host(1).namespace
    const probes = BOTH.map((protocol): Probe => {
      return { from, to: BALANCER, protocol, port, expected: 'open', name: `${port} ${protocol}` }
    })
    return findWrongProbes(probes, [who])
  }

  it('leads to the load balancer as long as nobody says that it is a Service’s', () => {
    for (const port of [SERVED, ELSE]) assert.deepEqual(ask(port, balancer), [])
  })

  it('leads to the pods, without the load balancer, whichever address asks', () => {
    cluster.host(1).namespace.ip(`rule add ${OUTSIDE_RULE}`)
    for (const source of [cluster.host(1).plan.address, ASIDE]) {
      leadHost(source)
      for (const pod of [near, far]) {
        serve(pod)
        // only the pod answers here
        assert.deepEqual(ask(SERVED, pod.server), [], `${pod.name} from ${source}`)
      }
    }
  })

  it('leads to the load balancer at ports that are no Service’s', () => {
    leadHost(cluster.host(1).plan.address)
    serve(near)
    assert.deepEqual(ask(ELSE, balancer), [])
  })
}

function frontendsOf(pod: TestPod): ServiceFrontend[] {
  const backends = [{ ip: pod.endpoint.ip, port: 8080, isLocal: pod.host.plan.name === 'host1' }]
  return BOTH.map((protocol) => ({
    vni: 1,
    ip: BALANCER,
    scope: 'external',
    port: SERVED,
    protocol,
    backends,
    whenEmpty: 'refuse',
    externalBackends: backends,
    whenExternalEmpty: 'refuse',
    draining: [],
    keepsSource: false,
    sourceRanges: undefined,
    affinitySeconds: 0,
    name: `default/web:${protocol}`,
  }))
}
