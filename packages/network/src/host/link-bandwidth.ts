import { readFile } from 'node:fs/promises'
import { listLinks, type SeenLink } from './links.ts'

/** Devices of the kernel's own making whose speed is made up, or stands for nothing. */
const SPEEDLESS_KINDS = /^(veth|dummy|tun|ifb|macvlan|ipvlan|bridge|vxlan|geneve|netkit)$/

/** What a device says that it sends at most, bits a second; undefined: it does not say, or nothing that could be believed. Never rejects. */
export async function readLinkBandwidth(device: string, folder = '/sys/class/net'): Promise<number | undefined> {
  const link = (await listLinks().catch(() => [])).find(({ ifname }) => ifname === device)
  if (link === undefined || SPEEDLESS_KINDS.test(link.linkinfo?.info_kind ?? '')) return undefined
  const read = (name: string): Promise<string> =>
    readFile(`${folder}/${device}/${name}`, 'utf8').then(
      (text) => text.trim(),
      () => '', // the device is gone, or has no such thing
    )
  const [ifindex, address, speed] = await Promise.all([read('ifindex'), read('address'), read('speed')])
  return isSame(link, { ifindex, address }) ? parseSpeed(speed) : undefined
}

/** /sys shows the devices of whoever mounted it: another network namespace may have one of the name. */
function isSame(link: SeenLink, seen: { readonly ifindex: string; readonly address: string }): boolean {
  return String(link.ifindex) === seen.ifindex && link.address === seen.address
}

/** Megabits a second; -1, or what nobody has by now, where it is not known. Source: Documentation/ABI/testing/sysfs-class-net. */
function parseSpeed(text: string): number | undefined {
  const megabits = Number(text)
  return megabits > 0 && megabits < 2 ** 31 - 1 ? megabits * 1e6 : undefined
}
