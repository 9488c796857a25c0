import { join } from 'node:path'
import { systemClock, systemRandom, type Logger } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'
import { createHttpClient, loadKubeconfig, type HttpClientConfig } from '@centaurus/client/http'
import {
  buildGpuLibraries,
  createNvmlProbe,
  createSimulatedProbe,
  GpuError,
  startGpuDaemon,
  type GpuDaemon,
} from '@centaurus/gpu'
import { apiServersOf } from '../api-servers.ts'
import { markReady, registerDaemon } from '../daemons.ts'
import { gpuSocket } from '../gpu-daemon-client.ts'
import { createHome, type Home } from '../home.ts'
import { namedNvml } from '../host-gpus.ts'
import { createLogger } from '../logger.ts'
import { localNodeName, readNodeIdentity } from '../node-identity.ts'
import { DEFAULT_SETTINGS, readSettings } from '../settings.ts'
import { untilStopped } from '../signals.ts'
import { UserError } from '../user-error.ts'

/** How long a driver that does not answer is left alone. */
const DRIVER_RETRY_MS = 30_000

export interface NodeGpuOptions {
  /** What `node kubeconfig` printed, for this node. */
  readonly kubeconfig: string
  /** Default: this machine's. */
  readonly name?: string | undefined
  readonly kubeletDir: string
  readonly simulatedGpus?: string | undefined
}

/** Serves this machine's GPUs to its node agent until told to stop. Containers go on without it. */
export async function runGpus(home: Home): Promise<void> {
  const settings = readSettings(home) ?? DEFAULT_SETTINGS
  const { ca, cert, key } = readNodeIdentity(home)
  await serveGpus(home, {
    nodeName: localNodeName(),
    api: { ...apiServersOf(home, settings), ca, cert, key },
    kubeletDir: home.nodeDir,
    simulatedGpus: settings.simulatedGpus,
  })
}

/** The same of a machine whose node is a kubelet of upstream's. Throws {@link UserError}. */
export async function runNodeGpus(home: Home, options: NodeGpuOptions): Promise<void> {
  const { kubeconfig, name = localNodeName(), kubeletDir, simulatedGpus } = options
  let api: HttpClientConfig
  try {
    api = (await loadKubeconfig(kubeconfig)).config
  } catch (cause) {
    const [message] = (cause as Error).message.split('\n')
    const advice = `Where the home of the cluster is, ./centaurus node kubeconfig ${name} prints it`
    throw new UserError(`Cannot use --kubeconfig ${kubeconfig}: ${message}. ${advice}`, { cause })
  }
  createHome(home)
  await serveGpus(home, { nodeName: name, api, kubeletDir, simulatedGpus })
}

interface GpuHost {
  readonly nodeName: string
  /** As the node's agent. */
  readonly api: HttpClientConfig
  readonly kubeletDir: string
  readonly simulatedGpus: string | undefined
}

interface PreparedHost extends GpuHost {
  readonly libraries: string | undefined
}

async function serveGpus(home: Home, host: GpuHost): Promise<void> {
  registerDaemon(home, 'gpu')
  const logger = createLogger()
  const stop = new AbortController()
  const stopped = untilStopped().then(() => stop.abort(new Error('The GPU plugin stops')))
  const client = createHttpClient({ ...host.api, userAgent: 'centaurus-gpu' })
  const informers = createInformerFactory(client, { clock: systemClock, random: systemRandom, logger })
  const deps = { client, informers, clock: systemClock, logger }
  const libraries = await buildLibraries(home, logger)
  let daemon: GpuDaemon | undefined
  try {
    daemon = await startOnHost(home, { ...host, libraries }, { ...deps, signal: stop.signal })
    void daemon?.ready.then(() => markReady(home, 'gpu'))
    await stopped
    logger.info('Stopping the GPU plugin; containers go on')
  } finally {
    await daemon?.close()
    await informers.close()
    await client.close()
  }
}

/** Undefined: whole GPUs alone are given. */
async function buildLibraries(home: Home, logger: Logger): Promise<string | undefined> {
  try {
    return await buildGpuLibraries(join(home.gpuDir, 'build'))
  } catch (error) {
    logger.warn('Could not build the libraries for containers with parts of GPUs', { error })
    return undefined
  }
}

type DaemonDeps = Pick<Parameters<typeof startGpuDaemon>[0], 'client' | 'informers' | 'clock' | 'logger'>

/** A driver that does not answer may yet; a file that is wrong is for its user to mend. Undefined: told to stop before. */
async function startOnHost(
  home: Home,
  host: PreparedHost,
  { signal, ...deps }: DaemonDeps & { readonly signal: AbortSignal },
): Promise<GpuDaemon | undefined> {
  while (!signal.aborted) {
    try {
      return await startOnce(home, host, deps)
    } catch (cause) {
      if (!(cause instanceof GpuError)) throw cause
      if (host.simulatedGpus !== undefined) throw new UserError(cause.message, { cause })
      deps.logger.error('Could not use the GPUs of this host; trying again', { error: cause })
      markReady(home, 'gpu') // nobody waits for a driver
      await deps.clock.sleep(DRIVER_RETRY_MS, { signal }).catch(() => {})
    }
  }
  return undefined
}

async function startOnce(
  home: Home,
  { nodeName, kubeletDir, simulatedGpus, libraries }: PreparedHost,
  deps: DaemonDeps,
): Promise<GpuDaemon> {
  const probe =
    simulatedGpus === undefined
      ? createNvmlProbe({ library: namedNvml() })
      : createSimulatedProbe({ file: simulatedGpus, nodeName })
  return startGpuDaemon({
    ...deps,
    nodeName,
    probe,
    stateDir: home.gpuDir,
    kubeletDir,
    localSocket: gpuSocket(home),
    libraries,
  })
}
