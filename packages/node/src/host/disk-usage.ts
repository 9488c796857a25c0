import { lstat, readdir } from 'node:fs/promises'
import { join } from 'node:path'

/** Entries that one measurement looks at; what is beyond is not counted. */
const ENTRIES_MAX = 500_000
const BLOCK_BYTES = 512

/** Bytes that a folder takes on disk, links followed nowhere and each file counted once. 0 when it is not there. */
export async function measureFolder(folder: string): Promise<number> {
  const seen = new Set<number>()
  const pending = [folder]
  let bytes = 0
  let entries = 0
  for (let path = pending.pop(); path !== undefined && entries < ENTRIES_MAX; path = pending.pop()) {
    entries += 1
    const info = await lstat(path).catch(() => undefined)
    if (info === undefined) continue
    if (info.nlink > 1 && !info.isDirectory()) {
      if (seen.has(info.ino)) continue
      seen.add(info.ino)
    }
    bytes += info.blocks * BLOCK_BYTES
    if (info.isDirectory()) for (const name of await readdir(path).catch(() => [])) pending.push(join(path, name))
  }
  return bytes
}
