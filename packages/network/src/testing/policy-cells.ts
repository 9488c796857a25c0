import { judgeEgressOutside, judgeEgressToPod, judgeIngress, judgePeerEgress } from '../policy/evaluate.ts'
import { WORLD_IDENTITY } from '../policy/identity-table.ts'
import { LocalSets } from '../policy/local-sets.ts'
import type { PolicySet, RuleId, Segment } from '../policy/policy-set.ts'
import { PolicyWorld } from '../policy/policy-world.ts'
import { RuleBook } from '../policy/rule-book.ts'
import { findKeys, identifyPods, podKey, type KeysOf } from './policy-identities.ts'
import { askOracle, type Judgement, type OracleWorld, type Traffic } from './policy-oracle.ts'

/** A world as its host's tables have it: every pod is local. */
export interface CompiledWorld {
  readonly rules: RuleBook
  readonly world: PolicyWorld
  readonly local: LocalSets
  /** By `namespace/name`. */
  readonly sets: ReadonlyMap<string, PolicySet>
  readonly identities: ReadonlyMap<string, number>
}

/** `keysOf`: what identities know; absent: all that policies ask for. */
export function compileWorld(oracle: OracleWorld, keysOf: KeysOf = findKeys(oracle)): CompiledWorld {
  const rules = new RuleBook()
  const world = new PolicyWorld({ tenant: 'test', rules })
  const local = new LocalSets(world)
  const identities = identifyPods(oracle.pods, keysOf)
  for (const [name, labels] of Object.entries(oracle.namespaces)) world.setNamespace(name, labels)
  for (const node of oracle.nodes) world.setNode(node.name, node.labels, node.addresses)
  for (const policy of oracle.networkPolicies) world.setNetworkPolicy(policy)
  for (const policy of oracle.clusterNetworkPolicies) world.setClusterNetworkPolicy(policy)
  for (const identity of identities.values()) world.addIdentity(identity)
  for (const pod of oracle.pods) local.setPod(podKey(pod), pod)
  const ids = new Map([...identities].map(([key, { id }]) => [key, id]))
  return { rules, world, local, sets: local.takeChanges().pods, identities: ids }
}

/** What the tables say, and by which rules. */
export interface CellVerdict {
  readonly allowed: boolean
  readonly egress: Segment | undefined
  readonly ingress: Segment | undefined
  /** The sender's host dropped it, as no pod at all could be allowed: by a rule that denies, though not always the first that does. */
  readonly isCoarse: boolean
}

/** The look-ups of both hosts for the packet. */
export function judgeCell(
  { sets, identities }: Pick<CompiledWorld, 'sets' | 'identities'>,
  traffic: Traffic,
): CellVerdict {
  const { source, destination, port } = traffic
  const protocol = traffic.protocol === 'ICMP' ? ('other' as const) : traffic.protocol
  const from = 'pod' in source ? source.pod : undefined
  const to = 'pod' in destination ? destination.pod : undefined
  if (from !== undefined && from === to)
    return { allowed: true, egress: undefined, ingress: undefined, isCoarse: false }
  const flow = { protocol, port }
  const own = from === undefined ? undefined : sets.get(podKey(from))!
  if (to === undefined) {
    const address = 'address' in destination ? destination.address : ''
    const egress = judgeEgressOutside(own!, { ...flow, destination: address })
    return { allowed: egress.allow, egress, ingress: undefined, isCoarse: false }
  }
  const identity = from === undefined ? WORLD_IDENTITY : identities.get(podKey(from))!
  const address = 'address' in source ? source.address : source.pod.ip
  const ingress = judgeIngress(sets.get(podKey(to))!, { ...flow, identity, source: address })
  const coarse = own === undefined ? undefined : judgeEgressToPod(own, flow)
  const peer = own === undefined ? undefined : judgePeerEgress(sets.get(podKey(to))!, { ...flow, identity })
  const isCoarse = coarse?.allow === false
  const egress = isCoarse ? coarse : peer
  return { allowed: ingress.allow && (egress?.allow ?? true), egress, ingress, isCoarse }
}

/** Undefined when the tables and the oracle agree on the cell, in both directions and on the rule. Otherwise what differs. */
export function compareCell(oracle: OracleWorld, compiled: CompiledWorld, traffic: Traffic): string | undefined {
  const said = judgeCell(compiled, traffic)
  const expected = askOracle(oracle, traffic)
  if (said.allowed !== expected.allowed) return `tables ${describe(said)}; oracle ${describe(expected)}`
  const isIngressSame = said.ingress === undefined || isAgreed(said.ingress, expected.ingress, compiled.rules)
  const isEgressSame =
    said.egress === undefined || said.isCoarse
      ? (expected.egress?.allowed ?? true) === (said.egress?.allow ?? true)
      : isAgreed(said.egress, expected.egress, compiled.rules)
  if (isIngressSame && isEgressSame) return undefined
  const names = [said.ingress, said.egress].map((segment) =>
    JSON.stringify(compiled.rules.describe(segment?.rule ?? 0)),
  )
  return `tables ${describe(said)} by ${names.join()}; oracle ${describe(expected)} by ${JSON.stringify([expected.ingress, expected.egress])}`
}

function isAgreed({ allow, rule }: Segment, expected: Judgement | undefined, rules: RuleBook): boolean {
  return expected !== undefined && allow === expected.allowed && isNamed(rule, expected, rules)
}

function isNamed(rule: RuleId, { by }: Judgement, rules: RuleBook): boolean {
  const entry = rules.describe(rule)
  if (entry === undefined) return rule === 0 && by.length === 0
  return by.some(
    ({ kind, namespace, name, index }) =>
      kind === entry.kind && namespace === entry.namespace && name === entry.name && index === entry.index,
  )
}

function describe({
  ingress,
  egress,
}: {
  ingress?: { allow?: boolean; allowed?: boolean } | undefined
  egress?: { allow?: boolean; allowed?: boolean } | undefined
}): string {
  const word = (side: { allow?: boolean; allowed?: boolean } | undefined): string =>
    side === undefined ? 'silent' : (side.allow ?? side.allowed) ? 'allow' : 'deny'
  return `egress ${word(egress)}, ingress ${word(ingress)}`
}
