import { requireBpf } from './bpf-syscall.ts'

/** Room behind a frame for what a program adds: a tunnel's headers, or an ICMP error. */
const GROWTH_BYTES = 512

export interface TestRunOptions {
  readonly frame: Uint8Array
  /** `struct __sk_buff` or `struct xdp_md`; without, the kernel's own. */
  readonly context?: Uint8Array
  /** How often; default once. What a run leaves of the frame, the next one finds. */
  readonly repeat?: number
}

export interface TestRun {
  /** What the program returned. */
  readonly result: number
  readonly frame: Buffer
  /** The context as the program left it; empty when none was given. */
  readonly context: Buffer
  /** Mean of all runs. */
  readonly durationNs: number
}

/** Runs a program on a frame, without a device (BPF_PROG_TEST_RUN). */
export function testRunProgram(programFd: number, options: TestRunOptions): TestRun {
  const output = Buffer.alloc(options.frame.length + GROWTH_BYTES)
  const input = Buffer.from(options.frame)
  const context = options.context
  const contextAfter = Buffer.alloc(context?.length ?? 0)
  const { attributes } = requireBpf(`run a program on a frame of ${input.length} bytes`, 'testRun', [
    [0, 4, programFd],
    [8, 4, input.length],
    [12, 4, output.length],
    [16, 8, input],
    [24, 8, output],
    [32, 4, options.repeat ?? 1],
    [40, 4, context?.length ?? 0],
    [44, 4, contextAfter.length],
    [48, 8, context ?? 0n],
    [56, 8, context === undefined ? 0n : contextAfter],
  ])
  return {
    result: attributes.getInt32(4, true),
    frame: output.subarray(0, attributes.getUint32(12, true)),
    context: contextAfter,
    durationNs: attributes.getUint32(36, true),
  }
}
