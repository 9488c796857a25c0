import { isRecord } from '@centaurus/api'
import type { ObjectAddress, StoredEntry } from '@centaurus/apiserver'
import type { StoreStart } from '../epoch/check-peer.ts'

/** Where a tenant partition streams what nodes of a resource partition need. */
export const RELAY_PATH = '/partition/v1/relay'

/**
 * Lines of `GET /partition/v1/relay?partition=<who asks>`: first HELLO, then PUT (with `have=true`: HAVE, since the asker has most of it) for everything
 * that the asker's nodes need, then SYNCED: what was not named since HELLO is not needed any more, or is gone. Then PUT and DELETE for changes, in the order in which a node may see them: an object comes
 * after what it refers to. Lines may repeat what is known. A TENANT line comes before everything of a tenant that the sender serves, also when one
 * comes later: what the sender does not claim to serve it says nothing about.
 */
export type RelayLine =
  | {
      readonly type: 'HELLO'
      readonly partition: string
      /** Of the sender's scheduler. */
      readonly epoch: number
      readonly storeId: string
      readonly revision: number
      readonly starts?: readonly StoreStart[] | undefined
    }
  | RelayPut
  | RelayDelete
  | RelayHave
  /** The sender serves the tenant since this epoch of its Tenant. What was put of it before does not count any more. */
  | RelayTenant
  /** Everything of the tenant was put since its TENANT line. After HELLO, SYNCED says so for all. */
  | { readonly type: 'TENANT_SYNCED'; readonly tenant: string; readonly epoch: number }
  /** Everything up to `revision` was sent. */
  | { readonly type: 'SYNCED'; readonly revision: number; readonly epoch: number }
  | { readonly type: 'PROGRESS'; readonly revision: number; readonly epoch: number }

export interface RelayPut extends ObjectAddress {
  readonly type: 'PUT'
  /** Of the object, in the sender's store. */
  readonly revision: number
  readonly object: Readonly<Record<string, unknown>>
}

/** Names objects without sending them: who has another revision asks for it, by POST to {@link RELAY_PATH}. */
export interface RelayHave {
  readonly type: 'HAVE'
  readonly tenant: string
  readonly resource: string
  /** Key and revision of each. */
  readonly keys: readonly (readonly [string, number])[]
}

/** Body of `POST /partition/v1/relay`; answered with {@link FetchAnswer}. */
export interface FetchRequest {
  readonly items: readonly ObjectAddress[]
}

/** What there is of what was asked for. */
export interface FetchAnswer {
  readonly items: readonly RelayPut[]
}

/** Objects named in one line, and asked for at once. */
export const KEYS_A_LINE = 200

export interface RelayTenant {
  readonly type: 'TENANT'
  readonly tenant: string
  readonly epoch: number
}

export interface RelayDelete extends ObjectAddress {
  readonly type: 'DELETE'
}

/** A PUT from stored bytes, which are not parsed. */
export function encodePut(
  address: ObjectAddress,
  { value, revision }: Pick<StoredEntry, 'value' | 'revision'>,
): Uint8Array {
  const head = `{"type":"PUT",${encodeAddress(address)},"revision":${revision},"object":`
  return Buffer.concat([Buffer.from(head), value, TAIL])
}

export function encodeDelete(address: ObjectAddress): Uint8Array {
  return Buffer.from(`{"type":"DELETE",${encodeAddress(address)}}\n`)
}

export function encodeLine(line: RelayLine): Uint8Array {
  return Buffer.from(`${JSON.stringify(line)}\n`)
}

const TAIL = Buffer.from('}\n')

function encodeAddress({ tenant, resource, key }: ObjectAddress): string {
  return `"tenant":${JSON.stringify(tenant)},"resource":${JSON.stringify(resource)},"key":${JSON.stringify(key)}`
}

/** Reads a line; undefined for a type that a newer partition may send. Throws SyntaxError for what is no line. */
export function parseLine(bytes: Uint8Array): RelayLine | undefined {
  const value: unknown = JSON.parse(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8'))
  if (!isRecord(value)) throw new SyntaxError('a line of the relay must be an object')
  switch (value['type']) {
    case 'HELLO':
      checkMembers(value, { partition: 'string', epoch: 'number', storeId: 'string', revision: 'number' })
      break
    case 'PUT':
      checkMembers(value, { tenant: 'string', resource: 'string', key: 'string', revision: 'number', object: 'object' })
      break
    case 'HAVE':
      checkMembers(value, { tenant: 'string', resource: 'string', keys: 'object' })
      break
    case 'DELETE':
      checkMembers(value, { tenant: 'string', resource: 'string', key: 'string' })
      break
    case 'TENANT':
    case 'TENANT_SYNCED':
      checkMembers(value, { tenant: 'string', epoch: 'number' })
      break
    case 'SYNCED':
    case 'PROGRESS':
      checkMembers(value, { revision: 'number', epoch: 'number' })
      break
    default:
      return undefined
  }
  return value as unknown as RelayLine
}

/** Reads the answer to a request for objects; undefined when it is none. */
export function parseFetchAnswer(value: unknown): FetchAnswer | undefined {
  const items = isRecord(value) ? value['items'] : undefined
  const isPut = (item: unknown): boolean =>
    isRecord(item) &&
    ['tenant', 'resource', 'key'].every((member) => typeof item[member] === 'string') &&
    typeof item['revision'] === 'number' &&
    isRecord(item['object'])
  return Array.isArray(items) && items.every(isPut) ? { items: items as RelayPut[] } : undefined
}

function checkMembers(value: Record<string, unknown>, members: Readonly<Record<string, string>>): void {
  for (const [member, type] of Object.entries(members)) {
    if (value[member] === null || typeof value[member] !== type) {
      throw new SyntaxError(`${member} of a ${String(value['type'])} line must be of type ${type}`)
    }
  }
}
