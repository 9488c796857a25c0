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

interface SeenRoute {
  dev?: string
  metric?: number
}

/** Finds the device of the default route, or takes the named one. Rejects with what to do when there is none, or when it has no address. */
export async function findUplink(named?: string): Promise<Uplink> {
  const device = named ?? chooseDefault(JSON.parse(await runCommand(['ip', '-json', 'route', 'show', 'default'])))
  if (device === undefined)
    throw new Error('Cannot find the device to other hosts: there is no default route; name the device with --uplink')
  const links = await listLinks()
  const link = links.find(({ ifname }) => ifname === device)
  if (link === undefined) {
    const others = links.map(({ ifname }) => ifname).join(', ')
    throw new Error(`Cannot use "${device}" as the device to other hosts: there is none; there are ${others}`)
  }
  const address = link.addr_info?.find(({ family, scope }) => family === 'inet' && scope === 'global')?.local
  if (address === undefined)
    throw new Error(`Cannot use "${device}" as the device to other hosts: it has no IPv4 address`)
  return { device, ifindex: link.ifindex, mtu: link.mtu, address }
}

/** The largest packet that a pod may send. Throws when the uplink's MTU is too small for any. */
export function podMtuOf({ device, mtu }: Pick<Uplink, 'device' | 'mtu'>): number {
  const podMtu = mtu - TUNNEL_OVERHEAD
  if (podMtu < POD_MTU_MIN)
    throw new Error(`Cannot use "${device}": its MTU is ${mtu}; at least ${POD_MTU_MIN + TUNNEL_OVERHEAD} is needed`)
  return podMtu
}

function chooseDefault(routes: SeenRoute[]): string | undefined {
  return routes.toSorted((a, b) => (a.metric ?? 0) - (b.metric ?? 0)).find(({ dev }) => dev !== undefined)?.dev
}
