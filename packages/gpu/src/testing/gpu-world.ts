import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { linkSync, mkdirSync, mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildCuda, type CudaCompiler } from '../interposer/build-cuda.ts'

/** What the stub driver says of itself. Bytes and nanoseconds. */
export interface WorldReport {
  readonly now: number
  readonly devices: readonly {
    readonly uuid: string
    readonly used: number
    readonly peak: number
    readonly busy: number
  }[]
  readonly processes: readonly {
    readonly pid: number
    readonly memory: readonly number[]
    readonly busy: readonly number[]
  }[]
}

export interface RunOptions {
  /** A folder that {@link GpuWorld.container} made; absent: without the interposer. */
  readonly container?: string
  readonly env?: Readonly<Record<string, string>>
}

export interface ProgramResult {
  readonly code: number | null
  readonly signal: NodeJS.Signals | null
  readonly output: string
  readonly errors: string
}

/** Simulated GPUs with a time of their own, on which programs run, with and without the interposer. */
export interface GpuWorld {
  /** Where the compiled libraries and programs are. */
  readonly folder: string
  /** Folder of a container with these limits, as the plugin makes it. `demandNames`: by UUID, what others see it as. */
  container(limits: string, demandNames?: Readonly<Record<string, string>>): string
  /** Replaces the limits of a container as the plugin does. */
  limit(container: string, limits: string): void
  start(program: string, args?: readonly string[], options?: RunOptions): StartedProgram
  run(program: string, args?: readonly string[], options?: RunOptions): Promise<ProgramResult>
  report(): WorldReport
  close(): void
}

export interface StartedProgram {
  readonly child: ChildProcess
  readonly ended: Promise<ProgramResult>
}

export interface WorldOptions {
  /** Lines of devices, see cuda/README.md. */
  readonly devices: string
  readonly clock?: 'virtual' | 'real' | 'none'
  readonly compiler?: CudaCompiler
}

/** The UUID of the n-th device of tests. */
export function gpuUuid(n: number): string {
  return `GPU-00000000-0000-0000-0000-${String(n).padStart(12, '0')}`
}

/** Makes a world; close it when done. */
export async function openGpuWorld({ devices, clock = 'virtual', compiler }: WorldOptions): Promise<GpuWorld> {
  const folder = await buildCuda(compiler === undefined ? {} : { compiler })
  const dir = mkdtempSync(join(tmpdir(), 'centaurus-gpu-'))
  const state = join(dir, 'state')
  writeFileSync(join(dir, 'devices'), devices)
  let containers = 0

  const environment = ({ container, env = {} }: RunOptions): NodeJS.ProcessEnv => {
    const preload = [
      ...(clock === 'virtual' ? [join(folder, 'libvirtual-time.so')] : []),
      ...(container === undefined ? [] : [join(folder, 'libcentaurus-gpu.so')]),
    ]
    return {
      PATH: process.env['PATH'] ?? '',
      LD_LIBRARY_PATH: folder,
      STUB_GPU_STATE: state,
      STUB_GPU_DEVICES: join(dir, 'devices'),
      STUB_GPU_EVENTS: join(dir, 'events'),
      STUB_GPU_CLOCK: clock,
      ...(preload.length === 0 ? {} : { LD_PRELOAD: preload.join(':') }),
      ...(container === undefined ? {} : { CENTAURUS_GPU_LIMITS: join(container, 'limits') }),
      ...env,
    }
  }

  const start = (program: string, args: readonly string[] = [], options: RunOptions = {}): StartedProgram => {
    const child = spawn(join(folder, program), args, { env: environment(options), stdio: ['pipe', 'pipe', 'pipe'] })
    let output = ''
    let errors = ''
    child.stdout.on('data', (data: Buffer) => (output += data.toString()))
    child.stderr.on('data', (data: Buffer) => (errors += data.toString()))
    const ended = new Promise<ProgramResult>((resolve, reject) => {
      child.on('error', reject)
      child.on('close', (code, signal) => resolve({ code, signal, output, errors }))
    })
    return { child, ended }
  }

  return {
    folder,
    container(limits, demandNames = {}) {
      const made = join(dir, `container-${++containers}`)
      mkdirSync(join(made, 'own'), { recursive: true })
      writeFileSync(join(made, 'limits'), limits)
      for (const name of ['usage', 'demand']) writeFileSync(join(made, 'own', name), '', { mode: 0o666 })
      for (const [uuid, name] of Object.entries(demandNames)) {
        mkdirSync(join(dir, 'devices-by-uuid', uuid), { recursive: true })
        linkSync(join(made, 'own/demand'), join(dir, 'devices-by-uuid', uuid, `${name}-${containers}`))
        mkdirSync(join(made, 'devices'), { recursive: true })
        execFileSync('ln', ['-s', join(dir, 'devices-by-uuid', uuid), join(made, 'devices', uuid)])
      }
      return made
    },
    limit(container, limits) {
      writeFileSync(join(container, 'limits.new'), limits)
      renameSync(join(container, 'limits.new'), join(container, 'limits'))
    },
    start,
    run: (program, args, options) => start(program, args, options).ended,
    report: () => JSON.parse(execFileSync(join(folder, 'world'), [state], { encoding: 'utf8' })) as WorldReport,
    close: () => rmSync(dir, { recursive: true, force: true }),
  }
}
