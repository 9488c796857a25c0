import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { frameSeeds, type SeedKind } from './frame-seeds.ts'

/** The programs' sources, compiled for user space with clang's libFuzzer, its address checks and an oracle: see bpf/fuzz. */

const SOURCES = join(import.meta.dirname, '../../../../bpf')
const FLAGS = [
  '-g',
  '-O1',
  '-fsanitize=fuzzer,address,undefined',
  '-fno-sanitize-recover=undefined',
  // the kernel's headers are read where they lie, which is never aligned
  '-Wno-address-of-packed-member',
  '-fno-sanitize=alignment',
]
const FRAME_BYTES_MAX = 2000
/** A million frames take a few seconds on a quiet machine. */
const RUN_MS_MAX = 600_000
const run = promisify(execFile)

/** What is fuzzed: a program, and where its frames come from. */
export const FUZZERS = {
  'from-uplink': { source: 'uplink.c', flags: [], seeds: 'uplink' },
  'from-uplink-xdp': { source: 'uplink.c', flags: ['-DFUZZ_XDP'], seeds: 'uplink' },
  'from-pod': { source: 'pod.c', flags: [], seeds: 'pod' },
  services: { source: 'service.c', flags: [], seeds: 'service' },
} as const satisfies Record<string, { source: string; flags: readonly string[]; seeds: SeedKind }>

export type FuzzerName = keyof typeof FUZZERS

export interface FuzzOptions {
  /** How many frames; with the seed they make the run the same every time. */
  readonly frames: number
  readonly seed: number
}

/**
 * Fuzzes one program. Resolves to the number of frames that were tried. Rejects with what libFuzzer said, the frame in hexadecimal, when one passed
 * that must not, or the program did what C does not define.
 */
export async function fuzzProgram(name: FuzzerName, { frames, seed }: FuzzOptions): Promise<number> {
  const binary = await buildFuzzer(name)
  const directory = mkdtempSync(join(tmpdir(), 'centaurus-fuzz-'))
  try {
    const corpus = join(directory, 'corpus')
    mkdirSync(corpus)
    frameSeeds(FUZZERS[name].seeds).forEach((frame, index) => writeFileSync(join(corpus, String(index)), frame))
    const limits = [`-runs=${frames}`, `-seed=${seed}`, `-max_len=${FRAME_BYTES_MAX}`, '-print_final_stats=1']
    const options = { timeout: RUN_MS_MAX, maxBuffer: 2 ** 24, cwd: directory }
    const { stderr } = await run(binary, [...limits, `-artifact_prefix=${directory}/`, corpus], options).catch(
      (error: unknown) => {
        throw new Error(
          describeFailure(name, { directory, seed, output: (error as { stderr?: string }).stderr ?? String(error) }),
        )
      },
    )
    return Number(/stat::number_of_executed_units: (\d+)/.exec(stderr)?.[1])
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function describeFailure(name: FuzzerName, found: { directory: string; seed: number; output: string }): string {
  const frames = globSync('{crash,timeout,oom}-*', { cwd: found.directory }).map((file) =>
    readFileSync(join(found.directory, file)).toString('hex'),
  )
  const said = found.output
    .split('\n')
    .filter((line) => /passed that must not|runtime error|ERROR:|#\d .* in [a-z_]+ /.test(line))
  return `Fuzzing ${name} failed (seed ${found.seed}):\n${said.slice(0, 12).join('\n')}\nframe: ${frames.join('\nframe: ')}`
}

/** The binary; built once for each version of the sources. */
async function buildFuzzer(name: FuzzerName): Promise<string> {
  const { source, flags } = FUZZERS[name]
  const folder = join(tmpdir(), 'centaurus-fuzzers')
  const binary = join(folder, `${name}-${hashSources()}`)
  if (existsSync(binary)) return binary
  mkdirSync(folder, { recursive: true })
  const unfinished = `${binary}.${process.pid}`
  const includes = [`-I${SOURCES}/fuzz/include`, `-I${SOURCES}`]
  try {
    await run('clang', [...FLAGS, ...flags, ...includes, join(SOURCES, 'fuzz', source), '-o', unfinished])
  } catch (cause) {
    const { stderr = '', code } = cause as { stderr?: string; code?: unknown }
    const missing = code === 'ENOENT' || stderr.includes('libclang_rt')
    const why = missing
      ? 'install the Debian packages clang and libclang-rt-dev'
      : stderr.split('\n').slice(0, 20).join('\n')
    throw new Error(`Cannot build the fuzzer ${name}: ${why}`, { cause })
  }
  renameSync(unfinished, binary)
  return binary
}

function hashSources(): string {
  const hash = createHash('sha256').update(FLAGS.join(' '))
  for (const file of globSync('**/*.{c,h}', { cwd: SOURCES }).sort())
    hash.update(file).update(readFileSync(join(SOURCES, file)))
  return hash.digest('hex').slice(0, 16)
}
