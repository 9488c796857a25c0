import type { Clock, Random } from '@centaurus/base'
import { formatUpstream, type DnsUpstream } from './addresses.ts'
import { AnswerCache, type AnswerCacheLimits, type CachedAnswer } from './answer-cache.ts'
import type { UpstreamChoice } from './choose-upstreams.ts'
import type { DnsCounters } from './counters.ts'
import { exchange, type ExchangeOptions } from './exchange.ts'
import { encodeForward, encodeForwarded, type ForwardedAnswer } from './forwarded.ts'
import { FLAG, RCODE } from './protocol.ts'
import type { DnsQuery } from './query.ts'

export interface ForwarderOptions {
  readonly clock: Clock
  readonly random: Random
  readonly counters: DnsCounters
  readonly cacheLimits?: AnswerCacheLimits | undefined
  /** Default: over UDP and TCP. */
  readonly exchange?:
    | ((message: Buffer, server: DnsUpstream, options: ExchangeOptions) => Promise<ForwardedAnswer | undefined>)
    | undefined
}

/** Three servers are tried before a client's resolver gives up. Source: resolv.conf(5), 5 s. */
const TIMEOUT_MS = 1_500
/** Questions that wait for servers at once: those of all, and those of one who asks; more are refused, and asked again by who wants to know. */
export const FORWARDS_MAX = 1_000
export const FORWARDS_OF_ONE_MAX = 250
/** A server that did not answer comes last for this long. */
const FAILED_MS = 5_000
const SERVERS_REMEMBERED_MAX = 1_000
const ID_MAX = 0x1_0000

/** Asks other servers, remembers what they said, and asks each thing once at a time. */
export class Forwarder {
  readonly #options: ForwarderOptions
  readonly #cache: AnswerCache
  readonly #waiting = new Map<string, Promise<ForwardedAnswer | undefined>>()
  readonly #waitingOf = new Map<string, number>()
  readonly #failedUntilMs = new Map<string, number>()
  /** How often each owner's servers changed: answers that were under way then are not kept for what is asked since. */
  readonly #epochs = new Map<string, number>()

  constructor(options: ForwarderOptions) {
    this.#options = options
    this.#cache = new AnswerCache(options.clock, options.cacheLimits)
  }

  /** The answer to a query of `asker` (a tenant, or '' for operators), or undefined when no server gave one. */
  async resolve(
    query: DnsQuery,
    choice: UpstreamChoice,
    { asker, limit }: { readonly asker: string; readonly limit: number },
  ): Promise<Buffer | undefined> {
    const found = await this.find(query, choice, asker)
    if (found === undefined) return undefined
    const { answer, ageSeconds } = found
    return encodeForwarded(query, answer, { limit, ageSeconds, ttlSecondsMax: this.#cache.ttlSecondsMax(answer) })
  }

  /** As {@link resolve}, for who needs the records. */
  async find(query: DnsQuery, choice: UpstreamChoice, asker: string): Promise<CachedAnswer | undefined> {
    const { counters } = this.#options
    const key = `${choice.owner}\n${this.#epochs.get(choice.owner) ?? 0}\n${keyOf(query)}`
    const kept = this.#cache.get(key)
    if (kept !== undefined) {
      counters.cacheHits++
      return kept
    }
    counters.cacheMisses++
    const answer = await this.#once(key, asker, () => this.#ask(query, choice.servers))
    if (answer === undefined) return undefined
    return { answer, ageSeconds: 0 }
  }

  /** What was said to an owner, '' for all, may have changed. */
  forget(owner: string): void {
    this.#epochs.set(owner, (this.#epochs.get(owner) ?? 0) + 1)
    this.#cache.forget(`${owner}\n`)
  }

  #once(
    key: string,
    asker: string,
    ask: () => Promise<ForwardedAnswer | undefined>,
  ): Promise<ForwardedAnswer | undefined> {
    const asked = this.#waiting.get(key)
    if (asked !== undefined) return asked
    const ofAsker = this.#waitingOf.get(asker) ?? 0
    if (this.#waiting.size >= FORWARDS_MAX || ofAsker >= FORWARDS_OF_ONE_MAX) {
      this.#options.counters.forwards.overload++
      return Promise.resolve(undefined)
    }
    this.#waitingOf.set(asker, ofAsker + 1)
    const asking = ask()
      .then((answer) => {
        if (answer !== undefined) this.#cache.set(key, answer)
        return answer
      })
      .finally(() => {
        this.#waiting.delete(key)
        const left = (this.#waitingOf.get(asker) ?? 1) - 1
        if (left > 0) this.#waitingOf.set(asker, left)
        else this.#waitingOf.delete(asker)
      })
    this.#waiting.set(key, asking)
    return asking
  }

  /** One server after the other; one that fails or refuses is only believed when all do. */
  async #ask(query: DnsQuery, servers: readonly DnsUpstream[]): Promise<ForwardedAnswer | undefined> {
    const { clock, random, counters } = this.#options
    const ask = this.#options.exchange ?? exchange
    let worst: ForwardedAnswer | undefined
    for (const [i, server] of this.#inOrder(servers).entries()) {
      if (i > 0) counters.forwards.retried++
      const message = encodeForward(query, random.integer(ID_MAX))
      const answer = await ask(message, server, { clock, timeoutMs: TIMEOUT_MS })
      this.#remember(server, answer !== undefined)
      if (answer === undefined) continue
      if (answer.rcode === RCODE.NOERROR || answer.rcode === RCODE.NXDOMAIN) {
        counters.forwards.answered++
        return answer
      }
      worst = answer
    }
    counters.forwards.failed++
    return worst
  }

  #inOrder(servers: readonly DnsUpstream[]): DnsUpstream[] {
    const now = this.#options.clock.monotonicMs()
    const isFailed = (server: DnsUpstream): boolean => (this.#failedUntilMs.get(formatUpstream(server)) ?? 0) > now
    return servers.toSorted((a, b) => Number(isFailed(a)) - Number(isFailed(b)))
  }

  #remember(server: DnsUpstream, hasAnswered: boolean): void {
    const key = formatUpstream(server)
    this.#failedUntilMs.delete(key)
    if (hasAnswered) return
    if (this.#failedUntilMs.size >= SERVERS_REMEMBERED_MAX) this.#failedUntilMs.clear()
    this.#failedUntilMs.set(key, this.#options.clock.monotonicMs() + FAILED_MS)
  }
}

/** Names hold no line feeds: they are escaped. */
function keyOf({ name, type, flags, edns }: DnsQuery): string {
  const wants = (flags & FLAG.CHECKING_DISABLED) | (edns?.wantsDnssec === true ? 1 : 0)
  return `${name}\n${type}\n${wants}`
}
