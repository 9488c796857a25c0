import { parseIpv4 } from '@centaurus/base'

/** A block of IPv4 addresses, as numbers. */
export interface IpRange {
  readonly text: string
  readonly first: number
  /** A power of two. */
  readonly size: number
}

/** Reads `10.96.0.0/16`. Throws `SyntaxError`. */
export function parseIpRange(text: string): IpRange {
  const match = /^(\d+\.\d+\.\d+\.\d+)\/(\d+)$/.exec(text)
  const base = match === null ? undefined : parseIpv4(match[1]!)
  const bits = Number(match?.[2])
  if (base === undefined || !(bits >= 8 && bits <= 30)) {
    throw new SyntaxError(
      `Cannot read service address range ${JSON.stringify(text)}: want IPv4 in CIDR notation, /8 to /30`,
    )
  }
  const size = 2 ** (32 - bits)
  return { text, first: base - (base % size), size }
}

/** True for an address that a Service may have: neither the network's own nor the broadcast address. */
export function isUsable({ first, size }: IpRange, address: number): boolean {
  return address > first && address < first + size - 1
}

/**
 * How many addresses at the start of a range are left for those who name theirs: a sixteenth, at least 16 and at most 256.
 * Source: kubernetes pkg/registry/core/service/ipallocator calculateRangeOffset (KEP-3070).
 */
export function staticCount({ size }: IpRange): number {
  const count = Math.min(Math.max(16, size / 16), 256)
  return count > size / 2 ? 0 : count
}
