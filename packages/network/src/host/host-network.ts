import { existsSync } from 'node:fs'
import { TRANSIT_CIDR } from '../ipam/ipam.ts'
import { hostAddressOf } from '../ipam/address-blocks.ts'
import { formatEgressRemoval } from '../egress/egress-rules.ts'
import { allowForwarding, removeForwardRules } from './forward-rules.ts'
import {
  describeHostDevice,
  HOST_DEVICE,
  HOST_PEER,
  OccupiedHostError,
  planHostDevice,
  type SeenHostDevice,
} from './host-plan.ts'
import { addressesOf, listLinks } from './links.ts'
import { formatNatRemoval, formatNatTable, NAT_TABLE, type OpenHostPort } from './nat-table.ts'
import { deletePodLink, hasIpv6, listPodDevices } from './pod-links.ts'
import { setOutsideRoutes } from './outside-routes.ts'
import { removeQdiscs } from './qdiscs.ts'
import { CommandError, runCommand } from './run-command.ts'
import { restoreSysctls, setSysctls, writeSysctl } from './sysctls.ts'
import { findDevices, podMtuOf, type HostDevices } from './uplink.ts'

/** Packets go on from one device to another, which is what a router does; answers of Services to this host may come from an address of its own. */
const SYSCTLS = { 'net.ipv4.ip_forward': '1', 'net.ipv4.conf.lo.accept_local': '1' }

/** Node's address of a machine that is on no network. */
const LOOPBACK = '127.0.0.1'

export interface HostNetworkOptions {
  /** This node's `spec.podCIDR`. */
  readonly podCIDR: string
  /** Blocks of all the cluster's pods. */
  readonly podNetworks: readonly string[]
  readonly serviceCIDRs: readonly string[]
  /** Address of the node; its device is the way to other hosts. */
  readonly nodeAddress?: string | undefined
  /** Folder that outlives the daemon. It names whose the host's network is. */
  readonly stateDir: string
  /** Ports that are to be open; absent: those that are, as long as nobody knows. */
  readonly hostPorts?: readonly OpenHostPort[] | undefined
}

/** What the data plane needs to know of the host. */
export interface HostNetwork extends HostDevices {
  /** Address of this node on the network between hosts. */
  readonly nodeIP: string
  readonly podMtu: number
  /** Address of {@link HOST_DEVICE}: what pods see of the host. */
  readonly address: string
  readonly ifindex: number
  readonly peerIfindex: number
}

/**
 * Gives the host its device on the pods' network, routes to it, translation for what leaves towards the world, and forwarding. Idempotent: what is right stays,
 * what is missing or wrong is made right. Needs root. Rejects with what to do.
 */
export async function ensureHostNetwork(options: HostNetworkOptions): Promise<HostNetwork> {
  const { podCIDR, podNetworks, serviceCIDRs, stateDir, hostPorts } = options
  const devices = await findDevices(options)
  const { uplink } = devices
  const podMtu = podMtuOf(uplink)
  const address = hostAddressOf(podCIDR)
  const plan = describeHostDevice({ podCIDR, podNetworks, serviceCIDRs, mtu: podMtu })
  const seen = await seeHostDevice()
  const other = otherOwnerOf(seen, stateDir)
  if (other !== undefined) throw new OccupiedHostError(other)
  await runBatch(planHostDevice(seen, plan, { hasIpv6: hasIpv6() }))
  if (seen?.owner !== stateDir) await runCommand(['ip', 'link', 'set', 'dev', HOST_DEVICE, 'alias', stateDir])
  // what comes to a host port from the loopback goes to the pod, and its answer comes back, with loopback addresses
  await writeSysctl(`net.ipv4.conf.${HOST_DEVICE}.route_localnet`, '1')
  await setSysctls(SYSCTLS, sysctlsFile(stateDir))
  await allowForwarding()
  if (hostPorts !== undefined || !(await hasNatTable())) {
    const table = formatNatTable({ podSources: [podCIDR, TRANSIT_CIDR], hostPorts: hostPorts ?? [] })
    await runCommand(['nft', '-f', '-'], table)
  }
  const links = await listLinks()
  const indexOf = (name: string): number => links.find(({ ifname }) => ifname === name)!.ifindex
  return {
    ...devices,
    nodeIP: uplink?.address ?? LOOPBACK,
    podMtu,
    address,
    ifindex: indexOf(HOST_DEVICE),
    peerIfindex: indexOf(HOST_PEER),
  }
}

/** Whose this host's network is, when it is another's than that of `stateDir`: its state folder. One that was deleted has none any more. */
export async function findOtherOwner(stateDir: string): Promise<string | undefined> {
  return otherOwnerOf(await seeHostDevice(), stateDir)
}

function otherOwnerOf(seen: SeenHostDevice | undefined, stateDir: string): string | undefined {
  const owner = seen?.owner
  return owner !== undefined && owner !== stateDir && existsSync(owner) ? owner : undefined
}

/** Takes all of it away, and what is left of pods' devices, unless it is another's. What was never there is no error. */
export async function removeHostNetwork({ stateDir }: Pick<HostNetworkOptions, 'stateDir'>): Promise<void> {
  if ((await findOtherOwner(stateDir)) !== undefined) return
  for (const device of (await listPodDevices()).keys()) await deletePodLink(device)
  await setOutsideRoutes({ addresses: [], source: LOOPBACK })
  if ((await seeHostDevice())?.kind === 'veth') await deletePodLink(HOST_DEVICE)
  await runCommand(['nft', '-f', '-'], formatNatRemoval() + formatEgressRemoval())
  await removeQdiscs()
  await removeForwardRules()
  await restoreSysctls(sysctlsFile(stateDir))
}

async function runBatch(lines: readonly string[]): Promise<void> {
  if (lines.length === 0) return
  try {
    await runCommand(['ip', '-batch', '-'], `${lines.join('\n')}\n`)
  } catch (cause) {
    const failed = cause instanceof CommandError ? /Command failed -:(\d+)/.exec(cause.stderr)?.[1] : undefined
    const line = failed === undefined ? undefined : lines[Number(failed) - 1]
    const advice =
      line?.startsWith('route add') === true
        ? '; the host has another route there: choose other pod networks, or another --service-cidr'
        : ''
    throw new Error(`Cannot set up the host's network: "ip ${line ?? '-batch'}" failed${advice}`, { cause })
  }
}

interface SeenRoute {
  dst: string
  gateway?: string
  prefsrc?: string
}

async function seeHostDevice(): Promise<SeenHostDevice | undefined> {
  const link = (await listLinks()).find(({ ifname }) => ifname === HOST_DEVICE)
  if (link === undefined) return undefined
  const routes = JSON.parse(await runCommand(['ip', '-json', 'route', 'show', 'dev', HOST_DEVICE])) as SeenRoute[]
  return {
    kind: link.linkinfo?.info_kind,
    mtu: link.mtu,
    mac: link.address ?? '',
    addresses: addressesOf(link),
    owner: link.ifalias,
    routes: routes.map(({ dst, gateway, prefsrc }) => ({ cidr: dst, gateway, source: prefsrc })),
  }
}

async function hasNatTable(): Promise<boolean> {
  return (await runCommand(['nft', 'list', 'tables', 'ip'])).split('\n').includes(`table ip ${NAT_TABLE}`)
}

function sysctlsFile(stateDir: string): string {
  return `${stateDir}/sysctls.json`
}
