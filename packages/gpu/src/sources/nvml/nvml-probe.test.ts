import assert from 'node:assert/strict'
import { join } from 'node:path'
import { afterEach, describe, it } from 'node:test'
import { createManualClock, silentLogger } from '@centaurus/base'
import { buildNvmlFixture, type NvmlFixture } from '../../testing/nvml-fixture.ts'
import { describeSourceContract } from '../../testing/source-contract.ts'
import { GpuError, type DeviceProbe } from '../device-source.ts'
import { openDeviceSource } from '../open-device-source.ts'
import { createNvmlProbe } from './nvml-probe.ts'

describeSourceContract('NVML', () => {
  const fixture = buildNvmlFixture('count 4')
  return {
    probe: () => createNvmlProbe(fixture),
    breakGpu: (index) => fixture.setState('count 4', `lost ${index}`),
    mendAll: () => fixture.setState('count 4'),
    close: fixture.remove,
  }
})

describe('createNvmlProbe', () => {
  const closers: (() => Promise<void> | void)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close()
  })
  const open = (...state: string[]): { fixture: NvmlFixture; probe: DeviceProbe } => {
    const fixture = buildNvmlFixture(...state)
    const probe = createNvmlProbe(fixture)
    closers.push(fixture.remove, () => probe.close())
    return { fixture, probe }
  }
  const problemsOf = async (probe: DeviceProbe) => (await probe.look()).devices.map(({ problem }) => problem)

  it('says what to do on a host without a driver', () => {
    assert.throws(
      () => createNvmlProbe({ library: '/nonexistent/libnvidia-ml.so.1' }),
      (error) => error instanceof GpuError && /Cannot load .*no NVIDIA driver.*--simulated-gpus/.test(error.message),
    )
  })

  it('reads a device as the driver describes it', async () => {
    const { fixture, probe } = open('count 2')
    const { devices, driverVersion, commonFiles } = await probe.look()
    assert.equal(driverVersion, '550.54.15')
    assert.deepEqual(
      commonFiles,
      ['nvidiactl', 'nvidia-uvm'].map((name) => join(fixture.folders.dev, name)),
    )
    assert.deepEqual(devices, [
      {
        uuid: 'GPU-00000000-0000-0000-0000-000000000000',
        index: 0,
        model: 'NVIDIA A100-SXM4-40GB',
        memoryMiB: 40_960,
        multiprocessors: 108,
        problem: undefined,
        files: [join(fixture.folders.dev, 'nvidia1')],
      },
      {
        uuid: 'GPU-00000000-0000-0000-0000-000000000001',
        index: 1,
        model: 'NVIDIA A100-SXM4-40GB',
        memoryMiB: 40_960,
        multiprocessors: 108,
        numa: 1,
        problem: undefined,
        files: [join(fixture.folders.dev, 'nvidia0')],
      },
    ])
  })

  it('counts NVLinks, to each other and to a switch, before PCIe', async () => {
    const { probe } = open('count 6')
    const { links } = await probe.look()
    assert.deepEqual(links, [
      [0, 52, 10, 10, 0, 0],
      [52, 0, 10, 10, 0, 0],
      [10, 10, 0, 51, 0, 0],
      [10, 10, 51, 0, 0, 0],
      [0, 0, 0, 0, 0, 40],
      [0, 0, 0, 0, 40, 0],
    ])
  })

  it('believes Xids of the GPU, and not those of programs', async () => {
    const { fixture, probe } = open('count 2')
    await probe.look()
    fixture.setState('count 2', 'xid 0 31', 'xid 1 79')
    const [first, second] = await problemsOf(probe)
    assert.equal(first, undefined)
    assert.match(second ?? '', /Xid 79/)
    assert.match((await problemsOf(probe))[1] ?? '', /Xid 79/, 'it stays so')
  })

  it('holds an Xid of nobody knows which GPU against all', async () => {
    const { fixture, probe } = open('count 2')
    await probe.look()
    fixture.setState('count 2', 'xid 99 62')
    assert.ok((await problemsOf(probe)).every((problem) => /Xid 62/.test(problem ?? '')))
  })

  it('forgets the Xid of a GPU that was lost and came back', async () => {
    const { fixture, probe } = open('count 2')
    await probe.look()
    fixture.setState('count 2', 'xid 1 79', 'lost 1')
    assert.match((await problemsOf(probe))[1] ?? '', /lost/)
    fixture.setState('count 2', 'xid 1 79')
    assert.deepEqual(await problemsOf(probe), [undefined, undefined])
  })

  it('keeps its devices, as unhealthy, while the driver is gone', async () => {
    const { fixture, probe } = open('count 2')
    await probe.look()
    fixture.setState('gone')
    await probe.look() // the devices are lost
    assert.ok((await problemsOf(probe)).every((problem) => /Driver Not Loaded/.test(problem ?? '')))
    fixture.setState('count 2')
    assert.deepEqual(await problemsOf(probe), [undefined, undefined])
  })

  it('takes all devices for unhealthy while the driver hangs, and keeps nobody waiting', async () => {
    const fixture = buildNvmlFixture('count 2')
    const clock = createManualClock()
    const source = await openDeviceSource(createNvmlProbe(fixture), { clock, logger: silentLogger })
    closers.push(
      fixture.remove,
      () => source.close(),
      () => fixture.setState('count 2'),
    )
    const problems = () => source.gpus.devices.map(({ problem }) => problem)
    fixture.setState('count 2', 'hang')
    const look = source.look()
    const use = assert.rejects(source.readUse(), /has not answered for 5 s/)
    await clock.advance(0)
    await clock.advance(30_000)
    await use
    assert.ok(problems().every((problem) => /has not answered for 30 s/.test(problem ?? '')))
    assert.match(source.problem ?? '', /has not answered/)
    fixture.setState('count 2')
    await look
    assert.deepEqual(problems(), [undefined, undefined])
    assert.equal(source.problem, undefined)
  })

  it('rejects when the driver does not begin', async () => {
    const { probe } = open('gone')
    await assert.rejects(probe.look(), /nvmlInit_v2 failed: Driver Not Loaded/)
  })

  it('does not serve a GPU in MIG mode, and says how to turn that off', async () => {
    const { probe } = open('count 2', 'mig 1')
    assert.match((await problemsOf(probe))[1] ?? '', /nvidia-smi -i 1 -mig 0/)
  })

  it('tells what uses a GPU', async () => {
    const { probe } = open('count 2')
    await probe.look()
    const [, second] = await probe.readUse()
    assert.deepEqual(second, {
      uuid: 'GPU-00000000-0000-0000-0000-000000000001',
      gpuPercent: 31,
      memoryPercent: 7,
      memoryUsedMiB: 960,
      processes: [
        { pid: 4101, memoryBytes: 900 * 2 ** 20 },
        { pid: 4201, memoryBytes: undefined },
      ],
    })
  })
})
