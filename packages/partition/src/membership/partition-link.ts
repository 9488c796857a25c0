import { constants } from 'node:http2'
import { PARTITION_USER_PREFIX, PARTITIONS_GROUP } from '@centaurus/api'
import type { Partition } from '@centaurus/api/centaurus/v1'
import type { CertificateAndKey, ClusterCertificates } from '@centaurus/apiserver'
import { systemClock, type Clock } from '@centaurus/base'
import {
  createConnectionPool,
  createLineSplitter,
  createRequester,
  parseRefusal,
  readBody,
  type HttpCall,
  type HttpClientConfig,
  type OpenResponse,
} from '@centaurus/client/http'

/**
 * A cut network is noticed within {@link PING_INTERVAL_MS} + {@link PING_TIMEOUT_MS}: every claim and pod of a partition waits for it.
 * A busy partition is not cut: one that loads 100,000 pods, or collects the garbage of a large heap, stands still for seconds, and a link that is given
 * up then makes it load them again.
 */
const PING_INTERVAL_MS = 2_000
const PING_TIMEOUT_MS = 10_000
const CONNECT_TIMEOUT_MS = 10_000
/** File of the certificate with which a partition shows who it is, in its `pki` folder. */
const CERTIFICATE_FILE = 'partition'
const USER_AGENT = 'centaurus-partition'

/** Calls from this partition to another, over HTTP/2 sessions that are kept. Opens on first use; after a failure the next call tries the next address. */
export interface PartitionLink {
  /**
   * One request and its answer, whatever its status. `body` is sent as JSON; the answer's is parsed, or undefined when it is empty.
   * Throws when the partition can't be reached or goes away before it answered: unless the error is a `NotConnectedError`, it may have
   * done what it was asked.
   */
  request(options: LinkRequest): Promise<LinkResponse>
  /**
   * GETs lines (NDJSON) until the other side ends, when it resolves. Rejects when the connection fails, when `signal` aborts, and
   * with a `StatusError` when the partition refuses. A line is valid only during the call.
   */
  stream(options: LinkStream): Promise<void>
  /** Ends every session; calls that run fail. */
  close(): Promise<void>
}

export interface LinkRequest {
  readonly method: string
  /** With query. */
  readonly path: string
  readonly body?: unknown
  readonly signal?: AbortSignal | undefined
}

export interface LinkResponse {
  readonly status: number
  readonly body: unknown
}

export interface LinkStream {
  readonly path: string
  readonly signal: AbortSignal
  readonly onLine: (line: Uint8Array) => void
  /** Asked after each chunk: nothing more is read until what it returns is settled. Default: reads as fast as lines come. */
  readonly ready?: (() => Promise<unknown> | undefined) | undefined
}

/** Opens a link to one partition, at the addresses that it has now: open another when `spec.endpoints` changes. */
export type OpenLink = (partition: Readonly<Partition>) => PartitionLink

export interface LinkIdentity {
  /** PEM; the cluster's authority, the same in every partition. */
  readonly ca: string
  /** PEM; `CN=system:partition:<name>, O=system:partitions`. */
  readonly certificate: CertificateAndKey
  readonly clock: Clock
}

/** Issues (or finds) the client certificate of partition `name`. */
export function issuePartitionCertificate(certificates: ClusterCertificates, name: string): Promise<CertificateAndKey> {
  return certificates.client(CERTIFICATE_FILE, {
    commonName: `${PARTITION_USER_PREFIX}${name}`,
    organizations: [PARTITIONS_GROUP],
  })
}

/** Where nobody listens: calls to a partition that has not joined yet fail like those to one that is away. */
const NOWHERE = 'https://127.0.0.1:1'

/** What an HTTP client needs to speak as this partition to the API servers at `endpoints`. */
export function partitionClientConfig(endpoints: readonly string[], identity: LinkIdentity): HttpClientConfig {
  const [server = NOWHERE, ...alternatives] = endpoints
  return {
    server,
    alternatives,
    ca: identity.ca,
    cert: identity.certificate.certificatePem,
    key: identity.certificate.keyPem,
    clock: identity.clock,
    userAgent: USER_AGENT,
    liveness: {
      pingIntervalMs: PING_INTERVAL_MS,
      pingTimeoutMs: PING_TIMEOUT_MS,
      connectTimeoutMs: CONNECT_TIMEOUT_MS,
    },
  }
}

/** What opens links as the partition whose certificate this is. */
export function createOpenLink(identity: LinkIdentity): OpenLink {
  return (partition) => openLink(partitionClientConfig(partition.spec.endpoints, identity))
}

/** A link with whatever credentials the configuration holds: an operator's, say. */
export function openLink(config: HttpClientConfig): PartitionLink {
  const { userAgent = USER_AGENT, clock = systemClock } = config
  const pool = createConnectionPool(config)
  const closed = new AbortController()
  const requester = createRequester({ pool, pathPrefix: '', token: undefined, userAgent, clock })
  return {
    async request({ method, path, body, signal }) {
      const call: HttpCall = { method: method as HttpCall['method'], path, body, signal }
      const response = await requester.open(call)
      return { status: response.status, body: parseBody(await readBody(response.stream, call)) }
    },
    async stream({ path, signal: stop, onLine, ready }) {
      const signal = AbortSignal.any([stop, closed.signal])
      const call: HttpCall = { method: 'GET', path, signal }
      const response = await requester.open(call)
      if (response.status !== 200) throw parseRefusal(response, await readBody(response.stream, call))
      await readLines(response, { signal, onLine, ready })
    },
    close() {
      closed.abort(new Error('The link to the partition was closed'))
      return pool.close()
    },
  }
}

function parseBody(text: string): unknown {
  if (text === '') return undefined
  try {
    return JSON.parse(text)
  } catch {
    return text // what a proxy in between wrote
  }
}

function readLines({ stream }: OpenResponse, { signal, onLine, ready }: Omit<LinkStream, 'path'>): Promise<void> {
  return new Promise((resolve, reject) => {
    let ended = false
    const split = createLineSplitter(onLine)
    stream.on('data', (chunk: Buffer) => {
      try {
        split(chunk)
        const waiting = ready?.()
        if (waiting === undefined) return
        stream.pause()
        const resume = (): void => void stream.resume()
        waiting.then(resume, resume)
      } catch (error) {
        reject(error)
        stream.close(constants.NGHTTP2_CANCEL)
      }
    })
    stream.once('end', () => (ended = true))
    stream.once('error', reject)
    stream.once('close', () => {
      if (signal.aborted) reject(signal.reason as Error)
      else if (ended && stream.rstCode === constants.NGHTTP2_NO_ERROR) resolve()
      else reject(new Error('The connection to the partition was closed'))
    })
  })
}
