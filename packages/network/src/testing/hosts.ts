import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { writeFileSync } from 'node:fs'
import { NetworkNamespace } from './network-namespace.ts'

/** Hosts as network namespaces: one to three, joined by a bridge that plays the switch, with pods that have the shape of real ones. */

export const GATEWAY_MAC = '02:ce:47:00:00:01'
export const GATEWAY_IP = '169.254.1.1'
/** Ethernet, IPv4, UDP, GENEVE and one option. */
export const OVERHEAD_BYTES = 58
const CLUSTER_CIDR = '10.244.0.0/16'
const TRANSIT_CIDR = '100.64.0.0/16'
const SERVICE_CIDR = '10.96.0.0/12'

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
  // what is bridged is no business of the switch's own rules
  namespace.run(() => writeFileSync('/proc/sys/net/bridge/bridge-nf-call-iptables', '0'))
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
    podMtu: mtu - OVERHEAD_BYTES,
  }
}

/** A host without any pod network: its uplink on the wire, and forwarding. */
export function createBareHost(wire: Wire, plan: HostPlan): NetworkNamespace {
  const host = NetworkNamespace.create(plan.name)
  wire.namespace.ip(`
    link add ${plan.name} mtu ${wire.mtu} type veth peer name eth0 mtu ${wire.mtu} netns ${plan.name}
    link set ${plan.name} master br0
    link set ${plan.name} up`)
  host.ip(`
    addr add ${plan.address}/24 dev eth0
    link set eth0 up
    route add default via 192.168.77.254`)
  host.run(() => writeFileSync('/proc/sys/net/ipv4/ip_forward', '1'))
  return host
}

/** The device by which the host's own stack and pods meet, and the way to the world. */
export function addHostDevice(host: NetworkNamespace, plan: HostPlan): void {
  const gateway = plan.podCIDR.replace(/0\/24$/, '1')
  host.ip(`
    link add centaurus0 address ${GATEWAY_MAC} mtu ${plan.podMtu} type veth peer name centaurus1 mtu ${plan.podMtu}
    link set centaurus0 arp off
    link set centaurus1 up
    link set centaurus0 up
    addr add ${gateway}/32 dev centaurus0
    route add ${CLUSTER_CIDR} dev centaurus0 src ${gateway}
    route add ${TRANSIT_CIDR} dev centaurus0 src ${gateway}
    route add ${SERVICE_CIDR} dev centaurus0 src ${gateway}`)
  host.exec(['nft', '-f', '-'], {
    input: `table ip centaurus {
      chain postrouting {
        type nat hook postrouting priority 100
        oifname != "centaurus0" ip saddr ${CLUSTER_CIDR} masquerade
        oifname != "centaurus0" ip saddr ${TRANSIT_CIDR} masquerade
      }
    }`,
  })
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
  const mac = macOf(pod.ip)
  const device = `cen${createHash('sha256').update(pod.name).digest('hex').slice(0, 12)}`
  host.ip(`
    link add ${device} mtu ${mtu} type veth peer name eth0 address ${mac} mtu ${mtu} netns ${pod.name}
    link set ${device} up`)
  namespace.ip(`
    addr add ${pod.ip}/32 dev eth0
    link set eth0 up
    route add default via ${GATEWAY_IP} dev eth0 onlink
    neigh add ${GATEWAY_IP} dev eth0 lladdr ${GATEWAY_MAC} nud permanent`)
  return { namespace, mac, device, ifindex: host.ifindex(device) }
}

function macOf(ip: string): string {
  const bytes = ip.split('.').map((byte) => Number(byte).toString(16).padStart(2, '0'))
  return ['0a', 'ce', ...bytes].join(':')
}

/** A bpffs of its own, which ends with the mount namespace. */
export function mountBpf(directory: string): void {
  execFileSync('mount', ['-t', 'bpf', 'bpf', directory])
}
