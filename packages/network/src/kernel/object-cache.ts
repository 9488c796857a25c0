import { readdirSync, rmSync, statSync, utimesSync } from 'node:fs'
import { join } from 'node:path'

/** Folders of compiled programs in a cache: one for each version of their sources, named by its hash, and those of builds that were cut short. */
const FOLDER = /^([\da-f]{16}|\.unfinished-.*)$/
/** The version that is used, the one before, for who goes back to it, and one more. Programs that are attached need no objects: the kernel has them. */
const VERSIONS_KEPT = 3
/** A process that has asked for a version opens it soon; what was not asked for this long is nobody's. */
const UNUSED_MS = 24 * 60 * 60 * 1_000

/**
 * Notes that a version is used now, and removes those that have not been for a day, but for the last {@link VERSIONS_KEPT}. Other processes may do the same at
 * the same time.
 */
export function keepVersion(cache: string, { name, nowMs }: { readonly name: string; readonly nowMs: number }): void {
  utimesSync(join(cache, name), nowMs / 1_000, nowMs / 1_000)
  const byUse = readdirSync(cache)
    .filter((each) => FOLDER.test(each))
    .map((each) => ({ each, usedMs: statSync(join(cache, each), { throwIfNoEntry: false })?.mtimeMs ?? nowMs }))
    .sort((a, b) => b.usedMs - a.usedMs)
  for (const { each, usedMs } of byUse.slice(VERSIONS_KEPT))
    if (usedMs < nowMs - UNUSED_MS) rmSync(join(cache, each), { recursive: true, force: true })
}
