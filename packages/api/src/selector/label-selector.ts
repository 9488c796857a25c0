import type { LabelSelector as LabelSelectorObject } from '../generated/types/meta/v1.ts'
import { badRequest } from '../status/status-error.ts'
import {
  checkRequirement,
  formatRequirement,
  parseInt64,
  type Requirement,
  type SelectorOperator,
} from './requirement.ts'

/** Labels of an object; absent means none. */
export type Labels = Readonly<Record<string, string>> | undefined

/** Decides by labels which objects are meant: all requirements must hold. Immutable; make it once, match often. */
export class LabelSelector {
  /** Sorted by key. */
  readonly requirements: readonly Requirement[]
  readonly #matchers: readonly ((labels: Labels) => boolean)[]
  readonly #matchesNothing: boolean

  /** `requirements` must be valid; `matchesNothing` wins over them. */
  constructor(requirements: readonly Requirement[], options: { readonly matchesNothing?: boolean | undefined } = {}) {
    this.requirements = requirements.toSorted((a, b) => (a.key < b.key ? -1 : a.key > b.key ? 1 : 0))
    this.#matchers = this.requirements.map(compileRequirement)
    this.#matchesNothing = options.matchesNothing ?? false
  }

  /** True for the selector that every object matches. */
  get isEmpty(): boolean {
    return this.requirements.length === 0 && !this.#matchesNothing
  }

  /** True when no object can match, as for an absent selector. */
  get isNothing(): boolean {
    return this.#matchesNothing
  }

  matches(labels: Labels): boolean {
    if (this.#matchesNothing) return false
    for (const matcher of this.#matchers) if (!matcher(labels)) return false
    return true
  }

  /** The only value that `key` may have, when the selector says so; for indexes. */
  requiredValue(key: string): string | undefined {
    const found = this.requirements.find((requirement) => requirement.key === key)
    if (found === undefined || found.values.length !== 1) return undefined
    return found.operator === '=' || found.operator === '==' || found.operator === 'in' ? found.values[0] : undefined
  }

  /** Text that {@link parseLabelSelector} reads back. */
  toString(): string {
    return this.requirements.map(formatRequirement).join(',')
  }
}

/** Matches every object. */
export const everything = new LabelSelector([])
/** Matches no object. */
export const nothing = new LabelSelector([], { matchesNothing: true })

/**
 * Compiles a LabelSelector of the API: absent matches nothing, empty matches everything.
 * Throws a BadRequest `StatusError` with upstream's words (meta/v1 LabelSelectorAsSelector) when a requirement is wrong.
 */
export function selectorFromObject(selector: Readonly<LabelSelectorObject> | undefined | null): LabelSelector {
  if (selector === undefined || selector === null) return nothing
  const requirements: Requirement[] = []
  for (const [key, value] of Object.entries(selector.matchLabels ?? {})) {
    requirements.push(createRequirement(key, '=', [value]))
  }
  for (const expression of selector.matchExpressions ?? []) {
    const operator = OBJECT_OPERATORS.get(expression.operator)
    if (operator === undefined) {
      throw badRequest(`${JSON.stringify(expression.operator)} is not a valid label selector operator`)
    }
    requirements.push(createRequirement(expression.key, operator, expression.values ?? []))
  }
  return requirements.length === 0 ? everything : new LabelSelector(requirements)
}

/** Matches exactly the given labels, as a Service's `spec.selector`; an empty or absent map matches everything. Nothing is checked. */
export function selectorFromLabels(labels: Labels): LabelSelector {
  const entries = Object.entries(labels ?? {})
  if (entries.length === 0) return everything
  return new LabelSelector(entries.map(([key, value]) => ({ key, operator: '=', values: [value] })))
}

/** Checks and makes a requirement. Throws a BadRequest `StatusError`. */
export function createRequirement(key: string, operator: SelectorOperator, values: readonly string[]): Requirement {
  const requirement = { key, operator, values }
  const errors = checkRequirement(requirement)
  if (errors.length === 0) return requirement
  const lines = [...new Set(errors.map((error) => `${error.field}: ${error.message}`))]
  throw badRequest(lines.length === 1 ? lines[0]! : `[${lines.join(', ')}]`)
}

const OBJECT_OPERATORS: ReadonlyMap<string, SelectorOperator> = new Map([
  ['In', 'in'],
  ['NotIn', 'notin'],
  ['Exists', 'exists'],
  ['DoesNotExist', '!'],
])

/** A closure per requirement: the operator is looked at once. A label that is not own text (`constructor`) counts as absent. */
function compileRequirement({ key, operator, values }: Requirement): (labels: Labels) => boolean {
  const only = values[0] ?? ''
  switch (operator) {
    case '=':
    case '==':
      return (labels) => labels?.[key] === only
    case '!=':
      return (labels) => labels?.[key] !== only
    case 'in':
      if (values.length === 1) return (labels) => labels?.[key] === only
      return (labels) => values.includes(labels?.[key] as string)
    case 'notin':
      return (labels) => !values.includes(labels?.[key] as string)
    case 'exists':
      return (labels) => typeof labels?.[key] === 'string'
    case '!':
      return (labels) => typeof labels?.[key] !== 'string'
    case 'gt':
    case 'lt':
      return compareInteger(key, operator, parseInt64(only))
  }
}

function compareInteger(key: string, operator: 'gt' | 'lt', bound: bigint | undefined): (labels: Labels) => boolean {
  return (labels) => {
    const text = labels?.[key]
    const value = typeof text === 'string' ? parseInt64(text) : undefined
    if (value === undefined || bound === undefined) return false
    return operator === 'gt' ? value > bound : value < bound
  }
}
