import { closeSync, existsSync, openSync } from 'node:fs'
import { GATEWAY_ADDRESS, POD_DEVICE_PATTERN } from '../cni/attachment.ts'
import { NetlinkError, NetlinkSocket, PROTOCOL_GENERIC, PROTOCOL_ROUTE } from '../kernel/netlink.ts'
import { addressesOf, listLinks, parseJsonLines, type SeenLink } from './links.ts'
import {
  readFamily,
  readIndex,
  requestDeletion,
  requestFamily,
  requestFeatures,
  requestLink,
  requestPair,
  requestPodSetup,
  type PodLink,
} from './pod-link-requests.ts'
import { runCommand } from './run-command.ts'

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
  const sockets: NetlinkSocket[] = []
  const keep = (socket: NetlinkSocket): NetlinkSocket => (sockets.push(socket), socket)
  let netnsFd: number | undefined
  try {
    netnsFd = openSync(netns, 'r')
    const host = keep(NetlinkSocket.open(PROTOCOL_ROUTE))
    const pod = keep(NetlinkSocket.openIn(netnsFd, PROTOCOL_ROUTE))
    const features = keep(NetlinkSocket.openIn(netnsFd, PROTOCOL_GENERIC))
    const [made] = await host.ask(requestPair(link, { netnsFd, hasIpv6: hasIpv6() }))
    const [found] = await pod.ask([requestLink(ifname)])
    await pod.ask(requestPodSetup(link, { index: readIndex(found!), hasIpv6: hasIpv6() }))
    ethtoolFamily ??= readFamily((await features.ask([requestFamily()]))[0]!)
    await features.ask([requestFeatures(ifname, ethtoolFamily)])
    return readIndex(made!)
  } catch (cause) {
    throw new Error(`Cannot make "${ifname}" in "${netns}"`, { cause })
  } finally {
    for (const socket of sockets) socket.close()
    if (netnsFd !== undefined) closeSync(netnsFd)
  }
}

/** The kernel gives it a number when it starts. */
let ethtoolFamily: number | undefined

/** Removes both ends. Does nothing when there are none. */
export async function deletePodLink(device: string): Promise<void> {
  const host = NetlinkSocket.open(PROTOCOL_ROUTE)
  try {
    await host.ask([requestDeletion(device)])
  } catch (error) {
    if (!(error instanceof NetlinkError && error.code === 'ENODEV')) throw error
  } finally {
    host.close()
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

/** Whether the kernel knows IPv6 at all. */
export function hasIpv6(): boolean {
  return existsSync('/proc/sys/net/ipv6')
}
