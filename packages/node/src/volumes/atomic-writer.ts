import {
  chmod,
  chown,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  symlink,
  writeFile,
} from 'node:fs/promises'
import { dirname, join, normalize } from 'node:path'

import { systemClock } from '@centaurus/base'

import type { VolumePayload } from './payload.ts'

const DATA_LINK = '..data'
const DATA_LINK_NEW = '..data_tmp'

export interface WriteOptions {
  /** Group that owns the files and may read them; undefined: root's. */
  readonly group?: number | undefined
  /** User that owns the files; undefined: root. */
  readonly owner?: number | undefined
}

/**
 * Makes `dir` show exactly `payload`, all at once: files live in a dated folder, `..data` points to it, and top-level links go through
 * `..data`. Readers see the old set or the new one. Returns whether something changed.
 * Source: kubernetes pkg/volume/util AtomicWriter, v1.37 (layout).
 */
export async function writeAtomically(
  dir: string,
  payload: VolumePayload,
  options: WriteOptions = {},
): Promise<boolean> {
  for (const path of payload.keys()) checkPath(path)
  await mkdir(dir, { recursive: true })
  const current = await readlink(join(dir, DATA_LINK)).catch(() => undefined)
  if (current !== undefined && (await isSame(join(dir, current), payload))) return false
  const fresh = await mkdtemp(
    join(dir, `..${new Date(systemClock.now()).toISOString().replaceAll(/[-:]/g, '_').slice(0, 19)}.`),
  )
  await chmod(fresh, 0o755)
  for (const [path, file] of payload) await writeOne(fresh, path, file, options)
  await rm(join(dir, DATA_LINK_NEW), { force: true })
  await symlink(fresh.slice(dir.length + 1), join(dir, DATA_LINK_NEW))
  await rename(join(dir, DATA_LINK_NEW), join(dir, DATA_LINK))
  await linkTopLevel(dir, payload)
  if (current !== undefined) await rm(join(dir, current), { recursive: true, force: true })
  return true
}

async function writeOne(
  root: string,
  path: string,
  file: { data: Uint8Array; mode: number },
  { group, owner }: WriteOptions,
): Promise<void> {
  const target = join(root, path)
  await mkdir(dirname(target), { recursive: true, mode: 0o755 })
  await writeFile(target, file.data)
  // A group that owns the volume may read what the owner reads.
  const mode = group === undefined ? file.mode : file.mode | ((file.mode & 0o400) >> 3)
  await chmod(target, mode)
  if (group !== undefined || owner !== undefined) await chown(target, owner ?? 0, group ?? 0)
}

async function linkTopLevel(dir: string, payload: VolumePayload): Promise<void> {
  const names = new Set([...payload.keys()].map((path) => normalize(path).split('/')[0]!))
  for (const name of names) {
    const link = join(dir, name)
    if ((await readlink(link).catch(() => undefined)) === `${DATA_LINK}/${name}`) continue
    await rm(link, { recursive: true, force: true })
    await symlink(`${DATA_LINK}/${name}`, link)
  }
  for (const entry of await readdir(dir)) {
    if (!entry.startsWith('..') && !names.has(entry)) await rm(join(dir, entry), { recursive: true, force: true })
  }
}

async function isSame(dir: string, payload: VolumePayload): Promise<boolean> {
  const present = await readdir(dir, { recursive: true }).catch(() => [] as string[])
  let files = 0
  for (const path of present) {
    const stat = await lstat(join(dir, path))
    if (stat.isDirectory()) continue
    const wanted = payload.get(path)
    if (wanted === undefined || !Buffer.from(wanted.data).equals(await readFile(join(dir, path)))) return false
    files += 1
  }
  return files === payload.size
}

function checkPath(path: string): void {
  const clean = normalize(path)
  if (path === '' || path.startsWith('/') || clean.startsWith('..') || clean.split('/').includes('..')) {
    throw new Error(`invalid path: must be relative and within the volume: "${path}"`)
  }
}
