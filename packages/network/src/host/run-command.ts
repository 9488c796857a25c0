import { spawn } from 'node:child_process'

/** Processes that run at once; more wait. Each holds a core for some milliseconds. */
const RUNNING_MAX = 8
/** The tools of a host answer within milliseconds; one that does not is stuck in the kernel, or reads what never ends. */
const TIMEOUT_MS = 10_000
/** Debian packages that have the commands. */
const PACKAGES: Readonly<Record<string, string>> = {
  ip: 'iproute2',
  tc: 'iproute2',
  nft: 'nftables',
  nsenter: 'util-linux',
  conntrack: 'conntrack',
}

/** A command of the host that failed. `stderr` is what it said. */
export class CommandError extends Error {
  readonly stderr: string

  constructor(message: string, stderr: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'CommandError'
    this.stderr = stderr
  }
}

let running = 0
const waiting: (() => void)[] = []

/** Runs a command with `input` for its standard input, and resolves with what it wrote. Rejects with a {@link CommandError}. */
export async function runCommand(command: readonly [string, ...string[]], input = ''): Promise<string> {
  if (running >= RUNNING_MAX) await new Promise<void>((resolve) => waiting.push(resolve))
  else running++
  try {
    return await spawnCommand(command, input)
  } finally {
    const next = waiting.shift()
    if (next === undefined) running--
    else next()
  }
}

function spawnCommand([name, ...args]: readonly [string, ...string[]], input: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(name, args, { stdio: ['pipe', 'pipe', 'pipe'], timeout: TIMEOUT_MS, killSignal: 'SIGKILL' })
    let output = ''
    let errors = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (output += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (errors += chunk))
    child.on('error', (cause) => {
      const advice = `install the package ${PACKAGES[name] ?? name}`
      reject(new CommandError(`Cannot run "${name}": ${advice}`, '', { cause }))
    })
    child.on('close', (code, signal) => {
      if (code === 0) return resolve(output)
      const how = signal === null ? `ended with ${code}` : `was killed after ${TIMEOUT_MS} ms`
      reject(new CommandError(`"${[name, ...args].join(' ')}" ${how}: ${errors.trim()}`, errors))
    })
    child.stdin.on('error', () => {}) // the exit code tells
    child.stdin.end(input)
  })
}
