import { formatTime, type Stored } from '@centaurus/api'
import { partitions, type Partition } from '@centaurus/api/centaurus/v1'
import type { Clock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { Store } from '@centaurus/store'
import type { Membership } from '../membership/membership.ts'
import { createCidrLedger, type CidrLedger } from './cidr-ledger.ts'
import { planBlock, POD_NETWORK } from './plan-block.ts'

export interface PodBlocksDeps {
  readonly store: Store
  readonly membership: Membership
  /** Of the home partition's `system` tenant. */
  readonly registryClient: Client
  readonly clock: Clock
}

export interface PodBlocks {
  readonly ledger: CidrLedger
  blocks(): readonly string[]
  /** Length of a node's range. */
  nodePrefix(): number
  /** Takes one more block; it shows in {@link blocks} later. False: the cluster has none left. Rejects when home is away, or another partition was faster. */
  grow(): Promise<boolean>
  /** Calls when {@link blocks} says something else. Returns what ends it. */
  onChange(listener: () => void): () => void
}

/**
 * Blocks of pods' addresses that this partition gives to its nodes. It takes them from home by writing itself into home's Partition, which compares: no two partitions
 * get the same, and one that crashes in between finds its name there. From then on it needs nobody.
 */
export function createPodBlocks(deps: PodBlocksDeps): PodBlocks {
  const { store, membership } = deps
  const own = (): Stored<Partition> | undefined => membership.get(membership.self)
  let growing: Promise<boolean> | undefined
  return {
    ledger: createCidrLedger(store),
    blocks: () => own()?.spec.podCIDRs ?? [],
    nodePrefix: () =>
      membership.list().find(({ spec }) => spec.home === true)?.spec.podNetwork?.nodePrefix ?? POD_NETWORK.nodePrefix,
    grow: () => (growing ??= grow(deps).finally(() => (growing = undefined))),
    onChange: (listener) => {
      let before = own()?.spec.podCIDRs
      return membership.onChange(() => {
        const now = own()?.spec.podCIDRs
        if (now?.join() === before?.join()) return
        before = now
        listener()
      })
    },
  }
}

async function grow({ membership, registryClient, clock }: PodBlocksDeps): Promise<boolean> {
  const { self } = membership
  const { items } = await registryClient.list(partitions)
  const own = items.find(({ metadata }) => metadata.name === self)
  const known = membership.get(self)?.spec.podCIDRs ?? []
  if (own?.spec.podCIDRs?.some((cidr) => !known.includes(cidr)) === true) return true // it will show
  const plan = planBlock({ self, now: formatTime(clock.now()), partitions: items })
  if (plan === undefined) return false
  const home = items.find(({ spec }) => spec.home === true)!
  const podCIDRs = [...plan.podCIDRs]
  const spec = { ...home.spec, podBlocks: [...plan.podBlocks], ...(home.metadata.name === self ? { podCIDRs } : {}) }
  // compares the revision: who is later fails, and looks again
  await registryClient.update(partitions, { ...home, spec })
  if (home.metadata.name !== self) {
    const body = { metadata: { uid: own!.metadata.uid }, spec: { podCIDRs } }
    await registryClient.patch(partitions, { name: self }, { type: 'merge', body })
  }
  return true
}
