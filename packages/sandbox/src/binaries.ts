import { accessSync, constants, mkdirSync, readdirSync, readlinkSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'

const BUILD = join(import.meta.dirname, '../../../build/quark')
/** A version of the sources: the start of their hash. */
const VERSION = /^[\da-f]{16}$/
const VERSIONS_KEPT = 3
const UNUSED_MS = 24 * 60 * 60 * 1_000

/** The cache of binaries: this checkout's, or `fallback` where that may not be written. Is made. */
export function quarkFolder(fallback = BUILD): string {
  try {
    mkdirSync(BUILD, { recursive: true })
    accessSync(BUILD, constants.W_OK)
    return BUILD
  } catch {
    return fallback
  }
}

/** The binary that was built or asked for last, as an absolute path; undefined: none was. */
export function findQuark(outDir: string): string | undefined {
  const newest = versionsByUse(outDir)[0]
  return newest === undefined ? undefined : join(outDir, newest.name, 'quark')
}

/** Notes that a version is used now, and removes those that are not: see the package's README. */
export function keepVersion(outDir: string, { name, nowMs }: { readonly name: string; readonly nowMs: number }): void {
  utimesSync(join(outDir, name), nowMs / 1_000, nowMs / 1_000)
  const old = versionsByUse(outDir)
    .slice(VERSIONS_KEPT)
    .filter(({ usedMs }) => usedMs < nowMs - UNUSED_MS)
  if (old.length === 0) return
  const running = runningBinaries()
  for (const { name: version } of old)
    if (!running.has(join(outDir, version, 'quark'))) rmSync(join(outDir, version), { recursive: true, force: true })
}

function versionsByUse(outDir: string): { readonly name: string; readonly usedMs: number }[] {
  return entriesOf(outDir)
    .filter((name) => VERSION.test(name))
    .map((name) => ({ name, usedMs: statSync(join(outDir, name), { throwIfNoEntry: false })?.mtimeMs ?? 0 }))
    .sort((a, b) => b.usedMs - a.usedMs)
}

/** A container's kernel runs the binary that stops and deletes the container too. */
function runningBinaries(): Set<string> {
  const found = new Set<string>()
  for (const pid of entriesOf('/proc').filter((name) => /^\d+$/.test(name))) {
    try {
      found.add(readlinkSync(`/proc/${pid}/exe`))
    } catch {
      continue // ended, a thread of the host's kernel, or somebody else's
    }
  }
  return found
}

function entriesOf(dir: string): string[] {
  try {
    return readdirSync(dir)
  } catch {
    return []
  }
}
