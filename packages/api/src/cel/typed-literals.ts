/**
 * Expressions that make objects: `Object{spec: Object.spec{replicas: 3}}` and `[JSONPatch{op: "add", path: "/a", value: 1}]`. The library knows
 * no messages, so they are written as the maps that they stand for before they are compiled.
 * Source: apiserver pkg/cel/mutation, v0.37.
 */

/** Text that is no place for literals: comments and strings, raw ones and those of several lines too. */
const OPAQUE =
  /\/\/[^\n]*|[rRbB]{0,2}(?:"""[\s\S]*?"""|'''[\s\S]*?''')|[rR][bB]?(?:"[^"\n]*"|'[^'\n]*')|[bB]?(?:"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*')/y
const LITERAL = /(Object(?:\s*\.\s*[A-Za-z_]\w*)*|JSONPatch)\s*\{/y
const ESCAPE_KEY = /jsonpatch\s*\.\s*escapeKey\s*\(/y
const WORD = /[A-Za-z_]\w*/y
const FIELD = /([A-Za-z_]\w*)(\s*):/y
/** What a name of JSONPatch's function becomes, which the library would take for a member. */
export const ESCAPE_KEY_FUNCTION = 'jsonPatchEscapeKey'
const PATCH_TYPE = 'JSONPatch'

interface Bracket {
  /** Undefined: an ordinary bracket. */
  readonly type: string | undefined
  readonly close: string
  /** The field whose value is being written. */
  field: string
  expectsField: boolean
}

/** The expression with maps in the place of its typed literals. Throws when a literal's type is not that of the field that it is for. */
export function rewriteTypedLiterals(source: string): string {
  const open: Bracket[] = []
  const out: string[] = []
  let at = 0
  /** True after a dot: the next word is a member of something. */
  let isMember = false
  const put = (text: string): void => {
    out.push(text)
    if (text.trim() !== '') isMember = text === '.'
  }
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(source) ?? undefined
    if (found !== undefined) at = pattern.lastIndex
    return found
  }
  while (at < source.length) {
    const top = open.at(-1)
    const opaque = take(OPAQUE)
    if (opaque !== undefined) {
      put(opaque[0])
      continue
    }
    const field = top?.type !== undefined && top.expectsField ? take(FIELD) : undefined
    if (field !== undefined) {
      top!.field = plainName(field[1]!)
      top!.expectsField = false
      put(`${JSON.stringify(top!.field)}${field[2]}:`)
      continue
    }
    const literal = isMember ? undefined : take(LITERAL)
    if (literal !== undefined) {
      const type = literal[1]!.replaceAll(/\s/g, '')
      checkType(type, open)
      open.push({ type, close: '})', field: '', expectsField: true })
      put('dyn({')
    } else if (!isMember && take(ESCAPE_KEY) !== undefined) {
      open.push({ type: undefined, close: ')', field: '', expectsField: false })
      put(`${ESCAPE_KEY_FUNCTION}(`)
    } else put(take(WORD)?.[0] ?? bracket(source[at++]!, open))
  }
  return out.join('')
}

function bracket(character: string, open: Bracket[]): string {
  const close = CLOSES.get(character)
  if (close !== undefined) open.push({ type: undefined, close, field: '', expectsField: false })
  else if (character === ',' && open.at(-1)?.type !== undefined) open.at(-1)!.expectsField = true
  else if (character === '}' || character === ']' || character === ')') return open.pop()?.close ?? character
  return character
}

const CLOSES: ReadonlyMap<string, string> = new Map([
  ['{', '}'],
  ['[', ']'],
  ['(', ')'],
])

/** A literal inside of another is named by the path of its field. What a JSON patch puts somewhere is of that place's type, which nobody knows here. */
function checkType(type: string, open: readonly Bracket[]): void {
  const parent = open.findLast((entry) => entry.type !== undefined)
  if (parent === undefined || parent.type === PATCH_TYPE || type === PATCH_TYPE) return
  const expected = `${parent.type}.${parent.field}`
  if (type.split('.').map(plainName).join('.') === expected.split('.').map(plainName).join('.')) return
  const why = `unexpected type name ${JSON.stringify(type)}, expected ${JSON.stringify(expected)}`
  throw new Error(`type mismatch: ${why}, which matches field name path from root Object type`)
}

/** `__namespace__` is how an expression writes a field whose name is a word of the language. Source: apiserver pkg/cel/escaping.go. */
function plainName(name: string): string {
  const reserved = /^__([a-z]+)__$/.exec(name)?.[1]
  if (reserved !== undefined && !ESCAPES.has(reserved)) return reserved
  return name.replaceAll(/__(underscores|dot|dash|slash)__/g, (_whole, word: string) => ESCAPES.get(word)!)
}

const ESCAPES: ReadonlyMap<string, string> = new Map([
  ['underscores', '__'],
  ['dot', '.'],
  ['dash', '-'],
  ['slash', '/'],
])
