import { checkQualifiedName } from '../meta/names.ts'
import { badRequest, StatusError } from '../status/status-error.ts'
import { createRequirement, everything, LabelSelector } from './label-selector.ts'
import { BINARY_OPERATORS, type Requirement, type SelectorOperator } from './requirement.ts'

/** Longer selectors are refused. A URL that carries one is bounded anyway. */
export const SELECTOR_LENGTH_MAX = 64 * 1024

/**
 * Reads `a=b,c!=d,e in (f,g),!h,i>3`. Throws a BadRequest `StatusError` with upstream's words.
 * Grammar and words: apimachinery pkg/labels/selector.go, v0.37.
 */
export function parseLabelSelector(text: string): LabelSelector {
  if (text === '') return everything
  if (text.length > SELECTOR_LENGTH_MAX)
    throw badRequest(`label selector is longer than ${SELECTOR_LENGTH_MAX} characters`)
  const requirements = new Parser(scan(text)).parse()
  return requirements.length === 0 ? everything : new LabelSelector(requirements)
}

type TokenType = 'end' | 'error' | 'identifier' | ')' | '(' | ',' | '!' | '==' | '=' | '>' | '<' | '!=' | 'in' | 'notin'

interface Token {
  readonly type: TokenType
  readonly text: string
}

const SPECIAL = new Set(['=', '!', '(', ')', ',', '>', '<'])
const WORDS: ReadonlySet<string> = new Set([')', ',', '!', '==', '=', '>', 'in', '<', '!=', 'notin', '('])
const OPERATOR_OF: ReadonlyMap<TokenType, SelectorOperator> = new Map([
  ['in', 'in'],
  ['notin', 'notin'],
  ['=', '='],
  ['==', '=='],
  ['!=', '!='],
  ['>', 'gt'],
  ['<', 'lt'],
])

function scan(text: string): Token[] {
  const tokens: Token[] = []
  let at = 0
  for (;;) {
    while (at < text.length && ' \t\r\n'.includes(text[at]!)) at++
    if (at >= text.length) break
    const start = at
    if (SPECIAL.has(text[at]!)) {
      const token = scanSpecial(text, at)
      tokens.push(token)
      at += token.type === 'error' ? 1 : token.text.length
      continue
    }
    while (at < text.length && !SPECIAL.has(text[at]!) && !' \t\r\n'.includes(text[at]!)) at++
    const word = text.slice(start, at)
    tokens.push({ type: WORDS.has(word) ? (word as TokenType) : 'identifier', text: word })
  }
  tokens.push({ type: 'end', text: '' })
  return tokens
}

/** Every special character is an operator by itself; two of them may make a longer one. */
function scanSpecial(text: string, at: number): Token {
  const two = text.slice(at, at + 2)
  const word = two.length === 2 && WORDS.has(two) ? two : text[at]!
  return { type: WORDS.has(word) ? (word as TokenType) : 'error', text: word }
}

class Parser {
  readonly #tokens: readonly Token[]
  #at = 0

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens
  }

  parse(): Requirement[] {
    const requirements: Requirement[] = []
    for (;;) {
      const first = this.#peekValue()
      if (first.type === 'end') return requirements
      if (first.type !== 'identifier' && first.type !== '!') {
        throw badRequest(`found '${first.text}', expected: !, identifier, or 'end of string'`)
      }
      requirements.push(this.#parseRequirementOrExplain())
      const after = this.#takeValue()
      if (after.type === 'end') return requirements
      if (after.type !== ',') throw badRequest(`found '${after.text}', expected: ',' or 'end of string'`)
      const next = this.#peekValue()
      if (next.type !== 'identifier' && next.type !== '!') {
        throw badRequest(`found '${next.text}', expected: identifier after ','`)
      }
    }
  }

  #parseRequirementOrExplain(): Requirement {
    try {
      return this.#parseRequirement()
    } catch (error) {
      if (error instanceof StatusError) throw badRequest(`unable to parse requirement: ${error.message}`)
      throw error
    }
  }

  #parseRequirement(): Requirement {
    let token = this.#takeValue()
    const isNegated = token.type === '!'
    if (isNegated) token = this.#takeValue()
    if (token.type !== 'identifier') throw badRequest(`found '${token.text}', expected: identifier`)
    const key = token.text
    const keyErrors = checkQualifiedName(key)
    if (keyErrors.length > 0) throw badRequest(`<nil>: Invalid value: ${JSON.stringify(key)}: ${keyErrors.join('; ')}`)
    if (isNegated) return createRequirement(key, '!', [])
    const next = this.#peekValue()
    if (next.type === 'end' || next.type === ',') return createRequirement(key, 'exists', [])
    const operatorToken = this.#take()
    const operator = OPERATOR_OF.get(operatorToken.type)
    if (operator === undefined)
      throw badRequest(`found '${operatorToken.text}', expected: ${BINARY_OPERATORS.join(', ')}`)
    const isSet = operator === 'in' || operator === 'notin'
    return createRequirement(key, operator, isSet ? this.#parseValues() : [this.#parseExactValue()])
  }

  #parseExactValue(): string {
    const next = this.#peekValue()
    if (next.type === 'end' || next.type === ',') return ''
    const token = this.#takeValue()
    if (token.type === 'identifier') return token.text
    throw badRequest(`found '${token.text}', expected: identifier`)
  }

  #parseValues(): string[] {
    const open = this.#takeValue()
    if (open.type !== '(') throw badRequest(`found '${open.text}' expected: '('`)
    const first = this.#peekValue()
    if (first.type === ')') {
      this.#takeValue()
      return ['']
    }
    if (first.type !== 'identifier' && first.type !== ',') {
      throw badRequest(`found '${first.text}', expected: ',', ')' or identifier`)
    }
    const values = this.#parseIdentifiers()
    if (this.#takeValue().type !== ')') throw badRequest(`found '${first.text}', expected: ')'`)
    return [...values].toSorted()
  }

  /** A list of names where an empty place means the empty value: `(a,,b)`. Stops before the closing parenthesis. */
  #parseIdentifiers(): Set<string> {
    const values = new Set<string>()
    for (;;) {
      const token = this.#takeValue()
      const next = this.#peekValue()
      if (token.type === 'identifier') {
        values.add(token.text)
        if (next.type === ',') continue
        if (next.type === ')') return values
        throw badRequest(`found '${next.text}', expected: ',' or ')'`)
      }
      if (token.type !== ',') throw badRequest(`found '${token.text}', expected: ',', or identifier`)
      if (values.size === 0 || next.type === ')' || next.type === ',') values.add('')
      if (next.type === ')') return values
    }
  }

  #take(): Token {
    const token = this.#tokens[this.#at] ?? { type: 'end', text: '' }
    this.#at++
    return token
  }

  /** Where a value may stand, `in` and `notin` are ordinary words. */
  #takeValue(): Token {
    return asValue(this.#take())
  }

  #peekValue(): Token {
    return asValue(this.#tokens[this.#at] ?? { type: 'end', text: '' })
  }
}

function asValue(token: Token): Token {
  return token.type === 'in' || token.type === 'notin' ? { type: 'identifier', text: token.text } : token
}
