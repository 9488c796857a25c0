import assert from 'node:assert/strict'
import { appendFileSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { buildCuda } from '../../interposer/build-cuda.ts'
import { gpuUuid } from '../../testing/gpu-world.ts'
import type { DeviceProbe } from '../device-source.ts'
import { createNvmlProbe } from './nvml-probe.ts'

const DEVICES = `
${gpuUuid(1)} memoryMiB=40960 pci=0000:3b:00.0 nvlinks=0,12,0 levels=0,30,50
${gpuUuid(2)} memoryMiB=40960 pci=0000:3c:00.0 nvlinks=12,0,0 levels=30,0,50
${gpuUuid(3)} memoryMiB=15360 pci=0000:af:00.0 model=Tesla_T4 multiprocessors=40 levels=50,50,0
`

/** The stub knows nothing of the plugin: both go by NVIDIA's header. */
describe('the NVML of the stub driver, to the plugin', () => {
  const dir = mkdtempSync(join(tmpdir(), 'stub-nvml-'))
  const events = join(dir, 'events')
  let probe: DeviceProbe
  before(async () => {
    writeFileSync(join(dir, 'devices'), DEVICES)
    writeFileSync(events, '')
    Object.assign(process.env, { STUB_GPU_DEVICES: join(dir, 'devices'), STUB_GPU_EVENTS: events })
    probe = createNvmlProbe({ library: join(await buildCuda(), 'libnvidia-ml.so.1') })
  })
  after(async () => {
    await probe?.close()
    for (const name of ['STUB_GPU_DEVICES', 'STUB_GPU_EVENTS']) delete process.env[name]
    rmSync(dir, { recursive: true })
  })

  it('has devices and links as they were described', async () => {
    const { devices, links } = await probe.look()
    assert.deepEqual(
      devices.map(({ uuid, model, memoryMiB, multiprocessors }) => [uuid, model, memoryMiB, multiprocessors]),
      [
        [gpuUuid(1), 'NVIDIA A100-SXM4-40GB', 40_960, 108],
        [gpuUuid(2), 'NVIDIA A100-SXM4-40GB', 40_960, 108],
        [gpuUuid(3), 'Tesla T4', 15_360, 40],
      ],
    )
    assert.deepEqual(links, [
      [0, 62, 0],
      [62, 0, 0],
      [0, 0, 0],
    ])
  })

  it('tells of Xids', async () => {
    appendFileSync(events, `${gpuUuid(1)} 31\n${gpuUuid(2)} 79\n`)
    const problems = (await probe.look()).devices.map(({ problem }) => problem)
    assert.deepEqual([problems[0], problems[2]], [undefined, undefined])
    assert.match(problems[1] ?? '', /Xid 79/)
  })

  it('tells the use of each device', async () => {
    const use = await probe.readUse()
    assert.deepEqual(
      use.map(({ uuid, memoryUsedMiB, processes }) => [uuid, memoryUsedMiB, processes]),
      [1, 2, 3].map((n) => [gpuUuid(n), 0, []]),
    )
  })
})
