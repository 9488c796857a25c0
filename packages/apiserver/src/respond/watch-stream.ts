import { StatusError, internalError } from '@centaurus/api'
import type { Exchange } from '../http/exchange.ts'
import type { CacheEvent, EventType } from '../watch-cache/cache-event.ts'
import type { CachedObject } from '../watch-cache/cached-object.ts'
import type { WatchSink } from '../watch-cache/watcher.ts'
import { CONTENT_TYPES } from './accept.ts'
import {
  bookmarkObject,
  encodeEvent,
  encodeVerbatimEvent,
  isVerbatim,
  shapeObject,
  type EncoderOptions,
} from './encoder.ts'

/** A watcher that lets more than this pile up is dropped; it resumes from its last resourceVersion, or lists again. */
export const WATCH_QUEUE_BYTES_MAX = 16 * 1024 * 1024

/** Goes on with the same answer from events of another partition, after what happened up to `revision` here. False: nobody does. */
export type GoOn = (revision: number) => Promise<boolean>

/** Sends a watch over HTTP, one JSON line or protobuf frame an event. Encodings are shared with the other watchers of the same form. */
export class WatchStream implements WatchSink {
  readonly #exchange: Exchange
  readonly #options: EncoderOptions
  readonly #format: string
  readonly #verbatim: boolean
  /** What was sent before the headers could be: a watch that can't start must still be able to answer with an error. */
  #early: Uint8Array[] | undefined = []
  #columnsSent = false
  readonly #goOn: GoOn | undefined
  /** Bytes of the objects that were there at the start: they may wait however long the client takes. */
  #initialBytes = 0

  /** `goOn`: absent when nobody could. */
  constructor(exchange: Exchange, options: EncoderOptions, goOn?: GoOn) {
    this.#exchange = exchange
    this.#goOn = goOn
    this.#options = options
    this.#verbatim = isVerbatim(options)
    const { media, as, asVersion } = options.representation
    const { group, version } = options.definition.info
    this.#format = this.#verbatim ? 'json' : `${media}/${as}/${asVersion}/${options.includeObject}/${group}/${version}`
  }

  /** Sends the headers, and what came meanwhile. */
  start(): void {
    this.#exchange.startStream(200, { 'content-type': this.#contentType(), 'cache-control': 'no-cache, private' })
    const early = this.#early ?? []
    this.#early = undefined
    for (const chunk of early) this.#exchange.write(chunk)
  }

  send(type: EventType, object: CachedObject, event: CacheEvent | undefined): void {
    if (event === undefined) {
      const bytes = this.#encode(type, object)
      this.#initialBytes += bytes.byteLength
      this.#write(bytes)
      return
    }
    // The first Table of a watch carries the columns; only what everybody gets is shared.
    const isShared = this.#options.representation.as !== 'Table' || this.#columnsSent
    const format = `${this.#format}/${type}`
    this.#write(isShared ? event.encoding(format, () => this.#encode(type, object)) : this.#encode(type, object))
  }

  bookmark(revision: number, options: { readonly initialEventsEnd: boolean }): void {
    const object = bookmarkObject(this.#options, revision, options)
    this.#write(encodeEvent('BOOKMARK', object, this.#options.representation))
  }

  end(error: Error | undefined): void {
    if (error !== undefined) {
      const status = error instanceof StatusError ? error : internalError(error)
      this.#write(encodeEvent('ERROR', status.toStatus(), this.#options.representation))
    }
    if (this.#early !== undefined) this.start()
    if (this.overloaded) this.#exchange.destroy()
    else this.#exchange.end()
  }

  handOn(revision: number): void {
    void this.#tryGoOn(revision)
  }

  async #tryGoOn(revision: number): Promise<void> {
    try {
      if (this.#early === undefined && (await this.#goOn?.(revision)) === true) return
    } catch {
      // it can't, and the client resumes by itself
    }
    this.end(undefined)
  }

  get overloaded(): boolean {
    return this.#exchange.queuedBytes > WATCH_QUEUE_BYTES_MAX + this.#initialBytes
  }

  #contentType(): string {
    const { media } = this.#options.representation
    return media === 'protobuf' ? `${CONTENT_TYPES.protobuf};stream=watch` : CONTENT_TYPES.json
  }

  #write(chunk: Uint8Array): void {
    if (this.#early === undefined) this.#exchange.write(chunk)
    else this.#early.push(chunk)
  }

  #encode(type: EventType, object: CachedObject): Uint8Array {
    if (this.#verbatim) return encodeVerbatimEvent(type, object)
    const shaped = shapeObject(object, { ...this.#options, withColumns: !this.#columnsSent })
    this.#columnsSent = true
    return encodeEvent(type, shaped, this.#options.representation)
  }
}
