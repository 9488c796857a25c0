import { DataplaneError } from './dataplane-error.ts'
import { isNull, lastErrno, loadLibBpf, registerRingCallback, unregisterRingCallback } from './native.ts'

/** Records that programs write for this process. */
export interface RingBuffer {
  /** All that came since the last call. */
  read(): Uint8Array[]
  close(): void
}

/** Follows the ring buffer map `fd`. Nothing is read by itself. */
export function openRingBuffer(fd: number): RingBuffer {
  const lib = loadLibBpf()
  let samples: Uint8Array[] = []
  const callback = registerRingCallback((sample) => void samples.push(sample))
  const ring = lib.newRing(fd, callback, null, null)
  if (isNull(ring)) {
    unregisterRingCallback(callback)
    throw new DataplaneError('Cannot follow the drop log', { errno: lastErrno() })
  }
  return {
    read() {
      // what is done with samples is done outside of libbpf: it may fail, or close the ring
      lib.consumeRing(ring)
      const all = samples
      samples = []
      return all
    },
    close() {
      lib.freeRing(ring)
      unregisterRingCallback(callback)
    },
  }
}
