import { isStatus, splitQualifiedName, SYSTEM_TENANT } from '@centaurus/api'
import { partitions, type Partition } from '@centaurus/api/centaurus/v1'
import { ipaddresses } from '@centaurus/api/networking/v1'
import { doIpv4BlocksOverlap, parseIpv4Block } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { SERVICE_NETWORKS } from './cluster-network.ts'
import { UserError } from './user-error.ts'

/** On home's Partition: ranges of partitions that were removed while addresses from them had moved on with tenants. */
const KEPT_ANNOTATION = 'centaurus.io/kept-service-ranges'
/** Of the home partition when it names none. Source: the API server's default range. */
const HOME_RANGE = '10.96.0.0/16'
/** Ranges that are given away: 10.97.0.0/16 to 10.127.0.0/16; beyond, name them by `--service-cidr`. */
const RANGES = Array.from({ length: 31 }, (_, i) => `10.${97 + i}.0.0/16`)
const REQUEST_TIMEOUT_MS = 5_000
const ATTEMPTS_MAX = 5

/** Blocks that an API server can give addresses of. Source: the package apiserver's parseIpRange. */
const [SHORTEST_PREFIX, LONGEST_PREFIX] = [8, 30]

/** Reads `10.97.0.0/16`. Throws {@link UserError} for what is no block of IPv4 addresses, or none for Services. */
export function parseServiceRange(text: string): string {
  const block = parseIpv4Block(text)
  const prefix = Number(text.split('/')[1])
  if (block !== undefined && prefix >= SHORTEST_PREFIX && prefix <= LONGEST_PREFIX) return text
  throw new UserError(
    `Cannot use --service-cidr "${text}": it must be like 10.97.0.0/16, a block of IPv4 addresses with a prefix of ${SHORTEST_PREFIX} to ${LONGEST_PREFIX} bits`,
  )
}

export interface RangeWish {
  /** Undefined: the first one that nobody has or keeps. */
  readonly wanted: string | undefined
  /** Addresses of machines, which Services may not hide. */
  readonly machines: readonly string[]
}

/** A range for a new partition. Pure. Throws {@link UserError} when the one that is asked for is in use in any way, or all are taken. */
export function chooseRange(all: readonly Readonly<Partition>[], { wanted, machines }: RangeWish): string {
  const taken: [range: string, whose: string][] = [
    ...serviceRangesOf(all).map((range): [string, string] => [range, 'Services of another partition may have']),
    ...all.flatMap(podBlocksOf).map((range): [string, string] => [range, 'pods have']),
    ...[...machines, ...all.flatMap(hostsOf)].map((address): [string, string] => [`${address}/32`, 'a machine has']),
  ]
  const takenBy = (range: string) => taken.find(([other]) => overlaps(range, other))
  if (wanted !== undefined) {
    const [range, whose] = takenBy(parseServiceRange(wanted)) ?? []
    if (range === undefined) return wanted
    throw new UserError(
      `Cannot use --service-cidr ${wanted}: it must not overlap with ${range.replace(/\/32$/, '')}, which ${whose}`,
    )
  }
  const free = RANGES.find((range) => takenBy(range) === undefined)
  if (free === undefined) throw new UserError('Cannot find a free range for Services: name one by --service-cidr')
  return free
}

/** A network with addresses of its own. */
export interface OwnNetwork {
  readonly tenant: string
  readonly name: string
  readonly cidr: string
}

/** Pods do not reach Services whose addresses their own network has. Pure. Throws {@link UserError}. */
export function checkNetworks(range: string, networks: readonly OwnNetwork[]): void {
  const found = networks.find(({ cidr }) => overlaps(range, cidr))
  if (found === undefined) return
  throw new UserError(
    `Cannot use --service-cidr ${range}: it must not overlap with ${found.cidr}, which the network (Vpc) "${found.name}" of tenant "${found.tenant}" has`,
  )
}

/** Where addresses of Services may be, in all of the cluster: {@link SERVICE_NETWORKS}, and what was named outside of it. Pure. */
export function serviceNetworksOf(all: readonly Readonly<Partition>[]): string[] {
  const others = serviceRangesOf(all).filter(
    (range) => parseIpv4Block(range) !== undefined && !SERVICE_NETWORKS.some((known) => overlaps(known, range)),
  )
  return [...SERVICE_NETWORKS, ...new Set(others.toSorted())]
}

function serviceRangesOf(all: readonly Readonly<Partition>[]): string[] {
  return [...all.map(({ spec }) => spec.serviceCIDR ?? HOME_RANGE), ...all.flatMap(keptRanges)]
}

function keptRanges({ metadata }: Readonly<Partition>): string[] {
  return metadata.annotations?.[KEPT_ANNOTATION]?.split(',') ?? []
}

function podBlocksOf({ spec }: Readonly<Partition>): string[] {
  return [...(spec.podCIDRs ?? []), ...(spec.podBlocks ?? []).map(({ cidr }) => cidr)]
}

/** Addresses of its API servers. */
function hostsOf({ spec }: Readonly<Partition>): string[] {
  return spec.endpoints.map((endpoint) => new URL(endpoint).hostname)
}

/** False for what is no block. */
function overlaps(a: string, b: string): boolean {
  const [one, other] = [parseIpv4Block(a), parseIpv4Block(b)]
  return one !== undefined && other !== undefined && doIpv4BlocksOverlap(one, other)
}

/**
 * Whether Services that moved away with their tenants may have addresses of an empty partition's range, which it holds for them. True when it does not
 * answer.
 */
export async function holdsAddresses(client: Client): Promise<boolean> {
  try {
    const { items } = await client.list(ipaddresses, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) })
    return items.some(({ spec }) => splitQualifiedName(spec?.parentRef?.namespace ?? '')?.tenant !== SYSTEM_TENANT)
  } catch {
    return true
  }
}

/** Sees to it that no partition gets the range. */
export async function keepRange(client: Client, range: string): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    const home = (await client.list(partitions)).items.find(({ spec }) => spec.home === true)
    if (home === undefined || keptRanges(home).includes(range)) return
    const annotations = { ...home.metadata.annotations, [KEPT_ANNOTATION]: [...keptRanges(home), range].join() }
    try {
      await client.update(partitions, { ...home, metadata: { ...home.metadata, annotations } })
      return
    } catch (error) {
      if (!isStatus(error, 'Conflict') || attempt === ATTEMPTS_MAX) throw error
    }
  }
}
