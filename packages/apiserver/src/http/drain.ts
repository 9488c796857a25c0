import type { Writable } from 'node:stream'
import { DRAINED_BYTES } from './limits.ts'

/** Resolves when the stream has at most {@link DRAINED_BYTES} queued, or is closed. */
export function waitDrained(stream: Writable): Promise<void> {
  if (stream.destroyed || stream.writableLength <= DRAINED_BYTES) return Promise.resolve()
  return new Promise((resolve) => {
    const done = (): void => {
      stream.off('drain', done)
      stream.off('close', done)
      resolve()
    }
    stream.on('drain', done)
    stream.on('close', done)
  })
}
