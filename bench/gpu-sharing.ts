/** Parts of GPUs, on the stub driver: how near a container is kept to its share, how soon it follows, what a launch costs, and whose memory is lost. */
import { gpuUuid, openGpuWorld, type GpuWorld } from '@centaurus/gpu/testing'
import { benchResult, type Bench, type BenchContext, type BenchResult } from './harness/bench.ts'
import { median } from './harness/measure.ts'

const MIB = 1024 * 1024
const PROGRAMS = 1_000
const PROGRAMS_QUICK = 20
const MULTIPROCESSORS = [8, 108, 188]
const KERNELS_NS = [2_000, 20_000, 500_000, 10_000_000, 200_000_000]
const SHARES = [10, 30, 50, 70, 90]
const TOLERANCE_POINTS = 2
const STEP_MS = 300
const STEP_WINDOW_MS = 25
const STEP_AT_MS = 1_000
const OVERHEAD_NS = 100
const MEMORY_LIMIT = 512 * MIB

interface Case {
  readonly title: string
  readonly args: readonly string[]
  /** Index of the device, or of each. */
  readonly devices?: readonly number[]
  readonly processes?: number
}

export const bench: Bench = {
  summary:
    'parts of GPUs on a stub driver: accuracy of shares, following of limits, cost of a launch, memory over or lost',
  parts: ['accuracy', 'step', 'overhead', 'memory'],
  async run(context) {
    const results: BenchResult[] = []
    if (context.parts.includes('accuracy')) results.push(...(await measureAccuracy(context)))
    if (context.parts.includes('step')) results.push(...(await measureSteps(context)))
    if (context.parts.includes('overhead')) results.push(...(await measureOverhead(context)))
    if (context.parts.includes('memory')) results.push(...(await countMemory(context)))
    return results
  },
}

function cases(quick: boolean): Case[] {
  const kernels = (quick ? KERNELS_NS.slice(1, 3) : KERNELS_NS).map((ns) => ({
    title: `kernels of ${ns / 1_000} µs`,
    args: [`kernel=${ns}`, `for=${ns < 10_000 ? 500 : Math.max(3_000, (ns / 1e6) * 300)}`],
  }))
  const sizes = MULTIPROCESSORS.map((count, n) => ({
    title: `${count} multiprocessors, 1,000 blocks`,
    args: ['kernel=20000', 'blocks=1000', 'for=3000'],
    devices: [n],
  }))
  const others: Case[] = [
    { title: 'graphs of 50 kernels', args: ['kernel=10000', 'graph=50', 'for=3000'] },
    { title: '4 streams', args: ['kernel=200000', 'streams=4', 'for=3000'] },
    { title: 'kernels of varying length', args: ['name=jitter', 'kernel=200000', 'for=5000'] },
    { title: 'a wait for each kernel', args: ['kernel=200000', 'sync=1', 'for=3000'] },
    { title: '3 processes', args: ['kernel=700000', 'for=4000'], processes: 3 },
    { title: '3 devices', args: ['kernel=200000', 'for=3000'], devices: [0, 1, 2] },
  ]
  return [...kernels, ...sizes, ...others]
}

async function withWorld<T>(clock: 'virtual' | 'none', measure: (world: GpuWorld) => Promise<T>): Promise<T> {
  const devices = MULTIPROCESSORS.map(
    (count, n) => `${gpuUuid(n + 1)} memoryMiB=1024 contextMiB=64 multiprocessors=${count}\n`,
  )
  const world = await openGpuWorld({ devices: devices.join(''), clock })
  try {
    return await measure(world)
  } finally {
    world.close()
  }
}

/** The worst of all shares, in points of a hundred. */
async function measureAccuracy({ quick, log }: BenchContext): Promise<BenchResult[]> {
  const results: BenchResult[] = []
  for (const what of cases(quick)) {
    log(`accuracy: ${what.title}`)
    const errors: number[] = []
    for (const share of quick ? [30] : SHARES)
      errors.push(await withWorld('virtual', (world) => errorOf(world, what, share)))
    results.push(
      benchResult({
        metric: `share, ${what.title}: worst error at ${quick ? '30' : '10 to 90'} %`,
        value: Math.max(...errors),
        unit: 'points',
        target: { atMost: TOLERANCE_POINTS },
      }),
    )
  }
  return results
}

async function errorOf(world: GpuWorld, what: Case, share: number): Promise<number> {
  const { devices = [0], processes = 1, args } = what
  const container = world.container(devices.map((n) => `${gpuUuid(n + 1)} compute=${share}\n`).join(''))
  const options = { container, env: { STUB_GPU_TOGETHER: String(processes) } }
  const run = (): Promise<number> => runLoad(world, [...args, `device=${devices.join(',')}`], options)
  const ns = Math.max(...(await Promise.all(Array.from({ length: processes }, run))))
  return Math.max(...devices.map((n) => Math.abs((100 * world.report().devices[n]!.busy) / ns - share)))
}

/** Nanoseconds that it ran. */
async function runLoad(
  world: GpuWorld,
  args: readonly string[],
  options: Parameters<GpuWorld['run']>[2],
): Promise<number> {
  const { output, errors, code } = await world.run('load', args, options)
  if (code !== 0) throw new Error(`Cannot run load ${args.join(' ')}: ${errors}`)
  return (JSON.parse(/\{.*\}/.exec(output)![0]) as { ns: number }).ns
}

/** From new limits until the share stays within two points of them, in windows of 100 ms. */
async function measureSteps({ quick, log }: BenchContext): Promise<BenchResult[]> {
  const results: BenchResult[] = []
  for (const [from, to] of quick
    ? [[20, 80] as const]
    : ([
        [10, 90],
        [90, 10],
        [20, 80],
        [80, 20],
      ] as const)) {
    log(`step: ${from} to ${to} %`)
    const windows = await withWorld('virtual', (world) => shareOverTime(world, from, to))
    results.push(
      benchResult({
        metric: `new limits, ${from} to ${to} %: until the share is kept`,
        value: settledAfterMs(windows, to),
        unit: 'ms',
        target: { atMost: STEP_MS },
      }),
    )
  }
  return results
}

async function shareOverTime(world: GpuWorld, from: number, to: number): Promise<number[]> {
  const kernelNs = 100_000
  const container = world.container(`${gpuUuid(1)} compute=${from}\n`)
  const next = world.container(`${gpuUuid(1)} compute=${to}\n`)
  const change = [`at=${STEP_AT_MS}`, `rename=${next}/limits,${container}/limits`]
  const load = [`kernel=${kernelNs}`, `for=${2 * STEP_AT_MS}`, `report=${STEP_WINDOW_MS}`]
  const { output } = await world.run('load', [...load, ...change], { container })
  return [...output.matchAll(/(\d+) /g)].map(([, count]) => (100 * Number(count) * kernelNs) / (STEP_WINDOW_MS * 1e6))
}

function settledAfterMs(windows: readonly number[], share: number): number {
  const first = STEP_AT_MS / STEP_WINDOW_MS
  const smooth = windows.map((_, n) => average(windows.slice(n, n + 4)))
  let last = first
  for (let n = first; n + 4 < windows.length; n++) if (Math.abs(smooth[n]! - share) > TOLERANCE_POINTS) last = n + 1
  return (last - first) * STEP_WINDOW_MS
}

function average(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/** A driver that does nothing, so that what is left is ours: nanoseconds more than without the interposer. */
async function measureOverhead({ rounds, log }: BenchContext): Promise<BenchResult[]> {
  const limits = {
    'memory is limited': 'memoryMiB=512',
    'time is not limited now': 'compute=30 burst=100',
  }
  const results: BenchResult[] = []
  for (const [title, words] of Object.entries(limits)) {
    log(`overhead: ${title}`)
    const more: number[] = []
    for (let n = 0; n < rounds; n++) {
      const cost = async (container?: string): Promise<number> =>
        withWorld('none', async (world) => {
          const made = container === undefined ? {} : { container: world.container(container) }
          return Number((await world.run('overhead', [], made)).output)
        })
      const native = await cost()
      more.push((await cost(`${gpuUuid(1)} ${words}\n`)) - native)
    }
    const metric = `a launch, ${title}: more than without the interposer`
    results.push(benchResult({ metric, value: median(more), unit: 'ns', target: { atMost: OVERHEAD_NS } }))
  }
  return results
}

/** Random programs one after the other and three at once, of which one is killed: bytes over the limit, bytes left, wrong answers. */
async function countMemory({ quick, log }: BenchContext): Promise<BenchResult[]> {
  const programs = quick ? PROGRAMS_QUICK : PROGRAMS
  log(`memory: ${programs} programs`)
  const found = await withWorld('virtual', async (world) => {
    const container = world.container(`${gpuUuid(1)} memoryMiB=${MEMORY_LIMIT / MIB}\n`)
    let wrong = 0
    let lost = 0
    for (let seed = 1; seed <= programs; seed++) {
      const together = seed % 4 === 0
      if (together) await runThree(world, container, seed)
      const { code } = await world.run('random', [String(seed), '200', 'check'], { container })
      if (code !== 0) wrong++
      lost += world.report().devices[0]!.used
    }
    return { wrong, lost, over: Math.max(0, world.report().devices[0]!.peak - MEMORY_LIMIT) }
  })
  const zero = { atMost: 0 }
  return [
    benchResult({
      metric: `${programs} random programs: bytes over the limit, at any time`,
      value: found.over,
      unit: 'B',
      target: zero,
    }),
    benchResult({
      metric: `${programs} random programs: bytes lost, also by kill -9`,
      value: found.lost,
      unit: 'B',
      target: zero,
    }),
    benchResult({
      metric: `${programs} random programs: that were told a wrong use`,
      value: found.wrong,
      unit: 'programs',
      target: zero,
    }),
  ]
}

async function runThree(world: GpuWorld, container: string, seed: number): Promise<void> {
  const started = [1, 2, 3].map((n) =>
    world.start('random', [String(seed * 7 + n), '150', ...(n === 3 ? ['hold', 'wait'] : [])], { container }),
  )
  const [first, second, third] = started
  await Promise.all([first!.ended, second!.ended])
  third!.child.kill('SIGKILL')
  await third!.ended
}
