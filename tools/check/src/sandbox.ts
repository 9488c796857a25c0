import { buildQuark, findCargo, quarkFolder, runCargo, type Cargo } from '@centaurus/sandbox'
import type { TestCounts } from './count-reporter.ts'

/** One call of cargo; `args` without it. */
interface CargoStep {
  readonly args: readonly string[]
  /** Cargo's own command, when it may be missing: distributions do not package all of them. */
  readonly optional?: string
}

const FORMAT: CargoStep = { args: ['fmt', '--all', '--check'], optional: 'fmt' }
const LINT: CargoStep = {
  args: ['clippy', '--workspace', '--all-targets', '--locked', '--', '-D', 'warnings'],
  optional: 'clippy',
}
const TEST = ['test', '--workspace', '--locked', '--no-fail-fast']
const RESULT = /^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;/
const FAILED_TEST = /^test (\S.*) \.\.\. FAILED$/

/**
 * Formats, lints, tests and builds the sandbox's Rust, in that order; each of cargo's tests counts, and each other call as one. What cargo lacks (Debian
 * has no clippy for its newest Rust) counts as skipped, with a line that says so. Without a cargo that is new enough it is one failure.
 */
export async function checkSandbox(): Promise<TestCounts> {
  const cargo = await findCargo()
  if (cargo.path === undefined) return failed(`Cannot check quark: ${cargo.why}`)
  say(`${cargo.path}, Rust ${cargo.version}`)
  const counts = [
    await runOptional(cargo.path, FORMAT),
    await runOptional(cargo.path, LINT),
    await runCargoTests(cargo.path),
    await build(cargo),
  ]
  return counts.reduce(add)
}

async function runOptional(cargo: string, { args, optional }: CargoStep): Promise<TestCounts> {
  if (optional !== undefined && !(await hasCommand(cargo, optional))) {
    say(`skipped: ${cargo} has no "${optional}"`)
    return { passed: 0, failed: 0, skipped: 1 }
  }
  return attempt(() => runCargo(args, { cargo, report: say }))
}

function hasCommand(cargo: string, command: string): Promise<boolean> {
  return runCargo([command, '--version'], { cargo, report: () => {} }).then(
    () => true,
    () => false,
  )
}

/** Cargo's tests, each counted as it says; a compile error, or a test process that died, is one failure more. */
async function runCargoTests(cargo: string): Promise<TestCounts> {
  const counts: TestCounts = { passed: 0, failed: 0, skipped: 0 }
  const failures: string[] = []
  const see = (line: string): void => {
    say(line)
    const [, passed = '', wrong = '', ignored = ''] = RESULT.exec(line) ?? []
    counts.passed += Number(passed)
    counts.failed += Number(wrong)
    counts.skipped += Number(ignored)
    const name = FAILED_TEST.exec(line)?.[1]
    if (name !== undefined) failures.push(name)
  }
  const ran = await attempt(() => runCargo(TEST, { cargo, report: see }))
  if (ran.failed === 0) return counts
  if (counts.failed === 0) return add(counts, ran)
  return { ...counts, failures }
}

async function build(cargo: Cargo): Promise<TestCounts> {
  return attempt(async () => say(await buildQuark({ outDir: quarkFolder(), cargo, report: say })))
}

async function attempt(action: () => Promise<void>): Promise<TestCounts> {
  try {
    await action()
    return { passed: 1, failed: 0, skipped: 0 }
  } catch (error) {
    return failed((error as Error).message)
  }
}

function failed(why: string): TestCounts {
  say(why)
  return { passed: 0, failed: 1, skipped: 0, failures: [why] }
}

function add(a: TestCounts, b: TestCounts): TestCounts {
  const failures = [...(a.failures ?? []), ...(b.failures ?? [])]
  return {
    passed: a.passed + b.passed,
    failed: a.failed + b.failed,
    skipped: a.skipped + b.skipped,
    ...(failures.length === 0 ? {} : { failures }),
  }
}

function say(line: string): void {
  process.stdout.write(`${line}\n`)
}
