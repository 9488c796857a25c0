import { badRequest } from '@centaurus/api'

/** Items of one request. A scheduler's batch has 256; more wait for the next. */
export const CLAIM_ITEMS_MAX = 2_048
/** Different resources that one claim may ask for; of a device there are three. */
const RESOURCES_MAX = 256
/** Host ports of one claim. */
const PORTS_MAX = 256
/** Pods that may be leaving a node at once. */
const LEAVING_MAX = 1_024
/** Longest uid, node, tenant, namespace or name. */
const TEXT_LENGTH_MAX = 253

/** By resource: cpu in milli-cores, everything else in units (bytes, devices; `pods` counts pods); and by GPU (`deviceAmounts`). Whole numbers ≥ 0. */
export type Amounts = Readonly<Record<string, number>>

/** A port of the host; `ip` 0.0.0.0 collides with every other. */
export interface HostPort {
  readonly ip: string
  readonly protocol: string
  readonly port: number
}

/** Asks for room for a pod on a node. Its `pods` is always 1. */
export interface ClaimRoom {
  readonly op: 'claim'
  /** Of the pod; names the claim. */
  readonly uid: string
  readonly tenant: string
  readonly namespace: string
  readonly name: string
  readonly node: string
  readonly requests: Amounts
  readonly ports?: readonly HostPort[] | undefined
  readonly priority?: number | undefined
  /** Takes the claim over from this partition. Only for a partition's own use: requests do not carry it. */
  readonly from?: string | undefined
  /**
   * What the pod's node has given it already: when `requests` do not fit, the claim is this, even on a node that has no room for it. Changes a
   * claim and makes none. Only for a partition's own use.
   */
  readonly given?: Amounts | undefined
}

/** Gives room back. A claim that is not there is released already. */
export interface ReleaseRoom {
  readonly op: 'release'
  readonly uid: string
  /** Only from this node; absent: wherever it is. */
  readonly node?: string | undefined
  /** Only when the claim was made, or made again, at this epoch or before; absent: always. */
  readonly epochMax?: number | undefined
}

/**
 * Asks that pods of other partitions make room for a more important one, and that it is kept for it until it is claimed, wherever. Nothing is claimed.
 * The same again changes nothing; before another node is asked, what is kept must be withdrawn.
 */
export interface PreemptRoom extends Omit<ClaimRoom, 'op' | 'from' | 'given'> {
  readonly op: 'preempt'
  /** Pods of the partition that asks which are leaving the node, by uid. */
  readonly leaving: readonly string[]
}

/** Gives up what {@link PreemptRoom} asked for. */
export interface WithdrawRoom {
  readonly op: 'withdraw'
  readonly uid: string
}

export type ClaimItem = ClaimRoom | ReleaseRoom | PreemptRoom | WithdrawRoom

/** Body of `POST /partition/v1/claims`. */
export interface ClaimsRequest {
  /** The tenant partition that asks. */
  readonly partition: string
  /** Of its scheduler; a lower one than was seen is refused as a whole (409, cause `StaleEpoch`). */
  readonly epoch: number
  /**
   * Grows with each request of an epoch, also when one is sent again: what was delayed so long that a later request was answered is refused
   * (409, cause `StaleRequest`), so that it can't undo what came after it.
   */
  readonly sequence: number
  readonly items: readonly ClaimItem[]
}

export interface ClaimAnswer {
  readonly uid: string
  readonly result: 'accepted' | 'refused' | 'released' | 'nominated' | 'withdrawn'
  /** Of a nomination: pods that must leave first; 0: the room is there. */
  readonly victims?: number | undefined
  /** Of a refusal: `OutOf<resource>`, `NodePorts`, `NodeNotFound`, `TenantElsewhere`, `ClaimedElsewhere`, `NominatedElsewhere` or `TooManyNominations`. */
  readonly reason?: string | undefined
  /** Of a refusal, for people. */
  readonly message?: string | undefined
  /** Of a refusal: what the node has left; never below 0. */
  readonly free?: Amounts | undefined
}

/** Answer of `POST /partition/v1/claims`: one item a request's item, in order. Everything accepted is durable. */
export interface ClaimsResponse {
  readonly epoch: number
  readonly items: readonly ClaimAnswer[]
}

export type HeldClaim = readonly [uid: string, node: string, tenant: string]

/** A line of `GET /partition/v1/claims?epoch=…`: what the caller claimed, or claimed again, at that epoch. */
export interface HeldClaimsLine {
  readonly held: readonly HeldClaim[]
}

/** Reads the body of a claims request. Throws BadRequest. */
export function parseClaimsRequest(body: unknown): ClaimsRequest {
  const { partition, epoch, sequence, items } = asRecord(body, 'body')
  if (!Array.isArray(items) || items.length > CLAIM_ITEMS_MAX) {
    throw badRequest(`items: must be a list of at most ${CLAIM_ITEMS_MAX}`)
  }
  return {
    partition: readText(partition, 'partition'),
    epoch: readWhole(epoch, 'epoch'),
    sequence: readWhole(sequence, 'sequence'),
    items: items.map((item, i) => parseItem(item, `items[${i}]`)),
  }
}

function parseItem(value: unknown, path: string): ClaimItem {
  const item = asRecord(value, path)
  const uid = readText(item['uid'], `${path}.uid`)
  if (item['op'] === 'release') {
    const node = item['node'] === undefined ? undefined : readText(item['node'], `${path}.node`)
    return { op: 'release', uid, node }
  }
  if (item['op'] === 'withdraw') return { op: 'withdraw', uid }
  if (item['op'] === 'preempt')
    return { op: 'preempt', uid, ...parseRoom(item, path), leaving: readUids(item['leaving'], `${path}.leaving`) }
  if (item['op'] !== 'claim') throw badRequest(`${path}.op: must be "claim", "release", "preempt" or "withdraw"`)
  return { op: 'claim', uid, ...parseRoom(item, path) }
}

function parseRoom(item: Readonly<Record<string, unknown>>, path: string): Omit<ClaimRoom, 'op' | 'uid'> {
  return {
    tenant: readText(item['tenant'], `${path}.tenant`),
    namespace: readText(item['namespace'], `${path}.namespace`),
    name: readText(item['name'], `${path}.name`),
    node: readText(item['node'], `${path}.node`),
    requests: readAmounts(item['requests'], `${path}.requests`),
    ports: readPorts(item['ports'], `${path}.ports`),
    priority: Number.isSafeInteger(item['priority']) ? (item['priority'] as number) : 0,
  }
}

function readUids(value: unknown, path: string): readonly string[] {
  if (!Array.isArray(value) || value.length > LEAVING_MAX) {
    throw badRequest(`${path}: must be a list of at most ${LEAVING_MAX}`)
  }
  return value.map((uid, i) => readText(uid, `${path}[${i}]`))
}

function readAmounts(value: unknown, path: string): Amounts {
  const entries = Object.entries(asRecord(value, path))
  if (entries.length > RESOURCES_MAX) throw badRequest(`${path}: must have at most ${RESOURCES_MAX} resources`)
  for (const [name, amount] of entries) readWhole(amount, `${path}.${name}`)
  return value as Amounts
}

function readPorts(value: unknown, path: string): readonly HostPort[] {
  if (value === undefined) return NO_PORTS
  if (!Array.isArray(value) || value.length > PORTS_MAX)
    throw badRequest(`${path}: must be a list of at most ${PORTS_MAX}`)
  if (value.length === 0) return NO_PORTS
  return value.map((entry, i) => {
    const { ip, protocol, port } = asRecord(entry, `${path}[${i}]`)
    return {
      ip: readText(ip, `${path}[${i}].ip`),
      protocol: readText(protocol, `${path}[${i}].protocol`),
      port: readWhole(port, `${path}[${i}].port`),
    }
  })
}

/** Shared by all claims without host ports. */
export const NO_PORTS: readonly HostPort[] = []

function asRecord(value: unknown, path: string): Record<string, unknown> {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value as Record<string, unknown>
  throw badRequest(`${path}: must be an object`)
}

/** Names become parts of keys: no slashes. */
function readText(value: unknown, path: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= TEXT_LENGTH_MAX && !value.includes('/')) return value
  throw badRequest(`${path}: must be text of at most ${TEXT_LENGTH_MAX} characters without "/"`)
}

function readWhole(value: unknown, path: string): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= 0) return value
  throw badRequest(`${path}: must be a whole number of at least 0`)
}
