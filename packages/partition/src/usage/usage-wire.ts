import { badRequest, isRecord } from '@centaurus/api'
import type { ContainersUsage, PodsUsage, Usage, UsageAsk } from '@centaurus/apiserver'
import { decodeText } from '@centaurus/base'

/** Where a partition tells other partitions what pods on its nodes use. */
export const USAGE_PATH = '/partition/v1/usage'
/** Pods of one request: some 40 bytes each there, and 100 a container in the answer. */
export const USAGE_PODS_MAX = 20_000
/** A full request of a pod a node, with long names, stays below. */
export const USAGE_BODY_BYTES_MAX = 8 * 1024 * 1024

/** [end of the window in ms since the epoch, its length in ms, billionths of a core, bytes]. */
type UsageTuple = readonly [number, number, number, number]

/** Parts of at most {@link USAGE_PODS_MAX} pods. Pure. */
export function splitAsks(asks: readonly UsageAsk[]): UsageAsk[][] {
  const parts: UsageAsk[][] = []
  let part: UsageAsk[] = []
  let free = USAGE_PODS_MAX
  for (const { node, pods } of asks) {
    for (let at = 0; at < pods.length;) {
      const some = pods.slice(at, at + free)
      part.push({ node, pods: some })
      at += some.length
      free -= some.length
      if (free > 0) continue
      parts.push(part)
      part = []
      free = USAGE_PODS_MAX
    }
  }
  if (part.length > 0) parts.push(part)
  return parts
}

/** Reads a request. Throws BadRequest. */
export function parseUsageRequest(body: Uint8Array): UsageAsk[] {
  const value = parse(body)
  const nodes = isRecord(value) ? value['nodes'] : undefined
  if (!Array.isArray(nodes)) throw badRequest('nodes: must be a list')
  const asks = nodes.map(parseAsk)
  if (asks.reduce((sum, { pods }) => sum + pods.length, 0) > USAGE_PODS_MAX)
    throw badRequest(`nodes: must have at most ${USAGE_PODS_MAX} pods together`)
  return asks
}

function parseAsk(value: unknown): UsageAsk {
  const { node, pods } = isRecord(value) ? value : {}
  const isUids = Array.isArray(pods) && pods.length > 0 && pods.every((uid) => typeof uid === 'string')
  if (typeof node !== 'string' || !isUids)
    throw badRequest('nodes: each must have the name of a node and the uids of pods')
  return { node, pods: pods as string[] }
}

function parse(body: Uint8Array): unknown {
  try {
    return JSON.parse(decodeText(body))
  } catch {
    throw badRequest('the body is not JSON')
  }
}

export function formatUsageAnswer(usage: PodsUsage): string {
  const pods: Record<string, Record<string, UsageTuple>> = {}
  for (const [uid, containers] of usage) {
    pods[uid] = Object.fromEntries(Array.from(containers, ([name, used]) => [name, toTuple(used)]))
  }
  return JSON.stringify({ pods })
}

/** Reads an answer; what can't be understood of it is left out. */
export function parseUsageAnswer(value: unknown): PodsUsage {
  const found = new Map<string, ContainersUsage>()
  const pods = isRecord(value) ? value['pods'] : undefined
  for (const [uid, containers] of Object.entries(isRecord(pods) ? pods : {})) {
    if (!isRecord(containers)) continue
    const read = Object.entries(containers).map(([name, tuple]) => [name, toUsage(tuple)] as const)
    const known = read.filter((entry): entry is readonly [string, Usage] => entry[1] !== undefined)
    if (known.length > 0 && known.length === read.length) found.set(uid, new Map(known))
  }
  return found
}

function toTuple({ atMs, windowMs, cpuNanoCores, memoryBytes }: Usage): UsageTuple {
  return [atMs, windowMs, cpuNanoCores, memoryBytes]
}

function toUsage(value: unknown): Usage | undefined {
  if (!Array.isArray(value) || value.length !== 4 || !value.every(Number.isFinite)) return undefined
  const [atMs, windowMs, cpuNanoCores, memoryBytes] = value as unknown as UsageTuple
  return { atMs, windowMs, cpuNanoCores, memoryBytes }
}
