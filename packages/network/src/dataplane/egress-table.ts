import type { BpfMap } from '../kernel/bpf-map.ts'
import { egress, EGRESS_HERE, egressKey, ownBlock, ownBlockKey } from '../layouts/layouts.ts'
import type { Dataplane } from './dataplane.ts'

const NOBODY = '0.0.0.0'
/** Bits of an address in a table before those of IPv4. */
const MAPPED_BITS = 96

interface EgressMaps {
  readonly egresses: BpfMap
  readonly ownBlocks: BpfMap
}

/** By which host each network reaches the world, and what is not the world. */
export function createEgressTable({
  egresses,
  ownBlocks,
}: EgressMaps): Pick<Dataplane, 'setEgress' | 'removeEgress' | 'listEgresses' | 'setOwnBlocks'> {
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
    setOwnBlocks(cidrs) {
      const wanted = new Map(cidrs.map((cidr) => [cidr, encodeBlock(cidr)]))
      const texts = new Set([...wanted.values()].map((key) => key.toString('hex')))
      for (const key of wanted.values()) ownBlocks.set(key, ownBlock.encode({ flags: 0 }))
      for (const key of ownBlocks.keys()) if (!texts.has(Buffer.from(key).toString('hex'))) ownBlocks.delete(key)
    },
  }
}

function encodeBlock(cidr: string): Buffer {
  const [ip = '', prefix = '32'] = cidr.split('/')
  return ownBlockKey.encode({ prefixLength: MAPPED_BITS + Number(prefix), ip })
}
