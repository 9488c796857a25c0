import { badRequest } from '../status/status-error.ts'

/** One condition on one field. */
export interface FieldRequirement {
  readonly field: string
  readonly operator: '=' | '!='
  readonly value: string
}

/** Decides by a few named fields which objects are meant: all requirements must hold. Immutable. */
export class FieldSelector {
  readonly requirements: readonly FieldRequirement[]

  constructor(requirements: readonly FieldRequirement[]) {
    this.requirements = requirements
  }

  /** True for the selector that every object matches. */
  get isEmpty(): boolean {
    return this.requirements.length === 0
  }

  /** `fields` gives the value of each selectable field; a field that is absent is the empty text, as upstream has it. */
  matches(fields: Readonly<Record<string, string>>): boolean {
    for (const { field, operator, value } of this.requirements) {
      if (((fields[field] ?? '') === value) !== (operator === '=')) return false
    }
    return true
  }

  /** The only value that `field` may have, when the selector says so; for indexes. */
  requiredValue(field: string): string | undefined {
    return this.requirements.find((requirement) => requirement.field === field && requirement.operator === '=')?.value
  }

  toString(): string {
    return this.requirements
      .map(({ field, operator, value }) => `${field}${operator}${escapeFieldValue(value)}`)
      .join(',')
  }
}

/** Matches every object. */
export const everyField = new FieldSelector([])

/** Longer selectors are refused. */
const FIELD_SELECTOR_LENGTH_MAX = 64 * 1024

/**
 * Reads `metadata.name=a,spec.nodeName!=b`; `\` escapes `,`, `=` and itself in values. Throws a BadRequest `StatusError`.
 * Which fields a kind knows is the caller's to check: see {@link checkFieldLabels}.
 * Source: apimachinery pkg/fields/selector.go, v0.37.
 */
export function parseFieldSelector(text: string): FieldSelector {
  if (text === '') return everyField
  if (text.length > FIELD_SELECTOR_LENGTH_MAX) {
    throw badRequest(`field selector is longer than ${FIELD_SELECTOR_LENGTH_MAX} characters`)
  }
  const requirements: FieldRequirement[] = []
  for (const term of splitTerms(text).toSorted()) {
    if (term === '') continue
    const match = /^(.*?)(!=|==|=)(.*)$/s.exec(term)
    if (match === null) throw badRequest(`invalid selector: '${text}'; can't understand '${term}'`)
    const [, field = '', operator, value = ''] = match
    const requirement = {
      field,
      operator: operator === '!=' ? ('!=' as const) : ('=' as const),
      value: unescapeValue(value),
    }
    if (requirement.field !== '' || requirement.value !== '') requirements.push(requirement)
  }
  return requirements.length === 0 ? everyField : new FieldSelector(requirements)
}

/** Throws the BadRequest that upstream gives for a field that a kind can't be selected by. */
export function checkFieldLabels(selector: FieldSelector, known: ReadonlySet<string>): void {
  for (const { field } of selector.requirements) {
    if (!known.has(field)) throw badRequest(`field label not supported: ${field}`)
  }
}

/** Text that stands for `value` in a field selector. */
export function escapeFieldValue(value: string): string {
  return value.replace(/[\\,=]/g, '\\$&')
}

function splitTerms(text: string): string[] {
  const terms: string[] = []
  let start = 0
  for (let i = 0; i < text.length; i++) {
    if (text[i] === '\\') i++
    else if (text[i] === ',') {
      terms.push(text.slice(start, i))
      start = i + 1
    }
  }
  terms.push(text.slice(start))
  return terms
}

function unescapeValue(text: string): string {
  if (!/[\\,=]/.test(text)) return text
  let value = ''
  for (let i = 0; i < text.length; i++) {
    const character = text[i]!
    if (character === '\\') {
      const next = text[++i] ?? ''
      if (next === '' || !'\\,='.includes(next)) {
        throw badRequest(`invalid field selector: invalid escape sequence: \\${next}`)
      }
      value += next
    } else if (character === ',' || character === '=') {
      // Upstream prints the number of the character here, not the character.
      throw badRequest(`invalid field selector: unescaped character in value: ${character.charCodeAt(0)}`)
    } else value += character
  }
  return value
}
