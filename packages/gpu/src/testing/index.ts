/** For tests and benches of others: GPUs that are not there. */
export { gpuUuid, openGpuWorld, type GpuWorld, type ProgramResult } from './gpu-world.ts'
