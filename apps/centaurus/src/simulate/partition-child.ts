import { fork, type ChildProcess } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { UserError } from '../user-error.ts'
import type { PartitionOrder, PartitionReply } from './partition-process.ts'

const MAIN = join(import.meta.dirname, '../main.ts')
const PARTITION = 'simulate-partition'
/** What hollow nodes read is garbage at once, most of it outside the heap: a small young generation lets go of it soon. */
const NODES_YOUNG_MIB = 2
/** Requests that are on their way when young garbage is collected move to the old generation, and are garbage there: the rarer, the fewer. */
const PARTITION_YOUNG_MIB = 64
const STOP_GRACE_MS = 20_000
const LOG_BYTES_SHOWN = 2_000

export interface ChildOptions {
  readonly logFile: string
  /** Of V8's old generation, in MiB. */
  readonly heapMib: number
}

/** Starts this program with a hidden command and an IPC channel; what it prints goes to a file. It ends when this process does. */
export function forkSelf(command: string, { logFile, heapMib }: ChildOptions): ChildProcess {
  const log = openSync(logFile, 'a')
  try {
    return fork(MAIN, [command], {
      execArgv: [
        ...process.execArgv.filter((flag) => !flag.startsWith('--max-') && !flag.startsWith('--cpu-prof')),
        `--max-old-space-size=${heapMib}`,
        `--max-semi-space-size=${command === PARTITION ? PARTITION_YOUNG_MIB : NODES_YOUNG_MIB}`,
        ...extraFlags(command),
      ],
      env: { ...process.env, NODE_ENV: 'production' },
      stdio: ['ignore', log, log, 'ipc'],
    })
  } finally {
    closeSync(log)
  }
}

/** More flags for Node, such as `--cpu-prof --cpu-prof-dir=/tmp/profile`, to look into one kind of process. */
function extraFlags(command: string): string[] {
  const name = command === PARTITION ? 'SIMULATE_PARTITION_FLAGS' : 'SIMULATE_NODES_FLAGS'
  return (process.env[name] ?? '').split(' ').filter((flag) => flag !== '')
}

export interface PartitionChildOptions extends ChildOptions {
  /** Called when the process ends and nobody told it to. */
  readonly onLost: (error: UserError) => void
}

/** A partition's process. */
export class PartitionChild {
  readonly #order: PartitionOrder
  readonly #options: PartitionChildOptions
  #child: ChildProcess | undefined
  #flushes = 0
  /** Of the processes before. */
  #pastFlushes = 0
  /** We ended it, or are about to. */
  #isEnding = false

  constructor(order: PartitionOrder, options: PartitionChildOptions) {
    this.#order = order
    this.#options = options
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** Flushes of its store so far. */
  get flushes(): number {
    return this.#pastFlushes + this.#flushes
  }

  /** Resolves when its API answers. Throws {@link UserError} with what it printed. */
  async start(): Promise<void> {
    const child = forkSelf(PARTITION, this.#options)
    this.#child = child
    this.#isEnding = false
    this.#pastFlushes += this.#flushes
    this.#flushes = 0
    child.send(this.#order)
    const error = await new Promise<string | undefined>((resolve) => {
      child.on('message', (reply: PartitionReply) => {
        if (reply.type === 'started') resolve(reply.error)
        else this.#flushes = reply.flushes
      })
      child.once('exit', (code, signal) => resolve(`it ended with ${signal ?? `code ${code}`}`))
    })
    if (error === undefined) {
      child.once('exit', (code, signal) => {
        if (!this.#isEnding) this.#options.onLost(this.#explain(`ended with ${signal ?? `code ${code}`}`))
      })
      return
    }
    throw this.#explain(`did not start: ${error}`)
  }

  #explain(what: string): UserError {
    const log = readFileSync(this.#options.logFile, 'utf8').slice(-LOG_BYTES_SHOWN)
    return new UserError(`Partition "${this.#order.setup.name}" ${what}\n${log}`)
  }

  /** Ends it without warning, as a power cut does. */
  async kill(): Promise<void> {
    await this.#end('SIGKILL')
  }

  async stop(): Promise<void> {
    await this.#end('disconnect')
  }

  async #end(how: 'SIGKILL' | 'disconnect'): Promise<void> {
    const child = this.#child
    this.#isEnding = true
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return
    const ended = new Promise((resolve) => child.once('exit', resolve))
    if (how === 'SIGKILL') child.kill('SIGKILL')
    else if (child.connected) child.disconnect()
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_GRACE_MS)
    await ended
    clearTimeout(timer)
  }
}
