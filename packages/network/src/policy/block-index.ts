import { formatBlock, maskAddress } from './block.ts'
import type { BlockPeer } from './policy-rule.ts'

interface PrefixBlocks {
  readonly prefix: number
  /** By first address, then by {@link textOf}: how often it is used. */
  readonly blocks: Map<number, Map<string, { readonly peer: BlockPeer; users: number }>>
}

/** Blocks that egress rules name, to be found by an address in them. */
export class BlockIndex {
  readonly #prefixes = new Map<number, PrefixBlocks>()

  add(peer: BlockPeer): void {
    const { first, prefix } = peer.block
    let found = this.#prefixes.get(prefix)
    if (found === undefined) this.#prefixes.set(prefix, (found = { prefix, blocks: new Map() }))
    let peers = found.blocks.get(first)
    if (peers === undefined) found.blocks.set(first, (peers = new Map<string, { peer: BlockPeer; users: number }>()))
    const text = textOf(peer)
    const entry = peers.get(text)
    if (entry === undefined) peers.set(text, { peer, users: 1 })
    else entry.users++
  }

  remove(peer: BlockPeer): void {
    const { first, prefix } = peer.block
    const found = this.#prefixes.get(prefix)
    const peers = found?.blocks.get(first)
    const entry = peers?.get(textOf(peer))
    if (found === undefined || peers === undefined || entry === undefined || --entry.users > 0) return
    peers.delete(textOf(peer))
    if (peers.size === 0) found.blocks.delete(first)
    if (found.blocks.size === 0) this.#prefixes.delete(prefix)
  }

  /** Names the blocks that the address is in, and not excepted from. Addresses with the same answer are alike to all egress rules. */
  find(address: number): string {
    const texts: string[] = []
    for (const { prefix, blocks } of this.#prefixes.values()) {
      for (const [text, { peer }] of blocks.get(maskAddress(address, prefix)) ?? []) {
        if (!peer.except.some((except) => maskAddress(address, except.prefix) === except.first)) texts.push(text)
      }
    }
    return texts.sort().join()
  }
}

function textOf({ block, except }: BlockPeer): string {
  return [block, ...except].map(formatBlock).join('-')
}
