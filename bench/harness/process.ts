import { spawn, type ChildProcess } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'

/** How long a stopped process may take before it is killed, milliseconds. */
const STOP_MS_MAX = 5_000

const READY_POLL_MS = 5

/** A process that the bench started. */
export interface BenchProcess {
  readonly pid: number
  /** Asks it to end, kills it if it does not, and waits until it is gone. */
  stop(): Promise<void>
}

/** Starts `command`; its output is kept for the error message when it ends too early. Resolves when `isReady` says so. */
export async function startProcess(
  command: readonly [string, ...string[]],
  options: { readonly isReady: () => Promise<boolean>; readonly timeoutMs: number; readonly env?: NodeJS.ProcessEnv },
): Promise<BenchProcess> {
  const [file, ...args] = command
  const child = spawn(file, args, { stdio: ['ignore', 'pipe', 'pipe'], env: options.env ?? process.env })
  let output = ''
  const keep = (chunk: Buffer): void => void (output = (output + chunk.toString()).slice(-4_000))
  child.stdout.on('data', keep)
  child.stderr.on('data', keep)
  let problem: string | undefined
  child.on('error', (error) => (problem = error.message))
  child.on('exit', (code, signal) => (problem ??= `it ended with ${signal ?? `code ${code}`}`))
  const deadline = performance.now() + options.timeoutMs
  while (!(await options.isReady())) {
    if (performance.now() > deadline) problem ??= `it was not ready after ${options.timeoutMs} ms`
    if (problem !== undefined) {
      await stopChild(child)
      throw new Error(`Cannot start ${file}: ${problem}\n${output}`)
    }
    await new Promise((resolve) => setTimeout(resolve, READY_POLL_MS))
  }
  return { pid: child.pid!, stop: () => stopChild(child) }
}

async function stopChild(child: ChildProcess): Promise<void> {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
  const ended = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGTERM')
  const timer = setTimeout(() => child.kill('SIGKILL'), STOP_MS_MAX)
  await ended
  clearTimeout(timer)
}

/** What a process uses now. Source: proc_pid_status(5) and, for nanoseconds of each thread, the kernel's sched-stats.rst. */
export interface ProcessSample {
  readonly residentBytes: number
  /** Without files that are mapped: what the machine could not take back. */
  readonly anonymousBytes: number
  /** CPU time of its live threads since they started, user and system. */
  readonly cpuMs: number
}

/** Samples a live process, this one by default. */
export function sampleProcess(pid: number = process.pid): ProcessSample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8')
  const kilobytes = (field: string): number => Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0)
  return {
    residentBytes: kilobytes('VmRSS') * 1024,
    anonymousBytes: kilobytes('RssAnon') * 1024,
    cpuMs: readdirSync(`/proc/${pid}/task`).reduce((sum, thread) => sum + threadCpuMs(pid, thread), 0),
  }
}

function threadCpuMs(pid: number, thread: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1)[0]) / 1e6
  } catch {
    return 0 // it ended meanwhile
  }
}

/** A TCP port on loopback that was free a moment ago: for peers that cannot bind to port 0. */
export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => resolve(typeof address === 'object' && address !== null ? address.port : 0))
    })
  })
}
