import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { gpuUuid, openGpuWorld, type GpuWorld, type ProgramResult } from '../testing/gpu-world.ts'

const U1 = gpuUuid(1)
const U2 = gpuUuid(2)
/** Points of a hundred. */
const TOLERANCE = 2
const NS_PER_SECOND = 1e9

let world: GpuWorld
before(async () => {
  world = await openGpuWorld({ devices: `${U1} multiprocessors=8\n${U2} multiprocessors=188\n` })
})
after(() => world.close())

/** Percent of the time of these devices that was used while it ran; the devices of the others stand still. */
async function shareOf(run: () => Promise<readonly ProgramResult[]>, devices: readonly number[]): Promise<number[]> {
  const busy = (): number[] => devices.map((n) => world.report().devices[n]?.busy ?? 0)
  const before = busy()
  const results = await run()
  for (const { errors } of results) assert.equal(errors, '')
  const longest = Math.max(...results.map(({ output }) => (JSON.parse(lastLine(output)) as { ns: number }).ns))
  return busy().map((after, n) => (100 * (after - before[n]!)) / longest)
}

function lastLine(output: string): string {
  return /\{.*\}/.exec(output)?.[0] ?? ''
}

function assertNear(actual: number | undefined, expected: number, what: string): void {
  assert.ok(Math.abs((actual ?? NaN) - expected) <= TOLERANCE, `${what}: ${actual} instead of ${expected}`)
}

async function assertShare(limit: number, args: readonly string[], device = 0): Promise<void> {
  const uuid = device === 0 ? U1 : U2
  const container = world.container(`${uuid} compute=${limit}\n`)
  const run = async (): Promise<ProgramResult[]> => [
    await world.run('load', [...args, `device=${device}`], { container }),
  ]
  // The state file is made by the first program.
  await world.run('load', ['kernels=1'])
  assertNear((await shareOf(run, [device]))[0], limit, `${limit} % of device ${device}, ${args.join(' ')}`)
}

describe('the share of a device', () => {
  for (const [kernel, length] of [
    [2_000, 500],
    [50_000, 2_000],
    [2_000_000, 4_000],
    [200_000_000, 60_000],
  ] as const) {
    it(`is kept with kernels of ${kernel / 1_000} µs`, async () => {
      for (const limit of [10, 50, 90]) await assertShare(limit, [`kernel=${kernel}`, `for=${length}`])
    })
  }

  it('does not depend on the size of the device', async () => {
    for (const blocks of [1, 100, 1_000])
      for (const device of [0, 1]) await assertShare(40, ['kernel=30000', `blocks=${blocks}`, 'for=3000'], device)
  })

  it('is kept for each kind of launch, and for graphs', async () => {
    for (const call of ['kernel', 'ex', 'cooperative', 'multi', 'legacy', 'ptsz'])
      await assertShare(30, ['kernel=200000', 'for=2000', `call=${call}`])
    await assertShare(30, ['kernel=20000', 'graph=20', 'for=2000'])
    await assertShare(70, ['kernel=5000', 'graph=200', 'for=2000'])
  })

  it('is kept over streams, with kernels of varying length, and by programs that wait for each kernel', async () => {
    await assertShare(40, ['kernel=200000', 'streams=4', 'for=3000'])
    await assertShare(60, ['name=jitter', 'kernel=300000', 'for=4000'])
    await assertShare(60, ['kernel=300000', 'sync=1', 'for=2000'])
    await assertShare(60, ['kernel=300000', 'sync=50', 'pause=2000', 'for=3000'])
  })

  it('is that of all processes of a container together', async () => {
    const container = world.container(`${U1} compute=35\n`)
    const options = { container, env: { STUB_GPU_TOGETHER: '3' } }
    const run = (): Promise<ProgramResult[]> =>
      Promise.all([50_000, 1_000_000, 5_000_000].map((ns) => world.run('load', [`kernel=${ns}`, 'for=4000'], options)))
    assertNear((await shareOf(run, [0]))[0], 35, 'three processes')
  })

  it('is one of each device', async () => {
    const container = world.container(`${U1} compute=20\n${U2} compute=20\n`)
    const run = async (): Promise<ProgramResult[]> => [
      await world.run('load', ['kernel=500000', 'device=0,1', 'for=3000'], { container }),
    ]
    for (const share of await shareOf(run, [0, 1])) assertNear(share, 20, 'two devices')
  })

  it('follows the limits within 300 ms', async () => {
    for (const [from, to] of [
      [20, 80],
      [80, 20],
    ] as const) {
      const container = world.container(`${U1} compute=${from}\n`)
      const next = world.container(`${U1} compute=${to}\n`)
      const rename = `rename=${next}/limits,${container}/limits`
      const { output, errors } = await world.run(
        'load',
        ['kernel=1000000', 'for=2000', 'report=100', 'at=1000', rename],
        {
          container,
        },
      )
      assert.equal(errors, '')
      const windows = output.split(' ').slice(0, 19).map(Number)
      for (const share of windows.slice(0, 9)) assertNear(share, from, `before, ${windows.join(' ')}`)
      for (const share of windows.slice(13)) assertNear(share, to, `after, ${windows.join(' ')}`)
    }
  })

  it('begins to be kept when there was no limit before', async () => {
    const container = world.container(`${U1} memoryMiB=500\n`)
    const next = world.container(`${U1} compute=20\n`)
    const args = [
      'kernel=1000000',
      'sync=1',
      'for=2000',
      'report=100',
      'at=1000',
      `rename=${next}/limits,${container}/limits`,
    ]
    const { output, errors } = await world.run('load', args, { container })
    assert.equal(errors, '')
    const windows = output.split(' ').slice(0, 19).map(Number)
    for (const share of windows.slice(0, 9)) assert.ok(share >= 99, windows.join(' '))
    for (const share of windows.slice(14)) assertNear(share, 20, windows.join(' '))
  })
})

interface Neighbour {
  readonly words: string
  /** Priority, compute, burst. */
  readonly name: string
  readonly args: readonly string[]
}

/** Runs containers side by side on the first device, beginning at once: launches in each window, and in all. */
async function runTogether(
  ...neighbours: readonly Neighbour[]
): Promise<{ windows: number[]; seconds: number; launches: number }[]> {
  const options = { env: { STUB_GPU_TOGETHER: String(neighbours.length) } }
  const results = neighbours.map(({ words, name, args }) =>
    world.run('load', ['kernel=1000000', ...args], {
      ...options,
      container: world.container(`${U1} ${words}\n`, { [U1]: name }),
    }),
  )
  return (await Promise.all(results)).map(({ output, errors }) => {
    assert.equal(errors, '')
    const { launches, ns } = JSON.parse(lastLine(output)) as { launches: number; ns: number }
    return { windows: output.split(/ (?=\d)/).map((text) => parseInt(text, 10)), seconds: ns / NS_PER_SECOND, launches }
  })
}

describe('containers that share a device', () => {
  it('use it together up to what each has', async () => {
    const shares = await runTogether(
      { words: 'compute=60', name: '0-60-60', args: ['for=3000'] },
      { words: 'compute=40', name: '0-40-40', args: ['for=3000'] },
    )
    assertNear(shares[0]!.launches / 30, 60, 'the first')
    assertNear(shares[1]!.launches / 30, 40, 'the second')
  })

  it('share what nobody has evenly', async () => {
    const shares = await runTogether(
      { words: 'compute=60', name: '0-60-60', args: ['for=3000'] },
      { words: 'memoryMiB=500', name: '0-0-100', args: ['for=3000'] },
      { words: 'memoryMiB=500', name: '0-0-100', args: ['for=3000'] },
    )
    for (const [n, expected] of [60, 20, 20].entries()) assertNear(shares[n]!.launches / 30, expected, `container ${n}`)
  })

  it('may use all of it while nobody else wants it, where their limits say so', async () => {
    const [bursting] = await runTogether(
      { words: 'compute=30 burst=100', name: '0-30-100', args: ['for=3000', 'report=200'] },
      { words: 'compute=50', name: '0-50-50', args: ['kernels=500'] },
    )
    const { windows } = bursting!
    for (const count of windows.slice(1, 4)) assertNear(count / 2, 50, `with another, ${windows.join(' ')}`)
    // What it queued by then counts as launched: windows of the calls vary, their sum does not.
    const alone = windows.slice(6, 14).reduce((sum, count) => sum + count, 0) / 8
    assert.ok(alone / 2 > 97, `alone: ${windows.join(' ')}`)
  })

  it('with priority go first', async () => {
    const [high, low] = await runTogether(
      { words: 'compute=100', name: '0-100-100', args: ['kernels=1000', 'sync=10'] },
      { words: 'compute=50 burst=100 priority=1', name: '1-50-100', args: ['for=3000', 'report=200'] },
    )
    assert.ok(high!.seconds < 1.15, `${high!.seconds}`)
    const { windows } = low!
    for (const count of windows.slice(1, 5)) assert.ok(count <= 10, windows.join(' '))
    const later = windows.slice(8, 14).reduce((sum, count) => sum + count, 0) / 6
    assert.ok(later / 2 > 97, windows.join(' '))
  })
})
