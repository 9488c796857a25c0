/**
 * Patterns of schemas are RE2 upstream, which never takes more than linear time. Here they run as JavaScript's with the `u` flag:
 * the same for what CRDs use, but a hostile pattern can be slow, so long values are refused instead of tested, and RE2's own
 * syntax is translated only for inline flags at the start and for `\A`, `\z` and POSIX classes.
 */

/** Characters of a value that a pattern is tested on. */
export const PATTERN_TEXT_MAX = 16 * 1024
const CACHE_ENTRIES_MAX = 1024
const cache = new Map<string, RegExp>()

const POSIX: Readonly<Record<string, string>> = {
  alnum: 'A-Za-z0-9',
  alpha: 'A-Za-z',
  digit: '0-9',
  lower: 'a-z',
  upper: 'A-Z',
  space: '\\s',
  word: '\\w',
  xdigit: 'A-Fa-f0-9',
  punct: '!-\\/:-@\\[-`\\{-~',
}

/** Compiles a pattern. Throws `SyntaxError` for one that can't be. */
export function compilePattern(pattern: string): RegExp {
  const known = cache.get(pattern)
  if (known !== undefined) return known
  const compiled = compile(pattern)
  if (cache.size >= CACHE_ENTRIES_MAX) cache.clear()
  cache.set(pattern, compiled)
  return compiled
}

/** True when `text` contains a match. Texts past {@link PATTERN_TEXT_MAX} never do. */
export function matchesPattern(text: string, pattern: string): boolean {
  return text.length <= PATTERN_TEXT_MAX && compilePattern(pattern).test(text)
}

function compile(pattern: string): RegExp {
  const inline = /^\(\?([ims]+)\)/.exec(pattern)
  const body = (inline === null ? pattern : pattern.slice(inline[0].length))
    .replaceAll(/\[:(\w+):\]/g, (whole, name: string) => POSIX[name] ?? whole)
    .replaceAll('\\A', '^')
    .replaceAll('\\z', '$')
    .replaceAll('(?P<', '(?<')
  const flags = inline?.[1] ?? ''
  try {
    return new RegExp(body, `u${flags}`)
  } catch {
    return new RegExp(body, flags) // escapes such as `\-`, which the `u` flag refuses and RE2 takes
  }
}
