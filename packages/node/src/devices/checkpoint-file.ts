import { mkdir, open, readFile, rename } from 'node:fs/promises'
import { dirname } from 'node:path'

import type { Logger } from '@centaurus/base'

import { parseCheckpoint, type Checkpoint } from './checkpoint.ts'

/** Undefined: there is none, or it can't be read; that one is kept beside as `PATH.damaged`. */
export async function readCheckpoint(path: string, logger: Logger): Promise<Checkpoint | undefined> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined
    throw error
  })
  if (text === undefined) return undefined
  try {
    return parseCheckpoint(text)
  } catch (error) {
    logger.error('Could not read checkpoint of devices: what running pods have may be given to others', { path, error })
    await rename(path, `${path}.damaged`)
    return undefined
  }
}

/** Writes the text of a checkpoint. Durable when it resolves: whoever reads the file, after whatever crash, reads this one or a newer one. */
export async function writeCheckpoint(path: string, text: string): Promise<void> {
  const dir = dirname(path)
  await mkdir(dir, { recursive: true, mode: 0o750 })
  const fresh = `${path}.new`
  const file = await open(fresh, 'w', 0o600)
  try {
    await file.writeFile(text)
    await file.sync()
  } finally {
    await file.close()
  }
  await rename(fresh, path)
  const folder = await open(dir, 'r')
  try {
    await folder.sync()
  } finally {
    await folder.close()
  }
}
