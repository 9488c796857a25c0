/**
 * bpf(2) without libbpf, for what libbpf 1.1 has no call for (tcx links, link updates) and where one call more would only be in the way. Numbers and layouts:
 * include/uapi/linux/bpf.h, `enum bpf_cmd` and `union bpf_attr`.
 */
import { closeSync } from 'node:fs'
import { DataplaneError } from './dataplane-error.ts'
import { addressOf, bpfSyscallNumber, lastErrno, loadLibC } from './native.ts'

const COMMANDS = {
  mapLookup: 1,
  mapUpdate: 2,
  mapDelete: 3,
  mapNextKey: 4,
  pin: 6,
  get: 7,
  testRun: 10,
  info: 15,
  btfFdById: 19,
  mapLookupBatch: 24,
  mapUpdateBatch: 26,
  mapDeleteBatch: 27,
  linkCreate: 28,
  linkUpdate: 29,
  linkDetach: 34,
} as const

export type BpfCommand = keyof typeof COMMANDS

/** Bytes of `union bpf_attr` that we fill at most; the kernel takes the rest as zero. */
const ATTRIBUTES_BYTES = 80

/** A field of `union bpf_attr`: offset, then what to write. Bytes are written as their address. */
export type Attribute =
  | readonly [offset: number, size: 4, value: number]
  | readonly [offset: number, size: 8, value: bigint | Uint8Array]

/** Result of a call: what it returned (≥ 0) and the attributes after it, or a negative errno. */
export interface BpfResult {
  readonly result: number
  readonly attributes: DataView
}

/** Calls bpf(2). Never throws for what the kernel answers: `result` < 0 is −errno. */
export function callBpf(command: BpfCommand, fields: readonly Attribute[]): BpfResult {
  const buffer = Buffer.alloc(ATTRIBUTES_BYTES)
  const attributes = new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength)
  for (const [offset, size, value] of fields) {
    if (size === 4) attributes.setUint32(offset, value, true)
    else attributes.setBigUint64(offset, typeof value === 'bigint' ? value : addressOf(value), true)
  }
  const result = loadLibC().syscall(bpfSyscallNumber(), COMMANDS[command], buffer, ATTRIBUTES_BYTES)
  return { result: result < 0 ? -lastErrno() : result, attributes }
}

/** Calls bpf(2) and throws `DataplaneError` with `what` when the kernel refuses. */
export function requireBpf(what: string, command: BpfCommand, fields: readonly Attribute[]): BpfResult {
  const outcome = callBpf(command, fields)
  if (outcome.result < 0)
    throw new DataplaneError(`Cannot ${what}${hintFor(-outcome.result)}`, { errno: -outcome.result })
  return outcome
}

const EPERM = 1
const ENOSPC = 28
const E2BIG = 7

function hintFor(errno: number): string {
  if (errno === EPERM) return ': the process must be root, with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON'
  if (errno === ENOSPC || errno === E2BIG) return ': the table is full'
  return ''
}

/** A path as the kernel reads it. */
export function cString(text: string): Buffer {
  return Buffer.from(`${text}\0`)
}

/** Pins an object at a path of a bpffs. */
export function pinObject(fd: number, path: string): void {
  requireBpf(`pin at ${path}`, 'pin', [
    [0, 8, cString(path)],
    [8, 4, fd],
  ])
}

const ENOENT = 2

/** Opens a pinned object; undefined when there is none. */
export function openPinned(path: string): number | undefined {
  const { result } = callBpf('get', [[0, 8, cString(path)]])
  if (result >= 0) return result
  if (result === -ENOENT) return undefined
  throw new DataplaneError(`Cannot open the pin ${path}`, { errno: -result })
}

export function closeFd(fd: number): void {
  closeSync(fd)
}
