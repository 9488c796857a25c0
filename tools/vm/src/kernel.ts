import { execFile } from 'node:child_process'
import { globSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { cacheFolder } from './cache-folder.ts'
import { MissingError } from './missing-error.ts'
import { newestOf, packageNameOf, releaseOf } from './kernel-packages.ts'

/** A kernel of Debian's, unpacked into the user's cache and never installed. */
export interface Kernel {
  /** As `uname -r` says it: `6.12.117+deb12-amd64`. */
  readonly release: string
  readonly image: string
  /** With `modules.dep`. */
  readonly modulesDir: string
}

const run = promisify(execFile)

/**
 * The newest kernel of a series (`6.12`) that the cache has, or else that Debian has: then it is downloaded (some 100 MB) and unpacked (some 150 MB).
 * Throws {@link MissingError} when there is none, or a program for it is missing.
 */
export async function prepareKernel(series: string, report: (line: string) => void): Promise<Kernel> {
  const cache = join(cacheFolder(), 'kernels')
  mkdirSync(cache, { recursive: true })
  const cached = newestOf(readdirSync(cache).map(packageNameOf), series)
  if (cached !== undefined) return describeKernel(join(cache, releaseOf(cached)), releaseOf(cached))
  const found = await download(series, { into: cache, report })
  return describeKernel(join(cache, found), found)
}

function describeKernel(folder: string, release: string): Kernel {
  return {
    release,
    image: join(folder, `boot/vmlinuz-${release}`),
    modulesDir: join(folder, 'lib/modules', release),
  }
}

interface DownloadOptions {
  readonly into: string
  readonly report: (line: string) => void
}

/** Returns the release. It is whole in the cache, or not there at all. */
async function download(series: string, { into, report }: DownloadOptions): Promise<string> {
  const name = await findPackage(series, report)
  const unfinished = mkdtempSync(join(into, '.unfinished-'))
  try {
    report(`apt-get download ${name}`)
    await call('apt-get', ['-qq', '-o', 'APT::Sandbox::User=', 'download', name], unfinished)
    const [archive] = globSync('*.deb', { cwd: unfinished })
    report(`unpack ${archive}`)
    await call('dpkg-deb', ['-x', archive!, '.'], unfinished)
    const release = releaseOf(name)
    await call('depmod', ['-b', unfinished, release], unfinished)
    rmSync(join(unfinished, archive!))
    publish(unfinished, join(into, release))
    return release
  } finally {
    rmSync(unfinished, { recursive: true, force: true })
  }
}

/** A rename is atomic. When another process was faster, its kernel is the same. */
function publish(unfinished: string, folder: string): void {
  try {
    renameSync(unfinished, folder)
  } catch (error) {
    if (!['EEXIST', 'ENOTEMPTY'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

/** Package lists are brought up to date only when they don't have it: that needs root. */
async function findPackage(series: string, report: (line: string) => void): Promise<string> {
  const known = newestOf(await searchPackages(), series)
  if (known !== undefined) return known
  report('apt-get update')
  await call('apt-get', ['-qq', 'update'], '/')
  const packages = await searchPackages()
  const found = newestOf(packages, series)
  if (found !== undefined) return found
  const others = [...new Set(packages.map((name) => /^linux-image-(\d+\.\d+)\./.exec(name)?.[1] ?? ''))].filter(Boolean)
  throw new MissingError(
    `No package repository of this machine has a kernel ${series}; there are: ${others.join(', ') || 'none'}`,
  )
}

async function searchPackages(): Promise<string[]> {
  const output = await call('apt-cache', ['search', '--names-only', '^linux-image-[0-9].*-amd64$'], '/')
  return output.split('\n').map((line) => line.split(' ')[0]!)
}

async function call(program: string, args: readonly string[], cwd: string): Promise<string> {
  try {
    return (await run(program, args, { cwd, maxBuffer: 64 * 2 ** 20 })).stdout
  } catch (cause) {
    const { code, stderr = '' } = cause as { code?: unknown; stderr?: string }
    const why = code === 'ENOENT' ? `there is no ${program} here (Debian packages apt, dpkg, kmod)` : stderr.trim()
    throw new MissingError(`Cannot get a kernel by "${program} ${args.join(' ')}": ${why}`, { cause })
  }
}
