import type { KubeObject } from '@centaurus/api'
import type { Clock, Logger, Random } from '@centaurus/base'
import {
  createEventRecorder,
  createWorkQueue,
  PendingWrites,
  runController,
  type Client,
  type EventRecorder,
  type Informer,
  type InformerFactory,
  type ReconcileResult,
  type RunningController,
  type WorkQueue,
} from '@centaurus/client'
import type { NodeAuthority } from './node-authority.ts'

/** Everything a controller may touch. */
export interface ControllerDeps {
  readonly client: Client
  readonly informers: InformerFactory
  readonly clock: Clock
  readonly logger: Logger
  readonly random: Random
  /** How far to believe what {@link informers} say of nodes; absent: they are all this partition's own. */
  readonly nodeAuthority?: NodeAuthority | undefined
}

/** Looked at again after this long when a cache does not yet show our own writes and no event comes. */
export const UNSETTLED_RECHECK_MS = 5_000

export interface ReconcilerOptions<T extends KubeObject> {
  readonly name: string
  /** Component that its events name; absent: {@link name}. */
  readonly component?: string | undefined
  readonly workers?: number | undefined
  /** The longest rest of a key after long work; see the work queue. */
  readonly restMsMax?: number | undefined
  /** Holds the objects that keys name. */
  readonly informer: Informer<T>
  /** Others that must be synced before the first key is worked on. */
  readonly needs?: readonly Syncing[] | undefined
  /** Subscribes to what makes keys dirty. */
  readonly watch: (context: ReconcilerContext) => readonly (() => void)[]
  /** One object as the cache has it; undefined when it is gone. Runs only when the cache shows this key's own writes. */
  readonly reconcile: (key: string, context: ReconcilerContext, signal: AbortSignal) => Promise<ReconcileResult>
}

/** An informer of any type, as far as waiting for it goes. */
export type Syncing = Pick<Informer<KubeObject>, 'synced' | 'whenSynced'>

export interface ReconcilerContext extends ControllerDeps {
  readonly queue: WorkQueue
  readonly writes: PendingWrites
  readonly events: EventRecorder
}

const WORKERS = 5

/** Starts a controller: its queue, workers, event recorder and subscriptions, all of which end with `close`. */
export function startReconciler<T extends KubeObject>(
  deps: ControllerDeps,
  options: ReconcilerOptions<T>,
): RunningController {
  const { name, informer, needs = [] } = options
  const events = createEventRecorder({ ...deps, component: options.component ?? name })
  const queue = createWorkQueue({ clock: deps.clock, restMsMax: options.restMsMax })
  const context: ReconcilerContext = { ...deps, queue, writes: new PendingWrites(deps.clock), events }
  const unsubscribe = options.watch(context)
  const running = runController({
    name,
    queue,
    workers: options.workers ?? WORKERS,
    logger: deps.logger,
    async reconcile(key, signal) {
      await whenAllSynced([informer, ...needs], signal)
      if (!context.writes.isSettled(key)) return { requeueAfterMs: UNSETTLED_RECHECK_MS }
      return options.reconcile(key, context, signal)
    },
  })
  return {
    name,
    queue,
    async close() {
      for (const remove of unsubscribe) remove()
      await running.close()
      await events.close()
    },
  }
}

async function whenAllSynced(informers: readonly Syncing[], signal: AbortSignal): Promise<void> {
  for (const informer of informers) if (!informer.synced) await informer.whenSynced(signal)
}
