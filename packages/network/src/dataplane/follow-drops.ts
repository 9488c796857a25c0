import { openRingBuffer } from '../kernel/ring-buffer.ts'
import type { DropEvent } from './dataplane.ts'
import { decodeDrop } from './read-counters.ts'

/** How often the drop log is read. The log holds some 3,000 events; more of them in between are lost, and counted all the same. */
const INTERVAL_MS = 200

interface DropFollower {
  add(listener: (event: DropEvent) => void): () => void
  close(): void
}

/** Reads the drop log as long as somebody listens. */
export function followDrops(fd: number): DropFollower {
  const listeners = new Set<(event: DropEvent) => void>()
  const ring = openRingBuffer(fd)
  const tell = (): void => {
    for (const event of ring.read().map(decodeDrop)) for (const listener of listeners) listener(event)
  }
  let timer: NodeJS.Timeout | undefined
  const stop = (): void => {
    clearInterval(timer)
    timer = undefined
  }
  return {
    add(listener) {
      listeners.add(listener)
      timer ??= setInterval(tell, INTERVAL_MS).unref()
      return () => {
        listeners.delete(listener)
        if (listeners.size === 0) stop()
      }
    },
    close() {
      stop()
      ring.close()
    },
  }
}
