import { TUNNEL_OVERHEAD } from '../layouts/layouts.ts'
import { listLinks } from './links.ts'
import { runCommand } from './run-command.ts'

/** The least that IPv4 asks of a network. Source: RFC 791. */
const POD_MTU_MIN = 576

/** The device to the other hosts. */
export interface Uplink {
  readonly device: string
  readonly ifindex: number
  readonly mtu: number
  /** Its first address; other hosts send to this one. */
  readonly address: string
}

/** A machine that is on no network now may be on an Ethernet later. */
const NO_UPLINK = { device: 'lo', mtu: 1500 }

interface SeenRoute {
  dev?: string
  metric?: number
}

export interface HostDevices {
  /** Undefined: this machine is on no network. */
  readonly uplink: Uplink | undefined
  /** Ethernet devices with other addresses of this machine: what is asked of those comes by them. By ifindex. */
  readonly entrances: readonly Pick<Uplink, 'device' | 'ifindex'>[]
}

/** Finds the way to other hosts, which is the device that has the node's address, else that of the default route, else any with an address; and the others. */
export async function findDevices({
  nodeAddress,
}: { readonly nodeAddress?: string | undefined } = {}): Promise<HostDevices> {
  const links = await listLinks()
  const routes = JSON.parse(await runCommand(['ip', '-json', 'route', 'show', 'default'])) as SeenRoute[]
  const byRoute = chooseDefault(routes)
  const candidates = links.flatMap(({ ifname, ifindex, mtu, link_type: kind, addr_info = [] }) =>
    isOfTheNetwork(ifname)
      ? addr_info
          .filter(({ family, scope }) => family === 'inet' && scope === 'global')
          .map(({ local }) => ({ device: ifname, ifindex, mtu, address: local, kind }))
      : [],
  )
  const found =
    candidates.find(({ address }) => address === nodeAddress) ??
    candidates.find(({ device }) => device === byRoute) ??
    candidates[0]
  if (found === undefined) return { uplink: undefined, entrances: [] }
  const { kind: _, ...uplink } = found
  const others = candidates.filter(({ ifindex, kind }) => ifindex !== uplink.ifindex && kind === 'ether')
  const entrances = new Map(others.map(({ device, ifindex }) => [ifindex, { device, ifindex }]))
  return { uplink, entrances: [...entrances.values()].sort((a, b) => a.ifindex - b.ifindex) }
}

/** The way to other hosts: see {@link findDevices}. */
export async function findUplink(
  options: { readonly nodeAddress?: string | undefined } = {},
): Promise<Uplink | undefined> {
  return (await findDevices(options)).uplink
}

/** Devices of containers lead nowhere. */
function isOfTheNetwork(device: string): boolean {
  return !/^(lo$|docker|br-|veth|cni|centaurus|virbr)/.test(device)
}

/** The largest packet that a pod may send. Throws when the uplink's MTU is too small for any. */
export function podMtuOf({ device, mtu }: Pick<Uplink, 'device' | 'mtu'> = NO_UPLINK): number {
  const podMtu = mtu - TUNNEL_OVERHEAD
  if (podMtu < POD_MTU_MIN)
    throw new Error(`Cannot use "${device}": its MTU is ${mtu}; at least ${POD_MTU_MIN + TUNNEL_OVERHEAD} is needed`)
  return podMtu
}

function chooseDefault(routes: SeenRoute[]): string | undefined {
  return routes.toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0)).find(({ dev }) => dev !== undefined)?.dev
}
