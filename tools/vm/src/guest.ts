import type { Writable } from 'node:stream'
import { GuestLines, GuestOutput } from './guest-output.ts'
import { endOf, type GuestCommand, jobLine } from './guest-scripts.ts'
import type { Kernel } from './kernel.ts'
import { Machine } from './machine.ts'
import { requirePrograms } from './programs.ts'
import { prepareSnapshot } from './snapshot.ts'

const MEMORY_MIB_DEFAULT = 1536
/** With two a guest's kernel once stopped at an instruction that it was patching on the other one: QEMU runs each processor in a thread, and code that changes is hard for it. */
export const CPUS_DEFAULT = 1
/** A boot takes 5 s on a machine that has nothing else to do. */
const BOOT_TIMEOUT_MS = 180_000
const RUN_TIMEOUT_MS_DEFAULT = 300_000
/** The guest itself ends a job that takes too long. One that hears nothing any more is ended after so much longer. */
const SILENCE_MS = 60_000
/** Characters of a job's output that an error shows. */
const TAIL_CHARACTERS = 4000

/** What to start Node.js in a guest with; README.md says why. */
export const GUEST_NODE_FLAGS = ['--single-threaded']

export interface GuestOptions {
  readonly kernel: Kernel
  /** Default 1536. Files that the guest writes take of it, too. */
  readonly memoryMiB?: number | undefined
  /** Default 1. */
  readonly cpus?: number | undefined
  /** Network devices eth0… (virtio-net) on one hub that leads nowhere else; default none, most 8. */
  readonly nics?: number | undefined
  /** Ends the guest. */
  readonly signal?: AbortSignal | undefined
}

export interface RunOptions {
  /** Default: this process's. */
  readonly cwd?: string | undefined
  /** Beside PATH, HOME, USER, LANG and TERM of this process. */
  readonly env?: Readonly<Record<string, string>> | undefined
  /** In the guest's time; default 5 minutes. What takes longer is killed, and `run` throws. */
  readonly timeoutMs?: number | undefined
  /** Gets the output as it comes, too. */
  readonly stdout?: Writable | undefined
  readonly stderr?: Writable | undefined
}

export interface RunResult {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

/** 128 + SIGKILL. */
const KILLED = 137
const KEPT_VARIABLES = ['PATH', 'HOME', 'USER', 'LANG', 'TERM']

/**
 * Another kernel with this machine's files, for as long as the caller wants.
 *
 * ```ts
 * await using guest = await startGuest({ kernel: await prepareKernel('6.12') })
 * const { code, stdout } = await guest.run(['uname', '-r'])
 * ```
 * Commands run as root, one after another. What they leave running is ended with them; what else they leave (files, in a layer in memory above this machine's; network
 * namespaces, devices, sysctls, modules) the next one finds. This machine's files are seen as they were when the guest first looked: a file that changes here later
 * may be old there.
 */
export class Guest {
  readonly #machine: Machine
  readonly #lines = new GuestLines()
  readonly #stdout = new GuestOutput()
  readonly #stderr = new GuestOutput()
  #job = 0
  #isBusy = false

  private constructor(machine: Machine) {
    this.#machine = machine
    machine.ports.status.onData = (chunk) => this.#lines.add(chunk)
    machine.ports.stdout.onData = (chunk) => this.#stdout.add(chunk)
    machine.ports.stderr.onData = (chunk) => this.#stderr.add(chunk)
  }

  /** See {@link startGuest}. */
  static async start(options: GuestOptions): Promise<Guest> {
    requirePrograms()
    const { kernel, memoryMiB = MEMORY_MIB_DEFAULT, cpus = CPUS_DEFAULT, nics = 0 } = options
    const boot = (machine: Machine): Promise<void> => new Guest(machine).#expect('ready')
    const { hardware, state } = await prepareSnapshot(kernel, { memoryMiB, cpus, nics }, boot)
    options.signal?.throwIfAborted()
    const machine = await Machine.start(hardware, { state })
    const guest = new Guest(machine)
    options.signal?.addEventListener('abort', () => void guest.close(), { once: true })
    try {
      machine.ports.control.write(`${Math.round(Date.now() / 1000)}\n`)
      await guest.#expect('up')
      return guest
    } catch (error) {
      await guest.close()
      throw error
    }
  }

  /**
   * Runs a command as it would be run here: a program of PATH and its arguments. Throws, with what it wrote last, when it takes too long or the machine ends; never for
   * an exit code.
   */
  async run(args: readonly string[], options: RunOptions = {}): Promise<RunResult> {
    if (this.#isBusy) throw new Error('Cannot run two commands in one guest at a time: await the first')
    this.#isBusy = true
    try {
      return await this.#run(args, options)
    } catch (cause) {
      const written = `${this.#stdout.tail(TAIL_CHARACTERS)}\n${this.#stderr.tail(TAIL_CHARACTERS)}`.trim()
      throw new Error(`${(cause as Error).message}\nWhat "${args.join(' ')}" wrote last:\n${written}`, { cause })
    } finally {
      this.#isBusy = false
    }
  }

  /** Ends the machine; whatever runs in it throws. */
  async close(): Promise<void> {
    await this.#machine.close()
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  async #run(args: readonly string[], options: RunOptions): Promise<RunResult> {
    const timeoutMs = options.timeoutMs ?? RUN_TIMEOUT_MS_DEFAULT
    const job = ++this.#job
    const output = Promise.all([
      this.#stdout.until(endOf(job), options.stdout),
      this.#stderr.until(endOf(job), options.stderr),
    ])
    const started = performance.now()
    const seconds = Math.max(1, Math.round(timeoutMs / 1000))
    this.#machine.ports.control.write(jobLine(job, commandHere(args, options), seconds))
    const answer = Promise.all([this.#lines.next(), output])
    const [line, [stdout, stderr]] = await this.#within(timeoutMs + SILENCE_MS, answer)
    const code = Number(line.split(' ')[1])
    if (code === KILLED && performance.now() - started >= seconds * 1000)
      throw new Error(`It did not end within ${seconds} s in the virtual machine`)
    return { code, stdout, stderr }
  }

  /** Waits for a line of the guest's first scripts. */
  async #expect(word: string): Promise<void> {
    const line = await this.#within(BOOT_TIMEOUT_MS, this.#lines.next())
    if (line !== word) throw new Error(`The virtual machine said "${line}" instead of "${word}"`)
  }

  async #within<T>(timeoutMs: number, promise: Promise<T>): Promise<T> {
    const late = Promise.withResolvers<never>()
    const timer = setTimeout(() => {
      const why = `The virtual machine did not answer within ${timeoutMs / 1000} s. The end of its console:`
      late.reject(new Error(`${why}\n${this.#machine.readConsole()}`))
    }, timeoutMs)
    try {
      return await Promise.race([promise, late.promise, this.#machine.ended])
    } finally {
      clearTimeout(timer)
    }
  }
}

/**
 * Starts a guest: from the cache, with the state of one that was booted before, in a second or two; the first of its kind boots, which takes some seconds more. Throws a
 * MissingError when a program is missing here.
 */
export function startGuest(options: GuestOptions): Promise<Guest> {
  return Guest.start(options)
}

/** A command as this process would start it: here, with the variables that every program looks for. */
function commandHere(args: readonly string[], options: RunOptions): GuestCommand {
  const kept = KEPT_VARIABLES.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]]))
  return {
    args,
    cwd: options.cwd ?? process.cwd(),
    env: { ...(Object.fromEntries(kept) as Record<string, string>), ...options.env },
  }
}
