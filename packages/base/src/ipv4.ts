/** IPv4 addresses as numbers, for whoever counts with them. */

/** Addresses from `first` on; `size` is a power of two, and divides `first`. */
export interface Ipv4Block {
  readonly first: number
  readonly size: number
}

const ADDRESSES = 2 ** 32

/** Undefined when the text is no IPv4 address in its canonical form. */
export function parseIpv4(text: string): number | undefined {
  const parts = text.split('.')
  if (parts.length !== 4) return undefined
  let value = 0
  for (const part of parts) {
    const byte = Number(part)
    if (!/^\d{1,3}$/.test(part) || byte > 255 || String(byte) !== part) return undefined
    value = value * 256 + byte
  }
  return value
}

/** `10.0.0.1` for 167772161. */
export function formatIpv4(value: number): string {
  return [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join('.')
}

/** Reads `10.244.0.0/16`. Undefined for anything else, and when bits are set outside of the mask. */
export function parseIpv4Block(text: string): Ipv4Block | undefined {
  const match = /^([0-9.]+)\/(\d|[12]\d|3[0-2])$/.exec(text)
  const first = match === null ? undefined : parseIpv4(match[1]!)
  const size = ADDRESSES / 2 ** Number(match?.[2])
  return first === undefined || first % size !== 0 ? undefined : { first, size }
}

/** `10.244.0.0/16` for a block. */
export function formatIpv4Block({ first, size }: Ipv4Block): string {
  return `${formatIpv4(first)}/${32 - Math.log2(size)}`
}

/** Whether two blocks have an address in common: then one of them is within the other. */
export function doIpv4BlocksOverlap(a: Ipv4Block, b: Ipv4Block): boolean {
  return a.first < b.first + b.size && b.first < a.first + a.size
}
