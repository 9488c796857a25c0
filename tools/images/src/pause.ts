import { arch } from 'node:process'

import { buildImage } from './oci.ts'

export interface PauseImageOptions {
  /** Full name with tag: `centaurus.io/pause:1`. */
  readonly name: string
}

const LOAD_ADDRESS = 0x400000
const ELF_HEADER_BYTES = 64
const PROGRAM_HEADER_BYTES = 56
const CODE_OFFSET = ELF_HEADER_BYTES + PROGRAM_HEADER_BYTES
const MACHINES: Partial<Record<string, { readonly machine: number; readonly code: () => Buffer }>> = {
  x64: { machine: 62, code: x64Code },
  arm64: { machine: 183, code: arm64Code },
}

/**
 * An OCI archive of the image that holds a pod's namespaces open: one static program of about 200 bytes that ignores SIGCHLD (so that the
 * kernel reaps orphans when it is process 1 of a shared pid namespace) and waits for ever.
 */
export function buildPauseImage({ name }: PauseImageOptions): Uint8Array {
  const target = MACHINES[arch]
  if (target === undefined) throw new Error(`Cannot build a pause image for "${arch}": x64 and arm64 are known`)
  return buildImage({
    name,
    entrypoint: ['/pause'],
    user: '65535:65535',
    files: [{ type: 'file', path: 'pause', data: writeElf(target.machine, target.code()), mode: 0o755 }],
  })
}

/** A static executable with one segment that holds headers and code. Source: System V ABI, chapters 4 and 5. */
function writeElf(machine: number, code: Buffer): Uint8Array {
  const size = CODE_OFFSET + code.length
  const out = Buffer.alloc(size)
  out.write('\x7fELF\x02\x01\x01', 0, 'latin1')
  out.writeUInt16LE(2, 16) // ET_EXEC
  out.writeUInt16LE(machine, 18)
  out.writeUInt32LE(1, 20)
  out.writeBigUInt64LE(BigInt(LOAD_ADDRESS + CODE_OFFSET), 24)
  out.writeBigUInt64LE(BigInt(ELF_HEADER_BYTES), 32)
  out.writeUInt16LE(ELF_HEADER_BYTES, 52)
  out.writeUInt16LE(PROGRAM_HEADER_BYTES, 54)
  out.writeUInt16LE(1, 56)
  const segment = out.subarray(ELF_HEADER_BYTES)
  segment.writeUInt32LE(1, 0) // PT_LOAD
  segment.writeUInt32LE(5, 4) // readable, executable
  segment.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 16)
  segment.writeBigUInt64LE(BigInt(LOAD_ADDRESS), 24)
  segment.writeBigUInt64LE(BigInt(size), 32)
  segment.writeBigUInt64LE(BigInt(size), 40)
  segment.writeBigUInt64LE(0x1000n, 48)
  code.copy(out, CODE_OFFSET)
  return out
}

/** struct sigaction of the system call: handler SIG_IGN, no flags, no restorer, empty mask. */
function ignoreAction(): Buffer {
  const action = Buffer.alloc(32)
  action.writeUInt8(1, 0)
  return action
}

function x64Code(): Buffer {
  const code = [
    [0xb8, 13, 0, 0, 0], // mov eax, rt_sigaction
    [0xbf, 17, 0, 0, 0], // mov edi, SIGCHLD
    [0x48, 0x8d, 0x35, 21, 0, 0, 0], // lea rsi, [rip + 21]: the action behind the code
    [0x31, 0xd2], // xor edx, edx
    [0x41, 0xba, 8, 0, 0, 0], // mov r10d, sizeof(sigset)
    [0x0f, 0x05], // syscall
    [0xb8, 34, 0, 0, 0], // again: mov eax, pause
    [0x0f, 0x05], // syscall
    [0xeb, 0xf7], // jmp again
    [0, 0], // so that the action is 21 bytes behind lea
  ]
  return Buffer.concat([Buffer.from(code.flat()), ignoreAction()])
}

function arm64Code(): Buffer {
  const words = [
    movz(8, 134), // rt_sigaction
    movz(0, 17), // SIGCHLD
    0x10000000 | (12 << 5) | 1, // adr x1, 12 words on: the action behind the code
    movz(2, 0),
    movz(3, 8),
    0xd4000001, // svc
    movz(0, 0), // again: ppoll(NULL, 0, NULL, NULL, 8)
    movz(1, 0),
    movz(2, 0),
    movz(3, 0),
    movz(4, 8),
    movz(8, 73),
    0xd4000001,
    0x14000000 | (-7 & 0x3ffffff), // b again
  ]
  const code = Buffer.alloc(words.length * 4)
  words.forEach((word, i) => code.writeUInt32LE(word >>> 0, i * 4))
  return Buffer.concat([code, ignoreAction()])
}

/** movz xN, #value */
function movz(register: number, value: number): number {
  return 0xd2800000 | (value << 5) | register
}
