import { doIpv4BlocksOverlap, formatIpv4Block, parseIpv4Block, type Ipv4Block } from '@centaurus/base'

interface Block {
  readonly first: number
  readonly size: number
  /** How many owners each range has; a range is free when it has none. */
  readonly owners: Uint16Array
  free: number
  /** Where to look for the next free one: a range that comes back is given again as late as possible. */
  next: number
}

/**
 * Ranges for nodes out of some blocks, each for one owner. Taking one and giving it back costs the same however many nodes there are (some microseconds with the 235
 * blocks of 60,000 nodes); a block of 256 ranges takes half a kilobyte. Pure: what has to be durable is kept elsewhere.
 */
export class NodeCidrs {
  readonly #rangeSize: number
  readonly #blocks = new Map<string, Block>()
  /** Blocks with a free range. */
  readonly #open = new Set<Block>()
  readonly #held = new Map<string, Set<string>>()

  /** `prefix` is the length of a node's range, such as 24. */
  constructor(prefix: number) {
    this.#rangeSize = 2 ** (32 - prefix)
  }

  has(block: string): boolean {
    return this.#blocks.has(block)
  }

  /** Ignores what is no block, or too small for a node. */
  addBlock(text: string): void {
    const range = parseIpv4Block(text)
    if (range === undefined || range.size < this.#rangeSize || this.#blocks.has(text)) return
    const count = range.size / this.#rangeSize
    const block: Block = { ...range, owners: new Uint16Array(count), free: count, next: 0 }
    this.#blocks.set(text, block)
    this.#open.add(block)
    for (const cidrs of this.#held.values()) {
      for (const cidr of cidrs) {
        const held = parseIpv4Block(cidr)
        if (held !== undefined) this.#count(block, held, 1)
      }
    }
  }

  /** Whether any range that is given here has addresses of it. */
  overlaps(cidr: string): boolean {
    const range = parseIpv4Block(cidr)
    return range !== undefined && [...this.#blocks.values()].some((block) => doIpv4BlocksOverlap(block, range))
  }

  /** Gives a free range to the owner; undefined when there is none. */
  take(owner: string): string | undefined {
    for (const block of this.#open) {
      const count = block.owners.length
      for (let tried = 0; tried < count; tried++) {
        const index = (block.next + tried) % count
        if (block.owners[index] !== 0) continue
        block.next = (index + 1) % count
        const cidr = formatIpv4Block({ first: block.first + index * this.#rangeSize, size: this.#rangeSize })
        this.occupy(owner, cidr)
        return cidr
      }
    }
    return undefined
  }

  /** Says that the owner has these addresses, whoever gave them: nobody else gets any of them. Saying it again changes nothing. */
  occupy(owner: string, cidr: string): void {
    const cidrs = this.#held.get(owner) ?? new Set()
    if (cidrs.has(cidr)) return
    this.#held.set(owner, cidrs.add(cidr))
    this.#countEverywhere(cidr, 1)
  }

  /** The owner has them no more. */
  vacate(owner: string, cidr: string): void {
    const cidrs = this.#held.get(owner)
    if (cidrs?.delete(cidr) !== true) return
    if (cidrs.size === 0) this.#held.delete(owner)
    this.#countEverywhere(cidr, -1)
  }

  get freeCount(): number {
    return [...this.#open].reduce((sum, { free }) => sum + free, 0)
  }

  #countEverywhere(cidr: string, by: 1 | -1): void {
    const range = parseIpv4Block(cidr)
    if (range === undefined) return
    for (const block of this.#blocks.values()) this.#count(block, range, by)
  }

  #count(block: Block, range: Ipv4Block, by: 1 | -1): void {
    if (!doIpv4BlocksOverlap(block, range)) return
    const from = Math.max(0, Math.floor((range.first - block.first) / this.#rangeSize))
    const end = Math.min(block.owners.length, Math.ceil((range.first + range.size - block.first) / this.#rangeSize))
    for (let index = from; index < end; index++) {
      const before = block.owners[index]!
      block.owners[index] = before + by
      if (before === 0) block.free--
      else if (before + by === 0) block.free++
    }
    if (block.free === 0) this.#open.delete(block)
    else this.#open.add(block)
  }
}
