import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { gpuUuid, openGpuWorld, type GpuWorld } from '../testing/gpu-world.ts'

const MIB = 1024 * 1024
const OUT_OF_MEMORY = '2'
/** Ways in which a program may get at the driver; of two processes both results are printed. */
const WAYS = ['link', 'dlsym', 'dlvsym', 'default', 'next', 'v1', 'v2', 'fork', 'exec', 'threads']
const SEEDS = 60

for (const compiler of ['clang', 'gcc'] as const) {
  describe(`the interposer, by ${compiler}`, () => {
    let world: GpuWorld
    before(async () => {
      const line = (n: number): string => `${gpuUuid(n)} memoryMiB=2048 contextMiB=64`
      world = await openGpuWorld({ devices: `${line(1)}\n${line(2)}\n`, clock: 'real', compiler })
    })
    after(() => world.close())

    for (const way of WAYS) {
      it(`limits memory of programs that find the driver by ${way}`, async () => {
        const container = world.container(`${gpuUuid(1)} memoryMiB=500\n`)
        const native = await world.run('ways', [way])
        assert.deepEqual(new Set(native.output.trim().split('\n')), new Set(['0']), native.errors)
        const limited = await world.run('ways', [way], { container })
        assert.deepEqual(new Set(limited.output.trim().split('\n')), new Set([OUT_OF_MEMORY]), limited.errors)
        assert.equal((await world.run('ways', [way], { container: world.container('') })).output, native.output)
      })
    }

    it('shows a device no larger than its limit, by the driver and by NVML', async () => {
      const container = world.container(`${gpuUuid(1)} memoryMiB=700\n${gpuUuid(2)} memoryMiB=300\n`)
      const { output, errors } = await world.run('views', [], { container })
      assert.equal(errors, '')
      assert.deepEqual(JSON.parse(output), [
        { total: 700 * MIB, free: 626 * MIB, nvmlTotal: 700 * MIB, nvmlUsed: 74 * MIB, processes: 1 },
        { total: 300 * MIB, free: 226 * MIB, nvmlTotal: 300 * MIB, nvmlUsed: 74 * MIB, processes: 1 },
      ])
    })

    it('limits the device that the UUID names, whatever its index', async () => {
      const container = world.container(`${gpuUuid(2)} memoryMiB=500\n`)
      const only = (uuid: string): Promise<{ output: string }> =>
        world.run('ways', ['link'], { container, env: { NVIDIA_VISIBLE_DEVICES: uuid } })
      assert.equal((await only(gpuUuid(1))).output, '0\n')
      assert.equal((await only(gpuUuid(2))).output, `${OUT_OF_MEMORY}\n`)
    })

    it('has no part in programs without a GPU', async () => {
      const container = world.container(`${gpuUuid(1)} memoryMiB=500\n`)
      const { code, errors } = await world.run('ways', ['nothing'], { container })
      assert.deepEqual({ code, errors }, { code: 0, errors: '' })
      assert.equal(readFileSync(join(container, 'own/usage')).length, 0)
    })

    it('refuses to start where its files are missing, and says so', async () => {
      const container = world.container(`${gpuUuid(1)} memoryMiB=500\n`, {})
      const { errors } = await world.run('ways', ['link'], {
        container,
        env: { CENTAURUS_GPU_LIMITS: join(container, 'own/usage') },
      })
      assert.match(errors, /cannot use .*own\/own\/usage, without which the limits .* can't be kept/)
    })
  })
}

describe('memory of random programs', () => {
  let world: GpuWorld
  before(async () => {
    world = await openGpuWorld({ devices: `${gpuUuid(1)} memoryMiB=1024 contextMiB=64\n` })
  })
  after(() => world.close())

  it('is counted to the byte, never over the limit, and all given back', async () => {
    const container = world.container(`${gpuUuid(1)} memoryMiB=512\n`)
    for (let seed = 1; seed <= SEEDS; seed++) {
      const { code, errors } = await world.run('random', [`${seed}`, '200', 'check'], { container })
      assert.deepEqual({ code, errors }, { code: 0, errors: '' }, `seed ${seed}`)
      const device = world.report().devices[0]!
      assert.equal(device.used, 0, `seed ${seed}`)
      assert.ok(device.peak <= 512 * MIB, `seed ${seed}: ${device.peak}`)
    }
  })

  it('of several at once, some of them killed, is never over the limit either', async () => {
    const container = world.container(`${gpuUuid(1)} memoryMiB=512\n`)
    for (let seed = 1; seed <= SEEDS / 6; seed++) {
      const run = (n: number, ...last: string[]): ReturnType<GpuWorld['start']> =>
        world.start('random', [`${seed * 10 + n}`, '150', ...last], { container })
      const started = [run(0), run(1), run(2, 'hold', 'wait')]
      setTimeout(() => started[2]!.child.kill('SIGKILL'), 10 + (seed % 4) * 10)
      const ended = await Promise.all(started.map((program) => program.ended))
      assert.deepEqual(ended.map(({ errors }) => errors).join(''), '', `seed ${seed}`)
      // Who comes next has all of it.
      const { code, errors } = await world.run('random', ['1', '20', 'check'], { container })
      assert.deepEqual({ code, errors }, { code: 0, errors: '' }, `seed ${seed}`)
      const device = world.report().devices[0]!
      assert.equal(device.used, 0, `seed ${seed}`)
      assert.ok(device.peak <= 512 * MIB, `seed ${seed}: ${device.peak}`)
    }
  })
})
