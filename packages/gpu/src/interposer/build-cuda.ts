import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, globSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync } from 'node:fs'
import { basename, join } from 'node:path'
import { promisify } from 'node:util'

const SOURCES = join(import.meta.dirname, '../../../../cuda')
/** Where the checkout keeps what it compiled. */
export const CUDA_BUILD = join(import.meta.dirname, '../../../../build/cuda')
const FLAGS = ['-std=c11', '-O2', '-g', '-Wall', '-Wextra', '-Werror']
const LIBRARY = ['-fPIC', '-fvisibility=hidden', '-shared', '-Wl,-Bsymbolic', '-Wl,-z,defs'] as const
/** Without a C library of its own: the program's serves, of whatever version and kind. */
const INTERPOSER = [
  '-fPIC',
  '-fvisibility=hidden',
  '-shared',
  '-nostdlib',
  '-Wl,-Bsymbolic',
  '-Wl,-z,relro',
  '-Wl,-soname,libcentaurus-gpu.so',
]
const WORLD = ['stub/world.c', 'stub/simulate.c', 'stub/devices.c']

const run = promisify(execFile)

/** A compiler that we know to work. */
export type CudaCompiler = 'clang' | 'gcc'

export interface BuildCudaOptions {
  /** Default: clang. */
  readonly compiler?: CudaCompiler
  /** Cache: each version of the sources has a folder of its own in it. Default: the checkout's `build/cuda`. */
  readonly outDir?: string
}

/**
 * Compiles `cuda/` if no earlier run has: the interposer `libcentaurus-gpu.so`, the stub driver (`libcuda.so.1`, `libnvidia-ml.so.1`,
 * `libvirtual-time.so`) and the programs that tests run. Returns the folder. Throws an Error that says what is missing.
 */
export async function buildCuda({ compiler = 'clang', outDir = CUDA_BUILD }: BuildCudaOptions = {}): Promise<string> {
  const folder = join(outDir, hashOf(await versionOf(compiler)))
  if (existsSync(folder)) return folder
  mkdirSync(outDir, { recursive: true })
  const unfinished = mkdtempSync(join(outDir, '.unfinished-'))
  try {
    await buildAll(compiler, unfinished)
    renameSync(unfinished, folder)
  } catch (error) {
    rmSync(unfinished, { recursive: true, force: true })
    if (!existsSync(folder)) throw error
  }
  return folder
}

async function buildAll(compiler: CudaCompiler, folder: string): Promise<void> {
  const compile = (output: string, args: readonly string[]): Promise<unknown> =>
    compileOne(compiler, [...FLAGS, ...args, '-o', join(folder, output)])
  const driver = globSync('stub/driver_*.c', { cwd: SOURCES }).sort()
  await compile('libcuda.so.1', [...LIBRARY, ...WORLD, ...driver, '-Wl,-soname,libcuda.so.1'])
  await compile('libnvidia-ml.so.1', [...LIBRARY, ...WORLD, 'stub/nvml.c', '-Wl,-soname,libnvidia-ml.so.1'])
  await compile('libvirtual-time.so', [...LIBRARY, ...WORLD, 'stub/virtual_time.c'])
  await compile('libcentaurus-gpu.so', [...INTERPOSER, ...globSync('interposer/*.{c,S}', { cwd: SOURCES }).sort()])
  symlinkSync('libcuda.so.1', join(folder, 'libcuda.so'))
  for (const program of globSync('programs/*.c', { cwd: SOURCES }).sort())
    await compile(basename(program, '.c'), [program, `-L${folder}`, ...linksOf(program)])
}

/** A program says on its first line what it is linked with: `// link: -lcuda`. */
function linksOf(program: string): string[] {
  const line = /^\/\/ link: (.*)\n/.exec(readFileSync(join(SOURCES, program), 'utf8'))
  return line === null ? [] : line[1]!.split(' ')
}

async function compileOne(compiler: CudaCompiler, args: readonly string[]): Promise<void> {
  try {
    await run(compiler, args, { cwd: SOURCES })
  } catch (cause) {
    const output = (cause as { stderr?: string }).stderr ?? ''
    throw new Error(`Cannot compile cuda/:\n${output.split('\n').slice(0, 20).join('\n')}`, { cause })
  }
}

async function versionOf(compiler: CudaCompiler): Promise<string> {
  try {
    return (await run(compiler, ['--version'])).stdout
  } catch (cause) {
    throw new Error(`Cannot build the library that limits GPUs: install the Debian package ${compiler}`, { cause })
  }
}

function hashOf(version: string): string {
  const hash = createHash('sha256')
    .update(version)
    .update(readFileSync(import.meta.filename))
  for (const file of globSync('**/*.{c,h,S}', { cwd: SOURCES }).sort())
    hash
      .update(file)
      .update('\0')
      .update(readFileSync(join(SOURCES, file)))
      .update('\0')
  return hash.digest('hex').slice(0, 16)
}
