import type { Clock } from '@centaurus/base'
import type { Answer, LeanCall, LeanClient } from '../wire/lean-client.ts'
import type { HollowCounters } from './hollow-stats.ts'

const RETRY_MS_MIN = 250
const RETRY_MS_MAX = 8_000

/** What the parts of the hollow nodes of one process share. */
export interface HollowDeps {
  readonly client: LeanClient
  readonly counters: HollowCounters
  readonly clock: Clock
  readonly signal: AbortSignal
}

export interface RetryOptions {
  /** False: nobody wants the answer any more. */
  readonly isWanted: () => boolean
}

/** Calls until the server has answered with something else than "come back later". Status 0: nobody wants it any more. */
export async function callUntilAnswered(deps: HollowDeps, call: LeanCall, { isWanted }: RetryOptions): Promise<Answer> {
  for (let retryMs = RETRY_MS_MIN; ; retryMs = Math.min(retryMs * 2, RETRY_MS_MAX)) {
    const answer = await deps.client.call(call)
    if (answer.status !== 0 && answer.status < 300) return answer
    countRefusal(deps.counters, call, answer.status)
    const isTemporary = answer.status === 0 || answer.status === 429 || answer.status >= 500
    if (!isTemporary) return answer
    if (deps.signal.aborted || !isWanted()) return { ...answer, status: 0 }
    await pause(retryMs)
    if (deps.signal.aborted || !isWanted()) return { ...answer, status: 0 }
  }
}

export function countRefusal({ refusals }: HollowCounters, { method, resource }: LeanCall, status: number): void {
  const name = `${method} ${resource} ${status === 0 ? 'lost' : status}`
  refusals[name] = (refusals[name] ?? 0) + 1
}

export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

/** The value of the first `"name":"value"` in JSON: enough for names that occur once, and much cheaper than parsing. */
export function findText(json: Buffer, name: string): string | undefined {
  const mark = `"${name}":"`
  const at = json.indexOf(mark)
  if (at < 0) return undefined
  const from = at + mark.length
  return json.toString('latin1', from, json.indexOf(34, from))
}
