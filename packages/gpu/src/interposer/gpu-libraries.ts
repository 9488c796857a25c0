import { accessSync, constants, mkdirSync } from 'node:fs'
import { buildCuda, CUDA_BUILD } from './build-cuda.ts'

/** What limits a container to its parts of GPUs. */
export const INTERPOSER_FILE = 'libcentaurus-gpu.so'
/** A driver that runs programs without GPUs. */
export const STUB_DRIVER_FILES: readonly string[] = ['libcuda.so.1', 'libnvidia-ml.so.1']

/**
 * The folder that has them, compiled if no earlier run has: in the checkout, or in `fallbackDir` where that may not be written. Rejects with what is
 * missing.
 */
export function buildGpuLibraries(fallbackDir: string): Promise<string> {
  return buildCuda({ outDir: isWritable(CUDA_BUILD) ? CUDA_BUILD : fallbackDir })
}

function isWritable(dir: string): boolean {
  try {
    mkdirSync(dir, { recursive: true })
    accessSync(dir, constants.W_OK)
    return true
  } catch {
    return false
  }
}
