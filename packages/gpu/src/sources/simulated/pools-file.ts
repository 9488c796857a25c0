import { readFileSync, statSync } from 'node:fs'
import { GpuError } from '../device-source.ts'
import { parsePools, type SimulatedPool } from './parse-pools.ts'

/** The pools that a file says. */
export interface PoolsFile {
  /** The same list until the file changes. Throws {@link GpuError} with what to do. */
  read(): readonly SimulatedPool[]
}

export function openPoolsFile(file: string): PoolsFile {
  let seen: { readonly version: string; readonly pools: readonly SimulatedPool[] } | undefined
  return {
    read() {
      try {
        const { ino, size, mtimeMs } = statSync(file)
        const version = `${ino} ${size} ${mtimeMs}`
        if (seen?.version !== version) seen = { version, pools: parsePools(readFileSync(file, 'utf8')) }
        return seen.pools
      } catch (cause) {
        throw new GpuError(`Cannot simulate GPUs by ${file}: ${(cause as Error).message}`, { cause })
      }
    },
  }
}
