/** Names by which pods, nodes and our parts speak of GPUs. */

/** GPUs of a container, each as a whole unless {@link GPU_MEMORY} or {@link GPU_COMPUTE} say how much of each. Counted by the device manager. */
export const GPU = 'nvidia.com/gpu'
/** MiB of each GPU. Of a node: the sum over its GPUs. */
export const GPU_MEMORY = 'centaurus.io/gpu-memory'
/** Percent of each GPU's time. Of a node: 100 for each GPU. */
export const GPU_COMPUTE = 'centaurus.io/gpu-compute'

/** Resources that users of HAMi know. Source: HAMi v2.10 charts/hami/values.yaml. */
export const HAMI_MEMORY = 'nvidia.com/gpumem'
export const HAMI_MEMORY_PERCENT = 'nvidia.com/gpumem-percentage'
export const HAMI_COMPUTE = 'nvidia.com/gpucores'
export const HAMI_PRIORITY = 'nvidia.com/priority'
/** Resources that users of Alnair know: GiB and percent. Source: CentaurusInfra/alnair pkg/devicepluginserver/server.go. */
export const ALNAIR_MEMORY = 'alnair/vgpu-memory'
export const ALNAIR_COMPUTE = 'alnair/vgpu-compute'

/** Resources that say how much of a GPU: decided for each device, so that sums over a node mean nothing. {@link GPU} is not one of them. */
export const GPU_SHARE_RESOURCES: ReadonlySet<string> = new Set([
  GPU_MEMORY,
  GPU_COMPUTE,
  HAMI_MEMORY,
  HAMI_MEMORY_PERCENT,
  HAMI_COMPUTE,
  HAMI_PRIORITY,
  ALNAIR_MEMORY,
  ALNAIR_COMPUTE,
])

/** Of a Node: its GPUs, written by the plugin. See `parseGpuInventory`. */
export const GPU_DEVICES_ANNOTATION = 'centaurus.io/gpu-devices'
/** Of a Pod: which devices it was given. Written by bindings alone. See `parseGpuAllocation`. */
export const GPU_ALLOCATION_ANNOTATION = 'centaurus.io/gpu-allocation'
