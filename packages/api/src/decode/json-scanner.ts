/**
 * A small JSON reader that keeps no values. It runs only when `JSON.parse` has failed, to word the error as upstream's decoder
 * does, or when an object may hold the same field twice, to name those fields.
 * Words: Go encoding/json and its fork sigs.k8s.io/json.
 */

/** Why a text is not JSON, in Go's words; undefined when it is. */
export function describeJsonError(text: string): string | undefined {
  try {
    new Scanner(text).scanDocument()
    return undefined
  } catch (error) {
    if (error instanceof SyntaxError) return error.message
    throw error
  }
}

/** Paths of fields that stand twice in an object, such as `spec.containers[0].name`. `text` must be JSON. */
export function findDuplicateFields(text: string): string[] {
  const scanner = new Scanner(text)
  scanner.scanDocument()
  return [...scanner.duplicates]
}

/** Deeper texts are refused by the decoder before anything recursive sees them. */
const DUPLICATES_MAX = 100
const WHITESPACE = /[ \t\r\n]*/y
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y
const ESCAPES = '"\\/bfnrt'

class Scanner {
  readonly duplicates = new Set<string>()
  readonly #text: string
  #at = 0

  constructor(text: string) {
    this.#text = text
  }

  scanDocument(): void {
    this.#skipSpace()
    this.#scanValue('')
    this.#skipSpace()
    if (this.#at < this.#text.length) this.#fail('after top-level value')
  }

  #scanValue(path: string): void {
    const character = this.#text[this.#at]
    if (character === '{') this.#scanObject(path)
    else if (character === '[') this.#scanArray(path)
    else if (character === '"') this.#scanString()
    else if (character === 't') this.#scanWord('true')
    else if (character === 'f') this.#scanWord('false')
    else if (character === 'n') this.#scanWord('null')
    else if (character !== undefined && (character === '-' || (character >= '0' && character <= '9')))
      this.#scanNumber()
    else this.#fail('looking for beginning of value')
  }

  #scanObject(path: string): void {
    const seen = new Set<string>()
    this.#at++
    this.#skipSpace()
    if (this.#take('}')) return
    for (;;) {
      if (this.#text[this.#at] !== '"') this.#fail('looking for beginning of object key string')
      const key = this.#scanString()
      const childPath = path === '' ? key : `${path}.${key}`
      if (seen.has(key) && this.duplicates.size < DUPLICATES_MAX) this.duplicates.add(childPath)
      seen.add(key)
      this.#skipSpace()
      if (!this.#take(':')) this.#fail('after object key')
      this.#skipSpace()
      this.#scanValue(childPath)
      this.#skipSpace()
      if (this.#take('}')) return
      if (!this.#take(',')) this.#fail('after object key:value pair')
      this.#skipSpace()
    }
  }

  #scanArray(path: string): void {
    this.#at++
    this.#skipSpace()
    if (this.#take(']')) return
    for (let i = 0; ; i++) {
      this.#scanValue(`${path}[${i}]`)
      this.#skipSpace()
      if (this.#take(']')) return
      if (!this.#take(',')) this.#fail('after array element')
      this.#skipSpace()
    }
  }

  #scanString(): string {
    const start = this.#at
    this.#at++
    for (;;) {
      const character = this.#text[this.#at]
      if (character === '"') break
      if (character === undefined || character < ' ') this.#fail('in string literal')
      if (character === '\\') this.#scanEscape()
      else this.#at++
    }
    this.#at++
    return JSON.parse(this.#text.slice(start, this.#at)) as string
  }

  #scanEscape(): void {
    this.#at++
    const character = this.#text[this.#at]
    if (character !== 'u') {
      if (character === undefined || !ESCAPES.includes(character)) this.#fail('in string escape code')
      this.#at++
      return
    }
    this.#at++
    for (let digit = 0; digit < 4; digit++) {
      if (!/[0-9a-fA-F]/.test(this.#text[this.#at] ?? '')) this.#fail('in \\u hexadecimal character escape')
      this.#at++
    }
  }

  #scanWord(word: string): void {
    for (const expected of word) {
      if (this.#text[this.#at] !== expected) this.#fail(`in literal ${word} (expecting '${expected}')`)
      this.#at++
    }
  }

  #scanNumber(): void {
    NUMBER.lastIndex = this.#at
    if (!NUMBER.test(this.#text)) {
      this.#at++
      this.#fail('in numeric literal')
    }
    this.#at = NUMBER.lastIndex
  }

  #skipSpace(): void {
    WHITESPACE.lastIndex = this.#at
    WHITESPACE.test(this.#text)
    this.#at = WHITESPACE.lastIndex
  }

  #take(character: string): boolean {
    if (this.#text[this.#at] !== character) return false
    this.#at++
    return true
  }

  #fail(context: string): never {
    const character = this.#text[this.#at]
    if (character === undefined) throw new SyntaxError('unexpected end of JSON input')
    const shown =
      character === "'" ? `'\\''` : character === '"' ? `'"'` : `'${JSON.stringify(character).slice(1, -1)}'`
    throw new SyntaxError(`invalid character ${shown} ${context}`)
  }
}
