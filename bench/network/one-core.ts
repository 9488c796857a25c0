import { execFileSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'

/**
 * One core for everything that this thread does. A device's queue is emptied by the core that first filled it: a generator that the scheduler moves to another
 * core fills the queue (256 frames on a veth) faster than the first one empties it, and the rest is lost.
 */
export class OneCore {
  /** As `taskset` writes it. */
  readonly #allowedBefore: string
  /** Threads whose time counts: this one, and the kernel's of the core, to which it leaves packets when there are many. */
  readonly #threads: readonly number[]

  constructor() {
    this.#allowedBefore = /Cpus_allowed_list:\s*(\S+)/.exec(readFileSync('/proc/self/status', 'utf8'))![1]!
    const core = /\d+$/.exec(this.#allowedBefore)![0]
    allow(core)
    this.#threads = [process.pid, findThread(`ksoftirqd/${core}`)]
  }

  /** Milliseconds that the core has worked, for whatever other processes it also had to. */
  spentMs(): number {
    return this.#threads.map(spentNs).reduce((sum, ns) => sum + ns, 0) / 1e6
  }

  close(): void {
    allow(this.#allowedBefore)
  }
}

/** The main thread has the process' number. */
function allow(cpus: string): void {
  execFileSync('taskset', ['--cpu-list', '--pid', cpus, String(process.pid)], {
    stdio: ['ignore', 'ignore', 'inherit'],
  })
}

function findThread(name: string): number {
  const found = readdirSync('/proc').find((pid) => /^\d+$/.test(pid) && nameOf(pid) === name)
  if (found === undefined)
    throw new Error(`Cannot find the kernel's thread ${name}: run the bench where /proc shows all processes`)
  return Number(found)
}

/** Undefined: it has ended. */
function nameOf(pid: string): string | undefined {
  try {
    return readFileSync(`/proc/${pid}/comm`, 'utf8').trim()
  } catch {
    return undefined
  }
}

/** Source: Documentation/scheduler/sched-stats.rst. Work for packets counts for the thread that it interrupts. */
function spentNs(pid: number): number {
  return Number(readFileSync(`/proc/${pid}/schedstat`, 'utf8').split(' ')[0])
}
