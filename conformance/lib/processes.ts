import { spawn, type ChildProcess } from 'node:child_process'

/** What a command printed and how it ended. */
export interface Finished {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export interface RunOptions {
  readonly env?: NodeJS.ProcessEnv | undefined
  readonly cwd?: string | undefined
  readonly input?: string | undefined
  /** Kills the command after this long. */
  readonly timeoutMs?: number | undefined
}

const TIMEOUT_MS = 120_000

/** Runs a command to its end, whatever its code. */
export function run(command: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const child = start(command, options)
  return new Promise((resolve, reject) => {
    let stdout = ''
    let stderr = ''
    const timer = setTimeout(() => child.kill('SIGKILL'), options.timeoutMs ?? TIMEOUT_MS)
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
    child.on('error', reject)
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ code: code ?? -1, stdout, stderr })
    })
    child.stdin?.on('error', () => {}) // a command may end before it has read everything
    child.stdin?.end(options.input ?? '')
  })
}

/** Starts a command that goes on; the caller ends it. */
export function start([program, ...args]: readonly string[], options: RunOptions = {}): ChildProcess {
  return spawn(program!, args, { env: options.env ?? process.env, cwd: options.cwd, stdio: ['pipe', 'pipe', 'pipe'] })
}

/** Like {@link run}; throws with everything the command printed when it fails. */
export async function mustRun(command: readonly string[], options: RunOptions = {}): Promise<string> {
  const { code, stdout, stderr } = await run(command, options)
  if (code !== 0) throw new Error(`${command.join(' ')} ended with ${code}\n${stdout}\n${stderr}`)
  return stdout
}

/** Asks again and again until `probe` returns something else than undefined or false; throws with the last thing seen. */
export async function waitFor<T>(
  what: string,
  probe: () => Promise<T | undefined | false>,
  { timeoutMs = 60_000, describe }: { timeoutMs?: number; describe?: () => Promise<string> } = {},
): Promise<T> {
  const deadline = performance.now() + timeoutMs
  for (;;) {
    const seen = await probe()
    if (seen !== undefined && seen !== false) return seen
    if (performance.now() > deadline) {
      throw new Error(
        `Waited ${timeoutMs / 1000} s for ${what}${describe === undefined ? '' : `\n${await describe()}`}`,
      )
    }
    await new Promise((resolve) => setTimeout(resolve, 100))
  }
}
