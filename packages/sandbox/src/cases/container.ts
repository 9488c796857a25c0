import { spawn } from 'node:child_process'
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'

/** What containerd gives a container that asks for nothing. */
const CAPABILITIES =
  'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'
    .split(' ')
    .map((name) => `CAP_${name}`)
const ROOT_ENV = [
  'PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin:/usr/local/go/bin',
  'HOME=/nonexistent',
]
const OUTPUT_BYTES_MAX = 64 * 1024 * 1024

/** How a container of the guests ended. */
export interface ContainerRun {
  /** Standard output and error, in the order they came. */
  readonly output: string
  /** Exit status of the runtime, which is the program's; undefined when it was killed for taking too long. */
  readonly status: number | undefined
}

/** Folders of the host by where a container sees them. */
export type Volumes = ReadonlyMap<string, { readonly folder: string; readonly readOnly: boolean }>

export interface ContainerOptions {
  /** An OCI runtime: a path, or a name on PATH. */
  readonly runtime: string
  /** The guests' static binary; is `/guests` in the container. */
  readonly guests: string
  readonly args: readonly string[]
  readonly volumes?: Volumes
  /** Working directory, `/` unless said. */
  readonly cwd?: string
  /** The container and what it runs are killed after this. */
  readonly timeoutMs: number
}

/** Runs the guests in a container of an OCI runtime, with namespaces of its own and all file systems that containers have. Needs root. */
export async function runContainer(options: ContainerOptions): Promise<ContainerRun> {
  const { runtime, guests, timeoutMs } = options
  const bundle = mkdtempSync(join(tmpdir(), 'guests-'))
  const rootfs = join(bundle, 'rootfs')
  const id = bundle.slice(bundle.lastIndexOf('/') + 1)
  const root = ['--root', join(bundle, 'state')]
  try {
    for (const folder of ['tmp', 'proc', 'dev', 'sys', 'etc']) mkdirSync(join(rootfs, folder), { recursive: true })
    copyFileSync(guests, join(rootfs, 'guests'))
    chmodSync(join(rootfs, 'guests'), 0o755)
    chmodSync(bundle, 0o755)
    writeFileSync(join(bundle, 'config.json'), JSON.stringify(containerConfig(options)))
    const run = await execute(runtime, [...root, 'run', '--bundle', bundle, id], timeoutMs)
    if (run.status === undefined) await execute(runtime, [...root, 'delete', '--force', id], 10_000)
    return run
  } finally {
    rmSync(bundle, { recursive: true, force: true })
  }
}

/**
 * Runs a command in a container whose root is this machine's, with `folder` as its working directory, or without a runtime just so. What it writes, it
 * writes to this machine. Needs root.
 */
export async function runOnRoot(options: {
  /** An OCI runtime; undefined: none. */
  readonly runtime: string | undefined
  readonly args: readonly string[]
  readonly folder: string
  readonly timeoutMs: number
}): Promise<ContainerRun> {
  const { runtime, args, folder, timeoutMs } = options
  if (runtime === undefined) {
    return execute('env', ['-i', '-C', folder, ...ROOT_ENV, `TMPDIR=${folder}`, ...args], timeoutMs)
  }
  const bundle = mkdtempSync(join(tmpdir(), 'bundle-'))
  const id = bundle.slice(bundle.lastIndexOf('/') + 1)
  const root = ['--root', join(bundle, 'state')]
  try {
    const config = containerConfig({ args: [] })
    const mounts = config.mounts.filter(({ destination }) => destination !== '/tmp')
    const process = { ...config.process, args, cwd: folder, env: [...ROOT_ENV, `TMPDIR=${folder}`] }
    writeFileSync(join(bundle, 'config.json'), JSON.stringify({ ...config, root: { path: '/' }, mounts, process }))
    const run = await execute('unshare', ['-m', runtime, ...root, 'run', '--bundle', bundle, id], timeoutMs)
    if (run.status === undefined) await execute(runtime, [...root, 'delete', '--force', id], 10_000)
    return run
  } finally {
    rmSync(bundle, { recursive: true, force: true })
  }
}

/** A configuration with all that containers have. */
export function containerConfig({ args, volumes, cwd = '/' }: Pick<ContainerOptions, 'args' | 'volumes' | 'cwd'>) {
  const mount = (destination: string, type: string, ...options: string[]) => ({
    destination,
    type,
    source: type,
    options,
  })
  return {
    ociVersion: '1.0.2',
    hostname: 'guests',
    process: {
      user: { uid: 0, gid: 0 },
      args: ['/guests', ...args],
      env: ['PATH=/'],
      cwd,
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 1024, soft: 1024 }],
    },
    root: { path: 'rootfs' },
    mounts: [
      mount('/proc', 'proc'),
      mount('/dev', 'tmpfs', 'nosuid', 'strictatime', 'mode=755', 'size=65536k'),
      mount('/dev/pts', 'devpts', 'nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'),
      mount('/dev/shm', 'tmpfs', 'nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'),
      mount('/dev/mqueue', 'mqueue', 'nosuid', 'noexec', 'nodev'),
      mount('/sys', 'sysfs', 'nosuid', 'noexec', 'nodev', 'ro'),
      mount('/tmp', 'tmpfs', 'mode=1777'),
      ...[...(volumes ?? [])].map(([destination, { folder, readOnly }]) => ({
        destination,
        type: 'bind',
        source: folder,
        options: ['rbind', readOnly ? 'ro' : 'rw'],
      })),
    ],
    linux: { namespaces: ['pid', 'network', 'ipc', 'uts', 'mount'].map((type) => ({ type })) },
  }
}

/** Runs a command to its end; it and what it started are killed after `timeoutMs`. */
export function execute(command: string, args: readonly string[], timeoutMs: number): Promise<ContainerRun> {
  const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], detached: true })
  const chunks: Buffer[] = []
  let bytes = 0
  const see = (chunk: Buffer): void => {
    bytes += chunk.length
    if (bytes <= OUTPUT_BYTES_MAX) chunks.push(chunk)
  }
  child.stdout.on('data', see)
  child.stderr.on('data', see)
  return new Promise((resolve, reject) => {
    let late = false
    const timer = setTimeout(() => {
      late = true
      killGroup(child.pid)
    }, timeoutMs)
    child.on('error', (cause) => {
      clearTimeout(timer)
      reject(new Error(`Cannot start ${command}: ${cause.message}`, { cause }))
    })
    child.on('close', (code) => {
      clearTimeout(timer)
      resolve({ output: Buffer.concat(chunks).toString(), status: late ? undefined : (code ?? 255) })
    })
  })
}

/** The runtime and what it started are one process group. */
function killGroup(pid: number | undefined): void {
  if (pid === undefined) return
  try {
    process.kill(-pid, 'SIGKILL')
  } catch {
    // it ended meanwhile
  }
}
