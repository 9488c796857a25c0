/** `npm run bench -- NAME`: runs one bench and prints its figures. */
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import type { Bench, BenchResult } from './harness/bench.ts'
import { describeMachine } from './harness/machine.ts'
import { formatTable } from './harness/report.ts'

const NOT_BENCHES = ['run.ts', 'soak.ts']
const ROUNDS_DEFAULT = 3

const USAGE = `Usage: npm run bench -- NAME [--json] [--rounds N] [--only PART,…] [--quick] [--directory PATH] [--trace PATH]

  --list            the benches there are
  --json            one JSON object on the last line of the output
  --rounds N        measure N times, the median counts (default ${ROUNDS_DEFAULT})
  --only PART,…     measure these parts alone, for a bench that has parts
  --quick           try that it works, with a few samples; figures say little
  --directory PATH  put data on the disk that holds PATH (default: the system's temporary directory)
  --trace PATH      a folder with recorded load, for a bench that replays some
`

process.exitCode = await main(process.argv.slice(2))

async function main(args: readonly string[]): Promise<number> {
  const options = readOptions(args)
  if (typeof options === 'string') return complain(options)
  if (options.help) return print(USAGE)
  const names = benchNames()
  if (options.list) return print(await listBenches(names))
  const { name } = options
  if (name === undefined) return complain(`Name a bench: ${names.join(', ')}`)
  if (!names.includes(name)) return complain(`Cannot find bench "${name}"; there are: ${names.join(', ')}`)
  const bench = await loadBench(name)
  const parts = chooseParts(bench, options.only)
  if (typeof parts === 'string') return complain(parts)
  if (bench.needsTrace === true && options.trace === undefined)
    return complain(`Bench "${name}" replays recorded load: name its folder with --trace PATH`)
  const machine = describeMachine()
  log(`bench ${name} on ${machine}`)
  const results = await runBench(bench, { ...options, parts })
  print(`${formatTable(results)}\n`)
  if (options.json) print(`${JSON.stringify({ bench: name, machine, results })}\n`)
  return 0
}

interface Options {
  readonly name: string | undefined
  readonly json: boolean
  readonly list: boolean
  readonly help: boolean
  readonly rounds: number
  readonly quick: boolean
  readonly only: string | undefined
  readonly directory: string
  readonly trace: string | undefined
}

/** The options, or what is wrong with them. */
function readOptions(args: readonly string[]): Options | string {
  const flags = {
    json: { type: 'boolean' },
    list: { type: 'boolean' },
    help: { type: 'boolean' },
    quick: { type: 'boolean' },
  } as const
  const texts = {
    rounds: { type: 'string' },
    only: { type: 'string' },
    directory: { type: 'string' },
    trace: { type: 'string' },
  } as const
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: { ...flags, ...texts },
    })
    const rounds = Number(values.rounds ?? ROUNDS_DEFAULT)
    if (!Number.isInteger(rounds) || rounds < 1) return `--rounds must be a number from 1 on, not "${values.rounds}"`
    if (positionals.length > 1) return `Name one bench, not ${positionals.length}: ${positionals.join(' ')}`
    const { json = false, list = false, help = false, quick = false, only, directory = tmpdir(), trace } = values
    return { name: positionals[0], json, list, help, rounds, quick, only, directory, trace }
  } catch (error) {
    return (error as Error).message
  }
}

/** The parts to measure, or what is wrong with those asked for. */
function chooseParts({ parts = [] }: Bench, only: string | undefined): readonly string[] | string {
  if (only === undefined) return parts
  if (parts.length === 0) return 'This bench has no parts to choose from: leave --only out'
  const chosen = only.split(',')
  const unknown = chosen.find((part) => !parts.includes(part))
  return unknown === undefined ? chosen : `Cannot find part "${unknown}"; there are: ${parts.join(', ')}`
}

function benchNames(): string[] {
  const files = readdirSync(new URL('.', import.meta.url))
  const isBench = (file: string): boolean =>
    file.endsWith('.ts') && !file.endsWith('.test.ts') && !NOT_BENCHES.includes(file)
  return files
    .filter(isBench)
    .map((file) => file.slice(0, -'.ts'.length))
    .sort()
}

async function listBenches(names: readonly string[]): Promise<string> {
  const width = Math.max(...names.map((name) => name.length))
  const lines = names.map(async (name) => `${name.padEnd(width)}  ${(await loadBench(name)).summary}\n`)
  return (await Promise.all(lines)).join('')
}

async function loadBench(name: string): Promise<Bench> {
  const loaded = (await import(new URL(`${name}.ts`, import.meta.url).href)) as { readonly bench?: Bench }
  if (loaded.bench === undefined) throw new Error(`Cannot run bench/${name}.ts: it must export \`bench\``)
  return loaded.bench
}

async function runBench(
  bench: Bench,
  options: Options & { readonly parts: readonly string[] },
): Promise<readonly BenchResult[]> {
  const directory = mkdtempSync(join(options.directory, 'centaurus-bench-'))
  try {
    const { rounds, quick, parts, trace } = options
    return await bench.run({ rounds, quick, parts, trace, directory, log })
  } finally {
    rmSync(directory, { recursive: true, force: true })
  }
}

function log(message: string): void {
  process.stderr.write(`${message}\n`)
}

function print(text: string): number {
  process.stdout.write(text)
  return 0
}

function complain(problem: string): number {
  process.stderr.write(`${problem}\n\n${USAGE}`)
  return 2
}
