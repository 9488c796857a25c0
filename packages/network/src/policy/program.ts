import { isAboutEverything, isTargetMeant, type Target } from './peer-truth.ts'
import type { ParsedPolicy, PolicyRule, PolicyRules } from './policy-rule.ts'
import type { PortProtocol, RuleId, Segment, VerdictList } from './policy-set.ts'
import { bothHold, type Truth } from './truth.ts'
import { appendSegment, LAST_PORT, PRECEDENCE, PROTOCOLS } from './verdict-list.ts'

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
  /** Ports by protocol, each with whether it is certain. */
  readonly spans: Readonly<Record<PortProtocol, readonly Span[]>>
  /** Whether the peer is meant; changes with each list that is made. */
  peer: Truth
}

interface Span {
  readonly first: number
  readonly last: number
  readonly truth: Truth
}

interface PolicyClauses {
  readonly match: Truth
  readonly isolation: RuleId
  readonly clauses: readonly Clause[]
}

type Verdict = Pick<Segment, 'allow' | 'precedence' | 'rule'>

const OPEN: Verdict = { allow: true, precedence: PRECEDENCE.open, rule: 0 }

/** What a selection says, as a list for each kind of peer. Lists are made once for all peers that the same rules mean. */
export class Program {
  /** All rules, in the order of the truths that {@link listFor} takes. */
  readonly rules: readonly ProgramRule[]
  readonly #clauses: readonly Clause[]
  /** Rules that depend on the peer, with their place. */
  readonly #conditional: readonly (readonly [index: number, rule: PolicyRule])[]
  readonly #admin: readonly Clause[]
  readonly #policies: readonly PolicyClauses[]
  readonly #baseline: readonly Clause[]
  readonly #doubt: ProgramOptions['doubt']
  readonly #lists = new Map<string, VerdictList>()

  constructor(selection: Selection, { namedPorts, doubt }: ProgramOptions) {
    this.#doubt = doubt
    const compile = ({ rules, match }: SelectedPolicy): Clause[] =>
      rules.rules.map((rule) => ({ rule, match, spans: spansOf(rule, namedPorts), peer: 'no' }))
    this.#admin = selection.admin.flatMap(compile)
    this.#policies = selection.policies.map((selected) => ({
      match: selected.match,
      isolation: selected.rules.isolation,
      clauses: compile(selected),
    }))
    this.#baseline = selection.baseline.flatMap(compile)
    this.#clauses = [...this.#admin, ...this.#policies.flatMap(({ clauses }) => clauses), ...this.#baseline]
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
      const signed = new Map(signature.split(',').map((part) => [Number.parseInt(part, 10), part.endsWith('?')]))
      for (const [i, clause] of this.#clauses.entries()) {
        const isDoubtful = signed.get(i)
        clause.peer = isAboutEverything(clause.rule)
          ? 'yes'
          : isDoubtful === undefined
            ? 'no'
            : isDoubtful
              ? 'maybe'
              : 'yes'
      }
      list = this.#build()
      this.#lists.set(signature, list)
    }
    return list
  }

  #build(): VerdictList {
    const list: Segment[] = []
    const relevant = this.#clauses.filter(({ peer }) => peer !== 'no')
    for (const protocol of PROTOCOLS) {
      const firsts = new Set([0])
      for (const { spans } of relevant) {
        for (const { first, last } of spans[protocol]) {
          firsts.add(first)
          if (last < LAST_PORT) firsts.add(last + 1)
        }
      }
      const sorted = [...firsts].sort((a, b) => a - b)
      for (const [i, firstPort] of sorted.entries()) {
        const lastPort = (sorted[i + 1] ?? LAST_PORT + 1) - 1
        const verdict = this.#decide((clause) => truthAt(clause, protocol, firstPort))
        appendSegment(list, { protocol, firstPort, lastPort, ...verdict })
      }
    }
    return list
  }

  #decide(truthOf: (clause: Clause) => Truth): Verdict {
    return (
      this.#decideTier(this.#admin, truthOf, PRECEDENCE.admin) ??
      this.#decidePolicies(truthOf) ??
      this.#decideTier(this.#baseline, truthOf, PRECEDENCE.baseline) ??
      OPEN
    )
  }

  /**
   * The first rule that holds decides. What may hold decides only towards the side of doubt (closed: Deny), and a Pass that may hold lets a later rule of
   * the other side decide nothing: if it held, the next tier would say.
   */
  #decideTier(clauses: readonly Clause[], truthOf: (clause: Clause) => Truth, precedence: number): Verdict | undefined {
    const decisive = this.#doubt === 'closed' ? 'Deny' : 'Accept'
    let mayHavePassed = false
    for (const clause of clauses) {
      const truth = truthOf(clause)
      if (truth === 'no') continue
      const { action, id } = clause.rule
      if (action === decisive) return { allow: action === 'Accept', precedence, rule: id }
      if (truth === 'yes')
        return action === 'Pass' || mayHavePassed ? undefined : { allow: action === 'Accept', precedence, rule: id }
      if (action === 'Pass') mayHavePassed = true
    }
    return undefined
  }

  /** Undefined when no NetworkPolicy has the last word. */
  #decidePolicies(truthOf: (clause: Clause) => Truth): Verdict | undefined {
    const isCertain = this.#policies.some(({ match }) => match === 'yes')
    if (this.#doubt === 'closed') return isCertain ? this.#decideCertain(truthOf) : this.#decideUncertain(truthOf)
    for (const { clauses } of this.#policies) {
      const found = clauses.find((clause) => truthOf(clause) !== 'no')
      if (found !== undefined) return allow(found)
    }
    const isolating = this.#policies.find(({ match }) => match === 'yes')
    return isolating === undefined ? undefined : deny(isolating)
  }

  #decideCertain(truthOf: (clause: Clause) => Truth): Verdict | undefined {
    const certain = this.#policies.filter(({ match }) => match === 'yes')
    for (const { clauses } of certain) {
      const found = clauses.find((clause) => truthOf(clause) === 'yes')
      if (found !== undefined) return allow(found)
    }
    return deny(certain[0]!)
  }

  /** Of policies that may be for the pod each alone must allow, and so must the next tier, in case that none is. */
  #decideUncertain(truthOf: (clause: Clause) => Truth): Verdict | undefined {
    for (const policy of this.#policies) {
      // The match of a clause is its policy's, so a certain rule of an uncertain policy is uncertain: ask for the rule alone.
      if (!policy.clauses.some((clause) => truthOf({ ...clause, match: 'yes' }) === 'yes')) return deny(policy)
    }
    return undefined
  }
}

/** Part of a signature: the rule at `index` means the peer. */
export function signRule(index: number, truth: Truth): string {
  return truth === 'no' ? '' : truth === 'yes' ? `${index},` : `${index}?,`
}

function allow({ rule }: Clause): Verdict {
  return { allow: true, precedence: PRECEDENCE.allow, rule: rule.id }
}

function deny({ isolation }: PolicyClauses): Verdict {
  return { allow: false, precedence: PRECEDENCE.isolation, rule: isolation }
}

function truthAt({ match, peer, spans }: Clause, protocol: PortProtocol, port: number): Truth {
  if (peer === 'no') return 'no'
  let inPorts: Truth = 'no'
  for (const { first, last, truth } of spans[protocol]) {
    if (port < first || port > last) continue
    if (truth === 'yes') return bothHold(match, peer)
    inPorts = truth
  }
  return bothHold(bothHold(match, peer), inPorts)
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
