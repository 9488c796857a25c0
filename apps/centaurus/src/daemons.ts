import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { Home } from './home.ts'

/** Background processes of one cluster, by name; each is this program with an internal command. */
export type DaemonName = 'control-plane' | 'node'

export const DAEMONS: readonly DaemonName[] = ['control-plane', 'node']

/** One that runs. The start time tells it from a later process with the same pid. */
export interface Daemon {
  readonly name: DaemonName
  readonly pid: number
  /** Clock ticks since boot, from /proc/PID/stat. */
  readonly startTicks: string
  /** Milliseconds since the epoch. */
  readonly startedAt: number
}

const STOP_GRACE_MS = 30_000
const POLL_MS = 25

/** Where its output goes. */
export function logFile(home: Home, name: DaemonName): string {
  return join(home.logDir, `${name}.log`)
}

function recordFile(home: Home, name: DaemonName): string {
  return join(home.runDir, `${name}.json`)
}

/** The daemon, when it is alive. */
export function findDaemon(home: Home, name: DaemonName): Daemon | undefined {
  const file = recordFile(home, name)
  if (!existsSync(file)) return undefined
  let daemon: Daemon
  try {
    daemon = JSON.parse(readFileSync(file, 'utf8')) as Daemon
  } catch {
    return undefined // torn by a crash of the writer: nothing was promised
  }
  return startTicksOf(daemon.pid) === daemon.startTicks ? daemon : undefined
}

function readyFile(home: Home, name: DaemonName): string {
  return join(home.runDir, `${name}.ready`)
}

/** Tells that this process, which is the daemon `name`, has taken up its work. */
export function markReady(home: Home, name: DaemonName): void {
  writeFileSync(readyFile(home, name), String(process.pid))
}

/** Whether the daemon that runs has said so: one that was killed may have left its mark. */
export function isMarkedReady(home: Home, name: DaemonName): boolean {
  const file = readyFile(home, name)
  return existsSync(file) && readFileSync(file, 'utf8') === String(findDaemon(home, name)?.pid)
}

/** Starts `centaurus <name>` in the background, in a session of its own, with its output appended to its log. */
export function startDaemon(home: Home, name: DaemonName): Daemon {
  const log = openSync(logFile(home, name), 'a')
  try {
    const main = join(import.meta.dirname, 'main.ts')
    const child = spawn(process.execPath, [...process.execArgv, main, name], {
      detached: true,
      stdio: ['ignore', log, log],
      env: { ...process.env, CENTAURUS_HOME: home.dir, NODE_ENV: 'production' }, // production: nothing is frozen
      cwd: home.dir,
    })
    if (child.pid === undefined) throw new Error(`Cannot start ${process.execPath}`)
    child.unref()
    const daemon = { name, pid: child.pid, startTicks: startTicksOf(child.pid) ?? '', startedAt: Date.now() }
    writeFileSync(recordFile(home, name), JSON.stringify(daemon))
    return daemon
  } finally {
    closeSync(log)
  }
}

/** Asks the daemon to stop, waits, and kills it when it does not. Resolves to false when it was not running. */
export async function stopDaemon(home: Home, name: DaemonName): Promise<boolean> {
  const daemon = findDaemon(home, name)
  if (daemon === undefined) {
    rmSync(recordFile(home, name), { force: true })
    return false
  }
  process.kill(daemon.pid, 'SIGTERM')
  const deadline = performance.now() + STOP_GRACE_MS
  while (findDaemon(home, name) !== undefined) {
    if (performance.now() > deadline) process.kill(daemon.pid, 'SIGKILL')
    await delay(POLL_MS)
  }
  rmSync(recordFile(home, name), { force: true })
  return true
}

/** Undefined when there is no such process, or it has ended and only waits to be reaped. */
function startTicksOf(pid: number): string | undefined {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ')
    return fields[0] === 'Z' ? undefined : fields[19]
  } catch {
    return undefined
  }
}

/** The last lines of a daemon's log that were written after `offset` bytes, for an error message. */
export function logTail(home: Home, name: DaemonName, { offset, lines }: { offset: number; lines: number }): string {
  const file = logFile(home, name)
  if (!existsSync(file)) return ''
  return readFileSync(file).subarray(offset).toString('utf8').trimEnd().split('\n').slice(-lines).join('\n')
}
