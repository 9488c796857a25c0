import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import { isStatus, refuseTenantName, TENANT_ORGANIZATION_PREFIX, type Stored } from '@centaurus/api'
import { partitions, tenants, type Tenant } from '@centaurus/api/centaurus/v1'
import { createKubeconfig, type CertificateAndKey } from '@centaurus/apiserver'
import { issueCertificate } from '@centaurus/apiserver/certificates'
import { systemClock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { loadAdminConfig, withAdmin } from '../cluster-access.ts'
import type { Home } from '../home.ts'
import { formatTable } from '../table.ts'
import { UserError } from '../user-error.ts'

/** Whom a tenant belongs to that names nobody. */
const ADMIN_DEFAULT = 'admin'
const ACTIVE_TIMEOUT_MS = 60_000
/** Its pods have their grace. */
const GONE_TIMEOUT_MS = 180_000
const POLL_MS = 100

export interface CreateTenantOptions {
  readonly admin?: string | undefined
  readonly partition?: string | undefined
  /** By the names that ResourceQuota has. */
  readonly quota?: Readonly<Record<string, string>> | undefined
}

/** Makes a tenant and waits until it can be used. Safe to run again. Throws {@link UserError}. */
export async function createTenant(home: Home, name: string, options: CreateTenantOptions): Promise<void> {
  const why = refuseTenantName(name)
  if (why !== undefined) throw new UserError(`Cannot use the name "${name}": it ${why}`)
  const { admin, partition, quota } = options
  const spec = {
    ...(admin === undefined ? {} : { admin }),
    ...(partition === undefined ? {} : { partition }),
    ...(quota === undefined ? {} : { quota: { ...quota } }),
  }
  await withAdmin(home, async (client) => {
    try {
      await client.create(tenants, { metadata: { name }, spec })
    } catch (error) {
      if (!isStatus(error, 'AlreadyExists')) throw error
    }
    const tenant = await until(ACTIVE_TIMEOUT_MS, async () => {
      const found = await client.get(tenants, { name })
      return found.status?.phase === 'Active' ? found : undefined
    })
    if (tenant === undefined) throw new UserError(await describeWait(client, name))
    process.stdout.write(
      `Tenant ${name} lives in partition ${tenant.status?.partition}.\n` +
        `A kubeconfig for its administrator: ./centaurus tenant kubeconfig ${name} > ${name}.yaml\n`,
    )
  })
}

async function describeWait(client: Client, name: string): Promise<string> {
  const { status } = await client.get(tenants, { name })
  const ready = status?.conditions?.find((condition) => condition.type === 'Ready')
  return `Tenant ${name} is not ready yet: ${ready?.message ?? 'no partition has taken it'}. It goes on by itself`
}

/** Prints the tenants of the cluster. */
export async function listTenants(home: Home, { json }: { readonly json: boolean }): Promise<void> {
  const items = await withAdmin(home, async (client) => (await client.list(tenants)).items)
  if (json) {
    process.stdout.write(`${JSON.stringify(items.map(describe))}\n`)
    return
  }
  const rows = items.map(describe).map((item) => [item.name, item.phase, item.partition ?? '', item.admin, item.used])
  process.stdout.write(formatTable(['NAME', 'PHASE', 'PARTITION', 'ADMIN', 'QUOTA'], rows))
}

function describe({ metadata, spec, status }: Stored<Tenant>) {
  const used = Object.entries(spec?.quota ?? {}).map(([key, hard]) => `${key}: ${status?.used?.[key] ?? '0'}/${hard}`)
  return {
    name: metadata.name,
    phase: metadata.deletionTimestamp === undefined ? (status?.phase ?? 'Pending') : 'Terminating',
    partition: status?.partition,
    admin: spec?.admin ?? ADMIN_DEFAULT,
    used: used.join(', '),
  }
}

/** Deletes a tenant with all that it has, and waits until nothing is left. Throws {@link UserError} when that takes too long. */
export async function deleteTenant(home: Home, name: string): Promise<void> {
  await withAdmin(home, async (client) => {
    try {
      await client.delete(tenants, { name })
    } catch (error) {
      if (isStatus(error, 'NotFound')) throw new UserError(`There is no tenant "${name}"`)
      throw error
    }
    const isGone = await until(GONE_TIMEOUT_MS, async () => ((await exists(client, name)) ? undefined : true))
    if (isGone === true) return void process.stdout.write(`Tenant ${name} and all that it had are gone.\n`)
    throw new UserError(await describeWait(client, name))
  })
}

async function exists(client: Client, name: string): Promise<boolean> {
  try {
    await client.get(tenants, { name })
    return true
  } catch (error) {
    if (isStatus(error, 'NotFound')) return false
    throw error
  }
}

export interface TenantKubeconfigOptions {
  /** Default: the tenant's administrator. */
  readonly user?: string | undefined
  readonly groups?: readonly string[] | undefined
  /** Default: an address of the tenant's partition. */
  readonly server?: string | undefined
}

/**
 * Prints a kubeconfig for a user of the tenant: a new client certificate of the cluster's authority, whose key must be in `home`. Its
 * server's path names the tenant: the certificate does already, but clients keep what they discover by the server's address.
 */
export async function printTenantKubeconfig(home: Home, name: string, options: TenantKubeconfigOptions): Promise<void> {
  const { tenant, server } = await withAdmin(home, async (client) => {
    const found = await findTenant(client, name)
    return { tenant: found, server: options.server ?? (await serverOf(home, client, found)) }
  })
  const user = options.user ?? tenant.spec?.admin ?? ADMIN_DEFAULT
  const authority = readAuthority(home)
  const organizations = [...(options.groups ?? []), `${TENANT_ORGANIZATION_PREFIX}${name}`]
  const identity = { commonName: user, organizations, usages: ['client auth' as const] }
  const { certificatePem, keyPem } = await issueCertificate(authority, systemClock, identity)
  process.stdout.write(
    createKubeconfig({
      server: `${server.replace(/\/$/, '')}/tenants/${name}`,
      ca: authority.certificatePem,
      cert: certificatePem,
      key: keyPem,
      name,
      user: `${user}@${name}`,
    }),
  )
}

/** Nothing else is opened: that would renew certificates of a cluster that runs. */
function readAuthority(home: Home): CertificateAndKey {
  try {
    const read = (file: string): string => readFileSync(join(home.pkiDir, file), 'utf8')
    return { certificatePem: read('ca.crt'), keyPem: read('ca.key') }
  } catch (cause) {
    throw new UserError(`Cannot make a certificate: the key of the cluster's authority must be in ${home.pkiDir}`, {
      cause,
    })
  }
}

/** Throws {@link UserError} when there is none. */
export async function findTenant(client: Client, name: string): Promise<Stored<Tenant>> {
  try {
    return await client.get(tenants, { name })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
    throw new UserError(`There is no tenant "${name}". ./centaurus tenant list shows those there are`)
  }
}

/** Home is reached as the administrator reaches it; other partitions at their own address. */
async function serverOf(home: Home, client: Client, { status, metadata }: Stored<Tenant>): Promise<string> {
  const { items } = await client.list(partitions)
  const partition = items.find((entry) => entry.metadata.name === status?.partition)
  if (partition === undefined) {
    const ready = status?.conditions?.find((condition) => condition.type === 'Ready')
    throw new UserError(`Tenant ${metadata.name} lives nowhere yet: ${ready?.message ?? 'no partition has taken it'}`)
  }
  if (partition.spec.home === true) return (await loadAdminConfig(home)).server
  const [endpoint] = partition.spec.endpoints
  if (endpoint === undefined) throw new UserError(`Partition ${partition.metadata.name} has no address yet`)
  return endpoint
}

async function until<T>(timeoutMs: number, look: () => Promise<T | undefined>): Promise<T | undefined> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const found = await look()
    if (found !== undefined || performance.now() > deadline) return found
    await delay(POLL_MS)
  }
}
