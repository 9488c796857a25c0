import { isRecord } from '@centaurus/api'
import type { NetworkIdentity, Vpc } from '@centaurus/api/centaurus/v1'
import type { StoredObjects } from '@centaurus/apiserver'
import type { Store } from '@centaurus/store'
import { readOrigin } from '../relay/copies.ts'
import { readNextVni } from '../vpcs/vni-allocator.ts'

/** Where a partition tells another one which numbers it knows of; with `?holders=true`, also who has them. */
export const NUMBERS_PATH = '/partition/v1/numbers'
export const VPCS = 'centaurus.io/vpcs'
export const IDENTITIES = 'centaurus.io/networkidentities'
/** Objects looked at before other work gets its turn. */
const OBJECTS_A_TURN = 500

/** Numbers that somebody has, or may have: none of them, and no smaller one, is ever to be given again. */
export interface KnownNumbers {
  /** One above all numbers of networks. */
  readonly nextVni: number
  /** By uid of a Vpc, one above all numbers of its identities. */
  readonly nextIdentities: ReadonlyMap<string, number>
  /** Who has which, by {@link vniKey} and {@link identityKey}: uid of the Vpc or NetworkIdentity. Empty unless it was asked for. */
  readonly holders: ReadonlyMap<string, string>
}

export interface KnownNumbersDeps {
  readonly store: Store
  readonly stored: Pick<StoredObjects, 'tenants' | 'list'>
}

export function vniKey(vni: number): string {
  return String(vni)
}

/** Of an identity of a Vpc. */
export function identityKey(vpcUid: string, id: number): string {
  return `${vpcUid}/${id}`
}

/** What this partition knows of: of networks all, of identities those that partition `peer` gave, of which there are copies here. */
export async function readNumbers(
  { store, stored }: KnownNumbersDeps,
  { peer, wantsHolders }: { readonly peer: string; readonly wantsHolders: boolean },
): Promise<KnownNumbers> {
  const nextIdentities = new Map<string, number>()
  const holders = new Map<string, string>()
  let nextVni = await readNextVni(store)
  let count = 0
  for (const tenant of stored.tenants()) {
    const uids = new Map<string, string>()
    for (const entry of stored.list(tenant, VPCS)) {
      count++
      const { metadata, status } = entry.object() as Vpc
      const { name = '', uid = '' } = metadata
      if (status?.vni !== undefined) {
        nextVni = Math.max(nextVni, status.vni + 1)
        if (wantsHolders) holders.set(vniKey(status.vni), uid)
      }
      if (readOrigin(entry.value)?.partition !== peer) continue
      uids.set(name, uid)
      raise(nextIdentities, uid, status?.nextIdentity ?? 0)
    }
    // a copy of a network may be older than those of its identities
    for (const entry of uids.size === 0 ? [] : stored.list(tenant, IDENTITIES)) {
      count++
      const { metadata, spec } = entry.object() as NetworkIdentity
      const vpcUid = uids.get(spec.vpc)
      if (vpcUid === undefined || readOrigin(entry.value)?.partition !== peer) continue
      raise(nextIdentities, vpcUid, spec.id + 1)
      if (wantsHolders) holders.set(identityKey(vpcUid, spec.id), metadata.uid ?? '')
    }
    if (count < OBJECTS_A_TURN) continue
    count = 0
    await new Promise((resolve) => setImmediate(resolve))
  }
  return { nextVni, nextIdentities, holders }
}

/** What is known by any of them. Pure. */
export function mergeNumbers(all: readonly KnownNumbers[]): KnownNumbers {
  const nextIdentities = new Map<string, number>()
  const holders = new Map<string, string>()
  for (const known of all) {
    for (const [uid, next] of known.nextIdentities) raise(nextIdentities, uid, next)
    for (const [number, uid] of known.holders) holders.set(number, uid)
  }
  return { nextVni: Math.max(0, ...all.map(({ nextVni }) => nextVni)), nextIdentities, holders }
}

export function formatNumbers({ nextVni, nextIdentities, holders }: KnownNumbers): string {
  return JSON.stringify({
    nextVni,
    nextIdentities: Object.fromEntries(nextIdentities),
    holders: Object.fromEntries(holders),
  })
}

/** Undefined for what is no such answer. */
export function parseNumbers(value: unknown): KnownNumbers | undefined {
  const { nextVni, nextIdentities, holders } = isRecord(value) ? value : {}
  if (!isNumber(nextVni) || !isRecord(nextIdentities) || !isRecord(holders)) return undefined
  const nexts = Object.entries(nextIdentities).filter((entry): entry is [string, number] => isNumber(entry[1]))
  const uids = Object.entries(holders).filter((entry): entry is [string, string] => typeof entry[1] === 'string')
  return { nextVni, nextIdentities: new Map(nexts), holders: new Map(uids) }
}

function raise(nexts: Map<string, number>, uid: string, next: number): void {
  nexts.set(uid, Math.max(nexts.get(uid) ?? 0, next))
}

function isNumber(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}
