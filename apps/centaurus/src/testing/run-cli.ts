import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'

export interface CliResult {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

export interface ToRun {
  /** `CENTAURUS_HOME`. */
  readonly home: string
  readonly args: readonly string[]
}

/** What a command did. */
export interface Ran extends ToRun {
  /** What it printed, but for its steps. */
  readonly out: string
  /** Why it failed; absent: it did not. */
  readonly failure?: string
}

const MAIN = join(import.meta.dirname, '../main.ts')
const RUNNER = join(import.meta.dirname, 'command-runner.ts')
const TIMEOUT_MS = 120_000

export interface RunCliOptions {
  /** User and group to run as, instead of the own. */
  readonly uid?: number
}

/** Runs `centaurus ARGS…` as people do, with nothing on its standard input. */
export function runCli(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  options: RunCliOptions = {},
): Promise<CliResult> {
  return runProgram([MAIN, ...args], env, { ...options, input: '' })
}

/** Runs many in one process, which is faster. */
export async function runCommands(commands: readonly ToRun[]): Promise<Ran[]> {
  const { stdout, stderr } = await runProgram([RUNNER], {}, { input: JSON.stringify(commands) })
  if (stdout === '') throw new Error(`The commands broke off: ${stderr}`)
  return JSON.parse(stdout) as Ran[]
}

async function runProgram(
  args: readonly string[],
  env: Readonly<Record<string, string>>,
  { uid, input }: RunCliOptions & { readonly input: string },
): Promise<CliResult> {
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
    env: { ...process.env, ...env },
    stdio: ['pipe', 'pipe', 'pipe'],
    timeout: TIMEOUT_MS,
    killSignal: 'SIGKILL',
    ...(uid === undefined ? {} : { uid, gid: uid }),
  })
  child.stdin.on('error', () => {}) // it ended without reading
  child.stdin.end(input)
  const closed = once(child, 'close') as Promise<[number | null]>
  const [stdout, stderr, [code]] = await Promise.all([text(child.stdout), text(child.stderr), closed])
  return { code, stdout, stderr }
}
