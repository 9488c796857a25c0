/**
 * Who has which node port. Keys of a partition's store say it of the ports that are taken; the others are the partition's to give when they are in the
 * ranges that it has, or when it has borrowed them.
 */
import type { Service, ServiceSpec } from '@centaurus/api/core/v1'
import { StatusError, SYSTEM_TENANT } from '@centaurus/api'
import { asBuffer } from '../storage/encoding.ts'
import { REGISTRY_PREFIX } from '../storage/keys.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import type { AdmittedWrite } from './admission.ts'

const RETRY_AFTER_SECONDS = 1

/** Inclusive. */
export interface PortRange {
  readonly first: number
  readonly last: number
}

/** Source: kubernetes pkg/kubeapiserver/options DefaultServiceNodePortRange. */
export const NODE_PORT_RANGE: PortRange = { first: 30_000, last: 32_767 }

/** A key a port that is taken: {@link NodePortHolder}. */
export const NODE_PORTS_PREFIX = `${REGISTRY_PREFIX}${SYSTEM_TENANT}/allocations/nodeports/`
/** A key a port that is another partition's and may be used here: {@link BorrowedPort}. */
export const BORROWED_PORTS_PREFIX = `${REGISTRY_PREFIX}${SYSTEM_TENANT}/allocations/borrowednodeports/`

/** Who has a port: a Service, `namespace/name` in the names of the view over all tenants, or another partition. */
export type NodePortHolder =
  | { readonly service: string; readonly partition?: undefined }
  /** `given`: to give out itself, for good. `lent`: until it is returned. */
  | { readonly partition: string; readonly uid: string; readonly how: 'given' | 'lent'; readonly service?: undefined }

export interface BorrowedPort {
  /** Partition whose port it is. */
  readonly from: string
  /** Only a port that is `held` may be used. */
  readonly state: 'asking' | 'held' | 'returning'
  /** When it was asked for, ms since the epoch. */
  readonly atMs: number
}

/** The node ports that a partition may give to Services. */
export interface NodePortPool {
  /** There are no more than these in the cluster. Else who finds none is told to come back. */
  readonly isFull: boolean
  /** Those of its own, as far as no key says that they are taken. */
  ranges(): readonly PortRange[]
  /** Waits for more to choose from, a bounded time. Throws ServiceUnavailable when nobody can be asked. */
  grow(): Promise<void>
  /**
   * Gets a port that is not its own, or that was given away, from who has it; when that is in use nothing changes. Throws ServiceUnavailable when who
   * has it can't be asked.
   */
  acquire(port: number): Promise<void>
}

/** All ports: there are no other partitions. */
export const WHOLE_POOL: NodePortPool = {
  isFull: true,
  ranges: () => [NODE_PORT_RANGE],
  grow: async () => {},
  acquire: async () => {},
}

/** Clients try it again by themselves. */
export function portsUnavailable(cause?: unknown): StatusError {
  return new StatusError({
    reason: 'ServiceUnavailable',
    message: 'node ports can not be allocated at the moment; please try again',
    details: { retryAfterSeconds: RETRY_AFTER_SECONDS },
    cause,
  })
}

/** Whether the port is in one of them. */
export function isInRanges(port: number, ranges: readonly PortRange[]): boolean {
  return ranges.some(({ first, last }) => port >= first && port <= last)
}

/** Every port of the ranges once, from the one at place `start`. */
export function* portsFrom(ranges: readonly PortRange[], start: number): Generator<number, void> {
  const ports = ranges.flatMap(({ first, last }) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
  for (let i = 0; i < ports.length; i++) yield ports[(start + i) % ports.length]!
}

export function countPorts(ranges: readonly PortRange[]): number {
  return ranges.reduce((sum, { first, last }) => sum + last - first + 1, 0)
}

/** Undefined: the port is free. */
export function readHolder(cache: WatchCache, port: number): NodePortHolder | undefined {
  const found = cache.resource(NODE_PORTS_PREFIX).get(String(port))
  return found === undefined ? undefined : (JSON.parse(asBuffer(found.value).toString('utf8')) as NodePortHolder)
}

/** Revision of the record by which a port may be used that is another partition's; undefined: it may not. */
export function borrowedRevision(cache: WatchCache, port: number): number | undefined {
  const found = cache.resource(BORROWED_PORTS_PREFIX).get(String(port))
  if (found === undefined) return undefined
  const { state } = JSON.parse(asBuffer(found.value).toString('utf8')) as BorrowedPort
  return state === 'held' ? found.revision : undefined
}

/** Before a Service is written: sees to it that the ports that it names, and enough others, are the partition's to give. */
export async function preparePorts(write: AdmittedWrite, cache: WatchCache, pool: NodePortPool): Promise<void> {
  if (write.operation === 'delete') return
  const spec = (write.draft as Service).spec ?? {}
  const had = portsOf((write.old as Service | undefined)?.spec)
  const ranges = pool.ranges()
  let hasAsked = false
  for (const port of portsOf(spec)) {
    if (had.has(port) || !Number.isInteger(port) || !isInRanges(port, [NODE_PORT_RANGE])) continue
    const holder = readHolder(cache, port)
    const isOurs = isInRanges(port, ranges) || borrowedRevision(cache, port) !== undefined
    if (holder?.service !== undefined || (holder === undefined && isOurs)) continue
    await pool.acquire(port)
    hasAsked = true
  }
  if (!hasFree(cache, ranges, countAutomatic(spec))) {
    await pool.grow()
    hasAsked = true
  }
  if (hasAsked) await cache.waitCurrent()
}

function countAutomatic(spec: ServiceSpec): number {
  if (!needsNodePorts(spec)) return 0
  return (spec.ports ?? []).filter(({ nodePort }) => (nodePort ?? 0) === 0).length + (needsHealthPort(spec) ? 1 : 0)
}

function hasFree(cache: WatchCache, ranges: readonly PortRange[], count: number): boolean {
  if (count === 0) return true
  const taken = cache.resource(NODE_PORTS_PREFIX)
  let free = 0
  for (const port of portsFrom(ranges, 0)) if (taken.get(String(port)) === undefined && ++free >= count) return true
  return false
}

export function needsNodePorts({ type, allocateLoadBalancerNodePorts }: ServiceSpec): boolean {
  return type === 'NodePort' || (type === 'LoadBalancer' && allocateLoadBalancerNodePorts !== false)
}

export function needsHealthPort({ type, externalTrafficPolicy, healthCheckNodePort }: ServiceSpec): boolean {
  return type === 'LoadBalancer' && externalTrafficPolicy === 'Local' && (healthCheckNodePort ?? 0) === 0
}

/** Node ports that a Service has, or names: each once, the one for health checks included. */
export function portsOf(spec: ServiceSpec | undefined): Set<number> {
  const ports = new Set((spec?.ports ?? []).map((port) => port.nodePort ?? 0))
  ports.add(spec?.healthCheckNodePort ?? 0)
  ports.delete(0)
  return ports
}
