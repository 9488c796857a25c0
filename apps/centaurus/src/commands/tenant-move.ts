import { setTimeout as delay } from 'node:timers/promises'
import type { Stored } from '@centaurus/api'
import { partitions, tenants, type Partition, type Tenant } from '@centaurus/api/centaurus/v1'
import type { Client } from '@centaurus/client'
import { FENCED, findCondition, MOVED, READY } from '@centaurus/partition'
import { withAdmin } from '../cluster-access.ts'
import type { Home } from '../home.ts'
import { UserError } from '../user-error.ts'
import { findTenant } from './tenant.ts'

/** Longest move that is waited for; a large tenant takes its time to copy. */
const TIMEOUT_SECONDS_DEFAULT = 600
const POLL_MS = 100
/** The new partition may tell how long writes stopped a little later than the old one that nothing is left. */
const LAST_WORD_MS = 2_000
const SAYS_HOW_LONG = /writes stopped for \d+ ms/
/** Of a process that Ctrl-C ended. */
const INTERRUPTED_CODE = 130

export interface MoveTenantOptions {
  /** Partition that the tenant shall live in. */
  readonly to: string
  readonly timeoutSeconds?: number | undefined
}

/**
 * Moves a tenant to another partition while it is used, and tells how it goes. Only the waiting ends with the command, not the move. Throws
 * {@link UserError} when it can't begin, or takes too long.
 */
export async function moveTenant(home: Home, name: string, { to, timeoutSeconds }: MoveTenantOptions): Promise<void> {
  await withAdmin(home, async (client) => {
    const tenant = await findTenant(client, name)
    const why = refuseMove(tenant, (await client.list(partitions)).items, to)
    if (why !== undefined) throw new UserError(`Cannot move tenant "${name}": ${why}`)
    if (tenant.status?.partition === to && (tenant.spec?.partition ?? to) === to)
      return void process.stdout.write(`Tenant ${name} lives in partition ${to} already: there is nothing to do.\n`)
    await client.patch(tenants, { name }, { type: 'merge', body: { spec: { partition: to } } })
    if (tenant.status?.partition === to)
      return void process.stdout.write(`Tenant ${name} stays in partition ${to}: its move is called off.
`)
    const interrupt = (): void => {
      process.stdout.write(`\nThe move goes on by itself. To call it off: ${callOff(tenant)}\n`)
      process.exit(INTERRUPTED_CODE)
    }
    process.once('SIGINT', interrupt)
    try {
      await followMove(client, tenant, { to, timeoutSeconds })
    } finally {
      process.off('SIGINT', interrupt)
    }
  })
}

/** Why a tenant can't move there; undefined: it can. Pure. */
export function refuseMove(
  { metadata, status }: Readonly<Tenant>,
  all: readonly Readonly<Partition>[],
  to: string,
): string | undefined {
  if (metadata.deletionTimestamp !== undefined) return 'it is being deleted'
  if (status?.partition === undefined) return 'it lives nowhere yet'
  const target = all.find((partition) => partition.metadata.name === to)
  if (target === undefined) return `there is no partition "${to}". ./centaurus partition list shows those there are`
  if (status.partition === to) return undefined
  if (!target.spec.roles.includes('Tenant')) return `partition "${to}" holds no tenants: it has no role Tenant`
  if (target.spec.draining === true) return `partition "${to}" is draining`
  if (findCondition(target, FENCED)?.status === 'True')
    return `partition "${to}" is fenced: readmit it first: ./centaurus partition readmit ${to}`
  return findCondition(target, READY)?.status === 'True'
    ? undefined
    : `partition "${to}" is not ready. ./centaurus partition list tells how it is`
}

async function followMove(client: Client, before: Stored<Tenant>, options: MoveTenantOptions): Promise<void> {
  const { to, timeoutSeconds = TIMEOUT_SECONDS_DEFAULT } = options
  const { name } = before.metadata
  const epoch = before.status?.epoch ?? 0
  const deadline = performance.now() + timeoutSeconds * 1000
  let told = ''
  let endsMs: number | undefined
  for (;;) {
    const tenant = await findTenant(client, name)
    if (tenant.spec?.partition !== to) throw new UserError(`Somebody called the move of tenant ${name} off`)
    const moved = tenant.status?.conditions?.find((condition) => condition.type === MOVED)
    const isNews = moved !== undefined && (tenant.status?.epoch !== epoch || moved.reason === 'Copying')
    const text = isNews ? moved.message : `Waiting for partition "${to}" to begin`
    if (text !== told) process.stdout.write(`${text}\n`)
    told = text
    if (isNews && moved.reason === 'CleanedUp') {
      endsMs ??= performance.now() + LAST_WORD_MS
      if (SAYS_HOW_LONG.test(text) || performance.now() > endsMs)
        return void process.stdout.write('Nothing is left at the old place.\n')
    }
    if (performance.now() > deadline) {
      const where = tenant.status?.partition === to ? 'It lives there; what it had before is being removed' : told
      throw new UserError(
        `The move of tenant ${name} takes longer than ${timeoutSeconds} s, and goes on. ${where}. To call it off: ${callOff(before)}`,
      )
    }
    await delay(POLL_MS)
  }
}

function callOff({ metadata, status }: Stored<Tenant>): string {
  return `./centaurus tenant move ${metadata.name} --to ${status?.partition}`
}
