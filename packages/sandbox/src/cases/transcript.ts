/** What one case printed, in the order that the comparison takes, and how it ended, such as `exited 0`. */
export interface CaseResult {
  readonly lines: readonly string[]
  readonly ending: string
}

/** What the guests' output says: each case that ended, by name, and the case in which the output stopped. */
export interface Transcript {
  readonly results: ReadonlyMap<string, CaseResult>
  /** The case that ran when the output ended, with what it had printed; undefined when the last one was complete. */
  readonly unfinished: { readonly name: string; readonly lines: readonly string[] } | undefined
}

/**
 * Parses `== NAME`, lines, `-- ENDING`, as quark/guests prints them. Lines of a case are sorted: each process numbers its own, and what several print at
 * once comes in any order.
 */
export function parseTranscript(text: string): Transcript {
  const results = new Map<string, CaseResult>()
  let name: string | undefined
  let lines: string[] = []
  for (const line of text.split('\n')) {
    if (line.startsWith('== ')) {
      name = line.slice(3)
      lines = []
    } else if (line.startsWith('-- ') && name !== undefined) {
      results.set(name, { lines: lines.sort(), ending: line.slice(3) })
      name = undefined
    } else if (name !== undefined && line !== '') lines.push(line)
  }
  return { results, unfinished: name === undefined ? undefined : { name, lines: lines.sort() } }
}

/** The lines that differ, `-` for those of Linux alone and `+` for those of quark alone; empty when both are the same. */
export function diffCase(native: CaseResult, quark: CaseResult | undefined): string[] {
  if (quark === undefined) return ['+ did not run']
  const [left, right] = [countLines(native), countLines(quark)]
  const missing = [...left].filter(([line, count]) => (right.get(line) ?? 0) < count)
  const extra = [...right].filter(([line, count]) => (left.get(line) ?? 0) < count)
  return [...missing.map(([line]) => `- ${line}`), ...extra.map(([line]) => `+ ${line}`)].sort(byLineNumber)
}

function countLines({ lines, ending }: CaseResult): Map<string, number> {
  const counts = new Map<string, number>()
  for (const line of [...lines, `--- ${ending}`]) counts.set(line, (counts.get(line) ?? 0) + 1)
  return counts
}

function byLineNumber(a: string, b: string): number {
  const number = (line: string): string => (/^. (\d{3}) /.exec(line)?.[1] ?? '999') + (line.startsWith('-') ? '0' : '1')
  return number(a).localeCompare(number(b))
}

/**
 * Parses `differing.txt`: a case and, behind it, why quark answers otherwise. Throws `SyntaxError` for a line without a reason and for a case that
 * stands there twice.
 */
export function parseDiffering(text: string): Map<string, string> {
  const found = new Map<string, string>()
  for (const line of text.split('\n').filter((one) => one.trim() !== '' && !one.startsWith('#'))) {
    const [, name = '', reason = ''] = /^(\S+)\s+(\S.*)$/.exec(line) ?? []
    if (reason === '') throw new SyntaxError(`differing.txt must give a reason for "${line.trim()}"`)
    if (found.has(name)) throw new SyntaxError(`differing.txt must name "${name}" once`)
    found.set(name, reason)
  }
  return found
}
