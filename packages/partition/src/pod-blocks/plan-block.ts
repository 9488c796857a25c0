import type { Stored } from '@centaurus/api'
import type { Partition, PodBlock, PodNetworkPlan } from '@centaurus/api/centaurus/v1'
import { doIpv4BlocksOverlap, formatIpv4Block, parseIpv4Block, type Ipv4Block } from '@centaurus/base'

/** Nobody gets the block of a partition that was removed for so long: its machines may still run pods. */
export const BLOCK_REST_MS = 3_600_000

/** What holds where {@link PodNetworkPlan} says nothing. */
export const POD_NETWORK = {
  cidr: '10.0.0.0/8',
  first: '10.244.0.0/16',
  except: ['10.96.0.0/12'],
  blockPrefix: 16,
  nodePrefix: 24,
} as const satisfies Required<PodNetworkPlan>

export interface BlockTaker {
  readonly self: string
  readonly now: string
  /** Of the registry as home has it. */
  readonly partitions: readonly Stored<Partition>[]
}

/** What home's Partition is to say of blocks, and this one's; undefined: there is no block left. */
export interface BlockPlan {
  readonly podBlocks: readonly PodBlock[]
  readonly podCIDRs: readonly string[]
}

/**
 * Takes one more block for a partition; one that it has already and does not say yet counts. Blocks of partitions that are no more are marked, and given again after
 * {@link BLOCK_REST_MS}. Pure.
 */
export function planBlock({ self, now, partitions }: BlockTaker): BlockPlan | undefined {
  const home = partitions.find(({ spec }) => spec.home === true)
  const own = partitions.find(({ metadata }) => metadata.name === self)
  if (home === undefined || own === undefined) throw new Error(`The registry does not know partition "${self}" yet`)
  const uidOf = new Map(partitions.map(({ metadata }) => [metadata.name, metadata.uid]))
  const isThere = ({ partition, uid }: PodBlock): boolean => uidOf.get(partition) === uid
  const isOver = ({ releasedAt }: PodBlock): boolean =>
    releasedAt !== undefined && Date.parse(now) - Date.parse(releasedAt) >= BLOCK_REST_MS
  const kept = (home.spec.podBlocks ?? [])
    .filter((block) => isThere(block) || !isOver(block))
    .map((block) => (isThere(block) || block.releasedAt !== undefined ? block : { ...block, releasedAt: now }))
  const known = own.spec.podCIDRs ?? []
  const untold = kept.filter(({ cidr, uid }) => uid === own.metadata.uid && !known.includes(cidr))
  if (untold.length > 0) return { podBlocks: kept, podCIDRs: [...known, ...untold.map(({ cidr }) => cidr)] }
  const taken = [...kept.map(({ cidr }) => cidr), ...partitions.flatMap(takenBy)]
  const cidr = findFree(home.spec.podNetwork ?? {}, taken)
  if (cidr === undefined) return undefined
  return { podBlocks: [...kept, { cidr, partition: self, uid: own.metadata.uid }], podCIDRs: [...known, cidr] }
}

/** What somebody wrote by hand counts too, and Services have their own addresses. */
function takenBy({ spec }: Stored<Partition>): string[] {
  return [...(spec.podCIDRs ?? []), ...(spec.serviceCIDR === undefined ? [] : [spec.serviceCIDR])]
}

/** The first free block from `first` on upwards, else the nearest one below it. */
function findFree(plan: PodNetworkPlan, taken: readonly string[]): string | undefined {
  const whole = parseIpv4Block(plan.cidr ?? POD_NETWORK.cidr)
  const size = 2 ** (32 - (plan.blockPrefix ?? POD_NETWORK.blockPrefix))
  if (whole === undefined || whole.size < size) return undefined
  const away = [...(plan.except ?? POD_NETWORK.except), ...taken].flatMap((text) => parseIpv4Block(text) ?? [])
  const isFree = (at: number): boolean => !away.some((block) => doIpv4BlocksOverlap(block, { first: at, size }))
  const start = startOf(parseIpv4Block(plan.first ?? POD_NETWORK.first), whole, size)
  for (let at = start; at < whole.first + whole.size; at += size)
    if (isFree(at)) return formatIpv4Block({ first: at, size })
  for (let at = start - size; at >= whole.first; at -= size) if (isFree(at)) return formatIpv4Block({ first: at, size })
  return undefined
}

/** A first block that lies elsewhere means nothing. */
function startOf(first: Ipv4Block | undefined, whole: Ipv4Block, size: number): number {
  if (first === undefined || !doIpv4BlocksOverlap(first, whole)) return whole.first
  return Math.max(first.first - (first.first % size), whole.first)
}
