import type { ObjectReader } from '@centaurus/apiserver'
import type { Clock, Logger, Random } from '@centaurus/base'
import { createInformerFactory, type Client } from '@centaurus/client'
import type { Store } from '@centaurus/store'
import { HomeMemory } from './home-memory.ts'
import type { Membership } from './membership.ts'
import { startPartitionHealth } from './partition-health.ts'
import { startRegistryFollower, type RegistryFollower } from './registry-follower.ts'
import { startStatusReporter } from './status-reporter.ts'

export interface MembershipSyncOptions {
  readonly membership: Membership
  readonly reader: ObjectReader
  readonly store: Store
  /** Of this partition. */
  readonly client: Client
  /** Of the home partition, as this partition; undefined in home itself. Stays open. */
  readonly home: Client | undefined
  /** Why this partition does not believe another one; undefined: it does. */
  readonly whyFenced?: ((partition: string) => string | undefined) | undefined
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

export interface MembershipSync {
  /** Why home is not believed (its store went back in time, or is another one); undefined when it is, and in home itself. */
  readonly homeFence: string | undefined
  close(): Promise<void>
}

/** Keeps a partition and the registry at home in agreement. One server of a partition runs it at a time. */
export async function startMembershipSync(options: MembershipSyncOptions): Promise<MembershipSync> {
  return options.home === undefined ? startAtHome(options) : startElsewhere({ ...options, home: options.home })
}

function startAtHome(options: MembershipSyncOptions): MembershipSync {
  const { client } = options
  const informers = createInformerFactory(client, options)
  const health = startPartitionHealth({ ...options, informers })
  const reporter = startStatusReporter({ ...options, home: client, memory: undefined })
  return {
    homeFence: undefined,
    async close() {
      await Promise.all([reporter.close(), health.close()])
      await informers.close()
    },
  }
}

async function startElsewhere(options: MembershipSyncOptions & { readonly home: Client }): Promise<MembershipSync> {
  const memory = await HomeMemory.open(options.store, options.logger)
  const follow = (): RegistryFollower => startRegistryFollower({ ...options, memory })
  let follower = follow()
  let restarting = Promise.resolve()
  memory.onReadmitted = () => {
    restarting = restarting.then(() => follower.close()).then(() => void (follower = follow()))
  }
  const reporter = startStatusReporter({ ...options, memory })
  return {
    get homeFence() {
      return memory.fence
    },
    async close() {
      await reporter.close()
      await restarting
      await follower.close()
    },
  }
}
