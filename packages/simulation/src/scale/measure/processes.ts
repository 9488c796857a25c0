import { readdirSync, readFileSync } from 'node:fs'

/** What a process is for. `load` is what a real cluster has outside: users and nodes. */
export type ProcessRole =
  | 'tenant-partition'
  | 'resource-partition'
  | 'partition'
  | 'gateway'
  | 'etcd'
  | 'nodes'
  | 'load'

export interface KnownProcess {
  readonly name: string
  readonly role: ProcessRole
  readonly pid: number
}

/** What a process uses. Source: proc_pid_status(5) and, for nanoseconds of each thread, the kernel's sched-stats.rst. */
export interface ProcessUsage {
  readonly residentBytes: number
  /** Without mapped files: what the machine could not take back. */
  readonly anonymousBytes: number
  /** CPU time of its live threads since they started, user and system. */
  readonly cpuSeconds: number
  /** Written to disks since it started. */
  readonly writtenBytes: number
}

/** Samples a live process; undefined when it is gone. */
export function sampleProcess(pid: number): ProcessUsage | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const kilobytes = (field: string): number =>
      Number(new RegExp(`^${field}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0)
    const threads = readdirSync(`/proc/${pid}/task`)
    return {
      residentBytes: kilobytes('VmRSS') * 1024,
      anonymousBytes: kilobytes('RssAnon') * 1024,
      cpuSeconds: threads.reduce((sum, thread) => sum + threadSeconds(pid, thread), 0),
      writtenBytes: readWritten(pid),
    }
  } catch {
    return undefined
  }
}

function threadSeconds(pid: number, thread: string): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${thread}/schedstat`, 'utf8').split(' ', 1)[0]) / 1e9
  } catch {
    return 0 // it ended meanwhile
  }
}

function readWritten(pid: number): number {
  try {
    return Number(/^write_bytes: (\d+)$/m.exec(readFileSync(`/proc/${pid}/io`, 'utf8'))?.[1] ?? 0)
  } catch {
    return 0 // needs the same user, or root
  }
}

/** Usage of some processes over time: CPU survives their restarts. */
export class ProcessLedger {
  readonly #processes = new Map<string, Entry>()

  /** Follows the process under its name from now on; one that had the name before keeps what it used. */
  follow(process: KnownProcess): void {
    const before = this.#processes.get(process.name)
    if (before?.process.pid === process.pid) return
    const usage = sampleProcess(process.pid)
    const past =
      before === undefined
        ? NOTHING
        : {
            cpuSeconds: before.past.cpuSeconds + before.usage.cpuSeconds,
            writtenBytes: before.past.writtenBytes + before.usage.writtenBytes,
          }
    this.#processes.set(process.name, { process, usage: usage ?? EMPTY, past })
  }

  /** Looks at all of them. */
  sample(): readonly ProcessSample[] {
    return Array.from(this.#processes.values(), (entry) => {
      entry.usage = sampleProcess(entry.process.pid) ?? entry.usage
      const { process, usage, past } = entry
      return {
        name: process.name,
        role: process.role,
        residentBytes: usage.residentBytes,
        anonymousBytes: usage.anonymousBytes,
        cpuSeconds: usage.cpuSeconds + past.cpuSeconds,
        writtenBytes: usage.writtenBytes + past.writtenBytes,
      }
    })
  }
}

export interface ProcessSample extends ProcessUsage {
  readonly name: string
  readonly role: ProcessRole
}

interface Entry {
  readonly process: KnownProcess
  usage: ProcessUsage
  readonly past: Pick<ProcessUsage, 'cpuSeconds' | 'writtenBytes'>
}

const NOTHING = { cpuSeconds: 0, writtenBytes: 0 }
const EMPTY: ProcessUsage = { residentBytes: 0, anonymousBytes: 0, cpuSeconds: 0, writtenBytes: 0 }
