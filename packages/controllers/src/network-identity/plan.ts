import { TerminalError } from '@centaurus/client'
import { IDENTITY_MAX, type VpcStatus } from '@centaurus/api/centaurus/v1'
import { FIRST_IDENTITY } from '@centaurus/api/centaurus/v1'
import type { Condition } from '@centaurus/api/meta/v1'

/** Of a Vpc: some pods have no identity, since its tenant has too many. */
export const EXHAUSTED = 'IdentitiesExhausted'
/** Numbers that are reserved in one write, unless more are needed: new pods mostly find some left. */
const RESERVED_MIN = 64
/** Keys that are told of when there are too many identities. */
const KEYS_TOLD = 3

/** Numbers that were reserved durably and not given to anybody yet: from `next` on, up to and without `end`. */
export interface NumberPool {
  readonly next: number
  readonly end: number
}

export interface NumbersPlan {
  /** How many identities can be made now. */
  readonly count: number
  /** Reserve these first, by making `end` the next identity in the Vpc's status; undefined: those that are left will do. */
  readonly reserve?: NumberPool | undefined
}

export interface NumbersFacts {
  /** Identities that pods wait for. */
  readonly missing: number
  /** How many more the tenant may have. */
  readonly room: number
  readonly pool: NumberPool
  /** What the Vpc's status says is next. */
  readonly nextIdentity: number | undefined
}

/** Where the numbers of new identities come from. Throws TerminalError when a network has had 2^32 of them. Pure. */
export function planNumbers({ missing, room, pool, nextIdentity = FIRST_IDENTITY }: NumbersFacts): NumbersPlan {
  const count = Math.max(0, Math.min(missing, room))
  const left = pool.end - pool.next
  if (count === 0 || left > 0) return { count: Math.min(count, left) }
  const end = nextIdentity + Math.max(count, RESERVED_MIN)
  if (end > IDENTITY_MAX + 1) throw new TerminalError('All identities of the network were given')
  return { count, reserve: { next: nextIdentity, end } }
}

/** Keys whose labels have the most different values, those with the most first. Pure. */
export function findBusyKeys(all: Iterable<Readonly<Record<string, string>>>): { key: string; values: number }[] {
  const values = new Map<string, Set<string>>()
  for (const labels of all) {
    for (const [key, value] of Object.entries(labels)) {
      const known = values.get(key)
      if (known === undefined) values.set(key, new Set([value]))
      else known.add(value)
    }
  }
  const counted = Array.from(values, ([key, set]) => ({ key, values: set.size }))
  return counted.toSorted((a, b) => b.values - a.values || (a.key < b.key ? -1 : 1)).slice(0, KEYS_TOLD)
}

/** The condition that says so; `busy` undefined: all pods have their identities. `now`: RFC 3339. Pure. */
export function exhaustedCondition(
  busy: { readonly waiting: number; readonly max: number; readonly keys: ReturnType<typeof findBusyKeys> } | undefined,
  now: string,
): Condition {
  const base = { type: EXHAUSTED, lastTransitionTime: now }
  if (busy === undefined)
    return { ...base, status: 'False', reason: 'Enough', message: 'Every pod has its identity, or gets it' }
  const keys = busy.keys.map(({ key, values }) => `"${key}" (${values} values)`).join(', ')
  const what = `The tenant has ${busy.max} network identities and may not have more; pods with ${busy.waiting} other combinations of labels get no network`
  const message = `${what}. Policies should not select pods by labels that are different on each: ${keys || 'none'}`
  return { ...base, status: 'True', reason: 'TooManyIdentities', message }
}

/** The status with this condition in place of the one of its type; undefined when it says so already, or has nothing to say. Pure. */
export function withExhausted(status: VpcStatus | undefined, next: Condition): VpcStatus | undefined {
  const conditions = status?.conditions ?? []
  const old = conditions.find(({ type }) => type === EXHAUSTED)
  if (old === undefined && next.status === 'False') return undefined
  if (old?.status === next.status && (next.status === 'False' || old?.message === next.message)) return undefined
  const kept = old?.status === next.status ? { ...next, lastTransitionTime: old.lastTransitionTime } : next
  return { ...status, conditions: [...conditions.filter(({ type }) => type !== EXHAUSTED), kept] }
}
