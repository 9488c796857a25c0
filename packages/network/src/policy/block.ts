/** IPv4 block as numbers. */
export interface Block {
  /** The first address; host bits are zero. */
  readonly first: number
  readonly prefix: number
}

/** Undefined for what is no IPv4 address: of IPv6 nothing matches as long as pods have none. */
export function parseAddress(text: string): number | undefined {
  const match = /^(\d{1,3})\.(\d{1,3})\.(\d{1,3})\.(\d{1,3})$/.exec(text)
  if (match === null) return undefined
  let bits = 0
  for (let i = 1; i <= 4; i++) {
    const part = Number(match[i])
    if (part > 255) return undefined
    bits = bits * 256 + part
  }
  return bits
}

/** Undefined for what is no IPv4 block. Host bits are cleared: older objects may have them. */
export function parseBlock(text: string): Block | undefined {
  const [address = '', length = '', ...more] = text.split('/')
  const bits = parseAddress(address)
  if (bits === undefined || more.length > 0 || !/^\d{1,2}$/.test(length) || Number(length) > 32) return undefined
  return { first: maskAddress(bits, Number(length)), prefix: Number(length) }
}

export function formatBlock({ first, prefix }: Block): string {
  return `${first >>> 24}.${(first >>> 16) & 255}.${(first >>> 8) & 255}.${first & 255}/${prefix}`
}

export function maskAddress(address: number, prefix: number): number {
  return prefix === 0 ? 0 : (address & (-1 << (32 - prefix))) >>> 0
}

/** Whether all of `inner` is in `outer`. */
export function covers(outer: Block, inner: Block): boolean {
  return inner.prefix >= outer.prefix && maskAddress(inner.first, outer.prefix) === outer.first
}
