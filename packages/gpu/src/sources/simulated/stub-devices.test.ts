import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { openGpuWorld } from '../../testing/gpu-world.ts'
import { parsePools } from './parse-pools.ts'
import { simulateGpus } from './simulated-probe.ts'
import { formatStubDevices } from './stub-devices.ts'

describe('formatStubDevices', () => {
  const gpus = simulateGpus(parsePools('pools: [{name: a, preset: pcie-a100, count: 3}]'), 'n')

  it('says what the simulation says', () => {
    const [first, second, third] = gpus.devices.map(({ uuid }) => uuid)
    const words = 'memoryMiB=40960 model=NVIDIA_A100-PCIE-40GB multiprocessors=108'
    assert.equal(
      formatStubDevices(gpus),
      `${first} ${words} numa=0 nvlinks=0,12,0 levels=50,0,50
${second} ${words} numa=0 nvlinks=12,0,0 levels=0,50,50
${third} ${words} numa=1 nvlinks=0,0,0 levels=50,50,50
`,
    )
  })

  it('is read by the stub driver, as many devices as it has room for', async () => {
    const many = simulateGpus(parsePools('pools: [{name: a, preset: dgx-h100, count: 40}]'), 'n')
    const world = await openGpuWorld({ devices: formatStubDevices(many) })
    try {
      const { code, errors } = await world.run('load', ['kernels=1'])
      assert.deepEqual([code, errors], [0, ''])
      assert.equal(world.report().devices.length, 16)
    } finally {
      world.close()
    }
  })
})
