import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, it } from 'node:test'
import { silentLogger } from '@centaurus/base'
import { ContainerFolders, containerKey } from '../containers/container-folders.ts'
import { createNvmlProbe } from '../sources/nvml/nvml-probe.ts'
import type { DeviceProbe } from '../sources/device-source.ts'
import { openDeviceSource } from '../sources/open-device-source.ts'
import { createSimulatedProbe } from '../sources/simulated/simulated-probe.ts'
import { fastClock } from '../testing/fast-clock.ts'
import { startTestKubelet, until, type TestKubelet } from '../testing/kubelet.ts'
import { buildNvmlFixture } from '../testing/nvml-fixture.ts'
import { readCdiNames } from './cdi-names.ts'
import { createDevicePlugin } from './device-plugin.ts'
import { startRegistrar } from './registrar.ts'

const OWNER = { podUid: '5b1c7c2e-0000-4000-8000-000000000001', container: 'train' }

describe('the plugin, to a kubelet', () => {
  const closers: (() => Promise<void> | void)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).toReversed()) await close()
  })

  async function start({ pool = 'preset: pcie-a100', probe, interposer = true }: StartOptions = {}) {
    const dir = mkdtempSync(join(tmpdir(), 'gpu-plugin-'))
    closers.push(() => rmSync(dir, { recursive: true }))
    const file = join(dir, 'gpus.yaml')
    const simulate = (text: string): void => writeFileSync(file, `pools: [{name: a, ${text}}]`)
    simulate(pool)
    const deps = { clock: fastClock, logger: silentLogger }
    const source = await openDeviceSource(probe ?? createSimulatedProbe({ file, nodeName: 'n' }), deps)
    closers.push(() => source.close())
    const folders = new ContainerFolders(join(dir, 'state'))
    const plugin = createDevicePlugin({
      source,
      containers: {
        prepare: ({ podUid, container }, grants) =>
          folders.prepare(containerKey(podUid, container), { grants, priority: 0 }),
      },
      interposer: interposer ? { library: '/lib/i.so', preload: join(dir, 'preload') } : undefined,
      logger: silentLogger,
    })
    const kubeletDir = join(dir, 'device-plugins')
    const registrar = startRegistrar({ plugin, socketPath: join(kubeletDir, 'gpu.sock'), ...deps })
    closers.push(() => registrar.close())
    const startKubelet = async (options: { refuse?: string } = {}): Promise<TestKubelet> => {
      const kubelet = await startTestKubelet(kubeletDir, options)
      closers.push(() => kubelet.close())
      return kubelet
    }
    const connect = async () => {
      const kubelet = await startKubelet()
      await kubelet.whenRegistered(1)
      const connection = kubelet.connect()
      closers.push(() => connection.close())
      return connection
    }
    return {
      dir,
      source,
      simulate,
      registrar,
      startKubelet,
      connect,
      uuids: source.gpus.devices.map(({ uuid }) => uuid),
    }
  }
  interface StartOptions {
    readonly pool?: string
    readonly probe?: DeviceProbe
    readonly interposer?: boolean
  }

  it('registers when the kubelet comes, and again when it starts anew and has removed all sockets', async () => {
    const { registrar, startKubelet } = await start()
    await until(() => /kubelet\.sock is not there/.test(registrar.problem ?? ''), 'the problem')
    const first = await startKubelet()
    assert.deepEqual(await first.whenRegistered(1), {
      version: 'v1beta1',
      endpoint: 'gpu.sock',
      resourceName: 'nvidia.com/gpu',
      options: { preStartRequired: false, getPreferredAllocationAvailable: true },
    })
    await until(() => registrar.problem === undefined, 'no problem')
    first.close()
    const second = await startKubelet()
    await second.whenRegistered(1)
    const connection = second.connect()
    closers.push(() => connection.close())
    assert.deepEqual(await connection.options(), { preStartRequired: false, getPreferredAllocationAvailable: true })
    assert.equal((await connection.watchUntil(() => true)).length, 4)
    assert.equal(first.registrations.length, 1)
  })

  it('says why the kubelet does not want it', async () => {
    const { registrar, startKubelet } = await start()
    await startKubelet({ refuse: 'the ResourceName "x" is invalid' })
    await until(() => /refused it: the ResourceName/.test(registrar.problem ?? ''), 'the refusal')
  })

  it('lists devices with their NUMA nodes, and tells of changes of health and number', async () => {
    const { connect, simulate, uuids } = await start()
    const connection = await connect()
    const devices = await connection.watchUntil(() => true)
    assert.deepEqual(
      devices.map(({ ID, health, topology }) => [ID, health, topology?.nodes[0]?.ID]),
      uuids.map((uuid, i) => [uuid, 'Healthy', i < 2 ? 0 : 1]),
    )
    const sick = connection.watchUntil((list) => list.some(({ health }) => health === 'Unhealthy'))
    simulate('preset: pcie-a100, unhealthy: [2]')
    assert.deepEqual(
      (await sick).map(({ health }) => health),
      ['Healthy', 'Healthy', 'Unhealthy', 'Healthy'],
    )
    const fewer = connection.watchUntil((list) => list.length === 1)
    simulate('preset: pcie-a100, count: 1')
    assert.equal((await fewer)[0]?.ID, uuids[0])
  })

  it('prefers devices that are near each other', async () => {
    const { connect, uuids } = await start()
    const connection = await connect()
    assert.deepEqual(await connection.prefer([uuids[0]!, uuids[2]!, uuids[3]!], 2), [uuids[2], uuids[3]])
    assert.deepEqual(await connection.prefer(uuids, 2, [uuids[1]!]), [uuids[0], uuids[1]])
    assert.deepEqual(await connection.prefer(['unknown', uuids[1]!], 2), [uuids[1]])
  })

  it('gives whole GPUs of a driver to any kubelet', async () => {
    const fixture = buildNvmlFixture('count 2')
    closers.push(fixture.remove)
    const { connect, uuids } = await start({ probe: createNvmlProbe(fixture) })
    const response = await (await connect()).allocate([uuids[1]!])
    assert.deepEqual(response.envs, { NVIDIA_VISIBLE_DEVICES: uuids[1] })
    assert.deepEqual(response.mounts, [])
    const files = ['nvidiactl', 'nvidia-uvm', 'nvidia0'].map((name) => join(fixture.folders.dev, name))
    assert.deepEqual(
      response.devices,
      files.map((path) => ({ containerPath: path, hostPath: path, permissions: 'rw' })),
    )
  })

  it('gives parts of GPUs to our node agent, with their limits', async () => {
    const { connect, uuids, dir } = await start()
    const ids = [`${uuids[0]}::1024::40`, `${uuids[2]}::::30`]
    const response = await (await connect()).allocate(ids, OWNER)
    assert.deepEqual(response.envs, {
      NVIDIA_VISIBLE_DEVICES: `${uuids[0]},${uuids[2]}`,
      CENTAURUS_GPU_LIMITS: '/run/centaurus-gpu/limits',
    })
    const folder = join(dir, 'state/containers', `${OWNER.podUid}-train`)
    assert.deepEqual(
      response.mounts.map(({ containerPath, hostPath, readOnly }) => [containerPath, hostPath, readOnly]),
      [
        ['/run/centaurus-gpu', folder, true],
        ['/run/centaurus-gpu/own', join(folder, 'own'), false],
        ...[uuids[0], uuids[2]].map((uuid) => [
          `/run/centaurus-gpu/devices/${uuid}`,
          join(dir, 'state/devices', uuid!),
          true,
        ]),
        ['/usr/local/lib/centaurus/libcentaurus-gpu.so', '/lib/i.so', true],
        ['/etc/ld.so.preload', join(dir, 'preload'), true],
      ],
    )
    assert.equal(
      readFileSync(join(folder, 'limits'), 'utf8'),
      `${uuids[0]} memoryMiB=1024 compute=40\n${uuids[2]} compute=30\n`,
    )
  })

  it('says why it can not give what is asked for', async () => {
    const { connect, uuids } = await start()
    const connection = await connect()
    await assert.rejects(connection.allocate(['GPU-none']), /this node has no GPU GPU-none/)
    await assert.rejects(connection.allocate([`${uuids[0]}::1024::40`]), /given on nodes of Centaurus alone/)
    await assert.rejects(connection.allocate([`${uuids[0]}::::`], OWNER), /limits nothing/)
    const outside = { podUid: '../../etc', container: 'c' }
    await assert.rejects(connection.allocate([`${uuids[0]}::1::1`], outside), /is no name of a pod/)
  })

  it('gives no parts where there is no interposer', async () => {
    const { connect, uuids } = await start({ interposer: false })
    const connection = await connect()
    await assert.rejects(connection.allocate([`${uuids[0]}::1024::40`], OWNER), /need the interposer/)
    assert.deepEqual((await connection.allocate([uuids[0]!], OWNER)).envs, { NVIDIA_VISIBLE_DEVICES: uuids[0] })
  })
})

describe('readCdiNames', () => {
  it('finds GPUs in specifications, by uuid before index, and passes over what it can not read', () => {
    const dir = mkdtempSync(join(tmpdir(), 'cdi-'))
    try {
      mkdirSync(join(dir, 'a'))
      const spec = (name: string, content: string): void => writeFileSync(join(dir, 'a', name), content)
      spec('nvidia.yaml', 'cdiVersion: 0.6.0\nkind: nvidia.com/gpu\ndevices: [{name: "0"}, {name: GPU-y}, {name: all}]')
      spec('other.json', '{"kind": "vendor.com/net", "devices": [{"name": "1"}]}')
      spec('broken.yaml', 'kind: [')
      const device = { model: 'm', memoryMiB: 1, numa: undefined, problem: undefined, files: [] }
      const devices = ['GPU-x', 'GPU-y', 'GPU-z'].map((uuid, i) => ({ ...device, uuid, index: i === 1 ? 0 : i }))
      const names = readCdiNames({ devices, links: undefined, driverVersion: '', commonFiles: [] }, [
        join(dir, 'a'),
        join(dir, 'none'),
      ])
      assert.deepEqual(
        [...names],
        [
          ['GPU-x', 'nvidia.com/gpu=0'],
          ['GPU-y', 'nvidia.com/gpu=GPU-y'],
        ],
      )
    } finally {
      rmSync(dir, { recursive: true })
    }
  })
})
