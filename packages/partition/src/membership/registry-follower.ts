import { partitions, tenants } from '@centaurus/api/centaurus/v1'
import type { ObjectReader } from '@centaurus/apiserver'
import type { Clock, Logger, Random } from '@centaurus/base'
import { createInformerFactory, createWorkQueue, runController, type Client } from '@centaurus/client'
import type { Store } from '@centaurus/store'
import type { HomeMemory } from './home-memory.ts'
import { planRegistryCopies, type CopyStep } from './registry-copy.ts'

/** Changes in one commit; etcd takes 128 operations of a transaction by default. */
const STEPS_PER_COMMIT_MAX = 100
/** Only one thing is worked on: the whole registry. */
const KEY = 'registry'

export interface RegistryFollowerOptions {
  /** Of the home partition, as this partition. Stays open. */
  readonly home: Client
  readonly store: Store
  /** This partition's watch cache. */
  readonly reader: ObjectReader
  readonly memory: HomeMemory
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export interface RegistryFollower {
  /** True when home's registry was copied as far as it is known, since the start. */
  readonly synced: boolean
  close(): Promise<void>
}

/**
 * Keeps copies of home's partitions and tenants in this partition's store, under the keys that they have there. While home is away,
 * or is not believed, everything stays as it is; nothing is deleted unless a complete list from home lacks it.
 */
export function startRegistryFollower(options: RegistryFollowerOptions): RegistryFollower {
  const { home, clock, logger } = options
  const informers = createInformerFactory(home, options)
  const sources = [informers.informer(partitions), informers.informer(tenants)] as const
  const queue = createWorkQueue({ clock })
  const add = (): void => queue.add(KEY)
  for (const source of sources) {
    source.addHandler({ onAdd: add, onUpdate: add, onDelete: add })
    source.whenSynced().then(add, () => {}) // closed before home answered
  }
  let synced = false
  const running = runController({
    name: 'registry-follower',
    queue,
    workers: 1,
    logger,
    async reconcile() {
      if (!sources.every((source) => source.synced)) return
      await copyRegistry(options, { partitions: sources[0].list(), tenants: sources[1].list() })
      synced = true
    },
  })
  return {
    get synced() {
      return synced
    },
    async close() {
      await running.close()
      await informers.close()
    },
  }
}

async function copyRegistry(
  { home, store, reader, memory }: RegistryFollowerOptions,
  content: Parameters<typeof planRegistryCopies>[0],
): Promise<void> {
  const own = content.partitions.find((partition) => partition.spec.home === true)
  if (own === undefined) throw new Error('Home does not know itself: its list of partitions is not believed')
  // The content is from before this question: a home that goes back in time after it makes new content, and another question.
  if (!(await memory.probe(() => revisionOf(home)))) return
  if (!(await memory.identify(own.metadata.uid))) return
  const steps = planRegistryCopies(content, { partitions: reader.list(partitions), tenants: reader.list(tenants) })
  for (let first = 0; first < steps.length; first += STEPS_PER_COMMIT_MAX) {
    await commitSteps(store, steps.slice(first, first + STEPS_PER_COMMIT_MAX))
  }
  if (steps.length > 0) await memory.save()
}

/** Revision of home's store now. */
async function revisionOf(home: Client): Promise<number> {
  return Number((await home.list(partitions, { limit: 1 })).resourceVersion)
}

async function commitSteps(store: Store, steps: readonly CopyStep[]): Promise<void> {
  const result = await store.commit({
    compare: steps.map((step) => step.compare),
    changes: steps.map((step) => step.change),
  })
  // The cache is behind, or another server of this partition was faster: look again.
  if (!result.committed) throw new Error('The copies of the registry have changed meanwhile')
}
