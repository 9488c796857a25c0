import { constants } from 'node:http2'
import { fromStatus, type KubeObject, type Stored } from '@centaurus/api'
import type { Status } from '@centaurus/api/meta/v1'
import type { ClientWatch, ClientWatchOptions, WatchEventType } from '../client.ts'
import { createLineSplitter } from './line-splitter.ts'
import { parseRefusal, readBody, type OpenResponse, type Requester } from './request.ts'

/** Opens a watch and feeds its events to the handlers until either side closes. `path` carries the whole query. */
export function startWatch<T extends KubeObject>(
  requester: Requester,
  path: string,
  handlers: ClientWatchOptions<T>,
): ClientWatch {
  const abort = new AbortController()
  let ended = false
  const end = (error: Error | undefined): void => {
    if (ended) return
    ended = true
    handlers.onEnd(abort.signal.aborted ? undefined : error)
  }
  const call = { method: 'GET', path, signal: abort.signal } as const
  const run = async (): Promise<void> => {
    const response = await requester.open(call)
    if (response.status !== 200) throw parseRefusal(response, await readBody(response.stream, call))
    await readEvents(response, (event) => {
      if (!ended) dispatch(event, handlers)
    })
  }
  run().then(() => end(undefined), end)
  return { close: () => abort.abort(new Error('Watch closed')) }
}

interface RawEvent {
  readonly type: WatchEventType | 'BOOKMARK' | 'ERROR'
  readonly object: unknown
}

/** Throws what the server reports by an ERROR event. */
function dispatch<T extends KubeObject>(event: RawEvent, handlers: ClientWatchOptions<T>): void {
  switch (event.type) {
    case 'ADDED':
    case 'MODIFIED':
    case 'DELETED':
      return handlers.onEvent(event.type, event.object as Stored<T>)
    case 'BOOKMARK':
      return handlers.onBookmark?.((event.object as Stored<T>).metadata.resourceVersion)
    case 'ERROR':
      throw fromStatus(event.object as Status)
    default: // an event type that a later server knows
  }
}

function readEvents({ stream }: OpenResponse, onEvent: (event: RawEvent) => void): Promise<void> {
  return new Promise((resolve, reject) => {
    const split = createLineSplitter((line) =>
      onEvent(JSON.parse(Buffer.from(line.buffer, line.byteOffset, line.length).toString('utf8')) as RawEvent),
    )
    stream.on('data', (chunk: Buffer) => {
      try {
        split(chunk)
      } catch (error) {
        reject(error)
        stream.close(constants.NGHTTP2_CANCEL)
      }
    })
    stream.once('end', resolve)
    stream.once('error', reject)
    stream.once('close', resolve)
  })
}
