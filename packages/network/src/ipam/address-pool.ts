import { formatIpv4, parseIpv4, parseIpv4Block, type Clock, type Ipv4Block } from '@centaurus/base'

/** Released addresses rest so long: connections that somebody else remembers of them have ended by then. */
export const ADDRESS_REST_MS = 60_000

/** A block whose addresses may be given to pods. */
export interface AddressBlock {
  readonly cidr: string
  /** Addresses of it that are never given. Its first and its last one aren't either. */
  readonly reserved: readonly string[]
}

export interface AddressPoolOptions {
  readonly blocks: readonly AddressBlock[]
  readonly clock: Pick<Clock, 'monotonicMs'>
}

/** An address, or why there is none: how many of those that are not in use still rest. */
export type TakenAddress = { readonly address: string } | { readonly resting: number }

/**
 * Addresses of some blocks, each in one hand at a time. Those that were never used are given first, then the one whose release is longest ago, so that an address comes
 * back as late as possible. Every call takes constant time.
 */
export class AddressPool {
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #blocks = new Map<
    string,
    { readonly block: Ipv4Block; readonly reserved: ReadonlySet<number>; next: number }
  >()
  readonly #taken = new Set<number>()
  /** Until when it rests; in the order of releases. */
  readonly #released = new Map<number, number>()

  constructor({ blocks, clock }: AddressPoolOptions) {
    this.#clock = clock
    for (const block of blocks) this.addBlock(block)
  }

  /** Throws RangeError when the text is no block. Does nothing for a block that the pool has. */
  addBlock({ cidr, reserved }: AddressBlock): void {
    if (this.#blocks.has(cidr)) return
    const block = parseIpv4Block(cidr)
    if (block === undefined) throw new RangeError(`"${cidr}" is no block of IPv4 addresses such as 10.244.3.0/24`)
    this.#blocks.set(cidr, { block, reserved: new Set(reserved.map(toNumber)), next: block.first })
  }

  /** Gives addresses of these blocks alone from now on; what was taken of others stays taken. Throws RangeError like {@link addBlock}. */
  setBlocks(blocks: readonly AddressBlock[]): void {
    const kept = new Set(blocks.map(({ cidr }) => cidr))
    for (const cidr of this.#blocks.keys()) if (!kept.has(cidr)) this.#blocks.delete(cidr)
    for (const block of blocks) this.addBlock(block)
  }

  take(): TakenAddress {
    const unused = this.#takeUnused() ?? this.#takeRested()
    if (unused === undefined)
      return { resting: [...this.#released.keys()].filter((value) => this.#isOurs(value)).length }
    this.#taken.add(unused)
    return { address: formatIpv4(unused) }
  }

  /** Takes a certain address, as one that was in use before a restart. False when it is taken already. It need not be of the blocks. */
  claim(address: string): boolean {
    const value = toNumber(address)
    if (this.#taken.has(value)) return false
    this.#released.delete(value)
    this.#taken.add(value)
    return true
  }

  /** Gives an address back; it rests for `restMs`. Call it in the order of releases. */
  release(address: string, restMs: number = ADDRESS_REST_MS): void {
    const value = toNumber(address)
    if (this.#taken.delete(value)) this.#released.set(value, this.#clock.monotonicMs() + restMs)
  }

  get takenCount(): number {
    return this.#taken.size
  }

  #takeUnused(): number | undefined {
    for (const entry of this.#blocks.values()) {
      const end = entry.block.first + entry.block.size
      while (entry.next < end) {
        const value = entry.next++
        if (this.#isOurs(value) && !this.#taken.has(value) && !this.#released.has(value)) return value
      }
    }
    return undefined
  }

  #takeRested(): number | undefined {
    for (const [value, restsUntilMs] of this.#released) {
      if (restsUntilMs > this.#clock.monotonicMs()) return undefined
      this.#released.delete(value)
      if (this.#isOurs(value)) return value
    }
    return undefined
  }

  /** Whether it is in a block, and for pods. */
  #isOurs(value: number): boolean {
    for (const { block, reserved } of this.#blocks.values()) {
      const { first, size } = block
      if (value < first || value >= first + size) continue
      const isEdge = size > 2 && (value === first || value === first + size - 1)
      return !isEdge && !reserved.has(value)
    }
    return false
  }
}

function toNumber(address: string): number {
  const value = parseIpv4(address)
  if (value === undefined) throw new RangeError(`"${address}" is no IPv4 address`)
  return value
}
