import { decodeProtobuf, encodeProtobuf, type KubeObject } from '@centaurus/api'
import { constants } from 'node:http2'
import type { FrontRequest } from '../front-request.ts'
import { MERGED_BODY_BYTES_MAX, WRITE_BYTES } from '../limits.ts'
import { readAll } from '../pass.ts'
import { answerHeaders } from './answer-headers.ts'
import type { Part } from './fan-out.ts'
import { ListSplitter, type ListEnvelope } from './list-splitter.ts'

/** What a partition's share of a list says of itself. */
export interface PartFacts {
  readonly items: number
  readonly version: string
  /** `''` at the end. */
  readonly token: string
}

/** A list that is put together from partitions' lists. */
export interface MergedList {
  /** Takes one partition's share over. Rejects when it breaks off: then nothing that was written may be taken for a list. */
  add(part: Part): Promise<PartFacts>
  /** Ends the answer. */
  finish(metadata: { readonly resourceVersion: string; readonly continue?: string | undefined }): void
}

/** Whether an object of a partition is part of the list. */
export type KeepItem = (partition: string, item: ItemView) => boolean

export interface ItemView {
  /** Undefined when it has none of that name. Only short values of letters, digits and hyphens are sure to be found. */
  annotation(name: string): string | undefined
}

export interface MergedListOptions {
  readonly keep: KeepItem | undefined
  readonly extraHeaders: Readonly<Record<string, string>>
}

/** Names of tenants and partitions are shorter, with what stands before them. */
const VALUE_BYTES_MAX = 80
const COMMA = Buffer.from(',')

/** In JSON: items go through as they come, and are never all in memory. */
export class JsonMergedList implements MergedList {
  readonly #request: FrontRequest
  readonly #options: MergedListOptions
  #pending: Uint8Array[] = []
  #pendingBytes = 0
  #items = 0
  #first: ListEnvelope | undefined

  constructor(request: FrontRequest, options: MergedListOptions) {
    this.#request = request
    this.#options = options
  }

  add({ partition, incoming: { stream } }: Part): Promise<PartFacts> {
    const { out } = this.#request
    const { keep } = this.#options
    let items = 0
    const splitter = new ListSplitter((item) => {
      items++
      if (keep === undefined || keep(partition, { annotation: (name) => annotationIn(asBuffer(item), name) }))
        this.#put(item, splitter.isTable)
    })
    return new Promise((resolve, reject) => {
      if (stream.destroyed) return reject(new Error(`Partition ${partition} broke its list off`))
      stream.on('data', (chunk: Buffer) => {
        try {
          splitter.feed(chunk)
        } catch (error) {
          reject(error)
          return stream.close(constants.NGHTTP2_CANCEL)
        }
        if (this.#pendingBytes < WRITE_BYTES || this.#flush()) return
        stream.pause()
        out.once('drain', () => stream.resume())
      })
      stream.once('end', () => {
        if (stream.rstCode !== constants.NGHTTP2_NO_ERROR) return // `close` follows
        try {
          const envelope = splitter.end()
          this.#first ??= envelope
          resolve(factsOf(envelope.metadata, items))
        } catch (error) {
          reject(error)
        }
      })
      stream.once('close', () => reject(new Error(`Partition ${partition} broke its list off`)))
    })
  }

  finish(metadata: Parameters<MergedList['finish']>[0]): void {
    const { items: _items, rows: _rows, metadata: _own, ...rest } = this.#first ?? {}
    const isTable = this.#first?.rows !== undefined || this.#first?.kind === 'Table'
    if (this.#items === 0) this.#open(isTable)
    const tail = JSON.stringify({ ...rest, metadata })
    this.#push(Buffer.from(`],${tail.slice(1)}`))
    this.#flush()
    this.#request.out.end()
  }

  #put(item: Uint8Array, isTable: boolean): void {
    if (this.#items === 0) this.#open(isTable)
    else this.#push(COMMA)
    this.#push(item)
    this.#items++
  }

  /** The array comes first, because all else is known last. */
  #open(isTable: boolean): void {
    this.#push(Buffer.from(isTable ? '{"rows":[' : '{"items":['))
  }

  #push(bytes: Uint8Array): void {
    this.#pending.push(bytes)
    this.#pendingBytes += bytes.length
  }

  /** False when the client should be waited for. */
  #flush(): boolean {
    const bytes = Buffer.concat(this.#pending, this.#pendingBytes)
    this.#pending = []
    this.#pendingBytes = 0
    this.#request.begin(200, answerHeaders(this.#request, 'application/json', this.#options.extraHeaders))
    return this.#request.out.destroyed || this.#request.out.write(bytes)
  }
}

/** In protobuf: decoded, put together and encoded again. */
export class ProtobufMergedList implements MergedList {
  readonly #request: FrontRequest
  readonly #options: MergedListOptions
  readonly #items: KubeObject[] = []
  #first: DecodedList | undefined

  constructor(request: FrontRequest, options: MergedListOptions) {
    this.#request = request
    this.#options = options
  }

  async add({ partition, incoming }: Part): Promise<PartFacts> {
    const body = await readAll(incoming.stream, MERGED_BODY_BYTES_MAX)
    if (body === undefined) throw new RangeError(`A list is longer than ${MERGED_BODY_BYTES_MAX} bytes: use a limit`)
    const list = decodeProtobuf(body) as DecodedList
    this.#first ??= list
    const items = list.items ?? []
    const { keep } = this.#options
    for (const item of items) {
      const annotation = (name: string): string | undefined => item.metadata.annotations?.[name]
      if (keep === undefined || keep(partition, { annotation })) this.#items.push(item)
    }
    return factsOf(list.metadata, items.length)
  }

  finish(metadata: Parameters<MergedList['finish']>[0]): void {
    const list = { ...this.#first!, metadata, items: this.#items }
    const headers = answerHeaders(this.#request, 'application/vnd.kubernetes.protobuf', this.#options.extraHeaders)
    this.#request.answer(200, headers, encodeProtobuf(list))
  }
}

interface DecodedList {
  readonly apiVersion: string
  readonly kind: string
  readonly metadata?: ListEnvelope['metadata']
  readonly items?: KubeObject[]
}

function factsOf(metadata: ListEnvelope['metadata'], items: number): PartFacts {
  return { items, version: metadata?.resourceVersion ?? '', token: metadata?.continue ?? '' }
}

/** Reads the annotation without parsing the item. */
function annotationIn(item: Buffer, name: string): string | undefined {
  const key = `"${name}"`
  const at = item.indexOf(key)
  if (at < 0) return undefined
  const start = at + key.length
  return /^\s*:\s*"([^"\\]*)"/.exec(item.toString('latin1', start, start + VALUE_BYTES_MAX))?.[1]
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}
