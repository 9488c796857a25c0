import { createHash } from 'node:crypto'
import type { RuleId } from './policy-set.ts'
import type { Direction } from './policy-rule.ts'

/** What a rule id means. */
export interface RuleEntry {
  /** Whose rule it is; as given to the world. */
  readonly tenant: string
  readonly kind: 'NetworkPolicy' | 'ClusterNetworkPolicy'
  /** Empty for ClusterNetworkPolicies. */
  readonly namespace: string
  readonly name: string
  readonly direction: Direction
  /** Its place in the list; −1: no rule, but that the policy isolates. */
  readonly index: number
  /** The rule itself, as JSON; empty for −1. */
  readonly text: string
}

/** Entries of rules that no policy has any more; older ones are forgotten. */
const RETIRED_MAX = 4096

/**
 * Numbers rules. The number comes from a hash of the entry, so the same rule has it again after a restart, when the kernel still counts by it.
 * A rule that is edited is another rule.
 */
export class RuleBook {
  readonly #entries = new Map<RuleId, RuleEntry & { users: number }>()
  readonly #retired = new Set<RuleId>()

  /** The rule's number, 1 to 2^32 − 1. Call {@link release} as often. */
  acquire(entry: RuleEntry): RuleId {
    const parts = [entry.tenant, entry.kind, entry.namespace, entry.name, entry.direction, `${entry.index}`, entry.text]
    const hash = createHash('sha256').update(JSON.stringify(parts)).digest()
    for (let offset = 0; offset <= hash.length - 4; offset++) {
      const id = hash.readUInt32LE(offset)
      const found = this.#entries.get(id)
      if (id === 0 || (found !== undefined && !isSame(found, entry))) continue
      if (found === undefined) this.#entries.set(id, { ...entry, users: 1 })
      else found.users++
      this.#retired.delete(id)
      return id
    }
    throw new Error(`Cannot number rule ${entry.index} of ${entry.namespace}/${entry.name}: all its numbers are taken`)
  }

  /** The entry stays readable for a while: counters are read later. */
  release(id: RuleId): void {
    const entry = this.#entries.get(id)
    if (entry === undefined || --entry.users > 0) return
    this.#retired.add(id)
    if (this.#retired.size <= RETIRED_MAX) return
    const [oldest] = this.#retired
    this.#retired.delete(oldest!)
    this.#entries.delete(oldest!)
  }

  /** Undefined for 0, the open default, and for numbers of rules that are long gone. */
  describe(id: RuleId): RuleEntry | undefined {
    return this.#entries.get(id)
  }
}

function isSame(a: RuleEntry, b: RuleEntry): boolean {
  return (
    a.text === b.text &&
    a.index === b.index &&
    a.direction === b.direction &&
    a.name === b.name &&
    a.namespace === b.namespace &&
    a.kind === b.kind &&
    a.tenant === b.tenant
  )
}
