import { DataplaneError } from './dataplane-error.ts'
import { lastErrno, loadLibC, viewOf } from './native.ts'

const PROT_READ_WRITE = 3
const MAP_SHARED = 1
const PAGE_BYTES = 4096

/** The value of a one-entry array map, shared with the programs: a write is seen by the next packet, without a system call. */
export interface SharedMemory {
  readonly bytes: ArrayBuffer
  close(): void
}

/** Maps a global variable's section, whose map is `fd`. */
export function mapSharedMemory(fd: number, length: number): SharedMemory {
  const lib = loadLibC()
  const size = Math.ceil(length / PAGE_BYTES) * PAGE_BYTES
  const pointer = BigInt(lib.mmap(null, size, PROT_READ_WRITE, MAP_SHARED, fd, 0))
  if (pointer === 0xffff_ffff_ffff_ffffn)
    throw new DataplaneError('Cannot map the state that is shared with the programs', { errno: lastErrno() })
  return { bytes: viewOf(pointer, length), close: () => void lib.munmap(pointer, size) }
}
