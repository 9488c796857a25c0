import { GPU, GPU_DEVICES_MAX, isWholeGpu, parseGpuDeviceId, type GpuGrant } from '@centaurus/api/gpu'
import type { Logger } from '@centaurus/base'
import type { ContainerKeeper, ContainerOwner } from '../containers/container-keeper.ts'
import { hasLimits } from '../containers/limits.ts'
import type { HostGpus } from '../sources/device-source.ts'
import type { DeviceSource } from '../sources/open-device-source.ts'
import { readCdiNames } from './cdi-names.ts'
import { chooseDevices } from './choose-devices.ts'
import { planContainer, type InterposerFiles, type StubDriver } from './plan-container.ts'
import type {
  AllocateRequest,
  AllocateResponse,
  ContainerResponse,
  DeviceList,
  PluginOptions,
  PreferredRequest,
  PreferredResponse,
} from './protocol/messages.ts'

/** What the plugin answers a kubelet, whatever the wire. */
export interface DevicePlugin {
  readonly resource: string
  readonly options: PluginOptions
  /** The devices as they are now. */
  list(): DeviceList
  /** Calls `listener` after each change. Returns the function that ends it. */
  onChange(listener: () => void): () => void
  prefer(request: PreferredRequest): PreferredResponse
  /** `owner` is what our own node agent says beside the request. Throws what the pod's people read. */
  allocate(request: AllocateRequest, owner: ContainerOwner | undefined): AllocateResponse
}

export interface DevicePluginDeps {
  readonly source: DeviceSource
  readonly containers: Pick<ContainerKeeper, 'prepare'>
  /** Undefined: this host has no interposer, and parts of GPUs can't be given. */
  readonly interposer: InterposerFiles | undefined
  /** For containers with simulated GPUs. */
  readonly stubDriver?: StubDriver | undefined
  readonly logger: Logger
}

/** Serves a host's GPUs as `nvidia.com/gpu`: whole ones to any kubelet, parts to our node agent. */
export function createDevicePlugin(deps: DevicePluginDeps): DevicePlugin {
  const { source } = deps
  return {
    resource: GPU,
    options: { preStartRequired: false, getPreferredAllocationAvailable: true },
    list: () => listDevices(source.gpus),
    onChange: (listener) => source.onChange(listener),
    prefer: (request) => prefer(request, source.gpus),
    allocate: ({ containerRequests }, owner) => ({
      containerResponses: containerRequests.map(({ devicesIds }) => allocate(devicesIds, owner, deps)),
    }),
  }
}

/** Pure. */
export function listDevices({ devices }: HostGpus): DeviceList {
  return {
    devices: devices.map(({ uuid, numa, problem }) => ({
      ID: uuid,
      health: problem === undefined ? 'Healthy' : 'Unhealthy',
      ...(numa === undefined ? {} : { topology: { nodes: [{ ID: numa }] } }),
    })),
  }
}

/** Pure. Ids that are not known are not chosen. */
export function prefer({ containerRequests }: PreferredRequest, { devices, links }: HostGpus): PreferredResponse {
  const placesOf = (ids: readonly string[]): number[] =>
    devices.flatMap(({ uuid }, place) => (ids.includes(uuid) ? [place] : []))
  return {
    containerResponses: containerRequests.map(({ availableDeviceIDs, mustIncludeDeviceIDs, allocationSize }) => ({
      deviceIDs: chooseDevices({
        links,
        available: placesOf(availableDeviceIDs),
        mustInclude: placesOf(mustIncludeDeviceIDs),
        size: allocationSize,
      }).map((place) => devices[place]!.uuid),
    })),
  }
}

function allocate(
  ids: readonly string[],
  owner: ContainerOwner | undefined,
  { source, containers, interposer, stubDriver, logger }: DevicePluginDeps,
): ContainerResponse {
  if (ids.length > GPU_DEVICES_MAX) throw new RangeError(`a container may have at most ${GPU_DEVICES_MAX} GPUs`)
  const grants = ids.map(parseGpuDeviceId)
  const input = { grants, gpus: source.gpus, cdiNames: readCdiNames(source.gpus), stubDriver }
  const whole = planContainer({ ...input, limited: undefined }) // also checks that they are there, before anything is made
  const response = hasLimits({ grants })
    ? planContainer({ ...input, limited: limit(grants, owner, { containers, interposer }) })
    : whole
  logger.info('Gave GPUs to a container', { ...owner, devices: ids.join(' '), shared: !grants.every(isWholeGpu) })
  return response
}

function limit(
  grants: readonly GpuGrant[],
  owner: ContainerOwner | undefined,
  { containers, interposer }: Pick<DevicePluginDeps, 'containers' | 'interposer'>,
): NonNullable<Parameters<typeof planContainer>[0]['limited']> {
  if (owner === undefined)
    throw new Error('parts of a GPU are given on nodes of Centaurus alone: this kubelet does not say whose they are')
  if (interposer === undefined)
    throw new Error(
      'parts of a GPU need the interposer, and this node has none: see its log (./centaurus logs gpu), or ask for whole GPUs',
    )
  return { mounts: containers.prepare(owner, grants), interposer }
}
