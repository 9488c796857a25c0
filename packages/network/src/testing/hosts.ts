import { execFileSync } from 'node:child_process'
import { closeSync, existsSync, openSync, writeFileSync } from 'node:fs'
import { deviceNameOf, macOf } from '../cni/attachment.ts'
import { describeHostDevice, HOST_DEVICE, planHostDevice } from '../host/host-plan.ts'
import { formatNatTable } from '../host/nat-table.ts'
import {
  readFamily,
  readIndex,
  requestFamily,
  requestFeatures,
  requestLink,
  requestPair,
  requestPodSetup,
} from '../host/pod-link-requests.ts'
import { hasIpv6 } from '../host/pod-links.ts'
import { NetlinkSocket, PROTOCOL_GENERIC, PROTOCOL_ROUTE, type NetlinkRequest } from '../kernel/netlink.ts'
import { podMtuOf } from '../host/uplink.ts'
import { TRANSIT_CIDR } from '../ipam/ipam.ts'
import { NetworkNamespace } from './network-namespace.ts'

/** Hosts as network namespaces: one to three, joined by a bridge that plays the switch, with pods that have the shape of real ones. */

const CLUSTER_CIDR = '10.244.0.0/16'
const SERVICE_CIDR = '10.96.0.0/12'
const BRIDGE_RULES = '/proc/sys/net/bridge/bridge-nf-call-iptables'

export interface Wire {
  readonly namespace: NetworkNamespace
  readonly mtu: number
}

export interface WireOptions {
  readonly mtu: number
  /** Before the names of all namespaces, for several wires in one test. */
  readonly prefix?: string
}

/** The switch between hosts. An address of its own (192.168.77.254) stands for the world. */
export function createWire({ mtu, prefix = '' }: WireOptions): Wire {
  const namespace = NetworkNamespace.create(`${prefix}wire`)
  namespace.ip(`
    link add br0 type bridge
    link set br0 mtu ${mtu} address 02:77:00:00:00:fe
    link set br0 up
    addr add 192.168.77.254/24 dev br0`)
  // what is bridged is no business of the switch's own rules; without br_netfilter it never is
  namespace.run(() => {
    if (existsSync(BRIDGE_RULES)) writeFileSync(BRIDGE_RULES, '0')
  })
  return { namespace, mtu }
}

export interface HostPlan {
  readonly name: string
  readonly address: string
  readonly podCIDR: string
  readonly podMtu: number
}

/** Where the host with this number is, from 1 on. */
export function planHost(index: number, { mtu, prefix = '' }: WireOptions): HostPlan {
  return {
    name: `${prefix}host${index}`,
    address: `192.168.77.${index}`,
    podCIDR: `10.244.${index}.0/24`,
    podMtu: podMtuOf({ device: 'eth0', mtu }),
  }
}

/** A host without any pod network: its uplink on the wire, and forwarding. */
export function createBareHost(wire: Wire, plan: HostPlan): NetworkNamespace {
  const host = NetworkNamespace.create(plan.name)
  wire.namespace.ip(`
    link add ${plan.name} mtu ${wire.mtu} type veth peer name eth0 mtu ${wire.mtu} netns ${plan.name}
    link set ${plan.name} master br0
    link set ${plan.name} up`)
  setUpUplink(host, plan)
  return host
}

/** Two hosts on one cable, without a switch, for measurements. There is no world behind it. */
export function createCabledHosts(plans: readonly [HostPlan, HostPlan], { mtu }: WireOptions): NetworkNamespace[] {
  const hosts = plans.map(({ name }) => NetworkNamespace.create(name))
  hosts[0]!.ip(`link add eth0 mtu ${mtu} type veth peer name eth0 mtu ${mtu} netns ${plans[1].name}`)
  hosts.forEach((host, index) => setUpUplink(host, plans[index]!))
  return hosts
}

/** Hosts whose uplinks are devices of this namespace. */
export function createHostsOn(devices: readonly string[], plans: readonly HostPlan[]): NetworkNamespace[] {
  return plans.map((plan, index) => {
    const host = NetworkNamespace.create(plan.name)
    execFileSync('ip', ['link', 'set', devices[index]!, 'netns', plan.name, 'name', 'eth0'])
    setUpUplink(host, plan)
    return host
  })
}

function setUpUplink(host: NetworkNamespace, plan: HostPlan): void {
  host.ip(`
    addr add ${plan.address}/24 dev eth0
    link set eth0 up
    route add default via 192.168.77.254`)
  host.run(() => writeFileSync('/proc/sys/net/ipv4/ip_forward', '1'))
}

/** The device by which the host's own stack and pods meet, and the way to the world: what the daemon makes of its plan. */
export function addHostDevice(host: NetworkNamespace, { podCIDR, podMtu }: HostPlan): void {
  const plan = describeHostDevice({
    podCIDR,
    podNetworks: [CLUSTER_CIDR],
    serviceCIDRs: [SERVICE_CIDR],
    mtu: podMtu,
  })
  host.ip(planHostDevice(undefined, plan, { hasIpv6: hasIpv6() }).join('\n'))
  host.run(() => {
    writeFileSync(`/proc/sys/net/ipv4/conf/${HOST_DEVICE}/route_localnet`, '1')
    writeFileSync('/proc/sys/net/ipv4/conf/lo/accept_local', '1')
  })
  host.exec(['nft', '-f', '-'], { input: formatNatTable({ podSources: [podCIDR, TRANSIT_CIDR], hostPorts: [] }) })
}

export interface PodPlan {
  /** Unique over the whole test. */
  readonly name: string
  readonly ip: string
  /** By which its host knows it; `ip` unless addresses overlap. */
  readonly hostIP?: string
}

/** A pod's namespace and the host's end of its veth. */
export interface PodDevice {
  readonly namespace: NetworkNamespace
  readonly mac: string
  readonly device: string
  readonly ifindex: number
}

/** Makes a pod's namespace and veth as the CNI plugin does. */
export function createPodDevice(host: NetworkNamespace, pod: PodPlan, mtu: number): PodDevice {
  const namespace = NetworkNamespace.create(pod.name)
  const link = {
    device: deviceNameOf(pod.name, 'eth0'),
    ifname: 'eth0',
    netns: pod.name,
    mac: macOf(pod.ip),
    ip: pod.ip,
    mtu,
  }
  const netnsFd = openSync(`/run/netns/${pod.name}`, 'r')
  const [made] = askIn(host, PROTOCOL_ROUTE, requestPair(link, { netnsFd, hasIpv6: hasIpv6() }))
  closeSync(netnsFd)
  const [found] = askIn(namespace, PROTOCOL_ROUTE, [requestLink(link.ifname)])
  askIn(namespace, PROTOCOL_ROUTE, requestPodSetup(link, { index: readIndex(found!), hasIpv6: hasIpv6() }))
  const [family] = askIn(namespace, PROTOCOL_GENERIC, [requestFamily()])
  askIn(namespace, PROTOCOL_GENERIC, [requestFeatures(link.ifname, readFamily(family!))])
  return { namespace, mac: link.mac, device: link.device, ifindex: readIndex(made!) }
}

function askIn(namespace: NetworkNamespace, protocol: number, requests: readonly NetlinkRequest[]): Buffer[] {
  const socket = namespace.run(() => NetlinkSocket.open(protocol))
  try {
    return socket.askNow(requests)
  } finally {
    socket.close()
  }
}
