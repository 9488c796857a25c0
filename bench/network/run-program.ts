import { requireBpf } from '@centaurus/network/testing'

/** What a program may add to a frame. */
const GROWTH_BYTES = 512

export interface ProgramRun {
  readonly programFd: number
  readonly frame: Buffer
  /** `struct __sk_buff`, or nothing. */
  readonly context?: Buffer
  readonly repeat?: number
}

export interface ProgramResult {
  readonly verdict: number
  /** Of one run, the mean of all. */
  readonly durationNs: number
}

/** Runs a program on a frame in the kernel, as often as asked, and says how long it took (BPF_PROG_TEST_RUN). */
export function runProgram({ programFd, frame, context, repeat = 1 }: ProgramRun): ProgramResult {
  const output = Buffer.alloc(frame.length + GROWTH_BYTES)
  const { attributes } = untilDone(() =>
    requireBpf('run a program', 'testRun', [
      [0, 4, programFd],
      [8, 4, frame.length],
      [12, 4, output.length],
      [16, 8, frame],
      [24, 8, output],
      [32, 4, repeat],
      [40, 4, context?.length ?? 0],
      [48, 8, context ?? 0n],
    ]),
  )
  return { verdict: attributes.getUint32(4, true), durationNs: attributes.getUint32(36, true) }
}

/** A signal, such as those of Node.js' own threads, ends a run early; it counts for nothing then. */
export function untilDone<Result>(run: () => Result): Result {
  for (let attempt = 0; ; attempt++) {
    try {
      return run()
    } catch (error) {
      if ((error as { code?: string }).code !== 'EINTR' || attempt === INTERRUPTIONS_MAX) throw error
    }
  }
}

const INTERRUPTIONS_MAX = 100
/** Source: include/uapi/linux/bpf.h, `struct __sk_buff`. */
const SK_BUFF_BYTES = 192
const SK_BUFF_IFINDEX = 40

/** Context of a packet that came in by this device, which must be there. */
export function skBuffFrom(ifindex: number): Buffer {
  const context = Buffer.alloc(SK_BUFF_BYTES)
  context.writeUInt32LE(ifindex, SK_BUFF_IFINDEX)
  return context
}
