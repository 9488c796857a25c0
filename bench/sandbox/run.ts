import { spawn } from 'node:child_process'
import { closeSync, fstatSync, mkdirSync, mkdtempSync, openSync, readSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Runtime } from './runtimes.ts'

/** Characters of what a failed command said that an error quotes. */
const SAID_MAX = 300

/** Before a command: namespaces like a container's, a loopback and a tmpfs at /tmp, but nothing between the program and the host's kernel. */
export const NATIVELY: readonly string[] = [
  ...'unshare --mount --net --pid --fork --kill-child --propagation private --mount-proc sh -c'.split(' '),
  'ip link set lo up && mount -t tmpfs tmpfs /tmp && cd /tmp && "$@"',
  'sh',
]

export interface CommandRun {
  readonly output: string
  /** From the start of the command to its exit. */
  readonly ms: number
}

/** Runs a command to its end. Throws, with what it said, when it fails or takes longer than `timeoutMs`; then its process group is killed. */
export function runCommand(command: readonly string[], timeoutMs: number): Promise<CommandRun> {
  const [file, ...args] = command
  const output = openOutput()
  const start = performance.now()
  const child = spawn(file!, args, { stdio: ['ignore', output, 'pipe'], detached: true })
  const stderr = child.stderr! // a pipe, as asked
  let errors = ''
  stderr.setEncoding('utf8').on('data', (text: string) => (errors += text))
  return new Promise((resolve, reject) => {
    let ms = 0
    let late = false
    const timer = setTimeout(() => {
      late = true
      killGroup(child.pid)
    }, timeoutMs)
    child.on('exit', () => {
      ms = performance.now() - start
      if (!late) return
      // What it left running has its output open: `close` would wait for that.
      stderr.destroy()
    })
    child.on('error', (error) => {
      clearTimeout(timer)
      closeSync(output)
      reject(error)
    })
    child.on('close', (code, signal) => {
      clearTimeout(timer)
      const said = takeOutput(output)
      if (code === 0) return resolve({ output: said, ms })
      const ending = late ? `it was not done after ${timeoutMs} ms` : `it ended with ${signal ?? `status ${code}`}`
      reject(new Error(`${ending}: ${`${errors}${said}`.trim().slice(-SAID_MAX)}`))
    })
  })
}

/** Runs a container from its start to its end by `run`; what a failed one leaves behind is removed. */
export async function runContainer(
  runtime: Runtime,
  { bundle, timeoutMs }: { readonly bundle: string; readonly timeoutMs: number },
): Promise<CommandRun> {
  mkdirSync(join(bundle, 'state'), { recursive: true })
  const root = mkdtempSync(join(bundle, 'state/'))
  const base = [runtime.command, ...runtime.flags, '--root', root]
  const id = `bench-${root.slice(-6)}-${process.pid}`
  try {
    return await runCommand([...base, 'run', '--bundle', bundle, id], timeoutMs)
  } catch (error) {
    await runCommand([...base, 'delete', '--force', id], 20_000).catch(() => undefined) // it may be gone already
    throw error
  } finally {
    rmSync(root, { recursive: true, force: true })
  }
}

/** A file without a name: a pipe of Node's is a socket, to which programs may write in other ways than to what a shell gives them. */
function openOutput(): number {
  const directory = mkdtempSync(join(tmpdir(), 'bench-output-'))
  const file = openSync(join(directory, 'output'), 'w+')
  rmSync(directory, { recursive: true })
  return file
}

function takeOutput(file: number): string {
  const bytes = Buffer.alloc(fstatSync(file).size)
  readSync(file, bytes, { position: 0 })
  closeSync(file)
  return bytes.toString()
}

function killGroup(pid: number | undefined): void {
  try {
    if (pid !== undefined) process.kill(-pid, 'SIGKILL')
  } catch {
    // it ended meanwhile
  }
}
