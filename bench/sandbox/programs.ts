import { accessSync } from 'node:fs'
import { join } from 'node:path'
import type { BenchContext, BenchResult, BenchTarget } from '../harness/bench.ts'
import { median } from '../harness/measure.ts'
import { compareOutcomes, measureInTurn, type Candidate, type Figures } from './compare.ts'
import { fillHostRoot, SCRIPTS } from './host-root.ts'
import { NATIVELY, runCommand, runContainer } from './run.ts'
import { writeBundle, type Runtime } from './runtimes.ts'

const TIMEOUT_MS = 60_000
/** What a quick run does of a full one. */
const QUICK = 0.02

interface Program {
  readonly command: string
  readonly script: string
  /** How much of it is done. */
  readonly count: number
  readonly package: string
  /** Further programs. */
  readonly needs?: readonly string[]
  /** What its figures are to be against each peer: of programs that compute, and of those that wait for others. */
  readonly targets: Readonly<Record<string, BenchTarget>>
  /** Figures that the script prints: their metric and unit. */
  readonly figures: Readonly<Record<string, readonly [metric: string, unit: string]>>
}

/** Of a duration: 0.9 of the speed. */
const COMPUTES = { runc: { ratioAtMost: 1.11 } } as const
const WAITS = { runsc: { ratioAtLeast: 1.5 } } as const

const PROGRAMS: readonly Program[] = [
  {
    command: '/bin/sh',
    script: 'redis.sh',
    count: 100_000,
    package: 'redis-server redis-tools',
    needs: ['/usr/bin/redis-server', '/usr/bin/redis-benchmark'],
    targets: WAITS,
    figures: {
      GET: ['redis GET, 20 clients', 'requests/s'],
      SET: ['redis SET, 20 clients', 'requests/s'],
    },
  },
  {
    command: '/usr/bin/python3',
    script: 'sqlite.py',
    count: 20_000,
    package: 'python3',
    targets: WAITS,
    figures: { inserts: ['SQLite inserts', 'rows/s'], selects: ['SQLite selects', 'rows/s'] },
  },
  {
    command: '/usr/bin/node',
    script: 'http.mjs',
    count: 20_000,
    package: 'nodejs',
    targets: WAITS,
    figures: { requests: ['Node HTTP, 16 at once', 'requests/s'] },
  },
  {
    command: '/usr/bin/node',
    script: 'nginx.mjs',
    count: 20_000,
    package: 'nodejs nginx-light',
    needs: ['/usr/sbin/nginx'],
    targets: WAITS,
    figures: { requests: ['nginx, 16 connections', 'requests/s'] },
  },
  {
    command: '/usr/bin/python3',
    script: 'loop.py',
    count: 10_000_000,
    package: 'python3',
    targets: COMPUTES,
    figures: { ms: ['Python loop', 'ms'] },
  },
]

/** Programs of the host's /usr in a sandbox, client and server both, which measure themselves. */
export async function measurePrograms(context: BenchContext, runtimes: readonly Runtime[]): Promise<BenchResult[]> {
  const results: BenchResult[] = []
  for (const program of PROGRAMS) {
    context.log(`apps: ${program.script}`)
    requireInstalled(program)
    const candidates = programCandidates({ context, program, runtimes })
    const outcomes = await measureInTurn(context.quick ? 1 : context.rounds, candidates, context.log)
    for (const [figure, [metric, unit]] of Object.entries(program.figures))
      results.push(...compareOutcomes(outcomes, { metric, unit, figure, reduce: median, targets: program.targets }))
  }
  return results
}

function requireInstalled(program: Program): void {
  const files = [program.command, ...(program.needs ?? [])]
  for (const file of files) {
    try {
      accessSync(file)
    } catch (cause) {
      throw new Error(`Cannot find ${file}: apt-get install ${program.package}`, { cause })
    }
  }
}

function programCandidates(options: {
  readonly context: BenchContext
  readonly program: Program
  readonly runtimes: readonly Runtime[]
}): Candidate[] {
  const { context, program, runtimes } = options
  const count = String(Math.round(program.count * (context.quick ? QUICK : 1)))
  const args = [program.command, `/programs/${program.script}`, count]
  const bundle = writeBundle(context.directory, { args, fill: fillHostRoot, shared: ['/usr'] })
  const contained = runtimes.map((runtime) => ({
    name: runtime.name,
    measure: async () => readFigures((await runContainer(runtime, { bundle, timeoutMs: TIMEOUT_MS })).output, program),
  }))
  const direct = [...NATIVELY, program.command, join(SCRIPTS, program.script), count]
  const native = async (): Promise<Figures> => readFigures((await runCommand(direct, TIMEOUT_MS)).output, program)
  return [...contained, { name: 'native', measure: native }]
}

function readFigures(output: string, { figures }: Program): Figures {
  const printed = JSON.parse(output) as Record<string, unknown>
  const missing = Object.keys(figures).find((name) => typeof printed[name] !== 'number')
  if (missing !== undefined) throw new Error(`it did not print "${missing}": ${output}`)
  return printed as Figures
}
