import { constants } from 'node:http2'
import { expired } from '@centaurus/api'
import { isTrue } from '../query.ts'
import { chooseFormat } from './accept.ts'
import { answerHeaders } from './answer-headers.ts'
import { formatVersion, parseVersion } from './composite-version.ts'
import { fanOut, warningOf, type AggregateContext, type Part } from './fan-out.ts'
import { atVersions } from './list-plan.ts'
import type { KeepItem } from './merged-list.ts'
import { jsonWatchCodec, protobufWatchCodec, type FrameShape, type WatchCodec } from './watch-codec.ts'
import { WatchPositions, type FrameVerdict } from './watch-positions.ts'

export interface MergeWatchOptions {
  readonly partitions: readonly string[]
  readonly query: URLSearchParams
  /** Whether an event's object is part of the watch. Absent: all are. */
  readonly keep?: KeepItem | undefined
  /** Calls the listener when the partitions are others than they were. Returns the function that ends it. */
  readonly onPartitionsChange: (listener: () => void) => () => void
  /** Calls the listener when `keep` decides otherwise than it did: what the client has seen may have gaps. */
  readonly onContentChange?: ((listener: () => void) => () => void) | undefined
}

/**
 * Answers a watch with the events of all the partitions as they come. Bookmarks tell all positions at once, after each batch of events,
 * so that the client resumes where it was; a client that takes an event's own resourceVersion for one is told to list again. Ends in
 * order when one partition's watch ends, falls silent, or the partitions change, and with Expired when a tenant moves. Throws before the answer
 * begins.
 */
export async function mergeWatch(context: AggregateContext, options: MergeWatchOptions): Promise<void> {
  const { query, partitions } = options
  const format = chooseFormat(context.request.headers.accept)
  const calls = atVersions(query, partitions)
  // positions are needed even when the client wants to hear nothing of them
  for (const call of calls) call.query.set('allowWatchBookmarks', 'true')
  const { parts, missing } = await fanOut(context, calls, { accept: format.accept })
  const watch = new MergedWatch(context, {
    codec: format.media === 'json' ? jsonWatchCodec : protobufWatchCodec,
    keep: options.keep,
    wantsBookmarks: isTrue(query.get('allowWatchBookmarks')),
    positions: new WatchPositions({
      partitions: parts.map(({ partition }) => partition),
      start: parseVersion(query.get('resourceVersion') ?? '') ?? new Map(),
      sendsInitialEvents: isTrue(query.get('sendInitialEvents')),
    }),
  })
  const stops = [options.onPartitionsChange(() => watch.end()), options.onContentChange?.(() => watch.expire())]
  context.request.onClose(() => {
    for (const stop of stops) stop?.()
    watch.end()
  })
  watch.start(parts, missing)
}

interface MergedWatchOptions {
  readonly codec: WatchCodec
  readonly keep: MergeWatchOptions['keep']
  readonly wantsBookmarks: boolean
  readonly positions: WatchPositions
}

/** One client's watch over several partitions. */
class MergedWatch {
  readonly #context: AggregateContext
  readonly #options: MergedWatchOptions
  #parts: readonly Part[] = []
  #ended = false
  #waits = false

  constructor(context: AggregateContext, options: MergedWatchOptions) {
    this.#context = context
    this.#options = options
  }

  start(parts: readonly Part[], missing: readonly string[]): void {
    const { request } = this.#context
    this.#parts = parts
    if (this.#ended) return this.#closeParts()
    request.begin(200, answerHeaders(request, this.#options.codec.contentType, warningOf(missing)))
    for (const part of parts) this.#follow(part)
  }

  /** The client lists again. */
  expire(): void {
    const { out } = this.#context.request
    const error = expired('a tenant has moved to another partition')
    if (!this.#ended && this.#parts.length > 0 && !out.destroyed) out.write(this.#options.codec.error(error.toStatus()))
    this.end()
  }

  /** Whole events only were written, so the client sees a watch that ended, and resumes. */
  end(): void {
    if (this.#ended) return
    this.#ended = true
    this.#closeParts()
    const { out } = this.#context.request
    if (this.#parts.length > 0 && !out.destroyed) out.end()
  }

  #closeParts(): void {
    for (const { incoming } of this.#parts) incoming.stream.close(constants.NGHTTP2_CANCEL)
  }

  #follow({ partition, incoming: { stream } }: Part): void {
    const { codec } = this.#options
    let frames: Uint8Array[] = []
    const split = codec.split((frame) => frames.push(frame))
    stream.on('data', (chunk: Buffer) => {
      if (this.#ended) return
      try {
        frames = []
        split(chunk)
        if (!this.#write(partition, frames)) this.#wait()
      } catch {
        this.end() // not a watch that can be read
      }
    })
    stream.once('end', () => this.end())
    stream.once('close', () => this.end())
    if (stream.destroyed) this.end()
  }

  /** Sends a batch of one partition's events. False when the client should be waited for. */
  #write(partition: string, frames: readonly Uint8Array[]): boolean {
    const { codec, keep, positions } = this.#options
    const sent: Uint8Array[] = []
    let due: FrameVerdict['bookmark'] = 'none'
    let shape: FrameShape | undefined
    for (const bytes of frames) {
      const frame = codec.read(bytes)
      const verdict = positions.take(partition, frame)
      if (verdict.bookmark === 'initial-events-end') due = verdict.bookmark
      else if (due !== 'initial-events-end') due = verdict.bookmark
      if (frame.type !== 'ERROR') ({ shape } = frame)
      if (!verdict.forward) continue
      if (frame.type !== 'ERROR' && keep?.(partition, { annotation: (name) => frame.annotations[name] }) === false)
        continue
      sent.push(bytes)
    }
    const { version } = positions
    if (due !== 'none' && this.#options.wantsBookmarks && version !== undefined && shape !== undefined) {
      const endsInitialEvents = due === 'initial-events-end'
      sent.push(codec.bookmark(shape, formatVersion(version), { endsInitialEvents }))
    }
    const { out } = this.#context.request
    return sent.length === 0 || out.destroyed || out.write(sent.length === 1 ? sent[0] : Buffer.concat(sent))
  }

  /** A client that reads slowly holds the partitions back; they drop a watcher that lets too much pile up. */
  #wait(): void {
    if (this.#waits) return
    this.#waits = true
    for (const { incoming } of this.#parts) incoming.stream.pause()
    this.#context.request.out.once('drain', () => {
      this.#waits = false
      for (const { incoming } of this.#parts) incoming.stream.resume()
    })
  }
}
