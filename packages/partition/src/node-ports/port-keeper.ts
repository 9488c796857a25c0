import { portsFrom, type StoredObjects } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import { createWorkQueue, runController, type RunningController } from '@centaurus/client'
import type { PortsPeer } from './lend-ports.ts'
import { holderOf } from './lend-ports.ts'
import { findUsedPorts } from './node-ports-extension.ts'
import type { NodePorts } from './node-ports.ts'

/** Ports that a partition wants to have free, so that Services need not wait for home. */
const FREE_PORTS_MIN = 16
/** A borrowed port that no Service has got after this goes back: who asked for it was refused for another reason, or crashed. */
const UNUSED_MS = 60_000
const RECHECK_MS = 30_000
const KEYS = ['more', 'unused', 'orphans'] as const

export interface PortKeeperDeps {
  readonly nodePorts: NodePorts
  readonly stored: Pick<StoredObjects, 'tenants' | 'list'>
  /** Whether it is to have ports before somebody asks for one. */
  readonly hasTenants: boolean
  readonly clock: Clock
  readonly logger: Logger
  /** Default {@link UNUSED_MS}. */
  readonly unusedMs?: number | undefined
  /** Default {@link RECHECK_MS}. */
  readonly recheckMs?: number | undefined
}

/** Keeps some node ports at hand, returns those that are not used any more, and takes back what partitions had that left. One server of a partition runs it. */
export function startPortKeeper(deps: PortKeeperDeps): RunningController {
  const { nodePorts, clock, logger, recheckMs = RECHECK_MS } = deps
  const queue = createWorkQueue({ clock })
  let seen: string | undefined
  const review = (): void => {
    const now = nodePorts.membership
      .list()
      .map(({ metadata, spec }) => `${metadata.uid} ${spec.nodePorts?.join()}`)
      .join('\n')
    if (now === seen) return
    seen = now
    for (const key of KEYS) queue.add(key)
  }
  const remove = nodePorts.membership.onChange(review)
  review()
  const running = runController({
    name: 'node-port-keeper',
    queue,
    workers: 1,
    logger,
    async reconcile(key) {
      if (key === 'more' && deps.hasTenants) await fetchMore(nodePorts)
      if (key === 'unused') await returnUnused(deps)
      if (key === 'orphans') await settleOrphans(deps)
      return { requeueAfterMs: recheckMs }
    },
  })
  return {
    ...running,
    async close() {
      remove()
      await running.close()
    },
  }
}

async function fetchMore(nodePorts: NodePorts): Promise<void> {
  const taken = await nodePorts.store.holders()
  let free = 0
  for (const port of portsFrom(nodePorts.ranges(), 0)) if (!taken.has(port)) free++
  if (free < FREE_PORTS_MIN) await nodePorts.grow()
}

async function returnUnused({ nodePorts, clock, unusedMs = UNUSED_MS }: PortKeeperDeps): Promise<void> {
  const { store, membership } = nodePorts
  for (const [port, known] of await store.allBorrowed()) {
    const { from, state, atMs } = known.value
    if (state !== 'returning' && clock.now() - atMs < unusedMs) continue
    if (membership.get(from) === undefined) continue // who takes its place asks for it
    const returning = state === 'returning' ? known : await store.beginReturn(port, known)
    if (returning === undefined) continue // it is in use
    await nodePorts.ask(from, { op: 'return', port })
    await store.removeBorrowed(port, returning.modRevision)
  }
}

/**
 * Ports that were given to partitions which are no more. Their tenants live elsewhere, and may have Services with them: every partition is asked, and until
 * each has answered all stay as they are.
 */
async function settleOrphans({ nodePorts, stored }: PortKeeperDeps): Promise<void> {
  const { store, membership } = nodePorts
  if (membership.get(membership.self) === undefined) return
  const orphans = new Map(
    [...(await store.holders())].filter(
      ([, { value }]) => value.partition !== undefined && membership.get(value.partition)?.metadata.uid !== value.uid,
    ),
  )
  if (orphans.size === 0) return
  const before = findUsedPorts(stored)
  const users = await findUsers(nodePorts, [...orphans.keys()])
  const own = new Map([...before, ...findUsedPorts(stored)]) // one that moved away meanwhile was not seen there
  for (const [port, { modRevision }] of orphans) {
    const user = users.get(port)
    const service = own.get(port)
    if (user !== undefined) await store.putHolder(port, holderOf(user, 'lent'), modRevision)
    else if (service !== undefined) await store.putHolder(port, { service }, modRevision)
    else await store.removeHolder(port, modRevision)
  }
}

async function findUsers(nodePorts: NodePorts, ports: readonly number[]): Promise<Map<number, PortsPeer>> {
  const users = new Map<number, PortsPeer>()
  const { membership } = nodePorts
  for (const { metadata, spec } of membership.list()) {
    if (metadata.name === membership.self || spec.endpoints.length === 0) continue
    const { ports: used } = await nodePorts.ask(metadata.name, { op: 'adopt', ports })
    if (used === undefined) throw new Error(`Partition "${metadata.name}" does not say which node ports it uses`)
    for (const port of used) users.set(port, { name: metadata.name, uid: metadata.uid })
  }
  return users
}
