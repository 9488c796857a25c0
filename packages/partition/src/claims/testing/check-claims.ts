import assert from 'node:assert/strict'
import type { Store } from '@centaurus/store'

/** One claim as the store has it, read without any of the code under test. */
export interface StoredClaim {
  readonly uid: string
  readonly node: string
  readonly partition: string
  readonly requests: Readonly<Record<string, number>>
}

interface RawNode {
  claims: { partition: string; requests: Record<string, number>; pods: [string, string][] }[]
  nominations?: { uid: string }[]
}

/** Uids of the pods for which room is kept. */
export async function readNominated(store: Store): Promise<string[]> {
  const { entries } = await store.range('/centaurus/claims/nodes/')
  return entries.flatMap(({ value }) => {
    const { nominations = [] } = JSON.parse(Buffer.from(value).toString('utf8')) as RawNode
    return nominations.map(({ uid }) => uid)
  })
}

/** Every claim in the store, of all nodes. */
export async function readStoredClaims(store: Store): Promise<StoredClaim[]> {
  const prefix = '/centaurus/claims/nodes/'
  const { entries } = await store.range(prefix)
  return entries.flatMap(({ key, value }) => {
    const node = key.slice(prefix.length)
    const { claims } = JSON.parse(Buffer.from(value).toString('utf8')) as RawNode
    return claims.flatMap(({ partition, requests, pods }) => pods.map(([uid]) => ({ uid, node, partition, requests })))
  })
}

/** Fails when a node has given more than it has, or a pod has room twice. Returns the claims. */
export async function checkStoredClaims(
  store: Store,
  allocatable: Readonly<Record<string, number>>,
): Promise<StoredClaim[]> {
  const claims = await readStoredClaims(store)
  const used = new Map<string, Record<string, number>>()
  for (const { node, requests } of claims) {
    const sum = used.get(node) ?? {}
    used.set(node, sum)
    for (const [name, amount] of Object.entries(requests)) sum[name] = (sum[name] ?? 0) + amount
  }
  for (const [node, sum] of used) {
    for (const [name, amount] of Object.entries(sum)) {
      assert.ok(amount <= (allocatable[name] ?? 0), `${node} gives ${amount} of ${name}, it has ${allocatable[name]}`)
    }
  }
  assert.equal(new Set(claims.map(({ uid }) => uid)).size, claims.length, 'a pod has room on two nodes')
  return claims
}
