/** GPUs of pods and nodes, in words: what is asked for, what there is, what was given. Pure. */
export { checkGpuAllocation, formatGpuAllocation, parseGpuAllocation, type GpuAllocation } from './allocation.ts'
export {
  ANY_GPU,
  GPU_CONSTRAINT_ANNOTATIONS,
  isGpuModel,
  readGpuConstraints,
  whyNotGpu,
  type GpuConstraints,
  type GpuPolicy,
  type SaidGpuConstraints,
} from './constraints.ts'
export {
  describeDeviceAmount,
  deviceAmounts,
  deviceCapacity,
  splitDeviceAmounts,
  type SplitAmounts,
} from './device-amounts.ts'
export {
  formatGpuDeviceId,
  GPU_COMPUTE_MAX,
  GPU_DEVICES_MAX,
  GPU_MEMORY_MIB_MAX,
  isGpuUuid,
  isWholeGpu,
  parseGpuDeviceId,
  type GpuGrant,
} from './device-id.ts'
export { formatGpuInventory, GPU_LINKS, parseGpuInventory, type GpuDevice, type GpuInventory } from './inventory.ts'
export {
  ALNAIR_COMPUTE,
  ALNAIR_MEMORY,
  GPU,
  GPU_ALLOCATION_ANNOTATION,
  GPU_COMPUTE,
  GPU_DEVICES_ANNOTATION,
  GPU_MEMORY,
  GPU_SHARE_RESOURCES,
  HAMI_COMPUTE,
  HAMI_MEMORY,
  HAMI_MEMORY_PERCENT,
  HAMI_PRIORITY,
} from './names.ts'
export {
  gpuRequestsOf,
  podMentionsGpu,
  type ContainerGpuRequest,
  type PodGpuRequests,
  type SaidPodGpuRequests,
} from './pod-request.ts'
export {
  gpuRequestOf,
  isWholeRequest,
  mentionsGpu,
  type GpuPriority,
  type GpuRequest,
  type SaidGpuRequest,
} from './request.ts'
export { gpuRolesOf, type GpuRole } from './roles.ts'
export { gpuUseOf, summedRequests } from './use.ts'
