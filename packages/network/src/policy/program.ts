import { isAboutEverything, isTargetMeant, type Target } from './peer-truth.ts'
import type { ParsedPolicy, PolicyRule, PolicyRules, Tier } from './policy-rule.ts'
import type { PortProtocol, Segment, VerdictList } from './policy-set.ts'
import { bothHold, type Truth } from './truth.ts'
import { appendSegment, closeRest, LAST_PORT, PRECEDENCE, PROTOCOLS } from './verdict-list.ts'

/** A policy that is, or may be, for a pod. */
export interface SelectedPolicy {
  readonly policy: ParsedPolicy
  readonly rules: PolicyRules
  readonly match: Truth
}

/** What is for a pod in one direction, each tier in the order in which it is asked. Equal keys, equal selections. */
export interface Selection {
  readonly key: string
  readonly admin: readonly SelectedPolicy[]
  readonly policies: readonly SelectedPolicy[]
  readonly baseline: readonly SelectedPolicy[]
}

export interface NamedPort {
  readonly name: string
  readonly protocol: PortProtocol
  readonly port: number
}

export interface ProgramOptions {
  /** Ports of the destination by name; `unknown` when it may be any pod. */
  readonly namedPorts: readonly NamedPort[] | 'unknown'
  /** What may or may not hold. `closed`: allowed is what is allowed either way; `open`: what is allowed in some way. */
  readonly doubt: 'closed' | 'open'
}

/** A rule and whether the policy is for the pod at all. */
export interface ProgramRule {
  readonly rule: PolicyRule
  readonly match: Truth
}

interface Clause extends ProgramRule {
  /** Its place among all: tiers, policies and rules in the order in which they are asked. */
  readonly order: number
  /** Place of its policy in its tier. */
  readonly policy: number
  /** Ports by protocol, each with whether it is certain. */
  readonly spans: Readonly<Record<PortProtocol, readonly Span[]>>
}

/** A clause that means, or may mean, the peer that a list is made for. */
interface Speaker {
  readonly clause: Clause
  readonly peer: Truth
}

/** How often a rule was looked at to make a list, for tests of what a change costs. */
export const ruleLooks = { count: 0 }

interface Span {
  readonly first: number
  readonly last: number
  readonly truth: Truth
}

/** A span of a clause where a list is being made. */
interface Voice {
  readonly clause: Clause
  /** Whether policy, peer and port are meant. */
  readonly truth: Truth
  /** The same, were the policy certainly for the pod. */
  readonly ruleTruth: Truth
}

/** Who speaks about a port, each tier by {@link Clause.order}. */
type Voices = Readonly<Record<Tier, Voice[]>>

type Verdict = Pick<Segment, 'allow' | 'precedence' | 'rule'>

const OPEN: Verdict = { allow: true, precedence: PRECEDENCE.open, rule: 0 }

/** What a selection says, as a list for each kind of peer. Lists are made once for all peers that the same rules mean. */
export class Program {
  /** All rules, in the order of the truths that {@link listFor} takes. */
  readonly rules: readonly ProgramRule[]
  readonly #clauses: readonly Clause[]
  /** Those that are about every peer. */
  readonly #always: readonly Speaker[]
  /** Rules that depend on the peer, with their place. */
  readonly #conditional: readonly (readonly [index: number, rule: PolicyRule])[]
  readonly #policies: readonly SelectedPolicy[]
  /** {@link Clause.policy} of the first NetworkPolicy. */
  readonly #firstPolicy: number
  readonly #doubt: ProgramOptions['doubt']
  readonly #lists = new Map<string, VerdictList>()

  constructor(selection: Selection, { namedPorts, doubt }: ProgramOptions) {
    this.#doubt = doubt
    const clauses: Clause[] = []
    for (const [policy, { rules, match }] of [
      ...selection.admin,
      ...selection.policies,
      ...selection.baseline,
    ].entries()) {
      for (const rule of rules.rules)
        clauses.push({ rule, match, order: clauses.length, policy, spans: spansOf(rule, namedPorts) })
    }
    this.#clauses = clauses
    this.#always = clauses.filter(({ rule }) => isAboutEverything(rule)).map((clause) => ({ clause, peer: 'yes' }))
    this.#firstPolicy = selection.admin.length
    this.#policies = selection.policies
    this.rules = this.#clauses
    this.#conditional = this.#clauses.flatMap(({ rule }, i) => (isAboutEverything(rule) ? [] : [[i, rule] as const]))
  }

  /** Where rules mean the target. */
  listForTarget(target: Target): VerdictList {
    let signature = ''
    for (const [i, rule] of this.#conditional) signature += signRule(i, isTargetMeant(rule, target))
    return this.listFor(signature)
  }

  /** `signature`: {@link signRule} of each rule that is not about everything, in order. */
  listFor(signature: string): VerdictList {
    let list = this.#lists.get(signature)
    if (list === undefined) {
      list = this.#build([...this.#always, ...this.#speakersOf(signature)])
      this.#lists.set(signature, list)
    }
    return list
  }

  #speakersOf(signature: string): Speaker[] {
    const parts = signature.split(',').slice(0, -1) // each ends with a comma
    return parts.map((part) => ({
      clause: this.#clauses[Number.parseInt(part, 10)]!,
      peer: part.endsWith('?') ? 'maybe' : 'yes',
    }))
  }

  /** Goes through the ports from bound to bound, so the cost is that of the bounds and of who speaks there, not of their product. */
  #build(speakers: readonly Speaker[]): VerdictList {
    const list: Segment[] = []
    for (const protocol of PROTOCOLS) {
      const bounds = findBounds(speakers, protocol)
      const ports = [...bounds.keys()].sort((a, b) => a - b)
      const voices: Voices = { Admin: [], NetworkPolicy: [], Baseline: [] }
      for (const [i, firstPort] of ports.entries()) {
        const { begins, ends } = bounds.get(firstPort)!
        for (const voice of ends) silence(voices[this.#tierOf(voice)], voice)
        for (const voice of begins) join(voices[this.#tierOf(voice)], voice)
        const lastPort = (ports[i + 1] ?? LAST_PORT + 1) - 1
        appendSegment(list, { protocol, firstPort, lastPort, ...this.#decide(voices) })
      }
    }
    return closeRest(list)
  }

  #tierOf({ clause: { policy } }: Voice): Tier {
    if (policy < this.#firstPolicy) return 'Admin'
    return policy < this.#firstPolicy + this.#policies.length ? 'NetworkPolicy' : 'Baseline'
  }

  #decide({ Admin, NetworkPolicy, Baseline }: Voices): Verdict {
    return (
      this.#decideTier(Admin, PRECEDENCE.admin) ??
      this.#decidePolicies(NetworkPolicy) ??
      this.#decideTier(Baseline, PRECEDENCE.baseline) ??
      OPEN
    )
  }

  /**
   * The first rule that holds decides. What may hold decides only towards the side of doubt (closed: Deny), and a Pass that may hold lets a later rule of
   * the other side decide nothing: if it held, the next tier would say.
   */
  #decideTier(voices: readonly Voice[], precedence: number): Verdict | undefined {
    const decisive = this.#doubt === 'closed' ? 'Deny' : 'Accept'
    let mayHavePassed = false
    for (const { clause, truth } of voices) {
      const { action, id } = clause.rule
      const verdict = { allow: action === 'Accept', precedence, rule: id }
      if (action === decisive) return verdict
      if (truth === 'yes') return action === 'Pass' || mayHavePassed ? undefined : verdict
      if (action === 'Pass') mayHavePassed = true
    }
    return undefined
  }

  /** Undefined when no NetworkPolicy has the last word. */
  #decidePolicies(voices: readonly Voice[]): Verdict | undefined {
    const isolating = this.#policies.find(({ match }) => match === 'yes')
    if (this.#doubt === 'closed' && isolating === undefined) return this.#decideUncertain(voices)
    const found = this.#doubt === 'closed' ? voices.find(({ truth }) => truth === 'yes') : voices[0]
    if (found !== undefined) return { allow: true, precedence: PRECEDENCE.allow, rule: found.clause.rule.id }
    return isolating === undefined ? undefined : deny(isolating)
  }

  /** Of policies that may be for the pod each alone must allow, and so must the next tier, in case that none is. */
  #decideUncertain(voices: readonly Voice[]): Verdict | undefined {
    const allowing = new Set(voices.flatMap(({ clause, ruleTruth }) => (ruleTruth === 'yes' ? [clause.policy] : [])))
    const silent = this.#policies.find((_, i) => !allowing.has(this.#firstPolicy + i))
    return silent === undefined ? undefined : deny(silent)
  }
}

interface Bound {
  readonly begins: Voice[]
  /** Those that speak of ports below. */
  readonly ends: Voice[]
}

function findBounds(speakers: readonly Speaker[], protocol: PortProtocol): Map<number, Bound> {
  const bounds = new Map<number, Bound>([[0, { begins: [], ends: [] }]])
  const at = (port: number): Bound => {
    let bound = bounds.get(port)
    if (bound === undefined) bounds.set(port, (bound = { begins: [], ends: [] }))
    return bound
  }
  ruleLooks.count += speakers.length
  for (const { clause, peer } of speakers) {
    for (const { first, last, truth } of clause.spans[protocol]) {
      const ruleTruth = bothHold(peer, truth)
      const voice = { clause, ruleTruth, truth: bothHold(clause.match, ruleTruth) }
      at(first).begins.push(voice)
      if (last < LAST_PORT) at(last + 1).ends.push(voice)
    }
  }
  return bounds
}

function join(voices: Voice[], voice: Voice): void {
  voices.splice(placeOf(voices, voice), 0, voice)
}

function silence(voices: Voice[], voice: Voice): void {
  voices.splice(voices.indexOf(voice, placeOf(voices, voice)), 1)
}

/** Of the first that is not asked before it. */
function placeOf(voices: readonly Voice[], { clause }: Voice): number {
  let low = 0
  let high = voices.length
  while (low < high) {
    const middle = (low + high) >> 1
    if (voices[middle]!.clause.order < clause.order) low = middle + 1
    else high = middle
  }
  return low
}

/** Part of a signature: the rule at `index` means the peer. */
export function signRule(index: number, truth: Truth): string {
  return truth === 'no' ? '' : truth === 'yes' ? `${index},` : `${index}?,`
}

function deny({ rules }: SelectedPolicy): Verdict {
  return { allow: false, precedence: PRECEDENCE.isolation, rule: rules.isolation }
}

function spansOf({ ports }: PolicyRule, namedPorts: ProgramOptions['namedPorts']): Clause['spans'] {
  const spans: Record<PortProtocol, Span[]> = { TCP: [], UDP: [], SCTP: [], other: [] }
  if (ports === undefined) {
    for (const protocol of PROTOCOLS) spans[protocol].push({ first: 0, last: LAST_PORT, truth: 'yes' })
    return spans
  }
  for (const match of ports) {
    if ('firstPort' in match) {
      spans[match.protocol].push({ first: match.firstPort, last: match.lastPort, truth: 'yes' })
    } else if (namedPorts === 'unknown') {
      for (const protocol of PROTOCOLS) {
        if (protocol !== 'other' && (match.protocol ?? protocol) === protocol) {
          spans[protocol].push({ first: 0, last: LAST_PORT, truth: 'maybe' })
        }
      }
    } else {
      for (const { name, protocol, port } of namedPorts) {
        if (name === match.name && (match.protocol ?? protocol) === protocol) {
          spans[protocol].push({ first: port, last: port, truth: 'yes' })
        }
      }
    }
  }
  return spans
}
