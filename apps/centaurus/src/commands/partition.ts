import { rmSync } from 'node:fs'
import { isStatus, type Stored } from '@centaurus/api'
import { partitions, type Partition } from '@centaurus/api/centaurus/v1'
import { leases } from '@centaurus/api/coordination/v1'
import type { Client } from '@centaurus/client'
import { NotConnectedError } from '@centaurus/client/http'
import {
  FENCED,
  findCondition,
  HEARTBEAT_NAMESPACE,
  heartbeatLease,
  NUMBERS_PATH,
  READMIT_PATH,
  READY,
  type RespectedNumbers,
} from '@centaurus/partition'
import { openAdminLink, withAdmin } from '../cluster-access.ts'
import { findDaemon, stopDaemon } from '../daemons.ts'
import { listHomes, partitionHome, type Home } from '../home.ts'
import { findPartition, findResidents, keepMovedAddresses, type Residents } from '../partition-registry.ts'
import { runSteps } from '../progress.ts'
import { formatTable } from '../table.ts'
import { UserError } from '../user-error.ts'

/** Names that are shown of tenants or nodes that are still there. */
const NAMES_SHOWN = 10
const REQUEST_TIMEOUT_MS = 10_000
/** The partition asks all others, and writes to each of its networks that they know more of. */
const NUMBERS_TIMEOUT_MS = 120_000

/** Prints the partitions of the cluster. */
export async function listPartitions(home: Home, { json }: { readonly json: boolean }): Promise<void> {
  const items = await withAdmin(home, async (client) => (await client.list(partitions)).items)
  if (json) {
    process.stdout.write(`${JSON.stringify(items.map(describe))}\n`)
    return
  }
  const rows = items
    .map(describe)
    .map((item) => [
      item.name + (item.home ? ' (home)' : ''),
      item.roles.join(','),
      item.state,
      String(item.tenants ?? '-'),
      String(item.nodes ?? '-'),
      item.serviceCIDR ?? '',
      item.endpoints.join(' '),
    ])
  process.stdout.write(formatTable(['NAME', 'ROLES', 'STATE', 'TENANTS', 'NODES', 'SERVICES', 'ENDPOINTS'], rows))
}

interface Described {
  readonly name: string
  readonly home: boolean
  readonly roles: readonly string[]
  readonly state: string
  readonly tenants: number | undefined
  readonly nodes: number | undefined
  readonly serviceCIDR: string | undefined
  readonly endpoints: readonly string[]
}

function describe(partition: Stored<Partition>): Described {
  const { metadata, spec, status } = partition
  return {
    name: metadata.name,
    home: spec.home === true,
    roles: spec.roles,
    state: stateOf(partition),
    tenants: status?.tenants,
    nodes: status?.nodes,
    serviceCIDR: spec.serviceCIDR,
    endpoints: spec.endpoints,
  }
}

/** In a word or two: what an operator has to know first. */
function stateOf(partition: Stored<Partition>): string {
  const words: string[] = []
  if (findCondition(partition, FENCED)?.status === 'True') words.push('Fenced')
  const ready = findCondition(partition, READY)?.status
  words.push(ready === 'True' ? 'Ready' : ready === 'Unknown' ? 'Unknown' : 'NotReady')
  if (partition.spec.draining === true) words.push('Draining')
  return words.join(',')
}

/** Gives a partition no new tenants and nodes, and says how to move what it has. Throws {@link UserError}. */
export async function drainPartition(home: Home, name: string): Promise<void> {
  await withAdmin(home, async (client) => {
    const partition = await markDraining(client, await findPartition(client, name))
    const residents = await findResidents(home, client, partition)
    process.stdout.write(
      `Partition ${name} gets no new tenants and no new nodes.\n${advise(home, partition, residents)}`,
    )
  })
}

async function markDraining(client: Client, partition: Stored<Partition>): Promise<Stored<Partition>> {
  const { name } = partition.metadata
  if (partition.spec.home === true) {
    throw new UserError(
      `Cannot drain partition "${name}": it is home, and keeps the registry. It stays to the last: ./centaurus reset deletes the whole cluster`,
    )
  }
  return client.patch(partitions, { name }, { type: 'merge', body: { spec: { draining: true } } })
}

function advise(home: Home, { metadata, spec }: Stored<Partition>, { tenants, nodes }: Residents): string {
  const { name } = metadata
  const lines: string[] = []
  if (tenants.length > 0) {
    lines.push(`${tenants.length} tenants live there: ${shorten(tenants)}. Move each:`)
    lines.push(`  ./centaurus tenant move ${tenants[0]} --to PARTITION`)
  }
  if (nodes === undefined)
    lines.push('It does not answer, so nobody knows which nodes it has. Start it where it runs: ./centaurus up')
  else if (nodes.length > 0) {
    const kubectl = `kubectl --kubeconfig ${partitionHome(home, name).kubeconfig}`
    lines.push(`${nodes.length} nodes are there: ${shorten(nodes)}. Empty each, stop its agent, and delete it:`)
    // its pods are those of all tenants, whose DaemonSets are elsewhere
    const everybody = `--server ${spec.endpoints[0]}/tenants/all`
    lines.push(`  ${kubectl} ${everybody} drain ${nodes[0]} --force --ignore-daemonsets --delete-emptydir-data`)
    if (runsNodes(home, name)) lines.push(`  ./centaurus partition add ${name} --roles resource --nodes none`)
    lines.push(`  ${kubectl} delete node ${nodes[0]}`)
  }
  if (lines.length === 0) lines.push(`Nothing lives there. Remove it: ./centaurus partition remove ${name}`)
  return `${lines.join('\n')}\n`
}

/** Whether nodes of the partition run on this machine. */
function runsNodes(home: Home, name: string): boolean {
  return findLocalHomes(home, name).some((each) => findDaemon(each.home, 'node') !== undefined)
}

function shorten(names: readonly string[]): string {
  const more = names.length - NAMES_SHOWN
  return names.slice(0, NAMES_SHOWN).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

/**
 * Takes an empty partition out of the cluster: stops it when it runs on this machine, and removes its folder and its entry. Throws
 * {@link UserError} while anything lives there, or may: nothing is ever deleted with a partition.
 */
export async function removePartition(home: Home, name: string): Promise<void> {
  await withAdmin(home, async (client) => {
    const partition = await markDraining(client, await findPartition(client, name)) // nothing may come from now on
    const residents = await findResidents(home, client, partition)
    if (residents.tenants.length > 0 || residents.nodes === undefined || residents.nodes.length > 0) {
      throw new UserError(`Cannot remove partition "${name}": it is not empty.\n${advise(home, partition, residents)}`)
    }
    await keepMovedAddresses(home, client, partition)
    await runSteps([stopTask(home, name), entryTask(client, name)])
    const wasHere = findLocalHomes(home, name).length > 0
    rmSync(partitionHome(home, name).dir, { recursive: true, force: true })
    if (!wasHere) process.stdout.write(`\nStop it on its own machine: ./centaurus reset\n`)
  })
}

/**
 * Tells every other partition to believe this one again, whose store went back in time or is another one than it was. Before, it learns from them which numbers
 * of networks and identities it must not give again. Throws {@link UserError} when one can't be told: run it again when that is back.
 */
export async function readmitPartition(home: Home, name: string): Promise<void> {
  await withAdmin(home, async (client) => {
    const partition = await findPartition(client, name)
    const others = (await client.list(partitions)).items.filter(({ metadata }) => metadata.name !== name)
    if (partition.spec.home === true || partition.spec.roles.includes('Tenant'))
      await learnNumbers(
        home,
        partition,
        others.map(({ metadata }) => metadata.name),
      )
    const deaf: string[] = []
    for (const other of others) {
      const failure = await askToReadmit(home, other, name).catch(whyDeaf)
      if (failure !== undefined) deaf.push(`${other.metadata.name} (${failure})`)
    }
    if (deaf.length > 0) {
      throw new UserError(
        `Not all partitions believe "${name}" again. Run this again when these answer: ${deaf.join(', ')}`,
      )
    }
    await clearFence(client, name)
    process.stdout.write(`Partition ${name} is believed again by ${others.length} others.\n`)
  })
}

/** Throws {@link UserError} unless it has learned from all. */
async function learnNumbers(home: Home, partition: Stored<Partition>, others: readonly string[]): Promise<void> {
  const { name } = partition.metadata
  const link = await openAdminLink(home, partition)
  try {
    const signal = AbortSignal.timeout(NUMBERS_TIMEOUT_MS)
    const { status, body } = await link.request({ method: 'POST', path: NUMBERS_PATH, body: {}, signal })
    if (status !== 200) throw new Error(`it answered ${status}`)
    const { heard, twice } = body as RespectedNumbers
    if (twice.length > 0)
      throw new UserError(
        `Networks of partition "${name}" have numbers that other networks have, which were made after the backup: ${shorten(twice)}. Delete the pods in them, and run this again: the networks get other numbers`,
      )
    const silent = others.filter((other) => !heard.includes(other))
    if (silent.length === 0) return
    throw new UserError(
      `Partition "${name}" must know which numbers of networks are in use before it is believed again. Run this again when these answer it: ${silent.join(', ')}`,
    )
  } catch (error) {
    if (error instanceof UserError) throw error
    throw new UserError(
      `Cannot readmit partition "${name}": ${whyDeaf(error as Error)}. Start it where it runs (./centaurus up), and run this again`,
      { cause: error },
    )
  } finally {
    await link.close()
  }
}

async function clearFence(client: Client, name: string): Promise<void> {
  const partition = await client.get(partitions, { name })
  const conditions = partition.status?.conditions?.filter(({ type }) => type !== FENCED)
  await client.updateStatus(partitions, { ...partition, status: { ...partition.status, conditions } })
}

/** Returns why not, when it refuses; throws when it does not answer. */
async function askToReadmit(home: Home, partition: Stored<Partition>, name: string): Promise<string | undefined> {
  const link = await openAdminLink(home, partition)
  try {
    const signal = AbortSignal.timeout(REQUEST_TIMEOUT_MS)
    const { status } = await link.request({ method: 'POST', path: READMIT_PATH, body: { partition: name }, signal })
    return status === 200 ? undefined : `it answered ${status}`
  } finally {
    await link.close()
  }
}

function whyDeaf(error: Error): string {
  return error instanceof NotConnectedError ? 'it can’t be reached' : error.message
}

function findLocalHomes(home: Home, name: string): ReturnType<typeof listHomes> {
  return listHomes(home).filter((each) => each.name === name || each.name.startsWith(`${name}:`))
}

function stopTask(home: Home, name: string): { title: string; task: () => Promise<void> } {
  return {
    title: `Stop partition ${name}`,
    task: async () => {
      for (const each of findLocalHomes(home, name)) {
        await stopDaemon(each.home, 'node')
        await stopDaemon(each.home, 'control-plane')
      }
    },
  }
}

function entryTask(client: Client, name: string): { title: string; task: () => Promise<void> } {
  return {
    title: 'Take it out of the registry',
    task: async () => {
      await client.delete(partitions, { name }).catch(ignoreGone)
      const lease = { namespace: HEARTBEAT_NAMESPACE, name: heartbeatLease(name) }
      await client.delete(leases, lease).catch(ignoreGone)
    },
  }
}

function ignoreGone(error: unknown): void {
  if (!isStatus(error, 'NotFound')) throw error
}
