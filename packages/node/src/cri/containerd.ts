import { spawn } from 'node:child_process'
import { execFile } from 'node:child_process'
import { constants } from 'node:fs'
import { access, mkdir, open, readFile, readlink, writeFile } from 'node:fs/promises'
import { delimiter, join } from 'node:path'
import { promisify } from 'node:util'

import type { Clock, Logger } from '@centaurus/base'

import { containerdPaths, formatBridgeNetwork, formatContainerdConfig } from './containerd-config.ts'
import { createCriRuntime } from './cri-runtime.ts'

const runFile = promisify(execFile)
/** CAP_SYS_RESOURCE's bit in /proc/self/status CapEff; without it oom_score_adj can't be lowered. */
const CAP_SYS_RESOURCE = 24n
const START_TIMEOUT_MS = 20_000
const START_POLL_MS = 50
/** Bytes of containerd's log that an error quotes. */
const LOG_TAIL_BYTES = 2_000
const CNI_BIN_DIRS = ['/usr/lib/cni', '/opt/cni/bin', '/usr/libexec/cni']

export interface StartContainerdOptions {
  /** Absolute folder for everything that containerd keeps; short enough for a socket path. */
  readonly dir: string
  readonly clock: Clock
  readonly logger: Logger
  /** Image of the pod sandbox; import it before the first pod. */
  readonly sandboxImage: string
  /** How its pods get a network; absent: the CNI folder is left to others. */
  readonly network?: PodNetworkSetup | undefined
  /** Runtime handlers beside `runc`: handler name to binary. */
  readonly runtimes?: Readonly<Record<string, string>> | undefined
  /** What runtimes find in their environment besides this process' own. */
  readonly environment?: Readonly<Record<string, string>> | undefined
}

/** A bridge of the standard CNI plugins, or a plugin of somebody's own in a folder with everything that its network list names. */
export type PodNetworkSetup =
  | { readonly podCIDR: string; readonly bridge?: string | undefined }
  | { readonly networkList: string; readonly cniBinDir: string }

export interface Containerd {
  readonly endpoint: string
  readonly socket: string
  readonly pid: number
  /** True when it ran already. */
  readonly adopted: boolean
  readonly cniConfDir: string
  /** Ends the daemon; containers live on in their shims. */
  stop(): Promise<void>
}

/**
 * Runs a containerd of our own in `dir`, or adopts the one that already runs there with the same configuration. It outlives this process: a new agent finds it by
 * its pid file. Throws with what to do when containerd, runc or the CNI plugins are missing, or when it does not come up in 20 s.
 */
export async function startContainerd(options: StartContainerdOptions): Promise<Containerd> {
  const paths = containerdPaths(options.dir)
  const binary = await requireBinary('containerd', 'containerd')
  await requireBinary('runc', 'runc')
  const { network } = options
  const cniBinDir = network !== undefined && 'cniBinDir' in network ? network.cniBinDir : await findCniBinDir()
  for (const dir of [paths.root, paths.state, paths.cniConfDir, `${options.dir}/certs.d`])
    await mkdir(dir, { recursive: true })
  if (network !== undefined)
    await writeFile(`${paths.cniConfDir}/10-centaurus.conflist`, formatNetwork(network, `${options.dir}/cni/data`))
  const config = await makeConfig(cniBinDir, options)
  const running = await findRunning(paths.pid, paths.config)
  const isSame = (await readFile(paths.config, 'utf8').catch(() => '')) === config
  if (running !== undefined && !isSame) await stopProcess(running, options.clock) // containers live on
  const adopted = isSame ? running : undefined
  const pid = adopted ?? (await launch(binary, config, options))
  await waitUntilReady({ ...options, pid })
  options.logger.info(adopted === undefined ? 'Started containerd' : 'Adopted containerd', {
    pid,
    socket: paths.socket,
  })
  return {
    endpoint: `unix://${paths.socket}`,
    socket: paths.socket,
    pid,
    adopted: adopted !== undefined,
    cniConfDir: paths.cniConfDir,
    stop: () => stopProcess(pid, options.clock),
  }
}

/** Loads an OCI or Docker image archive into the containerd at `socket`. Returns the names that `ctr` reports. */
export async function importImage(file: string, { socket }: { readonly socket: string }): Promise<readonly string[]> {
  const ctr = await requireBinary('ctr', 'containerd')
  try {
    const { stdout } = await runFile(ctr, [...`--namespace k8s.io --address ${socket} images import`.split(' '), file])
    return [...stdout.matchAll(/^unpacking (\S+)/gm)].map((match) => match[1] ?? '')
  } catch (cause) {
    const detail = cause instanceof Error && 'stderr' in cause ? String(cause.stderr).trim() : String(cause)
    throw new Error(`Cannot import image archive "${file}": ${detail}; it must be an OCI or Docker archive`, { cause })
  }
}

function formatNetwork(network: PodNetworkSetup, dataDir: string): string {
  if ('networkList' in network) return network.networkList
  return formatBridgeNetwork({ podCIDR: network.podCIDR, bridge: network.bridge ?? 'centaurus0', dataDir })
}

async function makeConfig(cniBinDir: string, options: StartContainerdOptions): Promise<string> {
  return formatContainerdConfig({
    dir: options.dir,
    sandboxImage: options.sandboxImage,
    cniBinDir,
    snapshotter: (await hasOverlayfs()) ? 'overlayfs' : 'native',
    restrictOomScoreAdj: !(await hasSysResource()),
    disableApparmor: !(await exists('/sys/kernel/security/apparmor')),
    runtimes: options.runtimes ?? {},
  })
}

async function launch(binary: string, config: string, options: StartContainerdOptions): Promise<number> {
  const paths = containerdPaths(options.dir)
  await writeFile(paths.config, config)
  const log = await open(paths.log, 'a')
  try {
    const child = spawn(binary, ['--config', paths.config], {
      detached: true,
      stdio: ['ignore', log.fd, log.fd],
      env: { ...process.env, ...options.environment },
    })
    child.on('error', (error) => options.logger.error('Could not start containerd', { error }))
    child.unref()
    if (child.pid === undefined) throw new Error(`Cannot start containerd: "${binary}" did not start; see ${paths.log}`)
    await writeFile(paths.pid, String(child.pid))
    return child.pid
  } finally {
    await log.close()
  }
}

async function waitUntilReady({ dir, clock, pid }: StartContainerdOptions & { pid: number }): Promise<void> {
  const paths = containerdPaths(dir)
  const runtime = createCriRuntime({ endpoint: `unix://${paths.socket}` })
  const deadline = clock.monotonicMs() + START_TIMEOUT_MS
  try {
    for (;;) {
      if (
        (await exists(paths.socket)) &&
        (await runtime.version().then(
          () => true,
          () => false,
        ))
      )
        return
      if (!isAlive(pid)) throw new Error(`Cannot start containerd in "${dir}": it exited. ${await tail(paths.log)}`)
      if (clock.monotonicMs() > deadline)
        throw new Error(
          `Cannot start containerd in "${dir}": no answer within ${START_TIMEOUT_MS} ms. ${await tail(paths.log)}`,
        )
      await clock.sleep(START_POLL_MS)
    }
  } finally {
    await runtime.close()
  }
}

/** A pid may have been reused: the process must be a containerd with our config. */
async function findRunning(pidFile: string, config: string): Promise<number | undefined> {
  const pid = Number(await readFile(pidFile, 'utf8').catch(() => ''))
  if (!Number.isInteger(pid) || pid <= 0) return undefined
  const command = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')
  return command.split('\0').includes(config) ? pid : undefined
}

async function stopProcess(pid: number, clock: Clock): Promise<void> {
  const deadline = clock.monotonicMs() + START_TIMEOUT_MS
  if (isAlive(pid)) process.kill(pid, 'SIGTERM')
  while (isAlive(pid) && clock.monotonicMs() < deadline) await clock.sleep(START_POLL_MS)
  if (isAlive(pid)) process.kill(pid, 'SIGKILL')
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

async function requireBinary(name: string, debianPackage: string): Promise<string> {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin']
  for (const folder of folders) {
    const file = join(folder, name)
    if (
      await access(file, constants.X_OK).then(
        () => true,
        () => false,
      )
    )
      return file
  }
  throw new Error(
    `Cannot run containers: "${name}" is not installed; install the package ${debianPackage} (apt-get install ${debianPackage})`,
  )
}

async function findCniBinDir(): Promise<string> {
  for (const dir of CNI_BIN_DIRS) if (await exists(`${dir}/bridge`)) return dir
  throw new Error(
    `Cannot run containers: no CNI plugins in ${CNI_BIN_DIRS.join(', ')}; install the package containernetworking-plugins`,
  )
}

async function hasOverlayfs(): Promise<boolean> {
  return /\boverlay$/m.test(await readFile('/proc/filesystems', 'utf8').catch(() => ''))
}

async function hasSysResource(): Promise<boolean> {
  const status = await readFile('/proc/self/status', 'utf8').catch(() => '')
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(status)?.[1] ?? '0'
  return ((BigInt(`0x${effective}`) >> CAP_SYS_RESOURCE) & 1n) === 1n
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () =>
      readlink(path).then(
        () => true,
        () => false,
      ),
  )
}

async function tail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return `Last lines of ${file}:\n${text.slice(-LOG_TAIL_BYTES)}`
}
