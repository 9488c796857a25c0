import { spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as delay } from 'node:timers/promises'
import type { HeldSockets } from '@centaurus/network'
import { CLUSTER_DNS } from './cluster-network.ts'
import type { Home } from './home.ts'
import { hasGpus } from './host-gpus.ts'
import { hasOwnNetwork, type Settings } from './settings.ts'

/**
 * Background processes of one cluster, by name; each is this program with an internal command, under a supervisor that starts it
 * again when it is killed.
 */
export type DaemonName = 'control-plane' | 'node' | 'network' | 'gpu' | 'gateway-server'

/** Those that a home may have. */
export const DAEMONS: readonly DaemonName[] = ['control-plane', 'node', 'network', 'gpu']

/** Those that should run with these settings. */
export function expectedDaemons(settings: Pick<Settings, 'nodes' | 'network' | 'simulatedGpus'>): DaemonName[] {
  return [
    'control-plane',
    ...(settings.nodes.type === 'none' ? [] : ['node' as const]),
    ...(hasOwnNetwork(settings) ? ['network' as const] : []),
    ...(hasGpus(settings) ? ['gpu' as const] : []),
  ]
}

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

function supervisorFile(home: Home, name: DaemonName): string {
  return join(home.runDir, `${name}.supervisor.json`)
}

/** The daemon itself, when it is alive. */
export function findDaemon(home: Home, name: DaemonName): Daemon | undefined {
  return readAlive(recordFile(home, name))
}

/** Whether somebody sees to it that the daemon runs. It may be about to start. */
export function isSupervised(home: Home, name: DaemonName): boolean {
  return readAlive(supervisorFile(home, name)) !== undefined
}

/** Tells others that this process is the daemon `name`. */
export function registerDaemon(home: Home, name: DaemonName): void {
  writeRecord(recordFile(home, name), { name, pid: process.pid })
}

function writeRecord(file: string, { name, pid }: Pick<Daemon, 'name' | 'pid'>): void {
  const daemon: Daemon = { name, pid, startTicks: startTicksOf(pid) ?? '', startedAt: Date.now() }
  writeFileSync(`${file}.new`, JSON.stringify(daemon))
  renameSync(`${file}.new`, file)
}

function readAlive(file: string): Daemon | undefined {
  if (!existsSync(file)) return undefined
  let daemon: Daemon
  try {
    daemon = JSON.parse(readFileSync(file, 'utf8')) as Daemon
  } catch {
    return undefined // emptied by a power loss: what it named is gone as well
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

/**
 * Starts `centaurus <name>` in the background, in a session of its own, with its output appended to its log. Does nothing when
 * its supervisor is there already.
 */
export async function startDaemon(home: Home, name: DaemonName): Promise<void> {
  if (isSupervised(home, name)) return
  const sockets = name === 'network' ? await holdNameSockets() : undefined
  const log = openSync(logFile(home, name), 'a')
  try {
    const command = [
      process.execPath,
      ...process.execArgv,
      ...NODE_FLAGS[name],
      join(import.meta.dirname, 'main.ts'),
      name,
      ...ARGUMENTS[name],
    ]
    const child = spawn(SUPERVISOR, command, {
      detached: true,
      stdio: ['ignore', log, log, ...(sockets === undefined ? [] : [sockets.udp, sockets.tcp])],
      env: {
        ...process.env,
        [NAME_SOCKETS]: sockets === undefined ? '' : 'held',
        CENTAURUS_HOME: home.dir,
        NODE_ENV: 'production',
        CENTAURUS_DEBUG: '1', // nothing is frozen; faults are logged with their stacks
      },
      cwd: home.dir,
    })
    if (child.pid === undefined) throw new Error(`Cannot start ${SUPERVISOR}`)
    child.unref()
    writeRecord(supervisorFile(home, name), { name, pid: child.pid })
  } finally {
    closeSync(log)
    for (const fd of Object.values(sockets ?? {})) closeSync(fd)
  }
}

/** Set when descriptors 3 and 4 are {@link inheritedNameSockets}. */
const NAME_SOCKETS = 'CENTAURUS_NAME_SOCKETS'
const DNS_PORT = 53

/** The supervisor holds the sockets of names, so that pods' questions wait while the daemon is started again. Undefined: they can't be had, and the daemon says why. */
async function holdNameSockets(): Promise<HeldSockets | undefined> {
  const { holdSockets } = await import('@centaurus/network')
  try {
    return holdSockets(CLUSTER_DNS, DNS_PORT)
  } catch {
    return undefined
  }
}

/** What the supervisor of this process holds; undefined: nothing. */
export function inheritedNameSockets(env: NodeJS.ProcessEnv = process.env): HeldSockets | undefined {
  return env[NAME_SOCKETS] === 'held' ? { udp: 3, tcp: 4 } : undefined
}

/** Every host has a network daemon, and little that it makes is short-lived: without a limit the young generation of its heap is a fifth of all its memory. */
const NODE_FLAGS: Readonly<Record<DaemonName, readonly string[]>> = {
  'control-plane': [],
  node: [],
  network: ['--max-semi-space-size=2'],
  gpu: ['--max-semi-space-size=2'],
  'gateway-server': [],
}

/** What follows its name on the command line. */
const ARGUMENTS: Readonly<Record<DaemonName, readonly string[]>> = {
  'control-plane': [],
  node: ['run'],
  network: ['run'],
  gpu: ['run'],
  'gateway-server': [],
}
const SUPERVISOR = join(import.meta.dirname, '../supervise.sh')

/** Asks the daemon and its supervisor to stop, waits, and kills them when they do not. Resolves to false when nothing ran. */
export async function stopDaemon(home: Home, name: DaemonName): Promise<boolean> {
  const files = [supervisorFile(home, name), recordFile(home, name)]
  const running = (): Daemon[] => files.flatMap((file) => readAlive(file) ?? [])
  const [first] = running()
  if (first !== undefined) signal(first.pid, 'SIGTERM') // the supervisor passes it on
  const deadline = performance.now() + STOP_GRACE_MS
  for (let left = running(); left.length > 0; left = running()) {
    if (performance.now() > deadline) for (const daemon of left) signal(daemon.pid, 'SIGKILL')
    await delay(POLL_MS)
  }
  for (const file of files) rmSync(file, { force: true })
  return first !== undefined
}

function signal(pid: number, name: 'SIGTERM' | 'SIGKILL'): void {
  try {
    process.kill(pid, name)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error // it ended by itself
  }
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
