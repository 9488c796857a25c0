import { open, stat, type FileHandle } from 'node:fs/promises'

import type { Clock } from '@centaurus/base'

import { parseLogLine } from './log-format.ts'
import type { LogOptions } from './log-options.ts'

const CHUNK_BYTES = 64 * 1024
const FOLLOW_POLL_MS = 250
/** A line without end is cut here, so that a torn file can't eat the memory. */
const LINE_BYTES_MAX = 1024 * 1024

export interface LogSource {
  readonly path: string
  /** False when nothing more will be written. */
  readonly isRunning: () => boolean
  readonly clock: Clock
  readonly signal: AbortSignal
}

/**
 * Text of a container's log, piece by piece. With `follow` it waits for more until the container has ended, and goes on in the new file
 * when the log was rotated. Source: kubelet kuberuntime/logs ReadLogs, v1.37.
 */
export async function* readLog(source: LogSource, options: LogOptions): AsyncGenerator<string> {
  const filter = createLineFilter(options)
  let handle = await open(source.path, 'r')
  try {
    let offset = options.tailLines === undefined ? 0 : await findTail(handle, options.tailLines)
    let rest = ''
    for (;;) {
      const running = source.isRunning()
      const { text, end } = await readFrom(handle, offset)
      offset = end
      const lines = (rest + text).split('\n')
      rest = lines.pop()!.slice(-LINE_BYTES_MAX)
      const out = lines.map(filter.take).join('')
      if (out !== '') yield out
      if (filter.isFull()) return
      if (text !== '') continue
      if (!options.follow || source.signal.aborted) return
      const next = await openRotated(handle, source.path)
      if (next !== undefined) {
        await handle.close()
        handle = next
        offset = 0
      } else if (!running) return
      else await source.clock.sleep(FOLLOW_POLL_MS, { signal: source.signal }).catch(() => undefined)
    }
  } finally {
    await handle.close()
  }
}

interface LineFilter {
  take(this: void, line: string): string
  isFull(): boolean
}

/** Turns lines of the file into what the reader sees. */
export function createLineFilter({
  timestamps,
  sinceMs,
  limitBytes,
  stream,
}: Pick<LogOptions, 'timestamps' | 'sinceMs' | 'limitBytes' | 'stream'>): LineFilter {
  let left = limitBytes ?? Infinity
  let atLineStart = true
  return {
    take(line) {
      const entry = left <= 0 ? undefined : parseLogLine(line)
      if (entry === undefined) return ''
      if (stream !== undefined && entry.stream !== stream) return ''
      if (sinceMs !== undefined && Date.parse(entry.time) < sinceMs) return ''
      let text = timestamps && atLineStart ? `${entry.time} ${entry.text}` : entry.text
      atLineStart = !entry.partial
      const bytes = Buffer.byteLength(text)
      if (bytes > left) text = Buffer.from(text).subarray(0, left).toString()
      left -= bytes
      return text
    },
    isFull: () => left <= 0,
  }
}

async function readFrom(handle: FileHandle, offset: number): Promise<{ text: string; end: number }> {
  const { bytesRead, buffer } = await handle.read(Buffer.allocUnsafe(CHUNK_BYTES), 0, CHUNK_BYTES, offset)
  // A character must not be torn: stop at the last line end, unless the chunk has none.
  const lineEnd = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1
  const length = lineEnd === 0 ? bytesRead : lineEnd
  return { text: buffer.toString('utf8', 0, length), end: offset + length }
}

/** Offset of the last `lines` lines. */
async function findTail(handle: FileHandle, lines: number): Promise<number> {
  const { size } = await handle.stat()
  if (lines === 0) return size
  let seen = 0
  for (let end = size; end > 0; end -= CHUNK_BYTES) {
    const start = Math.max(0, end - CHUNK_BYTES)
    const { buffer } = await handle.read(Buffer.alloc(end - start), 0, end - start, start)
    for (let i = buffer.length - 1; i >= 0; i--) {
      if (buffer[i] !== 0x0a || start + i === size - 1) continue
      seen += 1
      if (seen === lines) return start + i + 1
    }
  }
  return 0
}

/** The file that now has the name, when it is another one than `handle`'s. */
async function openRotated(handle: FileHandle, path: string): Promise<FileHandle | undefined> {
  const [mine, named] = await Promise.all([handle.stat(), stat(path).catch(() => undefined)])
  return named === undefined || named.ino === mine.ino ? undefined : open(path, 'r').catch(() => undefined)
}
