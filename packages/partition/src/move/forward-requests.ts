import { constants, type IncomingHttpHeaders } from 'node:http2'
import { StatusError } from '@centaurus/api'
import type { Clock } from '@centaurus/base'
import type { CreateExtension, Exchange, UserInfo } from '@centaurus/apiserver'
import { Backend } from '../gateway/backend.ts'
import type { EndpointDeps } from '../gateway/endpoint.ts'
import { LostAnswerError, lostAnswer, UnreachableError } from '../gateway/refusals.ts'
import type { LinkIdentity } from '../membership/partition-link.ts'
import type { Membership } from '../membership/membership.ts'
import type { TenantFences } from './tenant-fence.ts'

/** A request that another partition has handed on: it is not handed on again, since both registries may be behind. */
const FORWARDED_HEADER = 'x-centaurus-forwarded'
/** Requests under way at once, watches included; beyond, callers are told to come back. */
const FORWARDS_MAX = 2_000
/** Largest body that is handed on. Source: the API server's own limit. */
const BODY_BYTES_MAX = 3 * 1024 * 1024
/** A request that finds its tenant moving waits so long for the end of it, which usually comes within a tenth of a second. */
const MOVING_WAIT_MS = 2_000
const RETRY_AFTER_SECONDS = 1
const DROPPED_HEADERS =
  /^(?::.*|connection|host|keep-alive|proxy-.*|te|trailer|transfer-encoding|upgrade|http2-settings|content-length|expect|x-remote-.*)$/
const READS: ReadonlySet<string> = new Set(['GET', 'HEAD', 'OPTIONS'])

export interface ForwardDeps {
  readonly membership: Membership
  readonly identity: LinkIdentity
  /** Absent in a partition without tenants. */
  readonly fences: TenantFences | undefined
}

/**
 * Hands requests of tenants that live elsewhere on to where they live, so that whoever knows the old address of a tenant goes on working: pods,
 * that learned it when they started, above all. Bearer tokens are handed on and checked there; of client certificates, which were checked here, it
 * says whose they were, and is believed as a partition is. What can't be handed on is told to come back: nothing looks as if it did not exist.
 */
export function createRequestForwarding({ membership, identity, fences }: ForwardDeps): CreateExtension {
  return ({ tenants, clock, logger }) => {
    const { ca, certificate } = identity
    const tls = { ca, cert: certificate.certificatePem, key: certificate.keyPem }
    const backends = new Backends(membership, { tls, clock, logger })
    let open = 0
    /** One that never moved has no fence to wait for. */
    const hasMoved = (tenant: string): boolean => {
      const fence = fences?.get(tenant)
      return fence !== undefined && (fence.epoch > 0 || fence.state !== 'serving')
    }
    return {
      async forward(exchange, { user, tenant }) {
        const isRead = READS.has(exchange.method)
        const isHandedOn = exchange.headers[FORWARDED_HEADER] !== undefined
        const isHere = (): boolean => tenants.isHosted(tenant)
        const isServed = (): boolean =>
          isHere() && (isRead || fences?.get(tenant).state === 'serving' || !hasMoved(tenant))
        if (isServed()) return false
        // either it goes, or it comes and this partition hears of it later than who handed the request on
        if (isHere() || isHandedOn) {
          const isSettled = (): boolean => isServed() || (!isHere() && !isHandedOn)
          const hear = (listener: () => void): (() => void)[] => [
            tenants.onChange(listener),
            ...(fences === undefined ? [] : [fences.onChange(tenant, listener)]),
          ]
          await waitFor(isSettled, { hear, clock, exchange })
          if (isServed()) return false
        }
        const owner = membership.tenant(tenant)?.status?.partition
        if (owner === undefined) return false
        const isRefused = owner === membership.self || isHandedOn || exchange.upgrade !== undefined
        if (isRefused || open >= FORWARDS_MAX) throw moving()
        open++
        try {
          await forward(exchange, user, backends.of(owner))
        } finally {
          open--
        }
        return true
      },
      close: async () => backends.close(),
    }
  }
}

interface WaitOptions {
  /** Registers what is to be called when the condition may have changed; returns what removes it. */
  readonly hear: (listener: () => void) => readonly (() => void)[]
  readonly clock: Clock
  readonly exchange: Exchange
}

/** Resolves when the condition holds, the client is gone, or {@link MOVING_WAIT_MS} have passed. */
async function waitFor(condition: () => boolean, { hear, clock, exchange }: WaitOptions): Promise<void> {
  if (condition()) return
  await new Promise<void>((resolve) => {
    const done = (): void => {
      timer.cancel()
      for (const remove of removes) remove()
      resolve()
    }
    const timer = clock.setTimer(MOVING_WAIT_MS, done)
    const removes = hear(() => {
      if (condition()) done()
    })
    exchange.onClose(done)
  })
}

class Backends {
  readonly #membership: Membership
  readonly #deps: EndpointDeps
  readonly #backends = new Map<string, Backend>()

  constructor(membership: Membership, deps: EndpointDeps) {
    this.#membership = membership
    this.#deps = deps
  }

  of(partition: string): Backend {
    let backend = this.#backends.get(partition)
    if (backend === undefined) this.#backends.set(partition, (backend = new Backend(partition, this.#deps)))
    backend.setUrls(this.#membership.get(partition)?.spec.endpoints ?? [])
    return backend
  }

  close(): void {
    for (const backend of this.#backends.values()) backend.close()
  }
}

async function forward(exchange: Exchange, user: UserInfo, backend: Backend): Promise<void> {
  const hasBody = !READS.has(exchange.method)
  const body = hasBody ? await exchange.readBody(BODY_BYTES_MAX) : undefined
  const hasToken = exchange.clientCertificate === undefined && exchange.headers['authorization'] !== undefined
  const query = exchange.query.size === 0 ? '' : `?${exchange.query}`
  try {
    const { status, headers, stream } = await backend.send({
      method: exchange.method,
      path: exchange.path + query,
      headers: { ...passedHeaders(exchange), ...(hasToken ? {} : identityOf(user)), [FORWARDED_HEADER]: '1' },
      credentials: hasToken ? 'none' : 'gateway',
      body,
      onStream: (opened) => exchange.onClose(() => opened.close(constants.NGHTTP2_CANCEL)),
    })
    exchange.startStream(status, answerHeaders(headers))
    let isWhole = false
    stream.once('end', () => (isWhole = stream.rstCode === constants.NGHTTP2_NO_ERROR))
    for await (const chunk of stream) {
      if (exchange.closed) break
      exchange.write(chunk as Buffer)
      await exchange.drained()
    }
    if (isWhole) exchange.end()
    else exchange.destroy()
  } catch (error) {
    if (error instanceof UnreachableError) throw moving(error)
    if (error instanceof LostAnswerError) throw lostAnswer(error)
    if (error instanceof StatusError) throw error
    exchange.destroy() // the answer broke off: nobody may take it for the whole
  }
}

function passedHeaders({ headers }: Exchange): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const name in headers) {
    const value = headers[name]
    if (value !== undefined && !DROPPED_HEADERS.test(name)) passed[name] = value
  }
  return passed
}

/** Instead of the certificate. Lists are sent as repeated headers. */
function identityOf({ name, uid, groups, extra, tenant }: UserInfo): Record<string, string | readonly string[]> {
  const headers: Record<string, string | readonly string[]> = { 'x-remote-user': name, 'x-remote-tenant': tenant }
  if (uid !== '') headers['x-remote-uid'] = uid
  if (groups.length > 0) headers['x-remote-group'] = groups
  for (const [key, values] of Object.entries(extra)) {
    headers[`x-remote-extra-${encodeURIComponent(key).toLowerCase()}`] = values
  }
  return headers
}

function answerHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const passed: Record<string, string> = {}
  for (const [name, value] of Object.entries(headers)) {
    if (value === undefined || DROPPED_HEADERS.test(name) || name === 'audit-id') continue
    passed[name] = Array.isArray(value) ? value.join(', ') : value
  }
  return passed
}

/** The words are those of a cluster that is its tenant's alone. */
function moving(cause?: unknown): StatusError {
  return new StatusError({
    reason: 'ServiceUnavailable',
    message: 'the server is moving; please try again',
    details: { retryAfterSeconds: RETRY_AFTER_SECONDS },
    cause,
  })
}
