/**
 * Pod networks on the kernel of a virtual machine with three network devices on one hub (eth0, eth1: hosts of ours; eth2: a host with the kernel's own GENEVE device).
 * Run by network.vm.test.ts, inside: the first argument is the folder of the compiled programs.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { after, before, describe, it } from 'node:test'
import {
  createHostsOn,
  EchoServer,
  findWrongProbes,
  type NetworkNamespace,
  planHost,
  type Probe,
  sendInBulk,
  TestCluster,
} from '@centaurus/network/testing'

const programs = process.argv[2]!
const PORTS = [
  { protocol: 'TCP', port: 80 },
  { protocol: 'UDP', port: 53 },
] as const
const BULK_BYTES = 2 * 2 ** 20
const MTU = 1500
/** Our option, critical, with identity 256. */
const OUR_OPTION = '0173:81:00000100'

describe('pod networks on this kernel', () => {
  describe('with native XDP of a driver', () => {
    let cluster: TestCluster
    let peer: KernelPeer
    before(async () => {
      cluster = await TestCluster.create({ hosts: 2, attach: 'xdp', uplinks: ['eth0', 'eth1'], programs })
      cluster.addPod({ name: 'a', host: 1, identity: 256, ports: PORTS })
      cluster.addPod({ name: 'b', host: 2, identity: 257, ports: PORTS })
      peer = createKernelPeer(cluster)
    })
    after(() => {
      peer?.server.close()
      cluster?.close()
    })
    const servers = (): EchoServer[] => [...cluster.pods.map(({ server }) => server), peer.server]

    it('is where the tunnel is met', () => {
      for (const { namespace } of cluster.hosts) {
        const [link] = JSON.parse(namespace.exec(['ip', '-json', '-details', 'link', 'show', 'eth0'])) as [XdpLink]
        assert.equal(link.xdp?.mode, XDP_ATTACHED_DRV)
      }
    })

    it('lets pods reach each other', () => {
      const [a, b] = [cluster.pod('a'), cluster.pod('b')]
      const probes = [...probe(a.namespace, b.endpoint.ip), ...probe(b.namespace, a.endpoint.ip)]
      assert.deepEqual(findWrongProbes(probes, servers()), [])
    })

    it('carries a stream byte by byte, past the stack of the receiving host', () => {
      const [a, b] = [cluster.pod('a'), cluster.pod('b')]
      const redirectedBefore = countRedirected(b.host.namespace)
      const ends = { client: a.namespace, server: b.namespace, ip: b.endpoint.ip, port: 5000 }
      assert.deepEqual(sendInBulk({ ...ends, bytes: BULK_BYTES }), { received: BULK_BYTES, isIntact: true })
      const packets = countRedirected(b.host.namespace) - redirectedBefore
      assert.ok(packets >= BULK_BYTES / MTU, `${packets} packets were redirected by XDP`)
    })

    it('is understood by the kernel’s own GENEVE device, which reads what we send', () => {
      assert.deepEqual(findWrongProbes(probe(cluster.pod('a').namespace, PEER_POD), servers()), [])
      const ends = { client: cluster.pod('a').namespace, server: peer.namespace, ip: PEER_POD, port: 5001 }
      assert.deepEqual(sendInBulk({ ...ends, bytes: BULK_BYTES / 4 }), { received: BULK_BYTES / 4, isIntact: true })
    })

    it('reads what the kernel’s own GENEVE device sends', () => {
      const { ip } = cluster.pod('a').endpoint
      assert.deepEqual(findWrongProbes(probe(peer.namespace, ip), servers()), [])
      const ends = { client: peer.namespace, server: cluster.pod('a').namespace, ip, port: 5002 }
      assert.deepEqual(sendInBulk({ ...ends, bytes: BULK_BYTES / 4 }), { received: BULK_BYTES / 4, isIntact: true })
    })
  })
})

interface XdpLink {
  readonly xdp?: { readonly mode: number }
}

/** include/uapi/linux/if_link.h */
const XDP_ATTACHED_DRV = 1

function probe(from: NetworkNamespace, to: string, expected: Probe['expected'] = 'open'): Probe[] {
  return PORTS.map(({ protocol, port }) => ({
    from,
    to,
    protocol,
    port,
    expected,
    name: `${from.name} → ${to} ${protocol}`,
  }))
}

/** Packets that XDP sent on to a pod's device, as the driver counts them. */
function countRedirected(host: NetworkNamespace): number {
  const counters = host
    .exec(['ethtool', '-S', 'eth0'])
    .matchAll(/rx_?queue_\d+_xdp_redirects: (\d+)|rx\d+_xdp_redirects: (\d+)/g)
  return [...counters].reduce((sum, [, old, current]) => sum + Number(old ?? current), 0)
}

const PEER_POD = '10.244.3.2'

/** A host without anything of ours. */
interface KernelPeer {
  readonly namespace: NetworkNamespace
  readonly server: EchoServer
}

function createKernelPeer(cluster: TestCluster): KernelPeer {
  const plan = planHost(3, { mtu: MTU })
  const [namespace] = createHostsOn(['eth2'], [plan]) as [NetworkNamespace]
  const { host, endpoint } = cluster.pod('a')
  // `external`: without metadata the device refuses critical options
  namespace.ip(`
    link add geneve0 mtu ${plan.podMtu} type geneve external
    addr add ${PEER_POD}/32 dev geneve0
    link set geneve0 up
    neigh add ${endpoint.ip} lladdr 02:ce:47:00:00:01 dev geneve0 nud permanent`)
  // our inner frames come from the gateway's address and go to it; a device of that address would take them for its own, in a loop
  namespace.exec(['tc', 'qdisc', 'add', 'dev', 'geneve0', 'clsact'])
  namespace.exec('tc filter add dev geneve0 ingress matchall action skbedit ptype host'.split(' '))
  const tunnel = `encap ip id ${endpoint.vni} dst ${host.plan.address} geneve_opts ${OUR_OPTION}`
  namespace.ip(`route add ${endpoint.ip}/32 ${tunnel} dev geneve0 src ${PEER_POD}`)
  cluster.on(host, (dataplane) => {
    dataplane.setNode(plan.address)
    dataplane.setRoute({ domain: 0, cidr: plan.podCIDR, node: plan.address })
  })
  return { namespace, server: new EchoServer(namespace, PORTS) }
}

process.stdout.write(`kernel ${execFileSync('uname', ['-r']).toString()}`)
