/** One process at a time: a file that names the owner, taken over when the owner is dead. */
import { linkSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { StoreLockedError } from './errors.ts'

/** How often taking over may lose a race before it is given up. */
const ATTEMPTS_MAX = 10

export interface LockFile {
  release(): void
}

interface Owner {
  readonly pid: number
  /** When the process started, in the kernel's ticks: tells a reused pid from the owner. Empty where /proc is missing. */
  readonly startTime: string
}

/** Takes `file` for this process. Throws {@link StoreLockedError}, naming the pid, while another owner lives. */
export function takeLockFile(file: string): LockFile {
  const mine = `${process.pid} ${startTimeOf(process.pid) ?? ''}\n`
  const draft = `${file}.${process.pid}`
  writeFileSync(draft, mine)
  try {
    for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
      if (tryLink(draft, file)) return { release: () => releaseLock(file, mine) }
      const text = readText(file)
      if (text === undefined) continue // released in between
      const owner = parseOwner(text)
      if (owner !== undefined && isAlive(owner)) throw heldBy(owner, file)
      removeStale(file, text)
    }
    throw new StoreLockedError(`Cannot lock store ${file}: several processes are opening it, start one`, 0)
  } finally {
    rmSync(draft, { force: true })
  }
}

function heldBy(owner: Owner, file: string): StoreLockedError {
  const who = owner.pid === process.pid ? `this process (pid ${owner.pid})` : `the process with pid ${owner.pid}`
  return new StoreLockedError(`Cannot open the store: ${who} has it open (${file}); stop it first`, owner.pid)
}

/** Creates `file` with its text at once: it is there with its owner or not at all. */
function tryLink(draft: string, file: string): boolean {
  try {
    linkSync(draft, file)
    return true
  } catch (error) {
    if (isErrno(error, 'EEXIST')) return false
    throw error
  }
}

/** Moves the stale file away first: of two processes that found it, one gets it; a fresh one taken by mistake is put back. */
function removeStale(file: string, staleText: string): void {
  const away = `${file}.${process.pid}.stale`
  try {
    renameSync(file, away)
  } catch (error) {
    if (isErrno(error, 'ENOENT')) return
    throw error
  }
  if (readText(away) !== staleText) tryLink(away, file)
  rmSync(away, { force: true })
}

function releaseLock(file: string, mine: string): void {
  if (readText(file) === mine) rmSync(file, { force: true })
}

function parseOwner(text: string): Owner | undefined {
  const match = /^(\d+) (\d*)\n$/.exec(text)
  return match === null ? undefined : { pid: Number(match[1]), startTime: match[2] ?? '' }
}

function isAlive(owner: Owner): boolean {
  try {
    process.kill(owner.pid, 0)
  } catch (error) {
    if (isErrno(error, 'ESRCH')) return false // EPERM: alive, someone else's
  }
  if (isZombie(owner.pid)) return false
  const startTime = startTimeOf(owner.pid)
  return owner.startTime === '' || startTime === undefined || startTime === owner.startTime
}

/** Ended with all its threads, so that it can't write any more, but not reaped: a container's first process may never do that. */
function isZombie(pid: number): boolean {
  if (fieldsOf(pid)?.[0] !== 'Z') return false
  try {
    return readdirSync(`/proc/${pid}/task`).length === 1
  } catch {
    return true // reaped just now
  }
}

function startTimeOf(pid: number): string | undefined {
  return fieldsOf(pid)?.[19]
}

/** Fields 3 (state) to the last (22 is the start time) of /proc/PID/stat, proc_pid_stat(5): what follows the command, which may hold blanks. */
function fieldsOf(pid: number): string[] | undefined {
  const text = readText(`/proc/${pid}/stat`)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')
}

function readText(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8')
  } catch (error) {
    if (isErrno(error, 'ENOENT') || isErrno(error, 'ESRCH')) return undefined
    throw error
  }
}

function isErrno(error: unknown, code: string): boolean {
  return error instanceof Error && 'code' in error && error.code === code
}
