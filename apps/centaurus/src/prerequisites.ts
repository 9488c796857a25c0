import { execFile } from 'node:child_process'
import { accessSync, constants, existsSync, globSync } from 'node:fs'
import { release } from 'node:os'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'
import type { NetworkSetting } from './settings.ts'
import { UserError } from './user-error.ts'

/** A program or file that real containers need, and the Debian package that has it. */
interface Prerequisite {
  readonly what: string
  readonly debianPackage: string
  readonly present: () => boolean
  /** The network of pods that needs it; absent: both. */
  readonly network?: NetworkSetting
}

const LIBRARY_DIRS = ['/usr/lib/x86_64-linux-gnu', '/usr/lib/aarch64-linux-gnu', '/usr/lib64', '/usr/lib']
const CNI_DIRS = ['/opt/cni/bin', '/usr/lib/cni']

const PREREQUISITES: readonly Prerequisite[] = [
  { what: 'containerd', debianPackage: 'containerd', present: () => hasProgram('containerd') },
  { what: 'runc', debianPackage: 'runc', present: () => hasProgram('runc') },
  { what: 'ip', debianPackage: 'iproute2', present: () => hasProgram('ip') },
  { what: 'nft', debianPackage: 'nftables', present: () => hasProgram('nft') },
  { what: 'perl', debianPackage: 'perl-base', present: () => existsSync('/usr/bin/perl'), network: 'centaurus' },
  { what: 'conntrack', debianPackage: 'conntrack', present: () => hasProgram('conntrack') },
  { what: 'iptables', debianPackage: 'iptables', present: () => hasProgram('iptables'), network: 'bridge' },
  { what: 'busybox', debianPackage: 'busybox-static', present: () => hasProgram('busybox') },
  { what: 'clang', debianPackage: 'clang', present: () => hasProgram('clang'), network: 'centaurus' },
  {
    what: 'libbpf.so.1',
    debianPackage: 'libbpf1',
    network: 'centaurus',
    present: () => LIBRARY_DIRS.some((dir) => existsSync(join(dir, 'libbpf.so.1'))),
  },
  {
    what: 'headers of libbpf',
    debianPackage: 'libbpf-dev',
    network: 'centaurus',
    present: () => existsSync('/usr/include/bpf/bpf_helpers.h'),
  },
  {
    what: 'headers of the kernel',
    debianPackage: 'linux-libc-dev',
    network: 'centaurus',
    present: () => existsSync('/usr/include/linux/bpf.h'),
  },
  {
    what: 'CNI plugins',
    debianPackage: 'containernetworking-plugins',
    network: 'bridge',
    present: () => CNI_DIRS.some((dir) => existsSync(join(dir, 'bridge'))),
  },
]

/** What the tests need beside that. */
const TEST_PREREQUISITES: readonly Prerequisite[] = [
  {
    what: "clang's fuzzer and address checks",
    debianPackage: 'libclang-rt-dev',
    present: () => globSync('/usr/lib/llvm-*/lib/clang/*/lib/linux/libclang_rt.fuzzer-*.a').length > 0,
  },
  { what: 'curl', debianPackage: 'curl', present: () => hasProgram('curl') },
  { what: 'ethtool', debianPackage: 'ethtool', present: () => hasProgram('ethtool') },
  { what: 'gcc', debianPackage: 'gcc', present: () => hasProgram('gcc') },
  { what: 'git', debianPackage: 'git', present: () => hasProgram('git') },
  { what: 'nginx', debianPackage: 'nginx-light', present: () => hasProgram('nginx') },
  { what: 'python3', debianPackage: 'python3', present: () => existsSync('/usr/bin/python3') },
  { what: 'redis-server', debianPackage: 'redis-server', present: () => hasProgram('redis-server') },
  { what: 'sqlite3', debianPackage: 'sqlite3', present: () => hasProgram('sqlite3') },
  { what: 'etcd', debianPackage: 'etcd-server', present: () => hasProgram('etcd') },
  { what: 'musl-gcc', debianPackage: 'musl-tools', present: () => hasProgram('musl-gcc') },
  { what: 'qemu-system-x86_64', debianPackage: 'qemu-system-x86', present: () => hasProgram('qemu-system-x86_64') },
  { what: 'modprobe', debianPackage: 'kmod', present: () => hasProgram('modprobe') },
  { what: 'podman', debianPackage: 'podman', present: () => hasProgram('podman') },
  { what: 'conmon', debianPackage: 'conmon', present: () => hasProgram('conmon') },
  { what: 'xz', debianPackage: 'xz-utils', present: () => hasProgram('xz') },
]

/** Services that a package would start, though only its program is wanted here. */
const UNWANTED_SERVICES: Readonly<Record<string, string>> = {
  'etcd-server': 'etcd.service',
  'nginx-light': 'nginx.service',
  'redis-server': 'redis-server.service',
}

const run = promisify(execFile)

/** Debian packages that real containers on this network, or on any, need and this machine lacks. */
export function missingPackages(network?: NetworkSetting): string[] {
  return PREREQUISITES.filter((item) => network === undefined || (item.network ?? network) === network)
    .filter((item) => !item.present())
    .map((item) => item.debianPackage)
}

/** Debian packages that the tests need beside {@link missingPackages} and this machine lacks. */
export function missingTestPackages(): string[] {
  return TEST_PREREQUISITES.filter((item) => !item.present()).map((item) => item.debianPackage)
}

/** Asks the archives what they have. Where that fails the old lists stay. */
export async function updatePackageLists(report: (line: string) => void): Promise<void> {
  if (!hasProgram('apt-get')) return
  report('apt-get update')
  await run('apt-get', ['-qq', 'update']).catch(() => undefined)
}

/** Installs Debian packages; no service of theirs that nobody wants is started. Throws {@link UserError} with the command to run by hand when it can't. */
export async function installPackages(packages: readonly string[], report: (line: string) => void): Promise<void> {
  const command = `apt-get install -y --no-install-recommends ${packages.join(' ')}`
  if (!hasProgram('apt-get')) {
    throw new UserError(
      `Cannot install ${packages.join(', ')}: there is no apt-get here. Install them by your system's own means, or try ./centaurus up --nodes simulated:5`,
    )
  }
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  try {
    report('apt-get update')
    await run('apt-get', ['-qq', 'update'], { env })
    report(command)
    const services = packages.flatMap((name) => UNWANTED_SERVICES[name] ?? [])
    await withoutServices(services, () =>
      run('apt-get', ['-qq', ...command.split(' ').slice(1)], { env, maxBuffer: 64 * 1024 * 1024 }),
    )
  } catch (cause) {
    const output = (cause as { stderr?: string }).stderr?.trim().split('\n').slice(-5).join('\n') ?? ''
    throw new UserError(`Cannot install Debian packages. Run this to see why: ${command}\n${output}`, { cause })
  }
}

/** Runs `install` while systemd must not start `services`, and leaves them off. One that the machine had before stays as it is. */
async function withoutServices(services: readonly string[], install: () => Promise<unknown>): Promise<void> {
  const systemctl = (...args: string[]): Promise<boolean> =>
    run('systemctl', args).then(
      () => true,
      () => false,
    )
  const masked: string[] = []
  if (existsSync('/run/systemd/system')) {
    for (const service of services) {
      if (await systemctl('cat', service)) continue // the machine's own
      if (await systemctl('mask', '--runtime', service)) masked.push(service)
    }
  }
  try {
    await install()
  } finally {
    for (const service of masked) {
      await systemctl('unmask', '--runtime', service)
      await systemctl('disable', service)
    }
  }
}

/** Whether `name` is an executable on PATH or in the system's own folders. */
function hasProgram(name: string): boolean {
  const dirs = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin', '/usr/local/sbin']
  return dirs.some((dir) => {
    try {
      accessSync(join(dir, name), constants.X_OK)
      return true
    } catch {
      return false
    }
  })
}

/** First kernel with tcx links. */
const KERNEL_MIN = [6, 6] as const

/** Why our own network can't run on this kernel, in words; undefined when it can. */
export function whyNoOwnNetwork(kernel = release()): string | undefined {
  const [major = 0, minor = 0] = kernel.split('.').map(Number.parseFloat)
  if (major > KERNEL_MIN[0] || (major === KERNEL_MIN[0] && minor >= KERNEL_MIN[1])) return undefined
  return `it needs Linux ${KERNEL_MIN.join('.')} or later, and this is ${kernel}`
}

/** Why real containers can't run here, in words; undefined when they can. */
export function whyNoContainers(): string | undefined {
  if (process.platform !== 'linux') return `real containers need Linux, and this is ${process.platform}`
  if (process.getuid?.() !== 0) return 'real containers need root'
  return undefined
}
