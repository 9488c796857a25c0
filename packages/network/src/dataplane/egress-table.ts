import type { BpfMap } from '../kernel/bpf-map.ts'
import {
  alias,
  aliasKey,
  egress,
  EGRESS_HERE,
  egressKey,
  ownBlock,
  ownBlockKey,
  VPC_BLOCK_PREFIX,
} from '../layouts/layouts.ts'
import type { Dataplane } from './dataplane.ts'

const NOBODY = '0.0.0.0'
/** Network of the blocks that stand for others. */
const HOST_NETWORK = 0
/** Bits of an address in a table before those of IPv4. */
const MAPPED_BITS = 96

interface EgressMaps {
  readonly egresses: BpfMap
  readonly aliases: BpfMap
  readonly ownBlocks: BpfMap
}

type EgressTable = Pick<
  Dataplane,
  'setEgress' | 'removeEgress' | 'listEgresses' | 'setAlias' | 'removeAlias' | 'listAliases' | 'setOwnBlocks'
>

/** By which host each network reaches the world, and what is not the world. */
export function createEgressTable({ egresses, aliases, ownBlocks }: EgressMaps): EgressTable {
  return {
    setEgress({ vni, node = NOBODY, isHere }) {
      egresses.set(egressKey.encode({ vni }), egress.encode({ node, flags: isHere ? EGRESS_HERE : 0 }))
    },
    removeEgress: (vni) => void egresses.delete(egressKey.encode({ vni })),
    listEgresses: () =>
      egresses.entries().map(([key, value]) => {
        const { node, flags } = egress.decode(value)
        const isHere = (flags & EGRESS_HERE) !== 0
        return { ...egressKey.decode(key), node: node === NOBODY ? undefined : node, isHere }
      }),
    // the way back is there before anybody can be answered
    setAlias({ vni, cidr, alias: standIn }) {
      const [block, other] = [addressOf(cidr), addressOf(standIn)]
      aliases.set(aliasKey.encode({ vni: HOST_NETWORK, block: other }), alias.encode({ vni, block }))
      aliases.set(aliasKey.encode({ vni, block }), alias.encode({ vni: HOST_NETWORK, block: other }))
    },
    removeAlias({ vni, cidr, alias: standIn }) {
      aliases.delete(aliasKey.encode({ vni, block: addressOf(cidr) }))
      aliases.delete(aliasKey.encode({ vni: HOST_NETWORK, block: addressOf(standIn) }))
    },
    listAliases: () =>
      aliases.entries().flatMap(([key, value]) => {
        const { vni, block } = aliasKey.decode(key)
        const cidr = `${block}/${VPC_BLOCK_PREFIX}`
        return vni === HOST_NETWORK ? [] : [{ vni, cidr, alias: `${alias.decode(value).block}/${VPC_BLOCK_PREFIX}` }]
      }),
    setOwnBlocks(cidrs) {
      const wanted = new Map(cidrs.map((cidr) => [cidr, encodeBlock(cidr)]))
      const texts = new Set([...wanted.values()].map((key) => key.toString('hex')))
      for (const key of wanted.values()) ownBlocks.set(key, ownBlock.encode({ flags: 0 }))
      for (const key of ownBlocks.keys()) if (!texts.has(Buffer.from(key).toString('hex'))) ownBlocks.delete(key)
    },
  }
}

function addressOf(cidr: string): string {
  return cidr.split('/')[0]!
}

function encodeBlock(cidr: string): Buffer {
  const [ip = '', prefix = '32'] = cidr.split('/')
  return ownBlockKey.encode({ prefixLength: MAPPED_BITS + Number(prefix), ip })
}
