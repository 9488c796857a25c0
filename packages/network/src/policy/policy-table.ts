import { isPodMeant, type PodView } from './peer-truth.ts'
import type { Direction, ParsedPolicy } from './policy-rule.ts'
import type { SelectedPolicy, Selection } from './program.ts'

/** NetworkPolicies of one namespace. Those whose selector requires a label are found by it, so that a pod is only compared with what may be for it. */
interface NamespacePolicies {
  readonly byLabel: Map<string, Map<string, Set<ParsedPolicy>>>
  readonly others: Set<ParsedPolicy>
}

/** The policies of a network. */
export class PolicyTable {
  readonly #namespaces = new Map<string, NamespacePolicies>()
  readonly #cluster = new Map<string, ParsedPolicy>()
  #sorted: readonly ParsedPolicy[] | undefined

  add(policy: ParsedPolicy): void {
    if (policy.tier !== 'NetworkPolicy') {
      this.#cluster.set(policy.key, policy)
      this.#sorted = undefined
      return
    }
    const name = policy.subject.namespace!
    let namespace = this.#namespaces.get(name)
    if (namespace === undefined) this.#namespaces.set(name, (namespace = { byLabel: new Map(), others: new Set() }))
    const required = policy.subject.pods.required
    if (required === undefined) namespace.others.add(policy)
    else {
      const [key, value] = required
      let values = namespace.byLabel.get(key)
      if (values === undefined) namespace.byLabel.set(key, (values = new Map<string, Set<ParsedPolicy>>()))
      const found = values.get(value)
      if (found === undefined) values.set(value, new Set([policy]))
      else found.add(policy)
    }
  }

  remove(policy: ParsedPolicy): void {
    if (policy.tier !== 'NetworkPolicy') {
      this.#cluster.delete(policy.key)
      this.#sorted = undefined
      return
    }
    const name = policy.subject.namespace!
    const namespace = this.#namespaces.get(name)
    if (namespace === undefined) return
    namespace.others.delete(policy)
    const [key = '', value = ''] = policy.subject.pods.required ?? []
    const values = namespace.byLabel.get(key)
    values?.get(value)?.delete(policy)
    if (values?.get(value)?.size === 0) values.delete(value)
    if (values?.size === 0) namespace.byLabel.delete(key)
    if (namespace.others.size === 0 && namespace.byLabel.size === 0) this.#namespaces.delete(name)
  }

  /** What is, or may be, for the pod. */
  select(pod: PodView, direction: Direction): Selection {
    const policies = this.#candidates(pod).flatMap((policy) => choose(policy, pod, direction))
    policies.sort((a, b) => compareText(a.policy.key, b.policy.key))
    this.#sorted ??= [...this.#cluster.values()].sort((a, b) => a.priority - b.priority || compareText(a.key, b.key))
    const cluster = this.#sorted.flatMap((policy) => choose(policy, pod, direction))
    const admin = cluster.filter(({ policy }) => policy.tier === 'Admin')
    const baseline = cluster.filter(({ policy }) => policy.tier === 'Baseline')
    return { key: [...admin, ...policies, ...baseline].map(keyOf).join(), admin, policies, baseline }
  }

  #candidates({ namespace, labels, keys }: PodView): ParsedPolicy[] {
    const own = this.#namespaces.get(namespace.name)
    if (own === undefined) return []
    const found = [...own.others]
    for (const [key, values] of own.byLabel) {
      if (keys !== undefined && !keys.has(key)) for (const policies of values.values()) found.push(...policies)
      else found.push(...(values.get(labels[key] ?? '') ?? []))
    }
    return found
  }
}

/** Whether the policy is for the pod. */
export function isSubject(policy: ParsedPolicy, pod: PodView): SelectedPolicy['match'] {
  return policy.isSubjectUnknown ? 'maybe' : isPodMeant(policy.subject, pod)
}

function choose(policy: ParsedPolicy, pod: PodView, direction: Direction): SelectedPolicy[] {
  const rules = policy[direction]
  if (rules === undefined) return []
  const match = isSubject(policy, pod)
  return match === 'no' ? [] : [{ policy, rules, match }]
}

function keyOf({ policy, match }: SelectedPolicy): string {
  return match === 'yes' ? `${policy.version}` : `${policy.version}?`
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}
