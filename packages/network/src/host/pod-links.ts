import { existsSync } from 'node:fs'
import { GATEWAY_ADDRESS, POD_DEVICE_PATTERN, type Attachment } from '../cni/attachment.ts'
import { GATEWAY_MAC } from '../layouts/layouts.ts'
import { addressesOf, listLinks, parseJsonLines, type SeenLink } from './links.ts'
import { CommandError, runCommand } from './run-command.ts'

/**
 * What a pod's device does itself. GRO, because frames that an XDP program sends on come in through NAPI, which a veth has only with it. No large SCTP packets: the
 * kernel can't put those into a tunnel (net/core/filter.c, bpf_skb_net_grow), so the pod cuts them.
 */
export const POD_FEATURES = ['gro', 'on', 'tx-sctp-segmentation', 'off'] as const

/** Runs the host's batch, then the pod's, which is on standard input: one process of ours, since each that this one starts stops it for milliseconds. */
const CREATE = `printf %s "$3" | ip -json -batch - &&
exec nsenter --net="$1" sh -c 'ip -batch - && exec ethtool -K "$0" ${POD_FEATURES.join(' ')}' "$2"`

/** What a pod's device needs to be made. */
export type PodLink = Pick<Attachment, 'device' | 'ifname' | 'ip' | 'mac' | 'mtu'> & { readonly netns: string }

/** A pod's network as the kernel has it, in `ip -json`'s words; undefined parts are not there. */
export interface SeenPodLink {
  readonly hostMtu: number | undefined
  readonly mac: string | undefined
  readonly mtu: number | undefined
  readonly isUp: boolean
  readonly addresses: readonly string[]
  readonly defaultGateway: string | undefined
  readonly gatewayMac: string | undefined
}

/** Makes the veth of a pod, and everything in its network namespace. Returns the index of the host's end. What a failure leaves is for {@link deletePodLink}. */
export async function createPodLink(link: PodLink): Promise<number> {
  const { ifname, netns } = link
  const args = [netns, ifname, formatHostBatch(link, hasIpv6())]
  try {
    const shown = await runCommand(['sh', '-c', CREATE, 'sh', ...args], formatPodBatch(link, hasIpv6()))
    return (parseJsonLines(shown)[0] as SeenLink[])[0]!.ifindex
  } catch (cause) {
    throw new Error(`Cannot make "${ifname}" in "${netns}"`, { cause })
  }
}

/** Removes both ends. Does nothing when there are none. */
export async function deletePodLink(device: string): Promise<void> {
  try {
    await runCommand(['ip', 'link', 'delete', 'dev', device])
  } catch (error) {
    if (!(error instanceof CommandError && /Cannot find device/.test(error.stderr))) throw error
  }
}

/** Host ends of pods' veths, and their indexes. A pod whose network namespace is gone has none. */
export async function listPodDevices(): Promise<Map<string, number>> {
  const links = (await listLinks()).filter(({ ifname }) => POD_DEVICE_PATTERN.test(ifname))
  return new Map(links.map(({ ifname, ifindex }) => [ifname, ifindex]))
}

/** Reads what {@link createPodLink} made. */
export async function inspectPodLink({ device, ifname, netns }: PodLink): Promise<SeenPodLink> {
  const hostMtu = (await listLinks()).find(({ ifname: name }) => name === device)?.mtu
  const questions = `addr show dev ${ifname}\nroute show default\nneigh show dev ${ifname} ${GATEWAY_ADDRESS}\n`
  const text = await runCommand(['nsenter', `--net=${netns}`, 'ip', '-json', '-batch', '-'], questions)
  return { hostMtu, ...parseSeen(text) }
}

/** The host's part: a pair whose other end appears in the pod by its own name. Shows the device at the end. */
export function formatHostBatch({ device, ifname, netns, mac, mtu }: PodLink, hasIpv6: boolean): string {
  return lines([
    `link add ${device} mtu ${mtu} address ${GATEWAY_MAC} type veth peer name ${ifname} netns ${netns} mtu ${mtu} address ${mac}`,
    ...(hasIpv6 ? [`link set ${device} addrgenmode none`] : []),
    `link set ${device} up`,
    `link show dev ${device}`,
  ])
}

/** The pod's part: one address, one gateway that answers for everything, and a neighbour that need not be asked for. */
export function formatPodBatch({ ifname, ip }: PodLink, hasIpv6: boolean): string {
  return lines([
    'link set lo up',
    ...(hasIpv6 ? [`link set ${ifname} addrgenmode none`] : []),
    `link set ${ifname} up`,
    `addr add ${ip}/32 dev ${ifname}`,
    `route add ${GATEWAY_ADDRESS} dev ${ifname} scope link`,
    `route add default via ${GATEWAY_ADDRESS} dev ${ifname}`,
    `neigh add ${GATEWAY_ADDRESS} lladdr ${GATEWAY_MAC} dev ${ifname} nud permanent`,
  ])
}

/** Reads one JSON document a question. */
function parseSeen(text: string): Omit<SeenPodLink, 'hostMtu'> {
  const [links, routes, neighbours] = parseJsonLines(text) as [
    SeenLink[],
    { gateway?: string }[],
    { lladdr?: string }[],
  ]
  const link = links[0]
  return {
    mac: link?.address,
    mtu: link?.mtu,
    isUp: link?.flags.includes('UP') ?? false,
    addresses: link === undefined ? [] : addressesOf(link),
    defaultGateway: routes[0]?.gateway,
    gatewayMac: neighbours[0]?.lladdr,
  }
}

/** Without IPv6 in the kernel `ip` refuses to say that a device has no address of it. */
export function hasIpv6(): boolean {
  return existsSync('/proc/sys/net/ipv6')
}

function lines(texts: readonly string[]): string {
  return `${texts.join('\n')}\n`
}
