import { execFileSync } from 'node:child_process'
import { NetworkNamespace } from '@centaurus/network/testing'

/** What most clusters begin with: the bridge plugin of the CNI project, and between hosts a kernel VXLAN device as flannel sets it up. */

const PLUGINS = '/usr/lib/cni'
const VXLAN_OVERHEAD_BYTES = 50
const VXLAN_PORT = 8472

export interface BridgePod {
  readonly namespace: NetworkNamespace
  readonly ip: string
}

/** A pod by the real bridge plugin, called as a runtime calls it. */
export function addBridgePod(host: NetworkNamespace, pod: { name: string; subnet: string; mtu: number }): BridgePod {
  const namespace = NetworkNamespace.create(pod.name)
  const config = {
    cniVersion: '0.4.0',
    name: `bridge-${host.name}`,
    type: 'bridge',
    bridge: 'cni0',
    isGateway: true,
    ipMasq: true,
    mtu: pod.mtu,
    ipam: { type: 'host-local', subnet: pod.subnet, routes: [{ dst: '0.0.0.0/0' }] },
  }
  const env = {
    ...process.env,
    CNI_COMMAND: 'ADD',
    CNI_CONTAINERID: pod.name,
    CNI_NETNS: `/run/netns/${pod.name}`,
    CNI_IFNAME: 'eth0',
    CNI_PATH: PLUGINS,
  }
  const output = host.run(() =>
    execFileSync(`${PLUGINS}/bridge`, { input: JSON.stringify(config), env, encoding: 'utf8' }),
  )
  const result = JSON.parse(output) as { ips: { address: string }[] }
  return { namespace, ip: result.ips[0]!.address.split('/')[0]! }
}

interface VxlanHost {
  readonly namespace: NetworkNamespace
  readonly address: string
  readonly subnet: string
}

/** Routes between hosts over VXLAN, one route, neighbour and forwarding entry a host. Source: flannel's backend/vxlan. */
export function joinByVxlan(hosts: readonly VxlanHost[], uplinkMtu: number): void {
  for (const [index, host] of hosts.entries()) {
    const first = host.subnet.replace('/24', '')
    host.namespace.ip(`
      link add flannel.1 address ${vxlanMac(index)} mtu ${uplinkMtu - VXLAN_OVERHEAD_BYTES} type vxlan id 1 dev eth0 local ${host.address} dstport ${VXLAN_PORT} nolearning
      addr add ${first}/32 dev flannel.1
      link set flannel.1 up`)
  }
  for (const host of hosts) {
    for (const [index, peer] of hosts.entries()) {
      if (peer === host) continue
      const first = peer.subnet.replace('/24', '')
      host.namespace.ip(`
        route add ${peer.subnet} via ${first} dev flannel.1 onlink
        neigh add ${first} dev flannel.1 lladdr ${vxlanMac(index)} nud permanent`)
      host.namespace.exec(['bridge', 'fdb', 'append', vxlanMac(index), 'dev', 'flannel.1', 'dst', peer.address])
    }
  }
}

export function vxlanMtu(uplinkMtu: number): number {
  return uplinkMtu - VXLAN_OVERHEAD_BYTES
}

function vxlanMac(index: number): string {
  return `02:66:6c:00:00:0${index + 1}`
}
