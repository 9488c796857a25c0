import assert from 'node:assert/strict'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Pod } from '@centaurus/api/core/v1'
import { GPU, GPU_ALLOCATION_ANNOTATION } from '@centaurus/api/gpu'
import { silentLogger, systemClock } from '@centaurus/base'
import { DeviceManager } from '@centaurus/node'
import { containerKey, ContainerFolders } from '../containers/container-folders.ts'
import { openDeviceSource, type DeviceSource } from '../sources/open-device-source.ts'
import { createSimulatedProbe } from '../sources/simulated/simulated-probe.ts'
import { fastClock } from '../testing/fast-clock.ts'
import { until } from '../testing/kubelet.ts'
import { createDevicePlugin } from './device-plugin.ts'
import { listHeldDevices } from './pod-resources.ts'
import { startRegistrar, type Registrar } from './registrar.ts'

/** Both sides are ours, and neither knows the other's code. */
describe('the plugin, to the device manager of the node agent', () => {
  const dir = mkdtempSync(join(tmpdir(), 'gpu-manager-'))
  const file = join(dir, 'gpus.yaml')
  const pods: Pod[] = []
  let manager: DeviceManager
  let source: DeviceSource
  let registrar: Registrar
  before(async () => {
    writeFileSync(file, 'pools: [{name: a, preset: pcie-a100}]')
    const deps = { clock: fastClock, logger: silentLogger }
    source = await openDeviceSource(createSimulatedProbe({ file, nodeName: 'n' }), deps)
    const folders = new ContainerFolders(join(dir, 'gpu'))
    const plugin = createDevicePlugin({
      source,
      containers: {
        prepare: ({ podUid, container }, grants) =>
          folders.prepare(containerKey(podUid, container), { grants, priority: 0 }),
      },
      interposer: { library: '/lib/i.so', preload: '/preload' },
      logger: silentLogger,
    })
    registrar = startRegistrar({ plugin, socketPath: join(dir, 'device-plugins/gpu.sock'), ...deps })
    manager = await startManager()
    await registrar.registered
    await until(() => manager.count().allocatable.get(GPU) === 4, 'four GPUs')
  })
  after(async () => {
    await registrar.close()
    await source.close()
    manager.close()
    rmSync(dir, { recursive: true })
  })

  async function startManager(): Promise<DeviceManager> {
    const started = new DeviceManager({ clock: systemClock, logger: silentLogger, dir })
    await started.start({
      pods: () => pods,
      holdsDevices: () => true,
      onCapacity: () => {},
      onHealth: () => {},
    })
    return started
  }

  function podOf(name: string, limits: Record<string, string>, allocation?: object): Pod {
    const annotations =
      allocation === undefined ? {} : { [GPU_ALLOCATION_ANNOTATION]: JSON.stringify({ main: [allocation] }) }
    const pod: Pod = {
      metadata: { name, namespace: 'default', uid: `uid-${name}`, annotations },
      spec: { containers: [{ name: 'main', image: 'i', resources: { limits } }] },
    }
    pods.push(pod)
    return pod
  }
  const start = async (pod: Pod) => {
    assert.equal(await manager.allocate(pod), undefined)
    return manager.prepare(pod, pod.spec!.containers[0]!)
  }

  it('gives GPUs that are near each other to pods that nobody gave any', async () => {
    const { envs, mounts } = await start(podOf('whole', { [GPU]: '2' }))
    const uuids = source.gpus.devices.map(({ uuid }) => uuid)
    assert.equal(envs.get('NVIDIA_VISIBLE_DEVICES'), [uuids[0], uuids[1]].join())
    assert.deepEqual(mounts, [])
  })

  it('gives the part that the scheduler chose, to the container that it is for', async () => {
    const { uuid } = source.gpus.devices[3]!
    const pod = podOf('part', { 'centaurus.io/gpu-memory': '1024' }, { uuid, memoryMiB: 1024, compute: 30 })
    const { envs, mounts } = await start(pod)
    assert.equal(envs.get('CENTAURUS_GPU_LIMITS'), '/run/centaurus-gpu/limits')
    const folder = join(dir, 'gpu/containers/uid-part-main')
    assert.ok(mounts.some(({ hostPath, readonly }) => hostPath === folder && readonly))
    assert.equal(readFileSync(join(folder, 'limits'), 'utf8'), `${uuid} memoryMiB=1024 compute=30\n`)
    const held = await listHeldDevices(join(dir, 'pod-resources/kubelet.sock'))
    assert.deepEqual(
      held?.map(({ pod: name, container }) => `${name}/${container}`),
      ['whole/main', 'part/main'],
    )
  })

  it('is there again for an agent that was started again, which knows who has what', async () => {
    manager.close()
    manager = await startManager()
    await until(() => manager.count().allocatable.get(GPU) === 4, 'four GPUs')
    assert.equal((await start(pods[1]!)).envs.get('NVIDIA_VISIBLE_DEVICES'), source.gpus.devices[3]!.uuid)
  })

  it('tells of GPUs that are not healthy', async () => {
    writeFileSync(file, 'pools: [{name: a, preset: pcie-a100, unhealthy: [3]}]')
    await until(() => manager.count().allocatable.get(GPU) === 3, 'three GPUs')
    assert.equal(manager.count().capacity.get(GPU), 4)
  })
})
