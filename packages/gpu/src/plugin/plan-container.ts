/** What a container gets for its GPUs. Pure. */
import type { GpuGrant } from '@centaurus/api/gpu'
import { LIMITS_FILE } from '../containers/container-folders.ts'
import { INTERPOSER_FILE } from '../interposer/gpu-libraries.ts'
import type { HostGpu, HostGpus } from '../sources/device-source.ts'
import type { ContainerResponse, Mount } from './protocol/messages.ts'

/** The interposer, and the file by which the dynamic loader finds it in a container. */
export interface InterposerFiles {
  readonly library: string
  /** Holds {@link INTERPOSER_IN_CONTAINER}. */
  readonly preload: string
}

export const INTERPOSER_IN_CONTAINER = `/usr/local/lib/centaurus/${INTERPOSER_FILE}`
/** Where images made for CUDA look for a driver's libraries. */
const DRIVER_IN_CONTAINER = '/usr/local/nvidia/lib64'
/** In {@link StubDriver.dir}. */
export const STUB_DEVICES_FILE = 'devices'
const PRELOAD_IN_CONTAINER = '/etc/ld.so.preload'

/** Folder on this host that is the driver of containers whose GPUs are simulated: libraries, and `devices`. */
export interface StubDriver {
  readonly dir: string
}

export interface ContainerInput {
  readonly grants: readonly GpuGrant[]
  readonly gpus: HostGpus
  /** Names by which the container runtime knows devices, by uuid; those without one are given by their files alone. */
  readonly cdiNames: ReadonlyMap<string, string>
  /** Where parts of GPUs are limited; undefined: it has whole ones. */
  /** Undefined: the GPUs are real, or there is no such driver. */
  readonly stubDriver: StubDriver | undefined
  readonly limited: { readonly mounts: readonly Mount[]; readonly interposer: InterposerFiles } | undefined
}

/**
 * The answer of `Allocate`. A container runtime of NVIDIA's goes by the environment, others by CDI or by device files; they may all be there. Throws `RangeError` for a
 * GPU that this host does not have.
 */
export function planContainer({ grants, gpus, cdiNames, limited, stubDriver }: ContainerInput): ContainerResponse {
  const uuids = grants.map(({ uuid }) => uuid)
  const devices = uuids.map((uuid) => findGpu(gpus, uuid))
  const files = devices.flatMap((device) => device.files)
  const limits: Readonly<Record<string, string>> = limited === undefined ? {} : { CENTAURUS_GPU_LIMITS: LIMITS_FILE }
  return {
    envs: { NVIDIA_VISIBLE_DEVICES: uuids.join(','), ...limits, ...(stubDriver === undefined ? {} : STUB_ENVS) },
    mounts: [
      ...(limited === undefined ? [] : [...limited.mounts, ...mountInterposer(limited.interposer)]),
      ...(stubDriver === undefined
        ? []
        : [{ containerPath: DRIVER_IN_CONTAINER, hostPath: stubDriver.dir, readOnly: true }]),
    ],
    devices: (files.length === 0 ? [] : [...gpus.commonFiles, ...files]).map((path) => ({
      containerPath: path,
      hostPath: path,
      permissions: 'rw',
    })),
    cdiDevices: uuids.flatMap((uuid) => {
      const name = cdiNames.get(uuid)
      return name === undefined ? [] : [{ name }]
    }),
  }
}

/** As images made for CUDA have the first. */
const STUB_ENVS: Readonly<Record<string, string>> = {
  LD_LIBRARY_PATH: `/usr/local/nvidia/lib:${DRIVER_IN_CONTAINER}`,
  STUB_GPU_DEVICES: `${DRIVER_IN_CONTAINER}/${STUB_DEVICES_FILE}`,
}

function findGpu({ devices }: HostGpus, uuid: string): HostGpu {
  const found = devices.find((device) => device.uuid === uuid)
  if (found === undefined) throw new RangeError(`this node has no GPU ${uuid}: it was taken out, or renamed`)
  return found
}

function mountInterposer({ library, preload }: InterposerFiles): Mount[] {
  return [
    { containerPath: INTERPOSER_IN_CONTAINER, hostPath: library, readOnly: true },
    { containerPath: PRELOAD_IN_CONTAINER, hostPath: preload, readOnly: true },
  ]
}
