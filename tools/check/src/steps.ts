import { spawn } from 'node:child_process'
import { globSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestCounts } from './count-reporter.ts'

export const ROOT = join(import.meta.dirname, '../../..')

/** One thing that the check does. A step of tests reports counts; a tool's step counts as one passed or failed. */
export interface Step {
  readonly name: string
  /** Arguments after the program; the program is a binary of node_modules or `node`. */
  readonly command: readonly string[]
  /** Files of tests: then `command` is ignored and `node --test` runs them. */
  readonly tests?: readonly string[] | undefined
  /** Does the step instead of `command`. */
  readonly count?: (() => Promise<TestCounts>) | undefined
  /** All files in one process: fast, for tests that leave nothing behind. */
  readonly sharedProcess?: boolean | undefined
}

export interface StepResult {
  readonly name: string
  readonly counts: TestCounts
  readonly durationMs: number
}

const COUNTED_ONCE_OK: TestCounts = { passed: 1, failed: 0, skipped: 0 }
const COUNTED_ONCE_FAILED: TestCounts = { passed: 0, failed: 1, skipped: 0 }

/** Runs one step with its output shown as it comes. */
export async function runStep(step: Step): Promise<StepResult> {
  const started = performance.now()
  process.stdout.write(`\n── ${step.name} ──\n`)
  const counts = await (step.count?.() ?? (step.tests === undefined ? runTool(step.command) : runTests(step)))
  return { name: step.name, counts, durationMs: performance.now() - started }
}

async function runTool([program, ...args]: readonly string[]): Promise<TestCounts> {
  const code = await run(program!, args)
  return code === 0 ? COUNTED_ONCE_OK : COUNTED_ONCE_FAILED
}

async function runTests(step: Step): Promise<TestCounts> {
  const files = step.tests ?? []
  if (files.length === 0) return { passed: 0, failed: 0, skipped: 0 }
  const dir = mkdtempSync(join(tmpdir(), 'centaurus-test-'))
  const countFile = join(dir, 'counts.json')
  try {
    const code = await run(process.execPath, [...testFlags(step, countFile), ...files])
    const counts = readCounts(countFile)
    // A process that dies (or leaves no counts) is a failure even if no single test said so.
    if (code === 0 || counts.failed > 0) return counts
    const why = `The process ended with code ${code}, though no test failed: an error outside of any test?`
    return { ...counts, failed: 1, failures: [why] }
  } finally {
    rmSync(dir, { recursive: true, force: true })
  }
}

function testFlags(step: Step, countFile: string): string[] {
  return [
    '--test',
    '--disable-warning=ExperimentalWarning',
    step.sharedProcess === true ? '--test-isolation=none' : '--test-concurrency=1',
    '--test-reporter=dot',
    '--test-reporter-destination=stdout',
    `--test-reporter=${join(import.meta.dirname, 'count-reporter.ts')}`,
    `--test-reporter-destination=${countFile}`,
  ]
}

function readCounts(file: string): TestCounts {
  try {
    return JSON.parse(readFileSync(file, 'utf8')) as TestCounts
  } catch {
    return { passed: 0, failed: 0, skipped: 0 }
  }
}

function run(program: string, args: readonly string[]): Promise<number> {
  return new Promise((resolve) => {
    const child = spawn(program, args, { cwd: ROOT, stdio: ['ignore', 'inherit', 'inherit'], env: environment() })
    child.on('error', (error) => {
      process.stderr.write(
        `Cannot start ${program}: ${error.message}. Run ./centaurus test once to set the machine up\n`,
      )
      resolve(127)
    })
    child.on('close', (code) => resolve(code ?? 1))
  })
}

function environment(): NodeJS.ProcessEnv {
  const path = `${join(ROOT, 'node_modules/.bin')}:${process.env['PATH'] ?? ''}`
  return { ...process.env, PATH: path, NODE_OPTIONS: '' }
}

/** Test files under the workspace, by suffix class. */
export function findTests(kind: 'unit' | 'root' | 'vm' | 'e2e'): string[] {
  const patterns =
    kind === 'e2e'
      ? ['conformance/**/*.test.ts']
      : [
          'packages/*/src/**/*.test.ts',
          'apps/*/src/**/*.test.ts',
          'tools/*/src/**/*.test.ts',
          'bench/**/*.test.ts',
          'examples/**/*.test.ts',
        ]
  const files = patterns.flatMap((pattern) => globSync(pattern, { cwd: ROOT })).sort()
  if (kind === 'e2e') return files
  return files.filter((file) => (/\.(root|vm)\.test\.ts$/.exec(file)?.[1] ?? 'unit') === kind)
}

/** The table at the end; its last line is what a machine reads. */
export function summarize(results: readonly StepResult[]): { text: string; failed: boolean } {
  const total: TestCounts = { passed: 0, failed: 0, skipped: 0 }
  const lines = results.map(({ name, counts, durationMs }) => {
    total.passed += counts.passed
    total.failed += counts.failed
    total.skipped += counts.skipped
    const mark = counts.failed > 0 ? 'FAILED' : 'ok'
    const detail = `${counts.passed} passed, ${counts.failed} failed, ${counts.skipped} skipped`
    return `${mark.padEnd(7)} ${name.padEnd(28)} ${(durationMs / 1000).toFixed(1).padStart(7)} s   ${detail}`
  })
  const failures = results.flatMap(({ name, counts }) =>
    (counts.failures ?? []).map((failure) => `✖ ${name}: ${failure.replaceAll('\n', '\n    ')}`),
  )
  const details = failures.length === 0 ? '' : `\n${failures.join('\n')}\n`
  const last = `${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped`
  return { text: `${details}\n${lines.join('\n')}\n\n${last}\n`, failed: total.failed > 0 }
}
