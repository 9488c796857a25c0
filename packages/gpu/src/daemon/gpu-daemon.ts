import { copyFileSync, existsSync, mkdirSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { nodes, pods } from '@centaurus/api/core/v1'
import type { Clock, Logger } from '@centaurus/base'
import type { Client, InformerFactory } from '@centaurus/client'
import { ContainerFolders } from '../containers/container-folders.ts'
import { ContainerKeeper } from '../containers/container-keeper.ts'
import { startInventoryKeeper } from '../inventory/inventory-keeper.ts'
import { INTERPOSER_FILE, STUB_DRIVER_FILES } from '../interposer/gpu-libraries.ts'
import { createDevicePlugin } from '../plugin/device-plugin.ts'
import {
  INTERPOSER_IN_CONTAINER,
  STUB_DEVICES_FILE,
  type InterposerFiles,
  type StubDriver,
} from '../plugin/plan-container.ts'
import { listHeldDevices } from '../plugin/pod-resources.ts'
import { startRegistrar } from '../plugin/registrar.ts'
import { ProfileBook } from '../profiler/profile-book.ts'
import { formatProfileMetrics } from '../profiler/profile-metrics.ts'
import { createProfileWriter } from '../profiler/profile-writer.ts'
import { startProfiler } from '../profiler/profiler.ts'
import type { NodeGpus } from '../inventory/plan-inventory.ts'
import type { DeviceProbe, GpuUse } from '../sources/device-source.ts'
import { formatStubDevices } from '../sources/simulated/stub-devices.ts'
import { openDeviceSource, type DeviceSource } from '../sources/open-device-source.ts'
import { describeGpus, type GpuStatus } from './gpu-status.ts'
import { startLocalServer } from './local-server.ts'

export interface GpuDaemonOptions {
  readonly nodeName: string
  readonly probe: DeviceProbe
  /** As the node's agent: reads and writes its Node, and reads its pods. */
  readonly client: Client
  readonly informers: InformerFactory
  /** Folder for what must outlive the process, on one file system; the containers' folders are in it. */
  readonly stateDir: string
  /** The kubelet's, with `device-plugins` and `pod-resources` in it. */
  readonly kubeletDir: string
  /** Where people ask. */
  readonly localSocket: string
  /** Folder of `buildGpuLibraries`; undefined: parts of GPUs are not given, and no program runs on simulated ones. */
  readonly libraries: string | undefined
  readonly clock: Clock
  readonly logger: Logger
}

export interface GpuDaemon {
  /** Resolves when the kubelet knows of the plugin. */
  readonly ready: Promise<void>
  readStatus(): Promise<GpuStatus>
  /** Stops serving. Containers go on with what they have. */
  close(): Promise<void>
}

/** The socket's name in the kubelet's folder. */
const PLUGIN_SOCKET = 'centaurus-gpu.sock'
const PRELOAD_FILE = 'ld.so.preload'
const PROFILES_FILE = 'profiles.json'

/** Serves this host's GPUs to its kubelet, and tells the API of them. Rejects when the probe can not tell of any, with what to do; all else is waited for. */
export async function startGpuDaemon(options: GpuDaemonOptions): Promise<GpuDaemon> {
  const { nodeName, probe, client, informers, stateDir, kubeletDir, localSocket, clock, logger } = options
  const source = await openDeviceSource(probe, { clock, logger })
  if (source.kind === 'simulated') logger.warn('These GPUs are simulated: nothing computes on them', { node: nodeName })
  const nodeInformer = informers.informer(nodes, { fieldSelector: `metadata.name=${nodeName}` })
  const podInformer = informers.informer(pods, { fieldSelector: `spec.nodeName=${nodeName}` })
  const folders = new ContainerFolders(stateDir)
  const interposer = prepareInterposer(options)
  const stubDriver = source.kind === 'simulated' ? prepareStubDriver(options, source) : undefined
  const containers = new ContainerKeeper({ folders, pods: podInformer, client, nodeName, clock, logger })
  const plugin = createDevicePlugin({ source, containers, interposer, stubDriver, logger })
  const socketPath = join(kubeletDir, 'device-plugins', PLUGIN_SOCKET)
  const registrar = startRegistrar({ plugin, socketPath, clock, logger })
  const gpusOf = (name: string): NodeGpus | undefined => (name === nodeName ? source : undefined)
  const inventory = startInventoryKeeper({ nodes: nodeInformer, client, gpusOf, clock, logger })
  source.onChange(() => inventory.follow(nodeName))
  const readUse = (): Promise<readonly GpuUse[]> => source.readUse().catch(() => []) // its problem is told already
  const profiler = startProfiler({
    folders,
    pods: () => podInformer.list(),
    readUse,
    book: new ProfileBook(join(stateDir, PROFILES_FILE), logger),
    tell: createProfileWriter({ client, clock, logger }),
    clock,
    logger,
  })
  const readMetrics = async (): Promise<{ contentType: string; text: string }> =>
    formatProfileMetrics({
      node: nodeName,
      devices: source.gpus.devices,
      uses: await readUse(),
      containers: profiler.readings,
    })
  const readStatus = async (): Promise<GpuStatus> =>
    describeGpus({
      node: nodeName,
      kind: source.kind,
      gpus: source.gpus,
      use: await readUse(),
      profiler,
      pods: podInformer.list(),
      held: await listHeldDevices(join(kubeletDir, 'pod-resources', 'kubelet.sock')),
      problems: [
        source.problem,
        registrar.problem,
        inventory.problemOf(nodeName),
        interposer === undefined
          ? 'There is no interposer here: whole GPUs are given, and no parts of them'
          : undefined,
      ],
    })
  const local = await startLocalServer(localSocket, { status: readStatus, metrics: readMetrics })
  return {
    ready: registrar.registered,
    readStatus,
    async close() {
      await local.close()
      await registrar.close()
      await inventory.close()
      containers.close()
      profiler.close()
      await source.close()
    },
  }
}

/** Containers that are started again have the same paths mounted, so these stay the same over versions. */
function prepareInterposer({ libraries, stateDir, logger }: GpuDaemonOptions): InterposerFiles | undefined {
  const built = libraries === undefined ? undefined : join(libraries, INTERPOSER_FILE)
  if (built === undefined || !existsSync(built)) {
    logger.warn('There is no interposer: parts of GPUs are not given')
    return undefined
  }
  mkdirSync(stateDir, { recursive: true })
  const preload = join(stateDir, PRELOAD_FILE)
  const library = join(stateDir, INTERPOSER_FILE)
  writeFileSync(preload, `${INTERPOSER_IN_CONTAINER}\n`)
  replaceFile(library, (file) => copyFileSync(built, file))
  return { library, preload }
}

/** A driver for programs in containers, which knows the GPUs as they are and as they change. */
function prepareStubDriver({ libraries, stateDir }: GpuDaemonOptions, source: DeviceSource): StubDriver | undefined {
  if (libraries === undefined) return undefined
  const dir = join(stateDir, 'simulated')
  mkdirSync(dir, { recursive: true })
  for (const name of STUB_DRIVER_FILES)
    replaceFile(join(dir, name), (file) => copyFileSync(join(libraries, name), file))
  const describe = (): void =>
    replaceFile(join(dir, STUB_DEVICES_FILE), (file) => writeFileSync(file, formatStubDevices(source.gpus)))
  describe()
  source.onChange(describe)
  return { dir }
}

/** Containers that run have the file before mapped. */
function replaceFile(path: string, write: (draft: string) => void): void {
  write(`${path}.new`)
  renameSync(`${path}.new`, path)
}
