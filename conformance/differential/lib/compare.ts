import type { Observation, Trace } from './trace.ts'

/** Differences that are listed of one step. */
const DIFFERENCES_PER_STEP_MAX = 12

export interface Difference {
  readonly step: string
  readonly request: string
  /** Such as `body.status.phase: "Pending" ≠ absent`; the first server's value comes first. */
  readonly details: readonly string[]
}

export interface Comparison {
  readonly compared: number
  readonly differences: readonly Difference[]
}

/** Compares step by step; a step that only one server saw differs. */
export function compareTraces(first: Trace, second: Trace): Comparison {
  const differences: Difference[] = []
  const steps = new Set([...first.keys(), ...second.keys()])
  for (const step of steps) {
    const [a, b] = [first.get(step), second.get(step)]
    const request = (a ?? b)!.request
    const details =
      a === undefined || b === undefined ? [`only ${a === undefined ? 'second' : 'first'} got here`] : compare(a, b)
    if (details.length > 0) differences.push({ step, request, details: details.slice(0, DIFFERENCES_PER_STEP_MAX) })
  }
  return { compared: steps.size, differences }
}

function compare(a: Observation, b: Observation): string[] {
  const details: string[] = []
  if (a.status !== b.status) details.push(`status: ${a.status} ≠ ${b.status}`)
  for (const header of new Set([...Object.keys(a.headers), ...Object.keys(b.headers)])) {
    compareValues(`header ${header}`, [a.headers[header], b.headers[header]], details)
  }
  compareValues('body', [a.body, b.body], details)
  return details
}

function compareValues(path: string, [a, b]: readonly [unknown, unknown], details: string[]): void {
  if (a === b) return
  if (Array.isArray(a) && Array.isArray(b)) {
    for (let i = 0; i < Math.max(a.length, b.length); i++) compareValues(`${path}[${i}]`, [a[i], b[i]], details)
  } else if (isObject(a) && isObject(b)) {
    for (const key of new Set([...Object.keys(a), ...Object.keys(b)])) {
      compareValues(`${path}.${key}`, [a[key], b[key]], details)
    }
  } else {
    details.push(`${path}: ${show(a)} ≠ ${show(b)}`)
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

const SHOWN_CHARACTERS_MAX = 1200

function show(value: unknown): string {
  return value === undefined ? 'absent' : JSON.stringify(value).slice(0, SHOWN_CHARACTERS_MAX)
}
