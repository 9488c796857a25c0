import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { gpuUuid, openGpuWorld, type GpuWorld } from '../testing/gpu-world.ts'

const MIB = 1024 * 1024

interface Load {
  readonly launches: number
  readonly launchNs: number
  readonly ns: number
}

function parseLoad({ output, errors }: { readonly output: string; readonly errors: string }): Load {
  assert.equal(errors, '')
  return JSON.parse(output) as Load
}

for (const compiler of ['clang', 'gcc'] as const) {
  describe(`the stub driver, by ${compiler}`, () => {
    let world: GpuWorld
    before(async () => {
      const line = (n: number): string => `${gpuUuid(n)} memoryMiB=1024 multiprocessors=8 contextMiB=64`
      world = await openGpuWorld({ devices: `${line(1)}\n${line(2)}\n`, compiler })
    })
    after(() => world.close())

    it('runs kernels in virtual time, one after the other', async () => {
      const load = parseLoad(await world.run('load', ['kernel=1000000', 'kernels=500']))
      assert.ok(Math.abs(load.ns / 500e6 - 1) < 0.001, `${load.ns}`)
    })

    it('runs waves of blocks, as many as the device has multiprocessors at once', async () => {
      const load = parseLoad(await world.run('load', ['kernel=1000000', 'kernels=100', 'blocks=17']))
      assert.ok(Math.abs(load.ns / 300e6 - 1) < 0.001, `${load.ns}`)
    })

    it('shares a device between processes by time slices', async () => {
      const together = { env: { STUB_GPU_TOGETHER: '2' } }
      const results = await Promise.all([
        world.run('load', ['kernel=3000000', 'kernels=100'], together),
        world.run('load', ['kernel=500000', 'kernels=600'], together),
      ])
      const [longest = 0, other = 0] = results.map((result) => parseLoad(result).ns).sort((a, b) => b - a)
      assert.ok(longest >= 595e6 && longest < 700e6, `${longest}`)
      assert.ok(other >= 450e6, `${other}`)
    })

    it('runs devices side by side', async () => {
      const load = parseLoad(await world.run('load', ['kernel=1000000', 'kernels=400', 'device=0,1']))
      assert.ok(Math.abs(load.ns / 200e6 - 1) < 0.01, `${load.ns}`)
    })

    it('takes as long for each kind of launch, and for graphs', async () => {
      for (const call of ['kernel', 'ex', 'cooperative', 'multi', 'legacy', 'ptsz']) {
        const load = parseLoad(await world.run('load', ['kernel=1000000', 'kernels=50', `call=${call}`]))
        assert.ok(Math.abs(load.ns / 50e6 - 1) < 0.01, `${call}: ${load.ns}`)
      }
      const load = parseLoad(await world.run('load', ['kernel=100000', 'kernels=50', 'graph=10']))
      assert.ok(Math.abs(load.ns / 50e6 - 1) < 0.01, `${load.ns}`)
    })

    it('frees what processes had that were killed', async () => {
      const { child, ended } = world.start('load', ['kernel=1000000', 'for=100000000', 'sync=1'])
      while (world.report().devices[0]!.used < 64 * MIB) await new Promise((resolve) => setTimeout(resolve, 5))
      child.kill('SIGKILL')
      await ended
      await world.run('load', ['kernels=1'])
      assert.equal(world.report().devices[0]!.used, 0)
    })
  })
}
