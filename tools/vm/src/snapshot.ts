import { createHash } from 'node:crypto'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'
import { cacheFolder } from './cache-folder.ts'
import { FIRST_SCRIPT, secondScript } from './guest-scripts.ts'
import { buildInitramfs } from './initramfs.ts'
import type { Kernel } from './kernel.ts'
import { type Hardware, Machine } from './machine.ts'
import { QEMU, requireProgram } from './programs.ts'

/** Some 100 MB each; the ones not used for the longest time go first. */
const SNAPSHOTS_MAX = 4

/** What a caller may choose of a machine. */
export type Size = Pick<Hardware, 'memoryMiB' | 'cpus' | 'nics'>

/** A guest that waits for its first job, as it was saved before anything of this machine was mounted. */
export interface Snapshot {
  readonly hardware: Hardware
  readonly state: string
}

/** Finds the snapshot of a guest of this kernel and size in the cache, or boots a guest and takes one. `boot` waits until it is ready. */
export async function prepareSnapshot(
  kernel: Kernel,
  size: Size,
  boot: (machine: Machine) => Promise<void>,
): Promise<Snapshot> {
  const cache = join(cacheFolder(), 'guests')
  mkdirSync(cache, { recursive: true })
  const folder = join(cache, keyOf(kernel, size))
  const found = describe(folder, kernel, size)
  if (found !== undefined) return found
  removeOldest(cache)
  const unfinished = mkdtempSync(join(cache, '.unfinished-'))
  try {
    buildInitramfs({ kernel, busybox: requireProgram('busybox'), folder: unfinished })
    const hardware = hardwareOf(unfinished, kernel, size)
    const machine = await Machine.start(hardware)
    try {
      await boot(machine)
      await machine.save(join(unfinished, 'state'))
    } finally {
      await machine.close()
    }
    publish(unfinished, folder)
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
  return describe(folder, kernel, size)!
}

function describe(folder: string, kernel: Kernel, size: Size): Snapshot | undefined {
  const state = join(folder, 'state')
  try {
    utimesSync(folder, new Date(), new Date())
    statSync(state)
  } catch {
    return undefined
  }
  return { hardware: hardwareOf(folder, kernel, size), state }
}

function hardwareOf(folder: string, kernel: Kernel, size: Size): Hardware {
  return { ...size, image: kernel.image, initramfs: join(folder, 'initramfs.cpio') }
}

/** Of everything that is in the state, or that must be equal to take it. */
function keyOf(kernel: Kernel, size: Size): string {
  const hash = createHash('sha256')
  hash.update(JSON.stringify([kernel, size.memoryMiB, size.cpus, size.nics, FIRST_SCRIPT, secondScript(kernel)]))
  for (const source of ['machine.ts', 'initramfs.ts']) hash.update(readFileSync(join(import.meta.dirname, source)))
  for (const path of [requireProgram(QEMU), requireProgram('busybox')]) {
    const { size: bytes, mtimeMs } = statSync(path)
    hash.update(`${path} ${bytes} ${mtimeMs}\n`)
  }
  return hash.digest('hex').slice(0, 16)
}

/** A rename is atomic. When another process was faster, its snapshot is as good. */
function publish(unfinished: string, folder: string): void {
  rmSync(join(unfinished, 'initramfs'), { recursive: true, force: true })
  try {
    renameSync(unfinished, folder)
  } catch (error) {
    if (!['EEXIST', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

function removeOldest(cache: string): void {
  const folders = readdirSync(cache)
    .filter((name) => !name.startsWith('.'))
    .map((name) => ({ path: join(cache, name), usedAt: statSync(join(cache, name)).mtimeMs }))
    .toSorted((a, b) => b.usedAt - a.usedAt)
  for (const { path } of folders.slice(SNAPSHOTS_MAX - 1)) rmSync(path, { recursive: true, force: true })
}
