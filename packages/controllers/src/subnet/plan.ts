import { formatIpv4, formatIpv4Block, parseIpv4Block } from '@centaurus/base'
import type { Subnet } from '@centaurus/api/centaurus/v1'

/** Addresses of a node's block: a prefix of 26 bits. */
export const SUBNET_ADDRESSES = 64
/** Addresses that a node has beyond its pods': those of pods that have just ended rest for a while, and new pods must not wait. */
const SPARE_ADDRESSES = 16
/** A node without pods of the network keeps its blocks for so long; then nobody may use them, and after as long again they are free. */
export const SUBNET_IDLE_MS = 600_000

/** A block that a node has of a network; names are those of the view. */
export interface KnownSubnet {
  readonly name: string
  readonly spec: Subnet['spec']
}

export interface SubnetFacts {
  /** The network's own addresses. */
  readonly cidr: string
  /** Pods of the network by node; nodes without any are not in it. */
  readonly pods: ReadonlyMap<string, number>
  readonly subnets: readonly KnownSubnet[]
  /** How long a node has had no pod of the network. */
  readonly idleMsOf: (node: string) => number
  /** Default {@link SUBNET_IDLE_MS}. */
  readonly idleMs?: number | undefined
}

export interface SubnetPlan {
  /** Blocks to give, and to whom. */
  readonly create: readonly { readonly cidr: string; readonly node: string }[]
  /** Blocks of which nobody may get addresses any more, or may again. */
  readonly mark: readonly { readonly subnet: KnownSubnet; readonly released: boolean }[]
  readonly remove: readonly KnownSubnet[]
  /** Nodes that get no block, since none is free. */
  readonly without: readonly string[]
}

/** Blocks that a node with so many pods needs. */
export function blocksFor(pods: number): number {
  return pods === 0 ? 0 : Math.ceil((pods + SPARE_ADDRESSES) / SUBNET_ADDRESSES)
}

/**
 * Which blocks of a network's addresses its nodes get and give back. Only a node without pods gives any back, since nobody else knows which of its addresses
 * are in use; it is told first, long before another one may get them. Pure.
 */
export function planSubnets(facts: SubnetFacts): SubnetPlan {
  const { cidr, pods, subnets, idleMsOf, idleMs = SUBNET_IDLE_MS } = facts
  const plan = {
    create: [] as { cidr: string; node: string }[],
    mark: [] as SubnetPlan['mark'][number][],
    remove: [] as KnownSubnet[],
    without: [] as string[],
  }
  const byNode = Map.groupBy(subnets, ({ spec }) => spec.node)
  const free = freeBlocks(cidr, new Set(subnets.map(({ spec }) => spec.cidr)))
  for (const [node, count] of pods) {
    const own = byNode.get(node) ?? []
    const released = own.filter(({ spec }) => spec.released === true)
    let missing = blocksFor(count) - (own.length - released.length)
    for (const subnet of released.slice(0, Math.max(0, missing))) {
      plan.mark.push({ subnet, released: false })
      missing--
    }
    for (; missing > 0; missing--) {
      const next = free.next()
      if (next.done === true) {
        plan.without.push(node)
        break
      }
      plan.create.push({ cidr: next.value, node })
    }
  }
  for (const [node, own] of byNode) {
    if (pods.has(node) || idleMsOf(node) < idleMs) continue
    const isOver = idleMsOf(node) >= 2 * idleMs
    for (const subnet of own) {
      if (subnet.spec.released !== true) plan.mark.push({ subnet, released: true })
      else if (isOver) plan.remove.push(subnet)
    }
  }
  return plan
}

/** Name of the block's object, after its network's; equal for equal blocks alone. */
export function subnetNameOf(vpc: string, cidr: string): string {
  const { first = 0 } = parseIpv4Block(cidr) ?? {}
  return `${vpc}-${formatIpv4(first).replaceAll('.', '-')}`
}

/** The lowest first. */
function* freeBlocks(cidr: string, taken: ReadonlySet<string>): Generator<string, void> {
  const whole = parseIpv4Block(cidr)
  if (whole === undefined) return
  for (let first = whole.first; first < whole.first + whole.size; first += SUBNET_ADDRESSES) {
    const block = formatIpv4Block({ first, size: SUBNET_ADDRESSES })
    if (!taken.has(block)) yield block
  }
}
