/**
 * Addresses and node ports of Services that move with their tenant. An address stays what it is wherever its Service lives: partitions allocate from
 * ranges of their own, so that the one that gave it out must go on holding it, or another Service would get it. So a partition that a tenant leaves
 * remembers what it holds, and gives back what is not used any more when the tenant returns or is gone.
 */
import { qualifyName } from '@centaurus/api'
import type { Service } from '@centaurus/api/core/v1'
import { NODE_PORTS_PREFIX, resourcePrefix, SYSTEM_TENANT } from '@centaurus/apiserver'
import type { Change, Comparison, Store } from '@centaurus/store'
import { pagesOf } from './clean-tenant.ts'
import { tenantPrefix } from './export-tenant.ts'

/** Beside `/registry/`, so that no API shows it. */
const HELD_PREFIX = '/centaurus/held/'
const ADDRESSES_PREFIX = resourcePrefix(SYSTEM_TENANT, { keyGroup: 'networking.k8s.io', resource: 'ipaddresses' })
const CHANGES_AT_ONCE = 100

/** By store key: who has it, as `namespace/name` in the view over all tenants. */
type Reservations = Record<string, string>

/** Remembers what this partition holds for a tenant that has left. Call it before anything of the tenant is removed. */
export async function holdReservations(store: Store, tenant: string, guard: Comparison): Promise<void> {
  const key = HELD_PREFIX + tenant
  const { entry } = await store.get(key)
  const held = { ...(entry === undefined ? {} : parse(entry.value)), ...(await readReservations(store, tenant)) }
  if (Object.keys(held).length === 0) return
  const change: Change = { type: 'put', key, value: Buffer.from(JSON.stringify(held)) }
  const { committed } = await store.commit({ compare: [guard], changes: [change] })
  if (!committed) throw new Error('The tenant has come back meanwhile')
}

/**
 * Gives back what was held for the tenant and none of its Services here has: all of it when it is gone. Reserves node ports of Services that came
 * with it, where nobody else has them.
 */
export async function settleReservations(store: Store, tenant: string): Promise<void> {
  const used = await readReservations(store, tenant)
  const key = HELD_PREFIX + tenant
  const { entry } = await store.get(key)
  const held = entry === undefined ? {} : parse(entry.value)
  for (const [reserved, service] of Object.entries(held)) {
    if (used[reserved] === undefined) await giveBack(store, reserved, service)
  }
  if (entry !== undefined) await store.commit({ changes: [{ type: 'delete', key }] })
  const ports = Object.entries(used).filter(([reserved]) => reserved.startsWith(NODE_PORTS_PREFIX))
  for (let at = 0; at < ports.length; at += CHANGES_AT_ONCE) {
    await Promise.all(ports.slice(at, at + CHANGES_AT_ONCE).map(([port, service]) => reservePort(store, port, service)))
  }
}

async function giveBack(store: Store, key: string, service: string): Promise<void> {
  const { entry } = await store.get(key)
  if (entry === undefined || ownerOf(entry.value) !== service) return
  await store.commit({ compare: [{ key, modRevision: entry.modRevision }], changes: [{ type: 'delete', key }] })
}

/** Two partitions may have given out the same node port: then the Service keeps it, and this partition's own Service does too. */
async function reservePort(store: Store, key: string, service: string): Promise<void> {
  const value = Buffer.from(JSON.stringify({ service }))
  await store.commit({ compare: [{ key, modRevision: 0 }], changes: [{ type: 'put', key, value }] })
}

/** What the tenant's Services here have. */
async function readReservations(store: Store, tenant: string): Promise<Reservations> {
  const found: Reservations = {}
  for await (const page of pagesOf(store, `${tenantPrefix(tenant)}core/services/`)) {
    for (const { value } of page) {
      const service = JSON.parse(Buffer.from(value).toString('utf8')) as Service
      const { namespace = '', name = '' } = service.metadata
      const owner = `${qualifyName(namespace, tenant)}/${name}`
      for (const key of keysOf(service)) found[key] = owner
    }
  }
  return found
}

function keysOf({ spec }: Service): string[] {
  const address = spec?.clusterIP ?? ''
  const ports = [...(spec?.ports ?? []).map((port) => port.nodePort ?? 0), spec?.healthCheckNodePort ?? 0]
  return [
    ...(address === '' || address === 'None' ? [] : [ADDRESSES_PREFIX + address]),
    ...ports.filter((port) => port !== 0).map((port) => `${NODE_PORTS_PREFIX}${port}`),
  ]
}

/** Of an IPAddress, or of the record of a node port. */
function ownerOf(value: Uint8Array): string | undefined {
  const record = parse(value) as { service?: string; spec?: { parentRef?: { namespace?: string; name?: string } } }
  const { parentRef } = record.spec ?? {}
  return record.service ?? (parentRef === undefined ? undefined : `${parentRef.namespace}/${parentRef.name}`)
}

function parse(value: Uint8Array): Reservations {
  return JSON.parse(Buffer.from(value).toString('utf8')) as Reservations
}
