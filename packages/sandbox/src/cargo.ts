import { execFile, spawn, type ChildProcess } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { homedir, userInfo } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import { QuarkBuildError } from './quark-build-error.ts'

/** The Rust workspace of the runtime. */
export const QUARK_SOURCES = join(import.meta.dirname, '../../../quark')
/** Lines of cargo's output that an error quotes. */
const OUTPUT_LINES_MAX = 30
/** What a cargo may take to say its version: one of rustup's may want to fetch a compiler first. */
const ANSWER_TIMEOUT_MS = 30_000
/** What ends a build, with its compilers. */
const STOPPING = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const
const OFFLINE =
  /Could not resolve host|failed to (?:download|fetch)|network failure|Could(?:n't| not) connect|Temporary failure in name resolution|Unable to update registry/i

const run = promisify(execFile)

/** A cargo that is new enough, or why there is none. */
export type Cargo =
  | { readonly path: string; readonly version: string }
  | { readonly path: undefined; readonly why: string }

/** The oldest Rust that builds the runtime, such as `1.95`: what its `Cargo.toml` says. */
export function requiredRust(): string {
  const found = /^rust-version = "([\d.]+)"/m.exec(readFileSync(join(QUARK_SOURCES, 'Cargo.toml'), 'utf8'))?.[1]
  if (found === undefined) throw new QuarkBuildError('quark/Cargo.toml must name a rust-version')
  return found
}

export interface FindCargoOptions {
  readonly answerTimeoutMs?: number
}

/** The first cargo on PATH, in rustup's folder or the system's that is new enough. */
export async function findCargo(
  env: NodeJS.ProcessEnv = process.env,
  { answerTimeoutMs = ANSWER_TIMEOUT_MS }: FindCargoOptions = {},
): Promise<Cargo> {
  const needed = requiredRust()
  const cargoEnv = withRustHomes(env)
  const home = cargoEnv['CARGO_HOME'] ?? join(env['HOME'] ?? homedir(), '.cargo')
  const folders = [...(env['PATH'] ?? '').split(delimiter), join(home, 'bin'), '/usr/bin', '/usr/local/bin']
  let why = `cargo is not installed; Rust ${needed} or newer is needed (https://rustup.rs, or Debian's packages rustc-web and cargo-web)`
  for (const path of new Set(folders.filter((folder) => folder !== '').map((folder) => join(folder, 'cargo')))) {
    if (!existsSync(path)) continue
    const { version, problem } = await askVersion(path, { env: cargoEnv, timeout: answerTimeoutMs })
    if (version !== undefined && isAtLeast(version, needed)) return { path, version }
    why = `${path} is ${problem ?? `of Rust ${version}`}; Rust ${needed} or newer is needed (rustup update, or Debian's packages rustc-web and cargo-web)`
  }
  return { path: undefined, why }
}

/** rustup and cargo keep compilers and crates below HOME. Where that is not the user's own and has none, those of the user's own are used. */
function withRustHomes(env: NodeJS.ProcessEnv): NodeJS.ProcessEnv {
  const found: NodeJS.ProcessEnv = {}
  for (const [name, folder, content] of [
    ['RUSTUP_HOME', '.rustup', 'toolchains'],
    ['CARGO_HOME', '.cargo', 'registry'],
  ] as const) {
    const own = join(userInfo().homedir, folder)
    const has = (home: string): boolean => existsSync(join(home, content))
    if (env[name] === undefined && !has(join(env['HOME'] ?? homedir(), folder)) && has(own)) found[name] = own
  }
  return { ...env, ...found }
}

async function askVersion(
  cargo: string,
  options: { readonly env: NodeJS.ProcessEnv; readonly timeout: number },
): Promise<{ version?: string; problem?: string }> {
  try {
    const { stdout } = await run(cargo, ['--version'], { ...options, killSignal: 'SIGKILL' })
    const version = /^cargo (\d+\.\d+\.\d+)/.exec(stdout)?.[1]
    return version === undefined ? { problem: 'no cargo that answers' } : { version }
  } catch (error) {
    const { killed, stderr } = error as { readonly killed?: boolean; readonly stderr?: string }
    if (killed === true) return { problem: `no cargo that answers within ${options.timeout / 1_000} s` }
    const said = stderr?.split('\n').find((line) => line !== '')
    return { problem: `no cargo that answers${said === undefined ? '' : ` (${said})`}` }
  }
}

/** Whether a version of Rust or of a Debian package is not older than another. Compares what is before the first `-` or `+`. */
export function isAtLeast(version: string, needed: string): boolean {
  const parts = (text: string): number[] => text.split(/[-+~]/)[0]!.split('.').map(Number)
  const [have, want] = [parts(version), parts(needed)]
  for (let i = 0; i < want.length; i++) {
    const difference = (have[i] ?? 0) - (want[i] ?? 0)
    if (difference !== 0) return difference > 0
  }
  return true
}

/**
 * The Debian or Ubuntu packages that bring a cargo that is new enough, and its formatter where there is one; undefined when none do, as where there is
 * no apt. Debian keeps a new Rust for its browsers (`-web`), Ubuntu one a version (`cargo-1.95`).
 */
export async function cargoPackages(): Promise<readonly string[] | undefined> {
  const needed = requiredRust()
  const named = await apt('search', '--names-only', '^cargo-1\\.[0-9]+$')
  const versioned = [...named.matchAll(/^(cargo-1\.\d+) /gm)].map((match) => match[1]!)
  const candidates = await candidatesOf(['cargo-web', 'cargo', ...versioned])
  const cargo = [...candidates].find(([, version]) => isAtLeast(version, needed))?.[0]
  if (cargo === undefined) return undefined
  const suffix = cargo.slice('cargo'.length)
  const formatter = await candidatesOf([`rustfmt${suffix}`])
  return [cargo, `rustc${suffix}`, ...formatter.keys(), 'gcc', 'libc6-dev']
}

/** Package to the version that apt would install. */
async function candidatesOf(names: readonly string[]): Promise<Map<string, string>> {
  const found = new Map<string, string>()
  let name = ''
  for (const line of (await apt('policy', ...names)).split('\n')) {
    name = /^(\S+):$/.exec(line)?.[1] ?? name
    const version = /^ {2}Candidate: (\d\S*)/.exec(line)?.[1]
    if (version !== undefined) found.set(name, version.replace(/^\d+:/, ''))
  }
  return found
}

async function apt(...args: string[]): Promise<string> {
  return run('apt-cache', args, { env: { ...process.env, LC_ALL: 'C' } }).then(
    ({ stdout }) => stdout,
    () => '',
  )
}

export interface RunCargoOptions {
  readonly cargo: string
  readonly targetDir?: string | undefined
  /** Each line of its output, as it comes. */
  readonly report: (line: string) => void
}

/**
 * Runs cargo in the runtime's workspace; throws {@link QuarkBuildError} with the end of its output when it fails. A signal to this process ends cargo
 * and its compilers, and then this too.
 */
export async function runCargo(args: readonly string[], options: RunCargoOptions): Promise<void> {
  const env = {
    ...withRustHomes(process.env),
    CARGO_TERM_COLOR: 'never',
    ...(options.targetDir === undefined ? {} : { CARGO_TARGET_DIR: options.targetDir }),
  }
  // Detached is a process group of its own, for a signal to reach the compilers too.
  const child = spawn(options.cargo, args, {
    cwd: QUARK_SOURCES,
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  })
  const last: string[] = []
  const see = (line: string): void => {
    last.push(line)
    if (last.length > OUTPUT_LINES_MAX) last.shift()
    options.report(line)
  }
  for (const stream of [child.stdout, child.stderr]) readLines(stream, see)
  const { code, stoppedBy } = await endOf(child, options.cargo)
  if (stoppedBy !== undefined) throw new QuarkBuildError(`cargo ${args.join(' ')} was stopped by ${stoppedBy}`)
  if (code !== 0) throw new QuarkBuildError(explain(args, last.join('\n')))
}

/** How a child that leads a process group ends, and by which signal to this process, if it was one. */
async function endOf(child: ChildProcess, cargo: string): Promise<{ code: number; stoppedBy?: NodeJS.Signals }> {
  let stoppedBy: NodeJS.Signals | undefined
  const stop = (signal: NodeJS.Signals): void => {
    stoppedBy = signal
    if (child.pid !== undefined && child.exitCode === null && child.signalCode === null)
      process.kill(-child.pid, 'SIGTERM')
  }
  for (const signal of STOPPING) process.on(signal, stop)
  try {
    const code = await new Promise<number>((resolve, reject) => {
      child.on('error', (cause) => reject(new QuarkBuildError(`Cannot start ${cargo}: ${cause.message}`, { cause })))
      child.on('close', (status) => resolve(status ?? 1))
    })
    return stoppedBy === undefined ? { code } : { code, stoppedBy }
  } finally {
    for (const signal of STOPPING) process.off(signal, stop)
  }
}

function explain(args: readonly string[], output: string): string {
  const what = `cargo ${args.join(' ')}`
  if (!OFFLINE.test(output)) return `${what} failed:\n${output}`
  return `${what} could not fetch the crates of quark/Cargo.lock from crates.io. Is the network up? Crates that were fetched before are used without it.\n${output}`
}

function readLines(stream: NodeJS.ReadableStream, see: (line: string) => void): void {
  let rest = ''
  stream.setEncoding('utf8')
  stream.on('data', (text: string) => {
    const lines = (rest + text).split('\n')
    rest = lines.pop()!
    lines.forEach(see)
  })
  stream.on('end', () => {
    if (rest !== '') see(rest)
  })
}
