import type { Stored } from '@centaurus/api'
import type { Container, Node, Pod } from '@centaurus/api/core/v1'
import { formatGpuInventory, GPU, GPU_DEVICES_ANNOTATION, type GpuDevice, type GpuInventory } from '@centaurus/api/gpu'
import { node, pod, type NodeInput, type PodInput } from './objects.ts'

// Objects with GPUs as the API server would return them, for tests.

export interface GpuNodeInput extends NodeInput {
  readonly gpus: number
  /** Of each; default 16,000. */
  readonly memoryMiB?: number
  readonly model?: string
  readonly links?: GpuInventory['links']
  /** What is different of the first, the second … */
  readonly devices?: readonly Partial<GpuDevice>[]
}

/** Its devices are named `NODE-0`, `NODE-1` … */
export function gpuNode(name: string, input: GpuNodeInput): Stored<Node> {
  const { gpus, memoryMiB = 16_000, model = 'NVIDIA A100', links, devices = [], ...rest } = input
  const inventory = {
    devices: Array.from({ length: gpus }, (_, index) => ({
      uuid: `${name}-${index}`,
      index,
      model,
      memoryMiB,
      healthy: true,
      ...devices[index],
    })),
    links,
  }
  const made = node(name, {
    ...rest,
    allocatable: { cpu: '96', memory: '512Gi', [GPU]: String(gpus), ...rest.allocatable },
  })
  const annotations = { [GPU_DEVICES_ANNOTATION]: formatGpuInventory(inventory) }
  return { ...made, metadata: { ...made.metadata, annotations } }
}

export interface GpuPodInput extends PodInput {
  readonly annotations?: Record<string, string>
}

/** `limits` of its one container, or of each by name. */
export function gpuPod(
  name: string,
  limits: Record<string, string> | Container[],
  input: GpuPodInput = {},
): Stored<Pod> {
  const { annotations = {}, cpu = '1', ...rest } = input
  const containers = Array.isArray(limits) ? limits : [gpuContainer('main', { ...limits, cpu })]
  const made = pod(name, { ...rest, containers })
  return { ...made, metadata: { ...made.metadata, annotations } }
}

export function gpuContainer(name: string, limits: Record<string, string>): Container {
  return { name, image: 'app', resources: { limits, requests: limits } }
}
