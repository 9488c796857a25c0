import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { systemClock } from '@centaurus/base'
import { keepVersion } from './binaries.ts'
import { QUARK_SOURCES, runCargo, type Cargo } from './cargo.ts'
import { QuarkBuildError } from './quark-build-error.ts'

const TARGET = 'x86_64-unknown-linux-gnu'

export interface BuildQuarkOptions {
  /** Cache: each version of the sources has a folder of its own in it. */
  readonly outDir: string
  readonly cargo: Cargo
  /** Each line that cargo says. */
  readonly report: (line: string) => void
}

/**
 * Builds the runtime, if no earlier run has, and returns its binary's absolute path. Throws {@link QuarkBuildError} that says what is missing.
 * A first build takes a minute or two and about 500 MB in `outDir`.
 */
export async function buildQuark({ outDir, cargo, report }: BuildQuarkOptions): Promise<string> {
  if (process.arch !== 'x64') throw new QuarkBuildError(`quark runs on x86-64 alone, and this is ${process.arch}`)
  if (cargo.path === undefined) throw new QuarkBuildError(`Cannot build quark: ${cargo.why}`)
  const folder = join(outDir, hashOf(cargo.version))
  if (!existsSync(join(folder, 'quark'))) {
    const targetDir = join(outDir, 'target')
    await runCargo(['build', '--release', '--locked', '--package', 'quark'], { cargo: cargo.path, targetDir, report })
    publish(join(targetDir, TARGET, 'release/quark'), { outDir, folder })
  }
  keepVersion(outDir, { name: basename(folder), nowMs: systemClock.now() })
  return join(folder, 'quark')
}

/** A rename is atomic; when another process was faster, its result is the same. */
function publish(binary: string, { outDir, folder }: { readonly outDir: string; readonly folder: string }): void {
  mkdirSync(outDir, { recursive: true })
  const unfinished = mkdtempSync(join(outDir, '.unfinished-'))
  try {
    copyFileSync(binary, join(unfinished, 'quark'))
    renameSync(unfinished, folder)
  } catch (error) {
    if (!existsSync(join(folder, 'quark'))) throw error
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
}

/** Of everything that goes into the binary. */
function hashOf(compiler: string): string {
  const hash = createHash('sha256').update(compiler)
  const patterns = ['Cargo.{toml,lock}', '.cargo/config.toml', 'crates/**/*.{rs,toml,lock,ld,S,c,h}']
  const files = globSync(patterns, { cwd: QUARK_SOURCES, exclude: (name) => name === 'target' }).sort()
  for (const file of files)
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(QUARK_SOURCES, file)))
      .update('\0')
  return hash.digest('hex').slice(0, 16)
}
