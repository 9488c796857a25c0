export {
  GpuError,
  type DeviceProbe,
  type GpuProcess,
  type GpuUse,
  type HostGpu,
  type HostGpus,
} from './sources/device-source.ts'
export { openDeviceSource, type DeviceSource } from './sources/open-device-source.ts'
export { createNvmlProbe } from './sources/nvml/nvml-probe.ts'
export { createSimulatedProbe } from './sources/simulated/simulated-probe.ts'
