import { isInPodNetwork, isStatus, vpcNameOf, type KubeObject } from '@centaurus/api'
import {
  IDENTITY_MAX,
  networkidentities,
  partitions,
  SYSTEM_VNI,
  vpcs,
  type NetworkIdentity,
  type Vpc,
} from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import type { ApiServerCore, StoredObjects } from '@centaurus/apiserver'
import type { Client } from '@centaurus/client'
import { readOrigin } from '../relay/copies.ts'
import { PODS } from '../relay/needs.ts'
import { findHome } from '../vpcs/vni-allocator.ts'
import { identityKey, IDENTITIES, VPCS, vniKey, type KnownNumbers } from './known-numbers.ts'

/** How often something is written again because somebody else wrote it at the same time. */
const ATTEMPTS_MAX = 20

type Core = Pick<ApiServerCore, 'stored' | 'clientOf'>

/** Home lets nobody take a number of a network that others know of. */
export async function raiseNextVni(client: Client, nextVni: number): Promise<void> {
  await untilWritten(async () => {
    const home = await findHome(client)
    if ((home.spec.nextVni ?? 0) < nextVni)
      await client.update(partitions, { ...home, spec: { ...home.spec, nextVni } })
  })
}

/**
 * Gives no identity a number that others know of, and takes away those that were given since the store was set back while others have them: controllers give
 * new ones. No other partition's nodes have heard of what goes.
 */
export async function respectIdentities({ stored, clientOf }: Core, known: KnownNumbers): Promise<void> {
  for (const { tenant, name, uid } of findOwnVpcs(stored)) {
    const nextKnown = known.nextIdentities.get(uid)
    if (nextKnown === undefined) continue
    const client = clientOf(tenant)
    await untilWritten(async () => {
      const vpc = await client.get(vpcs, { name })
      if (vpc.metadata.uid !== uid) return
      // always greater than it was: whoever has reserved numbers below, which may be those that others know, gives no more of them
      const nextIdentity = Math.min(Math.max(vpc.status?.nextIdentity ?? 0, nextKnown) + 1, IDENTITY_MAX + 1)
      await client.updateStatus(vpcs, { ...vpc, status: { ...vpc.status, nextIdentity } })
    })
    for (const { metadata, spec } of listOwn<NetworkIdentity>(stored, tenant, IDENTITIES)) {
      const holder = spec.vpc === name ? known.holders.get(identityKey(uid, spec.id)) : undefined
      if (holder === undefined || holder === metadata.uid) continue
      const preconditions = { uid: metadata.uid ?? '' }
      await untilWritten(async () => {
        await client.delete(networkidentities, { name: metadata.name ?? '' }, { preconditions })
      })
    }
  }
}

/**
 * Takes the numbers of networks away that networks of others have: controllers give new ones. Returns those, as `tenant/name`, that keep theirs because pods
 * have it: somebody must delete these first.
 */
export async function respectVnis({ stored, clientOf }: Core, { holders }: KnownNumbers): Promise<string[]> {
  const kept: string[] = []
  for (const { tenant, name, uid, vni } of findOwnVpcs(stored)) {
    const holder = vni === undefined ? undefined : holders.get(vniKey(vni))
    if (holder === undefined || holder === uid || vni === SYSTEM_VNI) continue
    const isUsed = listOwn<Pod>(stored, tenant, PODS).some(
      (pod) => isInPodNetwork(pod) && vpcNameOf(pod) === name && (pod.spec?.nodeName ?? '') !== '',
    )
    if (isUsed) {
      kept.push(`${tenant}/${name}`)
      continue
    }
    const client = clientOf(tenant)
    await untilWritten(async () => {
      const vpc = await client.get(vpcs, { name })
      if (vpc.metadata.uid !== uid || vpc.status?.vni !== vni) return
      const { vni: _, ...status } = vpc.status ?? {}
      await client.updateStatus(vpcs, { ...vpc, status })
    })
  }
  return kept
}

interface OwnVpc {
  readonly tenant: string
  readonly name: string
  readonly uid: string
  readonly vni: number | undefined
}

function findOwnVpcs(stored: Pick<StoredObjects, 'tenants' | 'list'>): OwnVpc[] {
  return stored.tenants().flatMap((tenant) =>
    listOwn<Vpc>(stored, tenant, VPCS).map(({ metadata: { name = '', uid = '' }, status }) => {
      return { tenant, name, uid, vni: status?.vni }
    }),
  )
}

/** No copies; as a list, since they are written to meanwhile. */
function listOwn<T extends KubeObject>(stored: Pick<StoredObjects, 'list'>, tenant: string, resource: string): T[] {
  return Array.from(stored.list(tenant, resource))
    .filter(({ value }) => readOrigin(value) === undefined)
    .map((entry) => entry.object() as T)
}

/** What is gone needs nothing. */
async function untilWritten(write: () => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await write()
    } catch (error) {
      if (isStatus(error, 'NotFound')) return
      if (!isStatus(error, 'Conflict') || attempt === ATTEMPTS_MAX) throw error
    }
  }
}
