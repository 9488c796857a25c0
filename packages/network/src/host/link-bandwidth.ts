import { listLinks, type SeenLink } from './links.ts'
import { runCommand } from './run-command.ts'

/** Devices of the kernel's own making whose speed is made up, or stands for nothing. */
const SPEEDLESS_KINDS = /^(veth|dummy|tun|ifb|macvlan|ipvlan|bridge|vxlan|geneve|netkit)$/

/** What a device says that it sends at most, bits a second; undefined: it does not say, or nothing that could be believed. Never rejects. */
export async function readLinkBandwidth(device: string): Promise<number | undefined> {
  try {
    const link = (await listLinks()).find(({ ifname }) => ifname === device)
    if (link === undefined || !saysSpeed(link)) return undefined
    return parseSpeed(await runCommand(['ethtool', device]))
  } catch {
    return undefined // as a device without a speed: bandwidths of pods hold, classes have the queues' order only
  }
}

function saysSpeed({ linkinfo }: SeenLink): boolean {
  return !SPEEDLESS_KINDS.test(linkinfo?.info_kind ?? '')
}

/** What ethtool writes, such as `Speed: 10000Mb/s` or `Speed: Unknown!`. Pure. */
export function parseSpeed(text: string): number | undefined {
  const megabits = /^\s*Speed: (\d+)Mb\/s$/m.exec(text)?.[1]
  return megabits === undefined || megabits === '0' ? undefined : Number(megabits) * 1e6
}
