import { decodeProtobuf, fromStatus, isProtobuf, StatusError } from '@centaurus/api'
import type { Status } from '@centaurus/api/meta/v1'
import type { Backend, Incoming } from '../backend.ts'
import type { Caller } from '../caller.ts'
import type { FrontRequest } from '../front-request.ts'
import { bareHeaders } from '../pass-headers.ts'
import { credentialsOf, MISDIRECTED, readAll, sendFor } from '../pass.ts'
import { unreachable, UnreachableError } from '../refusals.ts'

/** What a request over several partitions needs. */
export interface AggregateContext {
  readonly request: FrontRequest
  readonly caller: Caller
  /** Undefined for one that has just gone. */
  readonly backendOf: (partition: string) => Backend | undefined
}

/** With this header set to `true`, a list leaves out what can't be reached, and says so in a Warning. */
export const ALLOW_PARTIAL_HEADER = 'x-centaurus-allow-partial'
/** An answer that says no is read up to here. */
const REFUSAL_BYTES_MAX = 1024 * 1024

export interface PartCall {
  readonly partition: string
  readonly query: URLSearchParams
}

export interface Part {
  readonly partition: string
  readonly incoming: Incoming
}

export interface FanOut {
  readonly parts: readonly Part[]
  /** Partitions that can't be reached; empty unless the client allowed it. */
  readonly missing: readonly string[]
}

export interface FanOutOptions {
  readonly accept: string
  readonly method?: 'GET' | 'DELETE' | undefined
  readonly body?: Uint8Array | undefined
  readonly contentType?: string | undefined
}

/**
 * Asks all the partitions at once and resolves when each has answered with 200. Fails closed: throws ServiceUnavailable that names what
 * can't be reached, or the first refusal. Then nothing stays open.
 */
export async function fanOut(
  context: AggregateContext,
  calls: readonly PartCall[],
  options: FanOutOptions,
): Promise<FanOut> {
  const settled = await Promise.allSettled(calls.map((call) => ask(context, call, options)))
  const parts: Part[] = []
  const missing: string[] = []
  let failure: unknown
  for (const [i, result] of settled.entries()) {
    const { partition } = calls[i]!
    if (result.status === 'fulfilled') parts.push({ partition, incoming: result.value })
    else if (result.reason instanceof UnreachableError) missing.push(partition)
    else failure ??= result.reason
  }
  if (failure === undefined && missing.length > 0 && (!allowsPartial(context.request) || parts.length === 0)) {
    failure = unreachable(missing)
  }
  if (failure === undefined) return { parts, missing }
  for (const { incoming } of parts) incoming.stream.close()
  throw failure
}

export function allowsPartial({ headers }: FrontRequest): boolean {
  return headers[ALLOW_PARTIAL_HEADER] === 'true'
}

/** The header that tells what an answer lacks. Source of the form: RFC 7234, section 5.5, and apiserver's warnings. */
export function warningOf(missing: readonly string[]): Record<string, string> {
  if (missing.length === 0) return {}
  return { warning: `299 - "incomplete: partitions that can't be reached: ${missing.join(' ')}"` }
}

/** Resolves to an answer with 200; throws the refusal that another one is. */
async function ask(context: AggregateContext, call: PartCall, options: FanOutOptions): Promise<Incoming> {
  const { request, caller } = context
  const backend = context.backendOf(call.partition)
  if (backend === undefined) throw new UnreachableError(`Partition ${call.partition} is gone`)
  const path = request.target.split('?', 1)[0]!
  const incoming = await sendFor(request, backend, {
    method: options.method ?? 'GET',
    path: call.query.size === 0 ? path : `${path}?${call.query}`,
    headers: {
      ...bareHeaders(request, caller),
      accept: options.accept,
      ...(options.contentType === undefined ? {} : { 'content-type': options.contentType }),
    },
    credentials: credentialsOf(caller),
    body: options.body,
  })
  if (incoming.status >= 200 && incoming.status < 300) return incoming
  if (incoming.status === MISDIRECTED) {
    incoming.stream.close()
    throw unreachable([call.partition])
  }
  throw await readRefusal(incoming)
}

/** A refusal as the partition worded it. */
export class PartRefusal extends StatusError {
  readonly status: Status

  constructor(status: Status) {
    const { reason, message, details } = fromStatus(status)
    super({ reason, message, details })
    this.status = status
  }

  override toStatus(): Status {
    return this.status
  }
}

async function readRefusal({ status, stream }: Incoming): Promise<Error> {
  const body = await readAll(stream, REFUSAL_BYTES_MAX).catch(() => undefined)
  const text = body === undefined || isProtobuf(body) ? '' : body.toString('utf8')
  try {
    const parsed = (body !== undefined && isProtobuf(body) ? decodeProtobuf(body) : JSON.parse(text)) as Status
    if (parsed.kind === 'Status') return new PartRefusal(parsed)
  } catch {
    // no Status: below
  }
  const known = fromStatus({ metadata: {}, code: status, message: text.trim() === '' ? `HTTP ${status}` : text.trim() })
  return new PartRefusal({ ...known.toStatus(), code: status })
}
