import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'
import { systemClock } from '@centaurus/base'
import { DataplaneError } from './dataplane-error.ts'
import { keepVersion } from './object-cache.ts'

const SOURCES = join(import.meta.dirname, '../../../../bpf')
/** Of the C library's per-machine headers, which `-target bpf` doesn't search. */
const MACHINE_INCLUDES = ['/usr/include/x86_64-linux-gnu', '/usr/include/aarch64-linux-gnu']
const FLAGS = ['-O2', '-g', '-Wall', '-Werror', '-Wno-address-of-packed-member', '-target', 'bpf', '-mcpu=v3']

const run = promisify(execFile)

export interface BuildOptions {
  /** Cache: each version of the sources has a folder of its own in it. Old ones go: see object-cache.ts. */
  readonly outDir: string
  /** Adds counts of look-ups and an account of each run, for tests; slower. */
  readonly trace?: true
  /** Folder of the sources; default: this version's own. */
  readonly sources?: string
}

/** Compiles `bpf/*.c`, if no earlier run has, and returns the folder with the objects. Throws `DataplaneError` that names the missing Debian package. */
export async function buildPrograms(options: BuildOptions): Promise<string> {
  requireHeaders()
  const { sources = SOURCES } = options
  const flags = [...FLAGS, `-I${sources}`, ...machineIncludes(), ...(options.trace === true ? ['-DTRACE'] : [])]
  const folder = join(options.outDir, hashOf([await clangVersion(), ...flags], sources))
  if (!existsSync(folder)) await build(folder, { sources, flags, outDir: options.outDir })
  keepVersion(options.outDir, { name: basename(folder), nowMs: systemClock.now() })
  return folder
}

async function build(
  folder: string,
  { sources, flags, outDir }: { readonly sources: string; readonly flags: readonly string[]; readonly outDir: string },
): Promise<void> {
  mkdirSync(outDir, { recursive: true })
  const unfinished = mkdtempSync(join(outDir, '.unfinished-'))
  try {
    await Promise.all(listPrograms(sources).map((source) => compile(source, { flags, folder: unfinished })))
    publish(unfinished, folder)
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
}

/** Paths. */
function listPrograms(sources: string): string[] {
  return globSync('*.c', { cwd: sources })
    .sort()
    .map((file) => join(sources, file))
}

/** A rename is atomic; when another process was faster, its result is the same. */
function publish(unfinished: string, folder: string): void {
  try {
    renameSync(unfinished, folder)
  } catch (error) {
    if (!existsSync(folder)) throw error
  }
}

async function compile(source: string, to: { flags: readonly string[]; folder: string }): Promise<void> {
  const object = join(to.folder, `${basename(source, '.c')}.o`)
  try {
    await run('clang', [...to.flags, '-c', source, '-o', object])
  } catch (cause) {
    const output = (cause as { stderr?: string }).stderr ?? ''
    throw new DataplaneError(`Cannot compile bpf/${basename(source)}:\n${output.split('\n').slice(0, 20).join('\n')}`, {
      cause,
    })
  }
}

async function clangVersion(): Promise<string> {
  try {
    return (await run('clang', ['--version'])).stdout
  } catch (cause) {
    throw new DataplaneError('Cannot build the programs of pod networks: install the Debian package clang', { cause })
  }
}

function requireHeaders(): void {
  const needed = [
    ['/usr/include/bpf/bpf_helpers.h', 'libbpf-dev'],
    ['/usr/include/linux/bpf.h', 'linux-libc-dev'],
  ] as const
  for (const [file, debianPackage] of needed)
    if (!existsSync(file))
      throw new DataplaneError(`Cannot build the programs of pod networks: install the Debian package ${debianPackage}`)
}

function machineIncludes(): string[] {
  return MACHINE_INCLUDES.filter((folder) => existsSync(folder)).map((folder) => `-I${folder}`)
}

function hashOf(inputs: readonly string[], sources: string): string {
  const hash = createHash('sha256')
  for (const input of inputs) hash.update(input).update('\0')
  for (const file of globSync('**/*.{c,h}', { cwd: sources }).sort())
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(sources, file)))
      .update('\0')
  return hash.digest('hex').slice(0, 16)
}
