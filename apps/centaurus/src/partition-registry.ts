import { setTimeout as delay } from 'node:timers/promises'
import { ALL_TENANTS, isStatus, splitQualifiedName, tenantOfViewed, type Stored } from '@centaurus/api'
import { partitions, tenants, vpcs, type Partition, type PartitionRole } from '@centaurus/api/centaurus/v1'
import { nodes } from '@centaurus/api/core/v1'
import type { Client } from '@centaurus/client'
import { findCondition, READY } from '@centaurus/partition'
import { REVISION_SPANS_MAX } from '@centaurus/store'
import { connectToPartition } from './cluster-access.ts'
import type { Home } from './home.ts'
import { hostAddresses } from './host-address.ts'
import { checkNetworks, chooseRange, holdsAddresses, keepRange, type OwnNetwork } from './service-ranges.ts'
import type { PartitionSettings } from './settings.ts'
import { UserError } from './user-error.ts'

/** On home's Partition: how many further ones were ever made; their indexes are never used again. */
const MADE_ANNOTATION = 'centaurus.io/partitions-made'
/** On every further Partition: which one it was. */
const INDEX_ANNOTATION = 'centaurus.io/partition-index'
const ATTEMPTS_MAX = 5
const READY_TIMEOUT_MS = 60_000
const POLL_MS = 100
const REQUEST_TIMEOUT_MS = 5_000

/** Names that a partition may have: a DNS label. Throws {@link UserError}. */
export function checkPartitionName(name: string): void {
  if (/^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$/.test(name)) return
  throw new UserError(
    `Cannot use the name "${name}": it must start with a letter, end with a letter or digit, and hold at most 40 lower case letters, digits and "-"`,
  )
}

export interface NewPartition {
  readonly name: string
  readonly roles: readonly PartitionRole[]
  /** Undefined: the first range that nobody has. */
  readonly serviceRange: string | undefined
  /** Those of tenants in these partitions; asked when a new partition names a range. Absent: there are none. */
  readonly listNetworks?: ((all: readonly Stored<Partition>[]) => Promise<readonly OwnNetwork[]>) | undefined
}

/** Enters a partition into the registry, or finds it there from an attempt that was cut short. Throws {@link UserError}. */
export async function registerPartition(client: Client, wanted: NewPartition): Promise<PartitionSettings> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await tryRegister(client, wanted)
    } catch (error) {
      const isRace = isStatus(error, 'Conflict') || isStatus(error, 'AlreadyExists')
      if (!isRace || attempt === ATTEMPTS_MAX) throw error
    }
  }
}

async function tryRegister(client: Client, wanted: NewPartition): Promise<PartitionSettings> {
  const { name, roles, serviceRange, listNetworks } = wanted
  const { items } = await client.list(partitions)
  const home = items.find(({ spec }) => spec.home === true)
  if (home === undefined) throw new UserError('Cannot add a partition here: this is not the home partition')
  const homeEndpoints = home.spec.endpoints
  const known = items.find(({ metadata }) => metadata.name === name)
  if (known !== undefined) return settingsOf(known, wanted, homeEndpoints)
  const range = chooseRange(items, { wanted: serviceRange, machines: hostAddresses() })
  // new networks may have none of the ranges that are given away
  if (serviceRange !== undefined) checkNetworks(range, (await listNetworks?.(items)) ?? [])
  const index = Number(home.metadata.annotations?.[MADE_ANNOTATION] ?? 0) + 1
  if (index >= REVISION_SPANS_MAX) {
    throw new UserError(`Cannot add a partition: ${index} were made already, and no more can be told apart`)
  }
  const annotations = { ...home.metadata.annotations, [MADE_ANNOTATION]: String(index) }
  await client.update(partitions, { ...home, metadata: { ...home.metadata, annotations } })
  await client.create(partitions, {
    metadata: { name, annotations: { [INDEX_ANNOTATION]: String(index) } },
    spec: { roles: [...roles], endpoints: [], serviceCIDR: range },
  })
  return { name, roles, homeEndpoints, serviceRange: range, index }
}

function settingsOf(
  { metadata, spec }: Stored<Partition>,
  { name, roles, serviceRange }: NewPartition,
  homeEndpoints: readonly string[],
): PartitionSettings {
  if (spec.home === true)
    throw new UserError(`Cannot add partition "${name}": it is the home partition. Name a new one`)
  if (roles.toSorted().join() !== spec.roles.toSorted().join()) {
    throw new UserError(
      `Cannot add partition "${name}": it exists, as --roles ${spec.roles.join().toLowerCase()}. Name a new one, or leave --roles as it is`,
    )
  }
  if (serviceRange !== undefined && serviceRange !== spec.serviceCIDR) {
    throw new UserError(
      `Cannot add partition "${name}": it exists, as --service-cidr ${spec.serviceCIDR}. Name a new one, or leave that as it is`,
    )
  }
  const index = Number(metadata.annotations?.[INDEX_ANNOTATION] ?? 0)
  return { name, roles: spec.roles, homeEndpoints, serviceRange: spec.serviceCIDR, index }
}

/** The partition. Throws {@link UserError} when there is none. */
export async function findPartition(client: Client, name: string): Promise<Stored<Partition>> {
  const { items } = await client.list(partitions)
  const found = items.find(({ metadata }) => metadata.name === name)
  if (found !== undefined) return found
  const known = items.map(({ metadata }) => metadata.name).join(', ')
  throw new UserError(`There is no partition "${name}". There are: ${known}`)
}

/** Waits until home has heard of the partition. Throws {@link UserError} when that takes too long. */
export async function waitUntilReady(client: Client, name: string): Promise<void> {
  const deadline = performance.now() + READY_TIMEOUT_MS
  while (findCondition(await client.get(partitions, { name }), READY)?.status !== 'True') {
    if (performance.now() > deadline) {
      throw new UserError(`Partition ${name} is up, but home does not hear of it. See ./centaurus logs ${name}`)
    }
    await delay(POLL_MS)
  }
}

/** What lives in a partition. */
export interface Residents {
  readonly tenants: readonly string[]
  /** Undefined when the partition could not be asked. */
  readonly nodes: readonly string[] | undefined
}

/** Looks at the registry for tenants, those on their way there included, and asks the partition itself for its nodes. */
export async function findResidents(home: Home, client: Client, partition: Stored<Partition>): Promise<Residents> {
  const { name } = partition.metadata
  const { items } = await client.list(tenants)
  const here = items.filter(({ spec, status }) => status?.partition === name || spec?.partition === name)
  return { tenants: here.map(({ metadata }) => metadata.name), nodes: await listNodes(home, partition) }
}

/** Addresses of Services that moved away from it are never given out again. */
export async function keepMovedAddresses(home: Home, client: Client, partition: Stored<Partition>): Promise<void> {
  const { endpoints, serviceCIDR } = partition.spec
  if (serviceCIDR === undefined || endpoints.length === 0) return
  const own = await connectToPartition(home, partition)
  try {
    if (await holdsAddresses(own)) await keepRange(client, serviceCIDR)
  } finally {
    await own.close()
  }
}

/** Of the tenants of all these partitions, those that have addresses of their own. Throws {@link UserError} when a partition does not say. */
export async function listOwnNetworks(home: Home, all: readonly Stored<Partition>[]): Promise<OwnNetwork[]> {
  const withTenants = all.filter(
    ({ spec }) => spec.endpoints.length > 0 && (spec.home === true || spec.roles.includes('Tenant')),
  )
  return (await Promise.all(withTenants.map((partition) => listNetworksOf(home, partition)))).flat()
}

async function listNetworksOf(home: Home, partition: Stored<Partition>): Promise<OwnNetwork[]> {
  const client = await connectToPartition(home, partition, { tenant: ALL_TENANTS })
  try {
    const { items } = await client.list(vpcs, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) })
    return items.flatMap((vpc) => {
      const { name } = vpc.metadata
      const cidr = vpc.spec?.cidr
      const own = splitQualifiedName(name)?.name ?? name
      return cidr === undefined ? [] : [{ tenant: tenantOfViewed(vpc), name: own, cidr }]
    })
  } catch (cause) {
    throw new UserError(
      `Cannot use --service-cidr: partition "${partition.metadata.name}" does not say which addresses its tenants' networks have. Start it where it runs (./centaurus up), or name no --service-cidr`,
      { cause },
    )
  } finally {
    await client.close()
  }
}

async function listNodes(home: Home, partition: Stored<Partition>): Promise<string[] | undefined> {
  if (!partition.spec.roles.includes('Resource') || partition.spec.endpoints.length === 0) return []
  const client = await connectToPartition(home, partition)
  try {
    const { items } = await client.list(nodes, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) })
    return items.map(({ metadata }) => metadata.name)
  } catch {
    return undefined
  } finally {
    await client.close()
  }
}
