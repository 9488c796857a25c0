import { lookup } from 'node:dns'
import { Agent, request as requestHttps, type RequestOptions } from 'node:https'
import type { IncomingMessage } from 'node:http'
import { isIP, type LookupFunction } from 'node:net'
import type { WebhookClientConfig } from '@centaurus/api/admissionregistration/v1'
import { locateWebhook, type Destination, type LocateDeps } from './locate.ts'

/** More than any patch of an object that the API would take. */
const ANSWER_BYTES_MAX = 8 * 1024 * 1024
/** What of an error's body is shown. */
const ERROR_TEXT_MAX = 2048
/** Authorities whose connections are kept, as upstream has it. */
const AGENTS_MAX = 200
const SOCKETS_PER_HOST_MAX = 64
const IDLE_SOCKETS_MAX = 8
const IDLE_MS_MAX = 30_000

export interface WebhookCall {
  readonly tenant: string
  readonly client: WebhookClientConfig
  readonly body: string
  readonly timeoutMs: number
}

/** Calls webhooks over HTTPS. Connections are kept for the next call, never between tenants. */
export class WebhookCaller {
  readonly #deps: LocateDeps
  /** By tenant and authority, the one used last at the end. */
  readonly #agents = new Map<string, Agent>()

  constructor(deps: LocateDeps) {
    this.#deps = deps
  }

  /** The answer, parsed. Throws why there is none, in upstream's words where it has some. */
  async post({ tenant, client, body, timeoutMs }: WebhookCall): Promise<unknown> {
    const destination = locateWebhook(this.#deps, client, tenant)
    const shown = new URL(destination.url)
    shown.searchParams.set('timeout', `${Math.ceil(timeoutMs / 1000)}s`)
    const signal = AbortSignal.timeout(Math.ceil(timeoutMs))
    let answer: { code: number; text: string }
    try {
      const options = requestOptions(destination, shown.pathname + shown.search)
      answer = await exchange({ ...options, agent: this.#agent(tenant, client.caBundle), signal }, body)
    } catch (error) {
      const why = signal.aborted ? 'context deadline exceeded' : describeFailure(error as NodeError, destination)
      throw new Error(`failed to call webhook: Post ${JSON.stringify(shown.href)}: ${why}`, { cause: error })
    }
    const { code, text } = answer
    if (code < 200 || code > 206) throw new Error(`failed to call webhook: ${describeAnswer(code, text)}`)
    try {
      return JSON.parse(text) as unknown
    } catch (cause) {
      throw new Error(`failed to call webhook: couldn't get version/kind; json parse error: ${String(cause)}`, {
        cause,
      })
    }
  }

  close(): void {
    for (const agent of this.#agents.values()) agent.destroy()
    this.#agents.clear()
  }

  #agent(tenant: string, caBundle: string | undefined): Agent {
    const key = `${tenant} ${caBundle ?? ''}`
    const agent = this.#agents.get(key) ?? createAgent(caBundle)
    this.#agents.delete(key)
    this.#agents.set(key, agent)
    // one that is forgotten ends its calls; its idle connections end by themselves
    if (this.#agents.size > AGENTS_MAX) this.#agents.delete(this.#agents.keys().next().value!)
    return agent
  }
}

function createAgent(caBundle: string | undefined): Agent {
  return new Agent({
    keepAlive: true,
    maxSockets: SOCKETS_PER_HOST_MAX,
    maxFreeSockets: IDLE_SOCKETS_MAX,
    timeout: IDLE_MS_MAX,
    scheduling: 'lifo',
    ALPNProtocols: ['http/1.1'],
    ...(caBundle === undefined || caBundle === '' ? {} : { ca: Buffer.from(caBundle, 'base64').toString('utf8') }),
  })
}

function requestOptions({ url, host, port, allows }: Destination, path: string): RequestOptions {
  const name = url.hostname.replace(/^\[|\]$/g, '')
  if (isIP(host) !== 0 && allows?.(host) === false) throw refusedAddress(host)
  return {
    method: 'POST',
    host,
    port,
    path,
    // an address is no server name, and is checked against the certificate as an address
    ...(isIP(name) === 0 ? { servername: name } : {}),
    ...(allows === undefined ? {} : { lookup: guardedLookup(allows) }),
    headers: {
      host: url.host,
      'content-type': 'application/json',
      accept: 'application/json, */*',
      'user-agent': 'kube-apiserver-admission',
    },
  }
}

/** What was checked is what is connected to: a name that leads elsewhere a moment later gains nothing. */
function guardedLookup(allows: (address: string) => boolean): LookupFunction {
  return (hostname, options, callback) => {
    lookup(hostname, { ...options, all: true }, (error, found) => {
      if (error !== null) return callback(error, '')
      const usable = found.filter(({ address }) => allows(address))
      const first = usable[0]
      if (first === undefined) return callback(refusedAddress(hostname), '')
      if (options.all === true) return callback(null, usable)
      callback(null, first.address, first.family)
    })
  }
}

function refusedAddress(host: string): Error {
  return new Error(`address of ${JSON.stringify(host)} is not allowed`)
}

function exchange(options: RequestOptions, body: string): Promise<{ code: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = requestHttps(options, (response) => {
      readAnswer(response).then((text) => resolve({ code: response.statusCode ?? 0, text }), reject)
    })
    request.on('error', reject)
    request.end(body)
  })
}

async function readAnswer(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of response as AsyncIterable<Buffer>) {
    size += chunk.byteLength
    if (size > ANSWER_BYTES_MAX) throw new Error(`the answer is larger than ${ANSWER_BYTES_MAX} bytes`)
    chunks.push(chunk)
  }
  return Buffer.concat(chunks).toString('utf8')
}

type NodeError = Error & { readonly code?: string | undefined }

/** Go's words for what people look for in messages; else Node's. */
function describeFailure({ code = '', message }: NodeError, { host, port }: Destination): string {
  const at = isIP(host) === 6 ? `[${host}]:${port}` : `${host}:${port}`
  if (code === 'ECONNREFUSED') return `dial tcp ${at}: connect: connection refused`
  if (code === 'ENOTFOUND' || code === 'EAI_AGAIN') return `dial tcp: lookup ${host}: no such host`
  if (code === 'ECONNRESET') return 'EOF'
  if (UNKNOWN_AUTHORITY.has(code)) {
    return `tls: failed to verify certificate: x509: certificate signed by unknown authority (${message})`
  }
  if (code === 'CERT_HAS_EXPIRED') return 'tls: failed to verify certificate: x509: certificate has expired'
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return `tls: failed to verify certificate: x509: ${message}`
  return message
}

const UNKNOWN_AUTHORITY = new Set([
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'SELF_SIGNED_CERT_IN_CHAIN',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
])

/** Redirects are not followed: they would lead where nobody checked. Source: apimachinery pkg/api/errors NewGenericServerResponse. */
function describeAnswer(code: number, text: string): string {
  if (code === 404) return 'the server could not find the requested resource'
  if (code === 400) return 'the server rejected our request for an unknown reason'
  if (code === 401) return 'the server has asked for the client to provide credentials'
  if (code === 429) return 'the server has received too many requests and has asked us to try again later'
  if (code >= 500) {
    const body = text.trim() === '' ? 'unknown' : text.trim().slice(0, ERROR_TEXT_MAX)
    return `an error on the server (${JSON.stringify(body)}) has prevented the request from succeeding`
  }
  return `the server responded with the status code ${code} but did not return more information`
}
