import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { after, before, describe, it } from 'node:test'
import { nodes, pods } from '@centaurus/api/core/v1'
import { silentLogger } from '@centaurus/base'
import { createSimulatedProbe } from '../sources/simulated/simulated-probe.ts'
import { NODE_NAME, startTestCluster, type TestCluster } from '../testing/cluster.ts'
import { openGpuWorld } from '../testing/gpu-world.ts'
import { fastClock } from '../testing/fast-clock.ts'
import { startTestKubelet, until, type TestKubelet } from '../testing/kubelet.ts'
import { startGpuDaemon, type GpuDaemon } from './gpu-daemon.ts'
import type { GpuStatus } from './gpu-status.ts'

describe('startGpuDaemon', () => {
  let cluster: TestCluster
  let dir: string
  let kubelet: TestKubelet
  let daemon: GpuDaemon
  before(async () => {
    cluster = await startTestCluster()
    dir = mkdtempSync(join(tmpdir(), 'gpu-daemon-'))
    kubelet = await startTestKubelet(join(dir, 'device-plugins'))
    await cluster.client.create(nodes, { metadata: { name: NODE_NAME } })
    daemon = await start()
    await daemon.ready
  })
  after(async () => {
    await daemon.close()
    kubelet.close()
    await cluster.close()
    rmSync(dir, { recursive: true })
  })

  function start(): Promise<GpuDaemon> {
    const file = join(dir, 'gpus.yaml')
    mkdirSync(join(dir, 'built'), { recursive: true })
    for (const name of ['libcentaurus-gpu.so', 'libcuda.so.1', 'libnvidia-ml.so.1'])
      writeFileSync(join(dir, 'built', name), `this is ${name}`)
    writeFileSync(file, 'pools: [{name: a, preset: pcie-t4, count: 2}]')
    const { client, informers } = cluster
    return startGpuDaemon({
      nodeName: NODE_NAME,
      probe: createSimulatedProbe({ file, nodeName: NODE_NAME }),
      client,
      informers,
      stateDir: join(dir, 'gpu'),
      kubeletDir: dir,
      localSocket: join(dir, 'gpu.sock'),
      libraries: join(dir, 'built'),
      clock: fastClock,
      logger: silentLogger,
    })
  }
  const ask = (path: string): Promise<{ status: number | undefined; body: string }> =>
    new Promise((resolve, reject) => {
      const sent = request({ socketPath: join(dir, 'gpu.sock'), path }, (response) => {
        text(response).then((body) => resolve({ status: response.statusCode, body }), reject)
      })
      sent.on('error', reject)
      sent.end()
    })

  it('tells the Node, gives a part to a pod, and says who has what', async () => {
    let inventory: string | undefined
    await until(async () => {
      const { metadata } = await cluster.admin.get(nodes, { name: NODE_NAME })
      inventory = metadata.annotations?.['centaurus.io/gpu-devices']
      return inventory !== undefined
    }, 'the inventory')
    const [first] = (JSON.parse(inventory!) as { devices: { uuid: string }[] }).devices
    const allocation = { train: [{ uuid: first!.uuid, memoryMiB: 1024, compute: 25 }] }
    const pod = await cluster.createPod('p', allocation, { annotations: { 'centaurus.io/gpu-priority': '1' } })
    const connection = kubelet.connect()
    const owner = { podUid: pod.metadata.uid!, container: 'train' }
    const { mounts } = await connection.allocate([`${first!.uuid}::1024::25`], owner)
    connection.close()
    const preload = mounts.find(({ containerPath }) => containerPath === '/etc/ld.so.preload')!
    assert.equal(readFileSync(preload.hostPath, 'utf8'), '/usr/local/lib/centaurus/libcentaurus-gpu.so\n')
    const library = mounts.find(({ containerPath }) => containerPath.endsWith('/libcentaurus-gpu.so'))!
    assert.equal(readFileSync(library.hostPath, 'utf8'), 'this is libcentaurus-gpu.so')
    const driver = mounts.find(({ containerPath }) => containerPath === '/usr/local/nvidia/lib64')!
    assert.equal(readFileSync(join(driver.hostPath, 'libcuda.so.1'), 'utf8'), 'this is libcuda.so.1')
    assert.match(readFileSync(join(driver.hostPath, 'devices'), 'utf8'), new RegExp(`^${first!.uuid} memoryMiB=15360 `))
    const limits = join(mounts[0]!.hostPath, 'limits')
    const wanted = `${first!.uuid} memoryMiB=1024 compute=25 priority=1\n`
    await until(() => readFileSync(limits, 'utf8') === wanted, 'the priority')
    const { status, body } = await ask('/status')
    assert.equal(status, 200)
    const told = JSON.parse(body) as GpuStatus
    assert.deepEqual(
      [told.node, told.kind, told.driverVersion, told.problems],
      [NODE_NAME, 'simulated', 'simulated', []],
    )
    assert.deepEqual(
      told.devices.map(({ holders }) => holders),
      [[{ namespace: 'default', pod: 'p', container: 'train', memoryMiB: 1024, compute: 25, priority: 1 }], []],
    )
  })

  it('tells what a program does with its part, in metrics, in the status and at its pod', async () => {
    const pod = (await cluster.admin.list(pods, {})).items[0]!
    const container = join(dir, 'gpu/containers', `${pod.metadata.uid}-train`)
    const [uuid = ''] = readFileSync(join(container, 'limits'), 'utf8').split(' ')
    const world = await openGpuWorld({ devices: `${uuid} memoryMiB=15360 contextMiB=64\n`, clock: 'real' })
    const program = world.start('load', ['kernel=1000000', 'for=120000'], { container })
    const labels = `gpu_uuid="${uuid}",gpu_idx="0",nodeName="${NODE_NAME}",namespace="default",pod_name="p",container="train"`
    try {
      const isTold = async (): Promise<boolean> => {
        const { body } = await ask('/metrics')
        return body.includes(`\nalnair_cuda_mem_used{${labels}} ${66 * 2 ** 20}\n`)
      }
      await until(isTold, 'the memory of the program')
      const isAnnotated = async (): Promise<boolean> => {
        const { metadata } = await cluster.admin.get(pods, { namespace: 'default', name: 'p' })
        return metadata.annotations?.['centaurus.io/gpu-profile'] !== undefined
      }
      await until(isAnnotated, 'the profile at the pod')
      const { devices } = JSON.parse((await ask('/status')).body) as GpuStatus
      assert.equal(devices[0]!.holders[0]!.usedMemoryMiB, 66)
      assert.notEqual(devices[0]!.holders[0]!.profile, undefined)
    } finally {
      program.child.kill('SIGKILL')
      await program.ended
      world.close()
    }
  })

  it('serves no other path', async () => {
    assert.equal((await ask('/other')).status, 404)
  })

  it('goes on after a restart with the containers that it finds', async () => {
    const keys = readdirSync(join(dir, 'gpu/containers'))
    await daemon.close()
    daemon = await start()
    await daemon.ready
    assert.deepEqual(readdirSync(join(dir, 'gpu/containers')), keys)
    await kubelet.whenRegistered(2)
    await cluster.deletePod('p')
    await until(() => readdirSync(join(dir, 'gpu/containers')).length === 0, 'the folder to go')
  })
})
