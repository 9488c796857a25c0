import { globSync, readdirSync, readFileSync, readlinkSync, rmdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { mustRun, run, waitFor } from './processes.ts'

/** Homes of tests carry the pid of the test: one whose process is gone was left behind by a test that was killed. */
const HOME_NAME = /^centaurus-test-(\d+)-/
const NETWORK_NAME = /^centaurus-(\d+)-/
const END_TIMEOUT_MS = 10_000

export function homePrefix(label: string): string {
  return join(tmpdir(), `centaurus-test-${process.pid}-${label}-`)
}

export function networkName(label: string): string {
  return `centaurus-${process.pid}-${label}`
}

/** Takes away what tests left behind that can't do it any more. */
export async function sweepLeftovers(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const pid = HOME_NAME.exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) await destroyHome(join(tmpdir(), name))
  }
  if (process.getuid?.() !== 0) return
  for (const line of (await mustRun(['ip', 'netns', 'list'])).split('\n')) {
    const name = line.split(' ')[0] ?? ''
    const pid = NETWORK_NAME.exec(name)?.[1]
    if (pid !== undefined && !isAlive(Number(pid))) await run(['ip', 'netns', 'delete', name])
  }
}

/** Ends every process of the cluster in `home` without asking it, unmounts what it mounted and deletes the folder. */
export async function destroyHome(home: string): Promise<void> {
  const pids = withDescendants(processesOf(home))
  for (const pid of pids) kill(pid)
  await waitFor('killed processes to end', async () => pids.every((pid) => !isAlive(pid)), {
    timeoutMs: END_TIMEOUT_MS,
  })
  removeCgroups(home)
  for (const mount of mountsUnder(home)) await run(['umount', '-l', mount])
  rmSync(home, { recursive: true, force: true, maxRetries: 5 })
}

/** Containers that were killed leave empty cgroups, one in each hierarchy of cgroup v1; containerd's state knows their ids. */
function removeCgroups(home: string): void {
  for (const tasks of globSync(join(home, 'containerd/state/io.containerd.runtime.v2.task/k8s.io/*'))) {
    const id = basename(tasks)
    for (const cgroup of globSync(`/sys/fs/cgroup/{,*/}k8s.io/${id}`)) rmdirSync(cgroup)
  }
}

/** Mount points at or under a folder, innermost first. */
export function mountsUnder(folder: string): string[] {
  return readFileSync('/proc/self/mountinfo', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[4] ?? '')
    .filter((path) => path === folder || path.startsWith(`${folder}/`))
    .reverse()
}

/** Processes that name the home in their command line (containerd, its shims) or environment (ours), never the caller. */
export function processesOf(home: string): number[] {
  return allPids().filter(
    (pid) =>
      pid !== process.pid &&
      (read(pid, 'cmdline').includes(home) || read(pid, 'environ').includes(`CENTAURUS_HOME=${home}`)),
  )
}

/** Containers are children of their shims and know nothing of the home. */
function withDescendants(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>()
  for (const pid of allPids()) {
    const stat = read(pid, 'stat')
    const parent = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
    children.set(parent, [...(children.get(parent) ?? []), pid])
  }
  const found = new Set(roots)
  for (const pid of found) for (const child of children.get(pid) ?? []) found.add(child)
  return [...found]
}

function allPids(): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
}

function read(pid: number, file: string): string {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8')
  } catch {
    return '' // it has ended
  }
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL')
  } catch {
    // it has ended
  }
}

/** False also for a process that has ended and only waits to be reaped. */
export function isAlive(pid: number): boolean {
  try {
    readlinkSync(`/proc/${pid}/exe`)
    return true
  } catch {
    return /\) [^ZX]/.test(read(pid, 'stat'))
  }
}
