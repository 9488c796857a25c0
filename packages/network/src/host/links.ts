import { runCommand } from './run-command.ts'

/**
 * A device of this network namespace, as `ip -json -details address` has it. Not read from /sys, which shows the devices of whoever mounted it.
 */
export interface SeenLink {
  readonly ifindex: number
  readonly ifname: string
  readonly mtu: number
  readonly address?: string
  /** Kind of its frames: `ether`, or `none` for devices of IP packets alone. */
  readonly link_type?: string
  /** What somebody wrote to it. */
  readonly ifalias?: string
  readonly flags: readonly string[]
  readonly linkinfo?: { readonly info_kind?: string }
  readonly addr_info?: readonly {
    readonly family: string
    readonly local: string
    readonly prefixlen: number
    readonly scope: string
  }[]
}

/** Every device. */
export async function listLinks(): Promise<SeenLink[]> {
  return JSON.parse(await runCommand(['ip', '-json', '-details', 'address', 'show'])) as SeenLink[]
}

/** The documents that `ip -json -batch` writes, one a question. */
export function parseJsonLines(text: string): unknown[] {
  return text
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => JSON.parse(line) as unknown)
}

/** IPv4 addresses of a device, such as `10.244.3.1/32`. */
export function addressesOf({ addr_info = [] }: Pick<SeenLink, 'addr_info'>): string[] {
  return addr_info.filter(({ family }) => family === 'inet').map(({ local, prefixlen }) => `${local}/${prefixlen}`)
}
