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

/**
 * Finds the device that has the node's address, else that of the default route, else any with an address. Undefined: this machine is on no network.
 */
export async function findUplink({ nodeAddress }: { readonly nodeAddress?: string | undefined } = {}): Promise<
  Uplink | undefined
> {
  const links = await listLinks()
  const routes = JSON.parse(await runCommand(['ip', '-json', 'route', 'show', 'default'])) as SeenRoute[]
  const byRoute = chooseDefault(routes)
  const candidates = links.flatMap(({ ifname, ifindex, mtu, addr_info = [] }) =>
    isOfTheNetwork(ifname)
      ? addr_info
          .filter(({ family, scope }) => family === 'inet' && scope === 'global')
          .map(({ local }) => ({ device: ifname, ifindex, mtu, address: local }))
      : [],
  )
  return (
    candidates.find(({ address }) => address === nodeAddress) ??
    candidates.find(({ device }) => device === byRoute) ??
    candidates[0]
  )
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
