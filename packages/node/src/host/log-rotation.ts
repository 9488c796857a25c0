import { createReadStream, createWriteStream } from 'node:fs'
import { readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGzip } from 'node:zlib'

import { systemClock } from '@centaurus/base'

const COMPRESSED = '.gz'
const UNFINISHED = '.tmp'

export interface LogLimits {
  readonly bytesMax: number
  readonly filesMax: number
}

/**
 * Moves a log of at least `bytesMax` aside, compresses those that were moved before (the newest may still be written to) and removes the
 * oldest, so that `filesMax` are left with the current one. True: the writer must open its path afresh.
 * Source of the order and the names: kubelet logs/container_log_manager.go, v1.37.
 */
export async function rotateLog(logPath: string, { bytesMax, filesMax }: LogLimits): Promise<boolean> {
  const info = await stat(logPath).catch(() => undefined)
  if (info === undefined || info.size < bytesMax) return false
  const dir = dirname(logPath)
  const older = await listRotated(logPath)
  // One place is the current log's, one that of the log which is moved aside now.
  const doomed = older.slice(0, Math.max(0, older.length - Math.max(0, filesMax - 2)))
  for (const name of doomed) await rm(join(dir, name), { force: true })
  for (const name of older.slice(doomed.length)) if (!name.endsWith(COMPRESSED)) await compress(join(dir, name))
  const stamp = new Date(systemClock.now()).toISOString().replaceAll(/[-:]/g, '').replace('T', '-').slice(0, 15)
  await rename(logPath, `${logPath}.${stamp}`)
  return true
}

/** Oldest first; what a compression left unfinished is removed. */
async function listRotated(logPath: string): Promise<string[]> {
  const dir = dirname(logPath)
  const names = (await readdir(dir)).filter((name) => name.startsWith(`${basename(logPath)}.`))
  for (const name of names.filter((name) => name.endsWith(UNFINISHED))) await rm(join(dir, name), { force: true })
  return names.filter((name) => !name.endsWith(UNFINISHED)).toSorted()
}

async function compress(path: string): Promise<void> {
  const unfinished = `${path}${UNFINISHED}`
  await pipeline(createReadStream(path), createGzip(), createWriteStream(unfinished))
  await rename(unfinished, `${path}${COMPRESSED}`)
  await rm(path)
}
