import { decode, type Answer } from 'dns-packet'
import type { Logger } from '@centaurus/base'
import { answerQuestion, startOfAuthority } from './answer.ts'
import { chooseUpstreams, type UpstreamSources } from './choose-upstreams.ts'
import { countQuery, type DnsCounters, type DnsQueryKind } from './counters.ts'
import type { DnsAnswer } from './dns-answer.ts'
import type { DnsScope } from './dns-client.ts'
import type { Forwarder } from './forwarder.ts'
import { encodeForwarded, queryFor } from './forwarded.ts'
import type { DnsLookups } from './lookups.ts'
import { FLAG, RCODE, TCP_BYTES_MAX, TYPE } from './protocol.ts'
import { parseQuery, udpLimit, type DnsQuery } from './query.ts'
import { encodeRefusal, encodeResponse, type DnsResponse } from './response.ts'

export interface ResponderOptions {
  /** Such as `cluster.local`. */
  readonly domain: string
  /** Where pods ask. */
  readonly address: string
  readonly lookups: DnsLookups
  /** Who asks from an address. */
  readonly scopeOf: (address: string) => DnsScope
  readonly upstreams: UpstreamSources
  readonly forwarder: Forwarder
  readonly counters: DnsCounters
  readonly logger: Logger
}

export interface Asked {
  /** Where the message came from. */
  readonly from: string
  readonly over: 'udp' | 'tcp'
}

interface Query {
  readonly query: DnsQuery
  readonly tenant: string | undefined
  readonly limit: number
}

type RecordsAnswer = Extract<DnsAnswer, { type: 'records' }>

/** Answers messages. What is known is answered at once; a promise is made only of what others have to be asked. */
export class Responder {
  readonly #options: ResponderOptions
  #turn = 0

  constructor(options: ResponderOptions) {
    this.#options = options
  }

  /** The whole answer to a message, or undefined for one that deserves none. Never throws. */
  respond(message: Buffer, asked: Asked): Buffer | undefined | Promise<Buffer | undefined> {
    const { counters } = this.#options
    const parsed = parseQuery(message)
    if (parsed.type === 'ignored') {
      counters.ignored++
      return undefined
    }
    if (parsed.type === 'refused') {
      countQuery(counters, 'refused', parsed.rcode)
      return parsed.query === undefined
        ? encodeRefusal(message, parsed.rcode)
        : encodeResponse(parsed.query, empty(parsed.rcode), TCP_BYTES_MAX)
    }
    const { query } = parsed
    const scope = this.#options.scopeOf(asked.from)
    if (scope.type === 'unknown') {
      countQuery(counters, 'refused', RCODE.SERVFAIL)
      return encodeResponse(query, empty(RCODE.SERVFAIL), TCP_BYTES_MAX)
    }
    const limit = asked.over === 'udp' ? udpLimit(query) : TCP_BYTES_MAX
    const own = { query, tenant: scope.type === 'tenant' ? scope.tenant : undefined, limit }
    try {
      const answer = this.#answer(own)
      return answer instanceof Promise ? answer.catch((error: unknown) => this.#fail(own, error)) : answer
    } catch (error) {
      return this.#fail(own, error)
    }
  }

  #answer(own: Query): Buffer | Promise<Buffer> {
    const { domain, address, lookups } = this.#options
    const { query, tenant } = own
    const answer = answerQuestion(query, { domain, address, lookups, tenant })
    const kind: DnsQueryKind = query.name.endsWith('.arpa') ? 'reverse' : 'cluster'
    switch (answer.type) {
      case 'records':
        if (answer.follow !== undefined) return this.#follow(own, answer, answer.follow)
        return this.#finish(own, kind, {
          ...empty(RCODE.NOERROR),
          isAuthoritative: true,
          answers: rotate(answer.answers, this.#turn++),
          additionals: answer.additionals,
        })
      case 'noData':
        return this.#finish(own, kind, this.#negative(RCODE.NOERROR))
      case 'notFound':
        // before the first list nobody can say that something does not exist
        return this.#finish(own, kind, this.#negative(lookups.isSynced() ? RCODE.NXDOMAIN : RCODE.SERVFAIL))
      case 'refused':
        return this.#finish(own, kind, empty(RCODE.REFUSED))
      case 'forward': {
        // a reverse name that is not known yet may be the cluster's
        if (kind === 'reverse' && query.type === TYPE.PTR && !lookups.isSynced())
          return this.#finish(own, kind, empty(RCODE.SERVFAIL))
        if ((query.flags & FLAG.RECURSION_DESIRED) === 0) return this.#finish(own, 'forwarded', empty(RCODE.REFUSED)) // nothing is fetched for who does not want it
        return this.#forward(own)
      }
    }
  }

  async #forward(own: Query): Promise<Buffer> {
    const { query, tenant, limit } = own
    const { forwarder, upstreams, counters } = this.#options
    const choice = chooseUpstreams(query.name, tenant, upstreams)
    const answer = await forwarder.resolve(query, choice, { asker: tenant ?? '', limit })
    if (answer === undefined) return this.#finish(own, 'forwarded', empty(RCODE.SERVFAIL))
    countQuery(counters, 'forwarded', answer[3]! & 0xf)
    if ((answer.readUInt16BE(2) & FLAG.TRUNCATED) !== 0) counters.truncated++
    return answer
  }

  /** Adds what upstream says of the name that an ExternalName service leads to. Without that the client would have to ask again, and most do not. */
  async #follow(own: Query, { answers }: RecordsAnswer, target: string): Promise<Buffer> {
    const { query, tenant } = own
    const { forwarder, upstreams } = this.#options
    const next = queryFor(target, query)
    if (next === undefined) return this.#finish(own, 'cluster', empty(RCODE.SERVFAIL))
    const found = await forwarder.find(next, chooseUpstreams(next.name, tenant, upstreams), tenant ?? '')
    const isKnown = found?.answer.rcode === RCODE.NOERROR || found?.answer.rcode === RCODE.NXDOMAIN
    if (found === undefined || !isKnown) return this.#finish(own, 'cluster', empty(RCODE.SERVFAIL))
    const options = { limit: TCP_BYTES_MAX, ageSeconds: found.ageSeconds, ttlSecondsMax: 300 }
    const theirs: readonly Answer[] = decode(encodeForwarded(next, found.answer, options)).answers ?? []
    return this.#finish(own, 'cluster', {
      ...empty(RCODE.NOERROR),
      isAuthoritative: true,
      answers: [...answers, ...theirs],
    })
  }

  /** Source: RFC 2308, and CoreDNS plugin.BackendError. */
  #negative(rcode: number): DnsResponse {
    return { rcode, isAuthoritative: true, answers: [], authorities: [startOfAuthority(this.#options)] }
  }

  #finish({ query, limit }: Query, kind: DnsQueryKind, response: DnsResponse): Buffer {
    const { counters } = this.#options
    const bytes = encodeResponse(query, response, limit)
    countQuery(counters, kind, response.rcode)
    if ((bytes.readUInt16BE(2) & FLAG.TRUNCATED) !== 0) counters.truncated++
    return bytes
  }

  /** Names that can't be written, such as an ExternalName with a label of 64 characters, and mistakes of ours. */
  #fail({ query }: Query, error: unknown): Buffer {
    const { counters, logger } = this.#options
    logger.debug('Could not answer a DNS query', { name: query.name, type: query.type, error })
    countQuery(counters, 'cluster', RCODE.SERVFAIL)
    return encodeResponse(query, empty(RCODE.SERVFAIL), TCP_BYTES_MAX)
  }
}

function empty(rcode: number): DnsResponse {
  return { rcode, isAuthoritative: false, answers: [] }
}

/** Each answer begins with another address, so that clients that take the first one spread. Aliases stay in front of what they lead to. */
function rotate(answers: readonly Answer[], turn: number): readonly Answer[] {
  const first = answers.findIndex(({ type }) => type !== 'CNAME')
  const count = answers.length - first
  if (first < 0 || count < 2) return answers
  const at = first + (turn % count)
  return [...answers.slice(0, first), ...answers.slice(at), ...answers.slice(first, at)]
}
