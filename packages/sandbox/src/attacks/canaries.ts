import { spawn, type ChildProcess } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Volumes } from '../cases/container.ts'

const SETTINGS = [
  '/proc/sys/kernel/core_pattern',
  '/proc/sys/kernel/modprobe',
  '/proc/sys/kernel/poweroff_cmd',
  '/proc/sys/kernel/randomize_va_space',
  '/proc/sys/vm/overcommit_memory',
  '/proc/sys/fs/protected_symlinks',
]

/** Things of the host that a container must neither reach nor change. {@link Canaries.stop} ends and removes them. */
export interface Canaries {
  /** For `guests attack`: PATH SECRET PID SOCKET. */
  readonly args: readonly string[]
  readonly volumes: Volumes
  /** What has been reached or changed since the start; empty when nothing has. */
  check(): string[]
  stop(): void
}

export async function startCanaries(): Promise<Canaries> {
  const folder = mkdtempSync(join(tmpdir(), 'canaries-'))
  const secret = randomBytes(16).toString('hex')
  const name = `canary-${randomBytes(8).toString('hex')}`
  const file = (path: string): string => join(folder, path)
  for (const path of ['outside', 'volume', 'readonly']) mkdirSync(file(path))
  writeFileSync(file('outside/canary'), secret)
  writeFileSync(file('canary'), secret)
  writeFileSync(file('readonly/file'), 'read only')
  const child = spawn('sleep', ['600'], { stdio: 'ignore' })
  child.unref()
  let connections = 0
  const servers = await Promise.all(
    [`\0${name}`, file('volume/host.sock')].map((path) => listen(path, () => connections++)),
  )
  const settings = readSettings()
  return {
    args: [file('outside/canary'), secret, String(child.pid), name],
    volumes: new Map([
      ['/volume', { folder: file('volume'), readOnly: false }],
      ['/readonly', { folder: file('readonly'), readOnly: true }],
    ]),
    check: () => [
      ...(connections > 0 ? [`${connections} connections to sockets of the host`] : []),
      ...(isRunning(child) ? [] : ['the process of the host ended']),
      ...changed('the secret', secret, readFileSync(file('outside/canary'), 'utf8')),
      ...changed('folder outside', 'canary', readdirSync(file('outside')).join()),
      ...changed('folders', 'canary,outside,readonly,volume', readdirSync(folder).join()),
      ...changed('read-only file', 'read only', readFileSync(file('readonly/file'), 'utf8')),
      ...[...readSettings()].flatMap(([path, value]) => changed(path, settings.get(path) ?? '', value)),
    ],
    stop: () => {
      for (const [path, value] of settings) if (readSettings().get(path) !== value) writeFileSync(path, value)
      for (const server of servers) server.close()
      child.kill('SIGKILL')
      rmSync(folder, { recursive: true, force: true })
    },
  }
}

function listen(path: string, onConnection: () => void): Promise<Server> {
  const server = createServer((socket) => {
    onConnection()
    socket.destroy()
  })
  return new Promise((resolve, reject) => {
    server.once('error', reject)
    server.unref().listen(path, () => resolve(server))
  })
}

function isRunning({ exitCode, signalCode }: ChildProcess): boolean {
  return exitCode === null && signalCode === null
}

function changed(what: string, before: string, now: string): string[] {
  return before === now ? [] : [`${what} was "${before}", is "${now}"`]
}

function readSettings(): Map<string, string> {
  return new Map(SETTINGS.filter((path) => existsSync(path)).map((path) => [path, readFileSync(path, 'utf8')]))
}
