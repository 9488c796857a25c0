import { isRecord } from '../../meta/values.ts'
import { semanticEqual } from './deep-equal.ts'

/** Longest description; what is cut is said. */
const LINES_MAX = 40

/**
 * Says for people what differs, a line for each value: `- path: old` and `+ path: new`. Upstream prints a diff of Go structs in
 * the same place; nobody parses it. Empty when nothing differs.
 */
export function describeChange(before: unknown, after: unknown): string {
  const lines: string[] = []
  collect(before, after, { path: '', lines })
  if (lines.length <= LINES_MAX) return lines.join('\n')
  return [...lines.slice(0, LINES_MAX), `… ${lines.length - LINES_MAX} more lines`].join('\n')
}

interface Target {
  readonly path: string
  readonly lines: string[]
}

function collect(before: unknown, after: unknown, { path, lines }: Target): void {
  if (semanticEqual(before, after)) return
  if (isRecord(before) && isRecord(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)])) {
      collect(before[key], after[key], { path: path === '' ? key : `${path}.${key}`, lines })
    }
    return
  }
  if (Array.isArray(before) && Array.isArray(after) && before.length === after.length) {
    for (const [i, item] of before.entries()) collect(item, after[i], { path: `${path}[${i}]`, lines })
    return
  }
  if (before !== undefined) lines.push(`- ${path}: ${JSON.stringify(before)}`)
  if (after !== undefined) lines.push(`+ ${path}: ${JSON.stringify(after)}`)
}
