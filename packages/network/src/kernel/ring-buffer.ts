import { DataplaneError } from './dataplane-error.ts'
import { isNull, lastErrno, loadLibBpf, registerRingCallback, unregisterRingCallback } from './native.ts'

/** Records that programs write for this process. */
export interface RingBuffer {
  /** Calls the listener with all that is there; returns how many. */
  consume(): number
  close(): void
}

/** Follows the ring buffer map `fd`. Nothing is called by itself: the owner decides when to {@link RingBuffer.consume}. */
export function openRingBuffer(fd: number, listener: (sample: Uint8Array) => void): RingBuffer {
  const lib = loadLibBpf()
  const callback = registerRingCallback(listener)
  const ring = lib.newRing(fd, callback, null, null)
  if (isNull(ring)) {
    unregisterRingCallback(callback)
    throw new DataplaneError('Cannot follow the drop log', { errno: lastErrno() })
  }
  return {
    consume: () => lib.consumeRing(ring),
    close() {
      lib.freeRing(ring)
      unregisterRingCallback(callback)
    },
  }
}
