import { get } from 'node:https'
import { json } from 'node:stream/consumers'
import { Transform } from 'node:stream'
import type { Clock, Logger } from '@centaurus/base'
import { createLocalJWKSet, type JSONWebKeySet, type JWTVerifyGetKey } from 'jose'

/** Keys are read again when they are older, so that one that was withdrawn does not count for long. */
const KEYS_AGE_MAX_MS = 10 * 60_000
/** Tokens with keys that nobody knows make the server ask not more often than this. */
const REFRESH_INTERVAL_MIN_MS = 10_000
const TIMEOUT_MS = 10_000
const DOCUMENT_BYTES_MAX = 1024 * 1024

export interface OidcKeysOptions {
  readonly issuerUrl: string
  /** PEM of the authority behind the issuer's certificate; absent: those of the system. */
  readonly caPem?: string | undefined
  readonly clock: Clock
  readonly logger: Logger
}

/** The public keys of an issuer: asked for when they are first needed, kept, and asked for again when a key is new or they are old. */
export class OidcKeys {
  readonly #options: OidcKeysOptions
  #keys: JWTVerifyGetKey | undefined
  #readMs = Number.NEGATIVE_INFINITY
  #triedMs = Number.NEGATIVE_INFINITY
  #reading: Promise<void> | undefined

  constructor(options: OidcKeysOptions) {
    this.#options = options
  }

  /** Keys that are not too old, when the issuer answers; else those that it gave last. Throws when it never gave any. */
  async current(): Promise<JWTVerifyGetKey> {
    if (this.#options.clock.monotonicMs() - this.#readMs > KEYS_AGE_MAX_MS) await this.#refresh()
    if (this.#keys === undefined) throw new Error(`Cannot check tokens of ${this.#options.issuerUrl}: no keys of it`)
    return this.#keys
  }

  /** Keys that may hold one that {@link current} did not; undefined when they were asked for a moment ago. */
  async newer(): Promise<JWTVerifyGetKey | undefined> {
    const before = this.#keys
    await this.#refresh()
    return this.#keys === before ? undefined : this.#keys
  }

  #refresh(): Promise<void> {
    const { clock, logger, issuerUrl } = this.#options
    if (this.#reading !== undefined) return this.#reading
    if (clock.monotonicMs() - this.#triedMs < REFRESH_INTERVAL_MIN_MS) return Promise.resolve()
    this.#triedMs = clock.monotonicMs()
    this.#reading = this.#read()
      .catch((error: unknown) => logger.warn('Could not read keys of OIDC issuer', { issuer: issuerUrl, error }))
      .finally(() => (this.#reading = undefined))
    return this.#reading
  }

  async #read(): Promise<void> {
    const { issuerUrl, clock } = this.#options
    const about = (await this.#fetch(`${issuerUrl.replace(/\/$/, '')}/.well-known/openid-configuration`)) as {
      issuer?: unknown
      jwks_uri?: unknown
    }
    if (about.issuer !== issuerUrl) throw new Error(`It calls itself ${JSON.stringify(about.issuer)}`)
    if (typeof about.jwks_uri !== 'string') throw new Error('It does not say where its keys are')
    this.#keys = createLocalJWKSet((await this.#fetch(about.jwks_uri)) as JSONWebKeySet)
    this.#readMs = clock.monotonicMs()
  }

  #fetch(url: string): Promise<unknown> {
    const { caPem } = this.#options
    return new Promise((resolve, reject) => {
      const options = { ...(caPem === undefined ? {} : { ca: caPem }), timeout: TIMEOUT_MS, agent: false } as const
      const request = get(url, options, (response) => {
        if (response.statusCode === 200) {
          json(response.pipe(limitBytes())).then(resolve, reject)
          return
        }
        response.resume()
        reject(new Error(`${url} answered ${response.statusCode}`))
      })
      request.on('timeout', () => request.destroy(new Error(`${url} did not answer within ${TIMEOUT_MS} ms`)))
      request.on('error', reject)
    })
  }
}

function limitBytes(): Transform {
  let bytes = 0
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      bytes += chunk.byteLength
      if (bytes > DOCUMENT_BYTES_MAX) done(new Error(`The document has more than ${DOCUMENT_BYTES_MAX} bytes`))
      else done(null, chunk)
    },
  })
}
