import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { buildQuark, findCargo, quarkFolder, runCargo } from '@centaurus/sandbox'
import { fetchRunsc } from './runsc-package.ts'

/** An OCI runtime that is measured: the command, and the flags it gets before its verb. */
export interface Runtime {
  readonly name: 'quark' | 'runc' | 'runsc'
  readonly command: string
  readonly flags: readonly string[]
}

/** gVisor's fastest platform without hardware virtualisation, and nothing that a machine without cgroup v2 lacks. */
const RUNSC_FLAGS = ['--network=none', '--ignore-cgroups', '--platform=systrap']
const TARGET = 'x86_64-unknown-linux-gnu'

/** quark first, then its peers. `QUARK_BINARY`, `RUNC` and `RUNSC` name binaries of one's own. Builds and downloads what is missing. */
export async function findRuntimes(log: (message: string) => void): Promise<readonly [Runtime, ...Runtime[]]> {
  const { QUARK_BINARY, RUNC = 'runc', RUNSC } = process.env
  return [
    { name: 'quark', command: QUARK_BINARY ?? (await build('quark', log)), flags: [] },
    { name: 'runc', command: RUNC, flags: [] },
    { name: 'runsc', command: RUNSC ?? (await fetchRunsc(join(quarkFolder(), '../bench'), log)), flags: RUNSC_FLAGS },
  ]
}

/** The static program that makes system calls, see quark/guests; `GUESTS_BINARY` names another. */
export async function findGuests(log: (message: string) => void): Promise<string> {
  return process.env['GUESTS_BINARY'] ?? build('guests', log)
}

async function build(what: 'quark' | 'guests', log: (message: string) => void): Promise<string> {
  const cargo = await findCargo()
  if (cargo.path === undefined) throw new Error(`Cannot build ${what}: ${cargo.why}`)
  if (what === 'quark') return buildQuark({ outDir: quarkFolder(), cargo, report: log })
  const targetDir = join(quarkFolder(), 'target')
  const args = ['build', '--release', '--locked', '--package', 'quark-guests']
  await runCargo(args, { cargo: cargo.path, targetDir, report: log })
  return join(targetDir, TARGET, 'release/guests')
}

export interface BundleOptions {
  readonly args: readonly string[]
  /** Fills the root file system, which has empty folders for the usual mounts. */
  readonly fill: (rootfs: string) => void
  /** Folders of the host that are in the container at the same path, read only. */
  readonly shared?: readonly string[]
  /** A network namespace to join; one of its own unless said. */
  readonly network?: string
}

/** Makes a bundle in `directory` and returns its path: root with containerd's capabilities, namespaces of its own, a tmpfs at /tmp. */
export function writeBundle(directory: string, { args, fill, shared = [], network }: BundleOptions): string {
  const bundle = mkdtempSync(join(directory, 'bundle-'))
  const rootfs = join(bundle, 'rootfs')
  for (const folder of ['tmp', 'proc', 'dev', 'sys', 'etc', ...shared])
    mkdirSync(join(rootfs, folder), { recursive: true })
  fill(rootfs)
  const binds = shared.map((path) => ({
    destination: path,
    type: 'bind',
    source: path,
    options: ['rbind', 'ro'],
  }))
  writeFileSync(join(bundle, 'config.json'), JSON.stringify(containerConfig({ args, binds, network })))
  return bundle
}

const CAPABILITIES =
  'AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE NET_RAW SETFCAP SETGID SETPCAP SETUID SYS_CHROOT'
    .split(' ')
    .map((name) => `CAP_${name}`)

function containerConfig(options: {
  readonly args: readonly string[]
  readonly binds: readonly object[]
  readonly network: string | undefined
}): object {
  const { args, binds, network } = options
  const mount = (destination: string, type: string, ...options: string[]): object => ({
    destination,
    type,
    source: type,
    options,
  })
  return {
    ociVersion: '1.0.2',
    hostname: 'bench',
    process: {
      user: { uid: 0, gid: 0 },
      args,
      env: ['PATH=/usr/sbin:/usr/bin:/sbin:/bin', 'HOME=/tmp'],
      cwd: '/tmp',
      capabilities: { bounding: CAPABILITIES, effective: CAPABILITIES, permitted: CAPABILITIES },
      rlimits: [{ type: 'RLIMIT_NOFILE', hard: 4096, soft: 4096 }],
    },
    root: { path: 'rootfs' },
    mounts: [
      mount('/proc', 'proc'),
      mount('/dev', 'tmpfs', 'nosuid', 'strictatime', 'mode=755', 'size=65536k'),
      mount('/dev/pts', 'devpts', 'nosuid', 'noexec', 'newinstance', 'ptmxmode=0666', 'mode=0620', 'gid=5'),
      mount('/dev/shm', 'tmpfs', 'nosuid', 'noexec', 'nodev', 'mode=1777', 'size=65536k'),
      mount('/sys', 'sysfs', 'nosuid', 'noexec', 'nodev', 'ro'),
      mount('/tmp', 'tmpfs', 'mode=1777'),
      ...binds,
    ],
    linux: {
      namespaces: [
        ...['pid', 'ipc', 'uts', 'mount'].map((type) => ({ type })),
        { type: 'network', ...(network === undefined ? {} : { path: network }) },
      ],
    },
  }
}
