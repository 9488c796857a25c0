import { parseQuantity } from '@centaurus/api'
import type { Node } from '@centaurus/api/core/v1'
import { formatGpuInventory, GPU, GPU_COMPUTE, GPU_DEVICES_ANNOTATION, GPU_MEMORY } from '@centaurus/api/gpu'
import type { DeviceProbe, HostGpus } from '../sources/device-source.ts'
import { inventoryOf } from './inventory-of.ts'

/** Label and annotation of a Node whose GPUs are no real ones. */
export const SIMULATED_MARK = 'centaurus.io/gpu-simulated'

/** Labels by the names that NVIDIA's GPU feature discovery gives them. Source: k8s-device-plugin docs/gpu-feature-discovery. */
const PRODUCT_LABEL = 'nvidia.com/gpu.product'
const COUNT_LABEL = 'nvidia.com/gpu.count'
const MEMORY_LABEL = 'nvidia.com/gpu.memory'
/** It sets this; where it runs, its labels are its own. */
const DISCOVERY_LABEL = 'nvidia.com/gfd.timestamp'
/** Source: apimachinery IsValidLabelValue. */
const LABEL_LENGTH_MAX = 63
const COMPUTE_OF_GPU = 100

/** The GPUs of one node. */
export interface NodeGpus {
  readonly kind: DeviceProbe['kind']
  readonly gpus: HostGpus
  /** Whether nobody else counts whole ones, as a kubelet does that a plugin serves. */
  readonly isUncounted?: boolean | undefined
}

export interface InventoryInput extends NodeGpus {
  readonly node: Pick<Node, 'metadata' | 'status'>
}

/** Merge patches; undefined: it is as it must be. */
export interface InventoryPlan {
  readonly metadata: MetadataPatch | undefined
  readonly status: StatusPatch | undefined
}

interface MetadataPatch {
  readonly labels: Readonly<Record<string, string | null>>
  readonly annotations: Readonly<Record<string, string | null>>
}

interface StatusPatch {
  readonly capacity: Amounts
  readonly allocatable: Amounts
}

type Wanted = Readonly<Record<string, string | null>>
type Amounts = Readonly<Record<string, string | null>>

/** What must be written so that a Node says which GPUs it has. Nothing of it stays on a node without any. Pure. */
export function planInventory({ node, kind, gpus, isUncounted = false }: InventoryInput): InventoryPlan {
  const labels = differing(wantedLabels(node, kind, gpus), node.metadata.labels)
  const annotations = differing(wantedAnnotations(kind, gpus), node.metadata.annotations)
  const amounts = { ...wantedAmounts(gpus), ...(isUncounted ? wantedCount(gpus) : {}) }
  const capacity = differing(amounts, node.status?.capacity, isSameQuantity)
  const allocatable = differing(amounts, node.status?.allocatable, isSameQuantity)
  const isEmpty = (...parts: readonly Wanted[]): boolean => parts.every((part) => Object.keys(part).length === 0)
  return {
    metadata: isEmpty(labels, annotations) ? undefined : { labels, annotations },
    status: isEmpty(capacity, allocatable) ? undefined : { capacity, allocatable },
  }
}

function wantedLabels(
  { metadata }: InventoryInput['node'],
  kind: InventoryInput['kind'],
  { devices }: HostGpus,
): Wanted {
  const [first] = devices
  const mark = { [SIMULATED_MARK]: first !== undefined && kind === 'simulated' ? 'true' : null }
  if (metadata.labels?.[DISCOVERY_LABEL] !== undefined) return mark
  // of a node with several models, the first, as feature discovery has it
  return {
    [PRODUCT_LABEL]: first === undefined ? null : labelOf(first.model),
    [COUNT_LABEL]: first === undefined ? null : String(devices.length),
    [MEMORY_LABEL]: first === undefined ? null : String(first.memoryMiB),
    ...mark,
  }
}

function labelOf(model: string): string {
  return model
    .replaceAll(/[^A-Za-z0-9-_.]+/g, '-')
    .slice(0, LABEL_LENGTH_MAX)
    .replaceAll(/^[-_.]+|[-_.]+$/g, '')
}

function wantedAnnotations(kind: InventoryInput['kind'], gpus: HostGpus): Wanted {
  const hasAny = gpus.devices.length > 0
  return {
    [GPU_DEVICES_ANNOTATION]: hasAny ? formatGpuInventory(inventoryOf(gpus)) : null,
    [SIMULATED_MARK]: hasAny && kind === 'simulated' ? 'true' : null,
  }
}

/** The same as capacity and as allocatable: a kubelet makes the second of the first, whoever wrote that. */
function wantedAmounts({ devices }: HostGpus): Amounts {
  if (devices.length === 0) return { [GPU_MEMORY]: null, [GPU_COMPUTE]: null }
  const healthy = devices.filter(({ problem }) => problem === undefined)
  return {
    [GPU_MEMORY]: String(healthy.reduce((sum, { memoryMiB }) => sum + memoryMiB, 0)),
    [GPU_COMPUTE]: String(healthy.length * COMPUTE_OF_GPU),
  }
}

function wantedCount({ devices }: HostGpus): Amounts {
  const healthy = devices.filter(({ problem }) => problem === undefined)
  return { [GPU]: devices.length === 0 ? null : String(healthy.length) }
}

function differing(
  wanted: Wanted,
  there: Readonly<Record<string, string>> | undefined,
  isSame: (one: string, other: string) => boolean = (one, other) => one === other,
): Wanted {
  return Object.fromEntries(
    Object.entries(wanted).filter(([key, value]) => {
      const known = there?.[key]
      return value === null || known === undefined ? value !== (known ?? null) : !isSame(value, known)
    }),
  )
}

function isSameQuantity(one: string, other: string): boolean {
  return parseQuantity(one).nanos === parseQuantity(other).nanos
}
