/**
 * JSONPath as kubectl and printer columns use it: fields, quoted keys, indexes, slices, unions, wildcards, recursive descent and
 * filters with one comparison. Source of the subset: client-go util/jsonpath.
 */
import { isRecord } from '../meta/values.ts'

export type JsonPathStep =
  | { readonly type: 'field'; readonly name: string }
  | { readonly type: 'wildcard' }
  | { readonly type: 'recursive' }
  | { readonly type: 'indexes'; readonly indexes: readonly number[] }
  | { readonly type: 'names'; readonly names: readonly string[] }
  | {
      readonly type: 'slice'
      readonly start: number | undefined
      readonly end: number | undefined
      readonly step: number
    }
  | { readonly type: 'filter'; readonly left: Operand; readonly operator: string; readonly right: Operand | undefined }

type Operand = { readonly path: readonly JsonPathStep[] } | { readonly value: unknown }

/** Longer paths are refused. */
const PATH_LENGTH_MAX = 4096
/** Results of one path. */
const RESULTS_MAX = 10_000
const CACHE_ENTRIES_MAX = 1024
const cache = new Map<string, readonly JsonPathStep[]>()

/** Every value that the path leads to; none when a field is absent. Braces around the path may be left out. Throws `SyntaxError`. */
export function evaluateJsonPath(path: string, object: unknown): unknown[] {
  return walk([object], parseJsonPath(path))
}

/**
 * Cell of a printer column: the first result, as text for `string`, else if it fits the type; null when there is none.
 * A `date` comes as it is stored: the caller says how long ago it was.
 * Source: apiextensions-apiserver pkg/registry/customresource/tableconvertor.
 */
export function printerColumnValue(
  column: { readonly jsonPath: string; readonly type: string },
  object: unknown,
): unknown {
  const [first] = evaluateJsonPath(column.jsonPath, object)
  if (first === undefined || first === null) return null
  switch (column.type) {
    case 'integer':
      return typeof first === 'number' ? Math.trunc(first) : null
    case 'number':
      return typeof first === 'number' ? first : null
    case 'boolean':
      return typeof first === 'boolean' ? first : null
    case 'date':
      return typeof first === 'string' ? first : null
    default:
      return typeof first === 'string' ? first : JSON.stringify(first)
  }
}

/** Reads a path. Throws `SyntaxError` that says where it stops to be one. Results are shared. */
export function parseJsonPath(text: string): readonly JsonPathStep[] {
  const known = cache.get(text)
  if (known !== undefined) return known
  if (text.length > PATH_LENGTH_MAX) throw new SyntaxError(`path is longer than ${PATH_LENGTH_MAX} characters`)
  const body = text.startsWith('{') && text.endsWith('}') ? text.slice(1, -1) : text
  const steps = new Reader(body.trim().replace(/^[$@]/, '')).readSteps()
  if (cache.size >= CACHE_ENTRIES_MAX) cache.clear()
  cache.set(text, steps)
  return steps
}

class Reader {
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  readSteps(): JsonPathStep[] {
    const steps: JsonPathStep[] = []
    while (this.#at < this.#text.length) {
      const character = this.#text[this.#at]
      if (character === '[') steps.push(this.#readBracket())
      else if (character === '.') this.#readDot(steps)
      else if (steps.length === 0) steps.push(this.#readName())
      else throw new SyntaxError(`unrecognized character in action: ${JSON.stringify(character)}`)
    }
    return steps
  }

  #readDot(steps: JsonPathStep[]): void {
    this.#at++
    if (this.#text[this.#at] === '.') {
      this.#at++
      steps.push({ type: 'recursive' })
    }
    if (this.#at >= this.#text.length || this.#text[this.#at] === '[') return
    steps.push(this.#readName())
  }

  #readName(): JsonPathStep {
    const match = /^(?:\\.|[^.[\]{}()'"\s\\])+/.exec(this.#text.slice(this.#at))
    if (match === null)
      throw new SyntaxError(`unexpected character ${JSON.stringify(this.#text[this.#at])} at ${this.#at}`)
    this.#at += match[0].length
    const name = match[0].replaceAll(/\\(.)/g, '$1')
    return name === '*' ? { type: 'wildcard' } : { type: 'field', name }
  }

  #readBracket(): JsonPathStep {
    const end = this.#closingBracket()
    const body = this.#text.slice(this.#at + 1, end).trim()
    this.#at = end + 1
    if (body === '*') return { type: 'wildcard' }
    if (body.startsWith('?(') && body.endsWith(')')) return readFilter(body.slice(2, -1).trim())
    if (/^-?\d+(?:\s*,\s*-?\d+)*$/.test(body)) return { type: 'indexes', indexes: body.split(',').map(Number) }
    const slice = /^(-?\d*):(-?\d*)(?::(-?\d*))?$/.exec(body)
    if (slice !== null)
      return { type: 'slice', start: numberOf(slice[1]), end: numberOf(slice[2]), step: numberOf(slice[3]) ?? 1 }
    const names = [...body.matchAll(/'((?:\\.|[^'\\])*)'|"((?:\\.|[^"\\])*)"/g)]
    if (
      names.length > 0 &&
      /^(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")(?:\s*,\s*(?:'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*"))*$/.test(body)
    ) {
      return { type: 'names', names: names.map((match) => (match[1] ?? match[2] ?? '').replaceAll(/\\(.)/g, '$1')) }
    }
    throw new SyntaxError(`invalid array index ${body}`)
  }

  /** Brackets and quotes may nest inside of filters. */
  #closingBracket(): number {
    let depth = 0
    let quote = ''
    for (let i = this.#at; i < this.#text.length; i++) {
      const character = this.#text[i]!
      if (quote !== '') {
        if (character === '\\') i++
        else if (character === quote) quote = ''
      } else if (character === "'" || character === '"') quote = character
      else if (character === '[') depth++
      else if (character === ']' && --depth === 0) return i
    }
    throw new SyntaxError('unterminated array')
  }
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined || text === '' ? undefined : Number(text)
}

function readFilter(text: string): JsonPathStep {
  const match = /^(.*?)\s*(==|!=|<=|>=|<|>)\s*(.*)$/s.exec(text)
  if (match === null) return { type: 'filter', left: readOperand(text), operator: 'exists', right: undefined }
  return { type: 'filter', left: readOperand(match[1]!), operator: match[2]!, right: readOperand(match[3]!) }
}

function readOperand(text: string): Operand {
  const trimmed = text.trim()
  if (trimmed.startsWith('@') || trimmed.startsWith('.')) return { path: parseJsonPath(trimmed) }
  const quoted = /^(['"])(.*)\1$/s.exec(trimmed)
  if (quoted !== null) return { value: quoted[2]!.replaceAll(/\\(.)/g, '$1') }
  if (trimmed === 'true' || trimmed === 'false') return { value: trimmed === 'true' }
  if (/^-?\d+(?:\.\d+)?$/.test(trimmed)) return { value: Number(trimmed) }
  throw new SyntaxError(`unrecognized identifier ${trimmed}`)
}

function walk(start: readonly unknown[], steps: readonly JsonPathStep[]): unknown[] {
  let values = [...start]
  for (const step of steps) {
    values = values.flatMap((value) => take(value, step)).slice(0, RESULTS_MAX)
    if (values.length === 0) return values
  }
  return values
}

function take(value: unknown, step: JsonPathStep): unknown[] {
  switch (step.type) {
    case 'field':
      return member(value, step.name)
    case 'names':
      return step.names.flatMap((name) => member(value, name))
    case 'wildcard':
      return children(value)
    case 'recursive':
      return descend(value)
    case 'indexes':
      return Array.isArray(value) ? step.indexes.flatMap((index) => at(value as unknown[], index)) : []
    case 'slice':
      return Array.isArray(value) ? sliceOf(value as unknown[], step) : []
    case 'filter':
      return children(value).filter((item) => passes(item, step))
  }
}

function member(value: unknown, name: string): unknown[] {
  if (!isRecord(value) || !Object.hasOwn(value, name)) return []
  const found = value[name]
  return found === undefined || found === null ? [] : [found]
}

function children(value: unknown): unknown[] {
  if (Array.isArray(value)) return value as unknown[]
  return isRecord(value) ? Object.values(value) : []
}

function descend(value: unknown): unknown[] {
  const found: unknown[] = [value]
  for (let i = 0; i < found.length && found.length < RESULTS_MAX; i++) found.push(...children(found[i]))
  return found
}

function at(list: readonly unknown[], index: number): unknown[] {
  const value = list.at(index)
  return value === undefined ? [] : [value]
}

function sliceOf(
  list: readonly unknown[],
  { start, end, step }: { start: number | undefined; end: number | undefined; step: number },
): unknown[] {
  return list.slice(start ?? 0, end ?? list.length).filter((_item, i) => i % Math.max(1, step) === 0)
}

function passes(item: unknown, filter: Extract<JsonPathStep, { type: 'filter' }>): boolean {
  const left = resolve(item, filter.left)
  if (filter.right === undefined) return left !== undefined
  const right = resolve(item, filter.right)
  if (left === undefined || right === undefined) return false
  switch (filter.operator) {
    case '==':
      return left === right
    case '!=':
      return left !== right
    default:
      return compare(left, right, filter.operator)
  }
}

function compare(left: unknown, right: unknown, operator: string): boolean {
  const areNumbers = typeof left === 'number' && typeof right === 'number'
  const areTexts = typeof left === 'string' && typeof right === 'string'
  if (!areNumbers && !areTexts) return false
  const order = left === right ? 0 : left < right ? -1 : 1
  if (order === 0) return operator === '<=' || operator === '>='
  return operator.startsWith('<') ? order < 0 : order > 0
}

function resolve(item: unknown, operand: Operand): unknown {
  return 'value' in operand ? operand.value : walk([item], operand.path)[0]
}
