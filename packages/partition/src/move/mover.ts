import { createWorkQueue, runController, type RunningController } from '@centaurus/client'
import { departureChange } from '@centaurus/apiserver'
import type { Logger } from '@centaurus/base'
import type { Store } from '@centaurus/store'
import type { Membership } from '../membership/membership.ts'
import type { OpenLink } from '../membership/partition-link.ts'
import { cleanTenant } from './clean-tenant.ts'
import { copyDecision, decideMove, tellMove, type MoveReason, type RegistryDeps } from './decide-move.ts'
import { fetchTenant } from './fetch-tenant.ts'
import { TenantImport } from './import-tenant.ts'
import { planMove, type MoveStep } from './plan-move.ts'
import { holdReservations, settleReservations } from './service-reservations.ts'
import type { TenantFence, TenantFences } from './tenant-fence.ts'

/** Tenants that are worked on at the same time. */
const MOVES_AT_ONCE = 2
/** How often a partition looks whether its nodes have taken over the pods of a tenant that left. */
const CLEAN_RECHECK_MS = 500
const FETCH_RETRY_MS = 500
/** How long a move waits for the registry's copy to show it; then the next look at the tenant goes on. */
const LEARN_TIMEOUT_MS = 5_000

export interface MoverDeps extends RegistryDeps {
  readonly store: Store
  readonly fences: TenantFences
  readonly membership: Membership
  readonly openLink: OpenLink
  readonly logger: Logger
  /**
   * Whether the nodes of this partition have what they need of the tenant from where it lives now, so that originals here can go. Absent: there
   * are no nodes.
   */
  readonly isTakenOver?: ((tenant: string) => boolean) | undefined
  /** Forgets what the tenant used of its quota here. */
  readonly dropUsage?: ((tenant: string) => Promise<void>) | undefined
}

/** What is known of a move that this partition made, to tell people. */
interface MoveFacts {
  readonly from: string
  readonly objects: number
  readonly frozenAtMs: number
}

/**
 * Moves tenants as `Tenant.spec.partition` wants it: the partition that shall have a tenant fetches it, stops its writes at the old one for the last
 * changes, and takes over by one write to the registry, which alone decides. The old one then removes what it had. Every step may be repeated after
 * a crash of either side.
 */
export function startMover(deps: MoverDeps): RunningController {
  const { membership, fences, logger, clock } = deps
  const mover = new Mover(deps)
  const queue = createWorkQueue({ clock })
  const addAll = (): void => {
    for (const { metadata } of membership.tenants()) queue.add(metadata.name)
    for (const name of fences.names()) queue.add(name)
  }
  const stop = membership.onChange(addAll)
  addAll()
  const controller = runController({
    name: 'tenant-move-controller',
    queue,
    workers: MOVES_AT_ONCE,
    logger,
    reconcile: (name, signal) => mover.reconcile(name, signal),
  })
  return {
    ...controller,
    async close() {
      stop()
      await controller.close()
    },
  }
}

type Again = { readonly requeueAfterMs: number } | undefined

class Mover {
  readonly #deps: MoverDeps
  readonly #facts = new Map<string, MoveFacts>()
  /** Tenants whose last try failed, which people were told. */
  readonly #failing = new Set<string>()

  constructor(deps: MoverDeps) {
    this.#deps = deps
  }

  async reconcile(name: string, signal: AbortSignal): Promise<Again> {
    const { membership, fences, clock } = this.#deps
    const place = { self: membership.self, fence: fences.get(name), nowMs: clock.now() }
    const step = planMove(membership.tenant(name), place)
    switch (step.type) {
      case 'nothing':
        return undefined
      case 'wait':
        return { requeueAfterMs: step.ms }
      case 'fetch':
        return this.#tryFetch(name, step, signal)
      case 'serve':
        await this.#serve(name, step.epoch)
        return undefined
      case 'leave':
        await fences.set(name, { state: 'gone', epoch: step.epoch }, (current) => current.epoch <= step.epoch)
        return { requeueAfterMs: 0 }
      case 'thaw':
        await decideMove(name, { from: membership.self, epoch: step.epoch, to: membership.self }, this.#deps)
        return undefined
      case 'clean':
        return this.#clean(name)
      case 'forget':
        await settleReservations(this.#deps.store, name)
        await fences.remove(name)
        return undefined
    }
  }

  /** The source may be away, or its copy of the registry behind: that is nothing to wait longer and longer for. */
  async #tryFetch(name: string, step: Extract<MoveStep, { type: 'fetch' }>, signal: AbortSignal): Promise<Again> {
    try {
      await this.#fetch(name, step, signal)
      this.#failing.delete(name)
      return undefined
    } catch (error) {
      signal.throwIfAborted()
      this.#deps.logger.warn('Could not fetch a tenant, will retry', { tenant: name, from: step.from, error })
      this.#failing.add(name)
      const message = `Could not copy from partition "${step.from}", trying again: ${(error as Error).message}`
      await this.#tell(name, { epoch: step.epoch - 1, reason: 'Copying', message })
      return { requeueAfterMs: FETCH_RETRY_MS }
    }
  }

  async #fetch(name: string, step: Extract<MoveStep, { type: 'fetch' }>, signal: AbortSignal): Promise<void> {
    const { membership, fences, store, openLink, clock, logger } = this.#deps
    const { from, epoch } = step
    const source = membership.get(from)
    if (source === undefined) throw new Error(`Tenant "${name}" lives in partition ${from}, which is not registered`)
    const before = epoch - 1
    const begun = await fences.set(name, { state: 'fetching', epoch: before }, (current) => current.epoch <= before)
    if (begun === undefined) return // the registry has gone on
    const message = `Copying from partition "${from}"`
    if (!this.#failing.has(name)) await this.#tell(name, { epoch: before, reason: 'Copying', message })
    const link = openLink(source)
    const target = new TenantImport(store, name, fences.comparison(name))
    try {
      let frozenAtMs = 0
      const onFreeze = (): void => void (frozenAtMs = clock.monotonicMs())
      await fetchTenant(link, target, { tenant: name, epoch: before, clock, signal, onFreeze })
      this.#facts.set(name, { from, objects: target.entries, frozenAtMs })
      const decided = await decideMove(name, { from, epoch, to: membership.self }, this.#deps)
      // first: nobody writes before this partition's registry shows the tenant, and then many hear of it and take their time
      const isNew = await this.#letIn(name, epoch)
      if (decided !== undefined) await copyDecision(store, decided)
      logger.info('Took over a tenant', { tenant: name, from, epoch })
      if (isNew && (await this.#learnMove(name, epoch, signal))) await this.#settle(name, epoch)
    } finally {
      void link.close() // it waits for answers that nobody needs any more, and the tenant must not wait for that
    }
  }

  /** Resolves when this partition's copy of the registry knows where it decided that the tenant lives; false: it takes too long. */
  async #learnMove(name: string, epoch: number, signal: AbortSignal): Promise<boolean> {
    const { membership, clock } = this.#deps
    const isKnown = (): boolean => (membership.tenant(name)?.status?.epoch ?? 0) >= epoch
    if (isKnown()) return true
    const known = Promise.withResolvers<void>()
    const stop = membership.onChange(() => {
      if (isKnown()) known.resolve()
    })
    await Promise.race([known.promise, clock.sleep(LEARN_TIMEOUT_MS, { signal })])
    stop()
    return isKnown()
  }

  async #serve(name: string, epoch: number): Promise<void> {
    const { membership } = this.#deps
    const { status } = membership.tenant(name) ?? {}
    if (status?.partition !== membership.self || status.epoch !== epoch) return // it has gone on
    if (await this.#letIn(name, epoch)) await this.#settle(name, epoch)
  }

  /** Lets writes in that come when the tenant is served here. Whether something is to be put in order then. */
  async #letIn(name: string, epoch: number): Promise<boolean> {
    const { fences } = this.#deps
    const isBefore = (current: TenantFence): boolean =>
      current.epoch < epoch || (current.epoch === epoch && current.state !== 'serving')
    await fences.set(name, { state: 'serving', epoch, isNew: true }, isBefore)
    return fences.get(name).isNew === true
  }

  /** Puts in order what is here of the time before the tenant came. */
  async #settle(name: string, epoch: number): Promise<void> {
    const { fences, store, membership, clock } = this.#deps
    const facts = this.#facts.get(name)
    this.#facts.delete(name)
    const stoppedMs = facts === undefined ? undefined : Math.ceil(clock.monotonicMs() - facts.frozenAtMs)
    // what its nodes were told late of the time before is no copy of anything any more
    await cleanTenant(store, { tenant: name, kind: 'copies', guard: fences.comparison(name) })
    await settleReservations(store, name)
    const isSame = (current: TenantFence): boolean => current.state === 'serving' && current.epoch === epoch
    await fences.set(name, { state: 'serving', epoch }, isSame)
    if (facts === undefined) return
    const what = `Took over ${facts.objects} objects from partition "${facts.from}"`
    const message = `${what} to "${membership.self}"; writes stopped for ${stoppedMs} ms`
    await this.#tell(name, { epoch, reason: 'TookOver', message })
  }

  async #clean(name: string): Promise<Again> {
    const { fences, store, membership, isTakenOver, dropUsage, logger } = this.#deps
    const tenant = membership.tenant(name)
    if (tenant !== undefined && isTakenOver?.(name) === false) return { requeueAfterMs: CLEAN_RECHECK_MS }
    const { epoch, state } = fences.get(name)
    const guard = fences.comparison(name)
    if (state === 'gone') await holdReservations(store, name, guard)
    const count = await cleanTenant(store, { tenant: name, kind: 'originals', guard })
    await dropUsage?.(name)
    await store.commit({ compare: [guard], changes: [departureChange(name)] })
    if (tenant !== undefined) {
      const reason: MoveReason = state === 'gone' ? 'CleanedUp' : 'CalledOff'
      const message = state === 'gone' ? {} : { message: 'The move was called off' }
      await tellMove(name, { epoch, reason, ...message }, this.#deps) // people wait for this: again until home hears it
    }
    await fences.set(name, { state: 'away', epoch }, (current) => current.state === state && current.epoch === epoch)
    logger.info('Removed what was left of a tenant', { tenant: name, objects: count, epoch })
    return tenant === undefined ? { requeueAfterMs: 0 } : undefined
  }

  /** The registry shows how it goes; nothing depends on that. */
  async #tell(name: string, told: Parameters<typeof tellMove>[1]): Promise<void> {
    try {
      await tellMove(name, told, this.#deps)
    } catch (error) {
      this.#deps.logger.warn('Could not tell how a move goes', { tenant: name, error })
    }
  }
}
