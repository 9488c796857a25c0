import { accessSync, constants, existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { buildCuda, CUDA_BUILD } from './build-cuda.ts'

/** Its name, wherever it is. */
export const INTERPOSER_FILE = 'libcentaurus-gpu.so'

/**
 * The path of the interposer's library, compiled if no earlier run has: in the checkout, or in `fallbackDir` where that may not be written. Rejects with what is
 * missing.
 */
export async function buildInterposer(fallbackDir: string): Promise<string> {
  const folder = await buildCuda({ outDir: isWritable(CUDA_BUILD) ? CUDA_BUILD : fallbackDir })
  const library = join(folder, INTERPOSER_FILE)
  if (!existsSync(library)) throw new Error(`This version has no ${INTERPOSER_FILE}: parts of GPUs can not be given`)
  return library
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
