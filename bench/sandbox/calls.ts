import { chmodSync, copyFileSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchContext, BenchResult } from '../harness/bench.ts'
import { median } from '../harness/measure.ts'
import { compareOutcomes, measureInTurn, type Candidate, type Figures } from './compare.ts'
import { NATIVELY, runCommand, runContainer } from './run.ts'
import { findGuests, writeBundle, type Runtime } from './runtimes.ts'

const TIMEOUT_MS = 60_000

/** Benches of quark/guests, and what they do. */
const CALLS: Readonly<Record<string, string>> = {
  getppid: 'getppid',
  getppid_wrapper: 'getppid by syscall(2)',
  clock_gettime: 'clock_gettime',
  write_null: 'write 1 byte to /dev/null',
  pread_4k: 'pread 4 KiB',
  pwrite_4k: 'pwrite 4 KiB',
  stat: 'stat',
  open_close: 'open and close',
  create_unlink: 'creat, close and unlink',
  pipe_within: 'pipe: write and read 1 byte',
  pipe_ping_pong: 'pipe: there and back between processes',
  tcp_within: 'TCP on loopback: write and read 1 byte',
  tcp_ping_pong: 'TCP on loopback: 1 byte there and back between processes',
  tcp_stream_64k: 'TCP on loopback: 64 KiB from a process to another',
  tcp_connect: 'TCP on loopback: connect, accept and close',
  futex_ping_pong: 'futex: there and back between threads',
  map_4k: 'mmap, touch and munmap 4 KiB',
  map_1m: 'mmap, touch and munmap 1 MiB',
  fork_wait: 'fork, exit and wait',
  spawn_wait: 'vfork, exec, exit and wait',
  tree: 'read 100 files in 10 folders',
}

/** What system calls take, on a tmpfs where they need files. */
export async function measureCalls(context: BenchContext, runtimes: readonly Runtime[]): Promise<BenchResult[]> {
  const guests = await findGuests(context.log)
  const results: BenchResult[] = []
  for (const [call, metric] of Object.entries(CALLS)) {
    context.log(`calls: ${metric}`)
    const candidates = callCandidates({ directory: context.directory, guests, call, runtimes })
    const outcomes = await measureInTurn(context.quick ? 1 : context.rounds, candidates, context.log)
    const compared = { unit: 'ns', reduce: median }
    results.push(
      ...compareOutcomes(outcomes, { ...compared, metric: `${metric}, median`, figure: 'medianNs' }),
      ...compareOutcomes(outcomes, {
        ...compared,
        metric: `${metric}, best`,
        figure: 'bestNs',
        reduce: (all) => Math.min(...all),
      }),
    )
  }
  return results
}

function callCandidates(options: {
  readonly directory: string
  readonly guests: string
  readonly call: string
  readonly runtimes: readonly Runtime[]
}): Candidate[] {
  const { directory, guests, call, runtimes } = options
  const fill = (rootfs: string): void => {
    copyFileSync(guests, join(rootfs, 'guests'))
    chmodSync(join(rootfs, 'guests'), 0o755)
  }
  const bundle = writeBundle(directory, { args: ['/guests', 'bench', call], fill })
  const contained = runtimes.map((runtime) => ({
    name: runtime.name,
    measure: async () => readFigures((await runContainer(runtime, { bundle, timeoutMs: TIMEOUT_MS })).output),
  }))
  const native = {
    name: 'native',
    measure: async () => readFigures((await runCommand([...NATIVELY, guests, 'bench', call], TIMEOUT_MS)).output),
  }
  return [...contained, native]
}

/** The guests print one line of JSON for each bench. */
function readFigures(output: string): Figures {
  const { bestNs, medianNs } = JSON.parse(output) as { readonly bestNs: number; readonly medianNs: number }
  return { bestNs, medianNs }
}
