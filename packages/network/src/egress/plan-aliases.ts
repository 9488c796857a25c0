import { createHash } from 'node:crypto'
import { formatIpv4Block, parseIpv4Block } from '@centaurus/base'
import type { Alias } from '../dataplane/dataplane.ts'
import { ALIAS_BYTE, VPC_BLOCK_PREFIX } from '../layouts/layouts.ts'

/** Addresses by which a host's stack knows pods of other hosts whose own may be anybody's. They never leave the host, so every host has them all. */
export const ALIAS_CIDR = `${ALIAS_BYTE}.0.0.0/8`
const SIZE = 2 ** (32 - VPC_BLOCK_PREFIX)
const FIRST = parseIpv4Block(ALIAS_CIDR)!.first
const BLOCKS = parseIpv4Block(ALIAS_CIDR)!.size / SIZE

/** A block of a network with a CIDR of its own. */
export type OwnBlock = Pick<Alias, 'vni' | 'cidr'>

export interface AliasPlan {
  /** By {@link ownBlockKey}. */
  readonly aliases: ReadonlyMap<string, Alias>
  /** Blocks that get none: all are given. */
  readonly without: readonly OwnBlock[]
}

/**
 * Gives each block another one that no other has. Pure. Known ones stay: flows go on by them. A new one is found by a hash, so that a block gets its own again, and
 * hardly ever one that another network has just had.
 */
export function planAliases(blocks: readonly OwnBlock[], known: Iterable<Alias>): AliasPlan {
  const wanted = new Set(blocks.map(ownBlockKey))
  const aliases = new Map<string, Alias>()
  const without: OwnBlock[] = []
  for (const alias of known) if (wanted.has(ownBlockKey(alias))) aliases.set(ownBlockKey(alias), alias)
  const taken = new Set([...aliases.values()].map(({ alias }) => alias))
  for (const block of blocks) {
    const key = ownBlockKey(block)
    if (aliases.has(key)) continue
    const alias = findFree(key, taken)
    if (alias === undefined) {
      without.push(block)
      continue
    }
    taken.add(alias)
    aliases.set(key, { vni: block.vni, cidr: block.cidr, alias })
  }
  return { aliases, without }
}

export function ownBlockKey({ vni, cidr }: OwnBlock): string {
  return `${vni} ${cidr}`
}

function findFree(key: string, taken: ReadonlySet<string>): string | undefined {
  if (taken.size >= ALIASES_MAX) return undefined
  const start = createHash('sha256').update(key).digest().readUInt32BE(0)
  for (let step = 0; ; step++) {
    const block = formatIpv4Block({ first: FIRST + ((start + step) % BLOCKS) * SIZE, size: SIZE })
    if (!taken.has(block)) return block
  }
}

/** Two entries each in the kernel's table: see ALIASES_MAX in bpf/maps.h. Fewer than there are blocks, so that a free one is found. */
const ALIASES_MAX = 32_768
