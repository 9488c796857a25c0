import { lstat, mkdir, realpath } from 'node:fs/promises'
import { join, normalize, relative } from 'node:path'

/**
 * Path of `subPath` within a volume, made as a folder when it is missing. Throws when it leads out of the volume, through `..` or through
 * a link that a container planted. Source: kubelet subpath.SafeMakeDir, v1.37 (outcome; the check and the later mount are two steps here).
 */
export async function resolveSubPath(volumePath: string, subPath: string): Promise<string> {
  const clean = normalize(subPath)
  if (clean.startsWith('/') || clean.split('/').includes('..'))
    throw new Error(`subPath "${subPath}" must be a relative path within the volume`)
  const root = await realpath(volumePath)
  let current = root
  for (const part of clean.split('/')) {
    const next = join(current, part)
    const info = await lstat(next).catch(() => undefined)
    if (info === undefined) await mkdir(next, { mode: 0o750 })
    current = await realpath(next)
    const inside = relative(root, current)
    if (inside.startsWith('..')) throw new Error(`subPath "${subPath}" leads out of the volume`)
  }
  return current
}
