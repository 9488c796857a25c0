import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'

const DAEMON = new URL('daemon.ts', import.meta.url).pathname

export interface TestDaemonOptions {
  /** For its files and its socket `cni.sock`. */
  readonly folder: string
  readonly podCIDR: string
  /** Folder of compiled programs; absent: its data plane are the kernel's routes. */
  readonly programs?: string | undefined
}

/** What attaches pods, in a process that can be killed, or whose cost can be read. Resolves when it serves. */
export async function startTestDaemon({ folder, podCIDR, programs }: TestDaemonOptions): Promise<ChildProcess> {
  const args = [DAEMON, folder, podCIDR, ...(programs === undefined ? [] : [programs])]
  const daemon = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  await once(daemon.stdout, 'data')
  return daemon
}
