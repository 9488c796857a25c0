import type { Pod } from '@centaurus/api/core/v1'
import {
  GPU_CONSTRAINT_ANNOTATIONS,
  gpuRequestsOf,
  isWholeRequest,
  podMentionsGpu,
  whyNotGpu,
  type ContainerGpuRequest,
  type GpuConstraints,
  type GpuRequest,
} from '@centaurus/api/gpu'

/** What a pod asks of GPUs, worked out once for all pods that are alike. Immutable, but for what it remembers. */
export class GpuDemand {
  /** Equal for pods that ask for the same. */
  readonly key: string
  readonly containers: readonly ContainerGpuRequest[]
  readonly constraints: GpuConstraints
  /** What it comes to where one request stands for all: the largest, of as many devices as all together. */
  readonly main: GpuRequest
  /** Whether it asks for nothing but whole GPUs. */
  readonly isWholeOnly: boolean
  /** Equal for pods that ask for as much in the same way, of whichever devices. */
  readonly shape: string
  /** Whether it names neither models nor UUIDs. */
  readonly takesAny: boolean
  readonly namesUuids: boolean
  /** GPUs that it may be using when nobody knows which. */
  readonly deviceCount: number
  /** Whether any device of a model will do, by model. */
  readonly #models = new Map<string, boolean>()

  constructor(containers: readonly ContainerGpuRequest[], constraints: GpuConstraints) {
    this.key = JSON.stringify([containers, constraints])
    this.containers = containers
    const { models, modelsExcluded, uuids, uuidsExcluded } = constraints
    const parts = containers.map(({ role, request }) => [role, { ...request, priority: undefined }])
    this.shape = JSON.stringify([parts, constraints.policy])
    this.namesUuids = uuids.length + uuidsExcluded.length > 0
    this.takesAny = models.length + modelsExcluded.length === 0 && !this.namesUuids
    this.isWholeOnly = containers.every(({ request }) => isWholeRequest(request))
    this.constraints = constraints
    const together = containers.filter(({ role }) => role !== 'init')
    const counted = (together.length === 0 ? containers : together).map(({ request }) => request)
    this.deviceCount = counted.reduce((sum, { count }) => sum + count, 0)
    this.main = { ...counted.toSorted(compareRequests)[0]!, count: this.deviceCount }
  }

  allowsModel(model: string): boolean {
    const { models, modelsExcluded } = this.constraints
    if (models.length + modelsExcluded.length === 0) return true
    let isAllowed = this.#models.get(model)
    if (isAllowed === undefined) {
      isAllowed = whyNotGpu(this.constraints, { uuid: '', model }) !== 'model'
      this.#models.set(model, isAllowed)
    }
    return isAllowed
  }

  /** Why a device is not one that the pod will have; undefined: it is. */
  whyNot(uuid: string, model: string): 'model' | 'uuid' | undefined {
    if (!this.allowsModel(model)) return 'model'
    const { uuids, uuidsExcluded } = this.constraints
    return uuids.length + uuidsExcluded.length === 0 ? undefined : whyNotGpu(this.constraints, { uuid, model })
  }
}

/** MiB that a request takes of a device that has so many. */
export function memoryOf(deviceMiB: number, { memoryMiB, memoryPercent }: GpuRequest): number {
  if (memoryMiB !== undefined) return memoryMiB
  if (memoryPercent === undefined) return deviceMiB
  // Rounded down, so that two halves of an odd number fit.
  return Math.max(1, Math.floor((deviceMiB * memoryPercent) / 100))
}

/** Percent that a request reserves of a device. */
export function computeOf(request: GpuRequest): number {
  return isWholeRequest(request) ? 100 : (request.compute ?? 0)
}

/** The larger one first: what is hardest to place. */
export function compareRequests(a: GpuRequest, b: GpuRequest): number {
  return (
    Number(isWholeRequest(b)) - Number(isWholeRequest(a)) ||
    b.count - a.count ||
    (b.memoryMiB ?? 0) - (a.memoryMiB ?? 0) ||
    (b.memoryPercent ?? 0) - (a.memoryPercent ?? 0) ||
    (b.compute ?? 0) - (a.compute ?? 0)
  )
}

/** What a pod asks for; the text says why that means nothing; undefined: no GPUs. */
export function gpuDemandOf(pod: Pick<Readonly<Pod>, 'metadata' | 'spec'>): GpuDemand | string | undefined {
  if (!podMentionsGpu(pod)) return undefined
  const { requests, errors } = gpuRequestsOf(pod)
  if (errors.length > 0) return errors.map(({ field, message }) => `${field}: ${message}`).join('; ')
  return requests && new GpuDemand(requests.containers, requests.constraints)
}

/** The text that decides it, beside the requests of the containers; undefined: nothing more. */
export function gpuAnnotations({ metadata, spec }: Pick<Readonly<Pod>, 'metadata' | 'spec'>): unknown {
  if (!podMentionsGpu({ metadata, spec })) return undefined
  const named = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])].map(({ name }) => name)
  return [named, GPU_CONSTRAINT_ANNOTATIONS.map((name) => metadata.annotations?.[name])]
}
