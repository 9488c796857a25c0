import type { HostFacts, NodeHost, PodFiles } from '@centaurus/node'

import type { SimulatedRuntime } from './simulated-runtime.ts'

const GIB = 1024 ** 3

export interface SimulatedCapacity {
  readonly cpuMillicores: number
  readonly memoryBytes: number
  readonly ephemeralStorageBytes: number
}

/** What a simulated node has unless told otherwise. */
export const SIMULATED_CAPACITY: SimulatedCapacity = {
  cpuMillicores: 4_000,
  memoryBytes: 16 * GIB,
  ephemeralStorageBytes: 100 * GIB,
}

/** A machine without files: volumes are names, ports answer when the runtime says that the pod is ready. */
export function createSimulatedHost(options: {
  readonly nodeName: string
  readonly runtime: SimulatedRuntime
  readonly capacity?: Partial<SimulatedCapacity> | undefined
}): NodeHost {
  const { nodeName, runtime } = options
  const capacity = { ...SIMULATED_CAPACITY, ...options.capacity }
  const requireReady = (ip: string): void => {
    if (runtime.isReady(ip) !== true) throw new Error(`dial tcp ${ip}: connect: connection refused`)
  }
  return {
    files: SIMULATED_FILES,
    localVolumes: SIMULATED_VOLUMES,
    facts: async () => makeFacts(nodeName, capacity),
    pressure: async () => ({
      memoryAvailableBytes: capacity.memoryBytes,
      diskAvailablePercent: 90,
      inodesAvailablePercent: 90,
      pidsAvailable: 30_000,
    }),
    resolvConf: async () => ({ servers: [], searches: [], options: [] }),
    dialer: {
      async http({ host }) {
        requireReady(host)
        return { status: 200, body: 'simulated' }
      },
      tcp: async (host) => requireReady(host),
      async grpcHealth(host) {
        requireReady(host)
        return 'SERVING'
      },
    },
  }
}

/** Persistent volumes are names too. */
const SIMULATED_VOLUMES: NonNullable<NodeHost['localVolumes']> = {
  dir: '/simulated/local-volumes',
  owns: () => true,
  ensure: (volume) => Promise.resolve(volume.spec?.local?.path ?? ''),
  remove: () => Promise.resolve(),
}

/** Shared by all simulated nodes: it holds nothing. Payloads are read all the same, so that a missing config map shows as on a real node. */
const SIMULATED_FILES: PodFiles = {
  async setUpVolumes(pod, sources) {
    for (const volume of pod.spec?.volumes ?? []) {
      const fail = (what: string): Error => new Error(`MountVolume.SetUp failed for volume "${volume.name}" : ${what}`)
      const { configMap, secret } = volume
      if (
        configMap?.name !== undefined &&
        configMap.optional !== true &&
        (await sources.configMap(configMap.name)) === undefined
      ) {
        throw fail(`configmap "${configMap.name}" not found`)
      }
      if (
        secret?.secretName !== undefined &&
        secret.optional !== true &&
        (await sources.secret(secret.secretName)) === undefined
      ) {
        throw fail(`secret "${secret.secretName}" not found`)
      }
    }
    return new Map((pod.spec?.volumes ?? []).map(({ name }) => [name, `/simulated/${name}`]))
  },
  refreshVolumes: () => Promise.resolve(),
  tearDown: () => Promise.resolve(),
  podUids: () => Promise.resolve([]),
  writeHosts: () => Promise.resolve(undefined),
  readHostHosts: () => Promise.resolve(''),
  resolveSubPath: (path, subPath) => Promise.resolve(`${path}/${subPath}`),
  createTerminationFile: () => Promise.resolve(undefined),
  readTerminationFile: () => Promise.resolve(''),
  readLogTail: () => Promise.resolve(''),
  measureEmptyDir: () => Promise.resolve(0),
  measureLogs: () => Promise.resolve(0),
  prepareLogs: () => Promise.resolve(),
  removeLogs: () => Promise.resolve(),
  logDirectories: () => Promise.resolve([]),
  rotateLog: () => Promise.resolve(false),
}

function makeFacts(nodeName: string, capacity: SimulatedCapacity): HostFacts {
  return {
    ...capacity,
    hugepages: {},
    hostname: nodeName,
    nodeInfo: {
      architecture: 'amd64',
      bootID: nodeName,
      kernelVersion: 'simulated',
      machineID: nodeName,
      operatingSystem: 'linux',
      osImage: 'Centaurus simulated node',
      systemUUID: nodeName,
    },
  }
}
