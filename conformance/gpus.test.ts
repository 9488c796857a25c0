import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Container, Node } from '@centaurus/api/core/v1'
import { parseGpuInventory } from '@centaurus/api/gpu'
import { buildCuda } from '../packages/gpu/src/interposer/build-cuda.ts'
import { TestCluster, whyNoRoot } from './lib/cluster.ts'
import { pod, shell } from './lib/manifests.ts'
import { waitFor } from './lib/processes.ts'

const GPU = 'nvidia.com/gpu'

describe('simulated GPUs', { skip: whyNoRoot() }, () => {
  let cluster: TestCluster
  /** What the node has. */
  const simulate = async (pool: string): Promise<string> => {
    const file = join(cluster.home, 'gpus.yaml')
    await writeFile(`${file}.new`, `pools: [{name: a, ${pool}}]`)
    await rename(`${file}.new`, file)
    return file
  }
  before(async () => {
    cluster = await TestCluster.create('gpus')
    await cluster.up('--simulated-gpus', await simulate('preset: pcie-a100'))
  })
  after(() => cluster?.remove())

  const findNode = async (): Promise<Node | undefined> => (await cluster.json<{ items: Node[] }>('get nodes')).items[0]
  const readNode = async (): Promise<Node> => (await findNode())!
  const amounts = async (): Promise<string> => {
    const { capacity, allocatable } = (await findNode())?.status ?? {}
    const memory = 'centaurus.io/gpu-memory'
    return `${capacity?.[GPU]} GPUs, ${allocatable?.[GPU]} to allocate, ${allocatable?.[memory]} MiB, ${allocatable?.['centaurus.io/gpu-compute']} %`
  }
  const untilAmounts = (expected: string): Promise<unknown> =>
    waitFor(expected, async () => (await amounts()) === expected, { describe: amounts })
  const gpus = (count: number) => ({ resources: { limits: { [GPU]: String(count) } } })

  const part = (memory: string, compute: string) => ({
    resources: { limits: { 'centaurus.io/gpu-memory': memory, 'centaurus.io/gpu-compute': compute } },
  })

  it('are on the Node, which says that they are simulated', async () => {
    await untilAmounts('4 GPUs, 4 to allocate, 163840 MiB, 400 %')
    const { labels = {}, annotations = {} } = (await readNode()).metadata
    assert.equal(labels['nvidia.com/gpu.product'], 'NVIDIA-A100-PCIE-40GB')
    assert.equal(labels['nvidia.com/gpu.count'], '4')
    assert.equal(labels['centaurus.io/gpu-simulated'], 'true')
    const { devices, links } = parseGpuInventory(annotations['centaurus.io/gpu-devices'] ?? '')
    assert.equal(devices.length, 4)
    assert.deepEqual(links?.[0], [0, 62, 0, 0])
  })

  it('are given to pods, whose containers are told which', async () => {
    await cluster.apply(pod('two', { command: shell('echo $NVIDIA_VISIBLE_DEVICES; sleep 1000'), ...gpus(2) }))
    await cluster.kubectl('wait --for=condition=Ready pod/two --timeout=60s')
    const uuids = (await cluster.kubectl('logs two')).trim().split(',')
    assert.equal(new Set(uuids).size, 2)
    const stdout = await cluster.mustCentaurus(['gpu', 'status'])
    assert.equal(stdout.split('\n')[0]?.replace(/^Node \S+, /, ''), '4 GPUs, simulated: nothing computes on them')
    for (const uuid of uuids) assert.match(stdout, new RegExp(`whole +${uuid}`))
    assert.match(stdout, /default +two +main +all +all/)
  })

  it('are shared by containers, each with limits of its own that follow the pod', async () => {
    await cluster.apply(pod('half', part('20480', '50')), pod('third', part('10240', '30')))
    await Promise.all(
      ['half', 'third'].map((name) => cluster.kubectl(`wait --for=condition=Ready pod/${name} --timeout=60s`)),
    )
    const [uuid, other] = await Promise.all(
      ['half', 'third'].map((name) => cluster.exec(name, 'echo -n $NVIDIA_VISIBLE_DEVICES')),
    )
    assert.equal(uuid, other, 'both fit on one')
    const limits = 'cat $CENTAURUS_GPU_LIMITS'
    assert.equal(await cluster.exec('half', limits), `${uuid} memoryMiB=20480 compute=50\n`)
    assert.equal(await cluster.exec('third', limits), `${uuid} memoryMiB=10240 compute=30\n`)
    assert.match(await cluster.exec('half', 'cat /etc/ld.so.preload'), /libcentaurus-gpu\.so/)
    assert.match(
      await cluster.exec('half', '(echo x > /run/centaurus-gpu/limits) 2>&1; true'),
      /Read-only file system/,
      'no container raises its own limits',
    )
    const seen = (name: string) => cluster.exec(name, `ls /run/centaurus-gpu/devices/${uuid} | cut -d- -f1-3`)
    assert.equal(await seen('half'), '0-30-30\n0-50-50\n')
    await cluster.kubectl('annotate pod third centaurus.io/gpu-priority=1')
    const lowered = `${uuid} memoryMiB=10240 compute=30 priority=1\n`
    await waitFor('the priority', async () => (await cluster.exec('third', limits)) === lowered)
    assert.equal(await seen('half'), '0-50-50\n1-30-30\n')
    const { stdout } = await cluster.centaurus(['gpu', 'status'])
    assert.match(stdout, /default +third +main +10240 MiB +30 % +low/)
    await cluster.kubectl('delete pod third')
    await waitFor('its folder to go', async () => (await seen('half')) === '0-50-50\n', { timeoutMs: 90_000 })
    await cluster.kubectl('delete pod half')
  })

  /** What a program of cuda/ prints in a container. It is linked with the host's C library. */
  const runProgram = async (name: string, command: readonly string[], main: Partial<Container>): Promise<string> => {
    const mounts = [
      { name: 'programs', mountPath: '/programs', hostPath: await buildCuda() },
      { name: 'loader', mountPath: '/lib64', hostPath: '/lib64' },
      { name: 'libraries', mountPath: '/lib/x86_64-linux-gnu', hostPath: '/lib/x86_64-linux-gnu' },
    ]
    const volumeMounts = mounts.map((mount) => ({ name: mount.name, mountPath: mount.mountPath, readOnly: true }))
    const volumes = mounts.map((mount) => ({ name: mount.name, hostPath: { path: mount.hostPath } }))
    await cluster.apply(
      pod(name, { ...main, command: [...command], volumeMounts }, { restartPolicy: 'Never', volumes }),
    )
    await cluster.kubectl(`wait --for=jsonpath={.status.phase}=Succeeded pod/${name} --timeout=60s`)
    return cluster.kubectl(`logs ${name}`)
  }
  const needsX64 = { skip: process.arch !== 'x64' }

  it('run programs that call the driver, in their containers', needsX64, async () => {
    const output = await runProgram('computes', ['/programs/load', 'kernels=20', 'kernel=1000000'], gpus(1))
    assert.equal((JSON.parse(output) as { launches: number }).launches, 20)
  })

  it('have as much memory, to a program, as its container was given of them', needsX64, async () => {
    const views = async (name: string, main: Partial<Container>): Promise<object[]> =>
      (JSON.parse(await runProgram(name, ['/programs/views'], main)) as { total: number; nvmlTotal: number }[]).map(
        ({ total, nvmlTotal }) => [total / 2 ** 20, nvmlTotal / 2 ** 20],
      )
    assert.deepEqual(await views('sees-a-part', part('10240', '30')), [[10_240, 10_240]])
    assert.deepEqual(await views('sees-all', gpus(1)), [[40_960, 40_960]])
  })

  it('follow the file: one that is not healthy is not given', async () => {
    await simulate('preset: pcie-a100, unhealthy: [3]')
    await untilAmounts('4 GPUs, 3 to allocate, 122880 MiB, 300 %')
    await simulate('preset: pcie-a100')
    await untilAmounts('4 GPUs, 4 to allocate, 163840 MiB, 400 %')
  })

  /** Its supervisor starts another one. */
  const kill = async (daemon: string): Promise<void> => {
    const record = join(cluster.home, `run/${daemon}.json`)
    const before = readFileSync(record, 'utf8')
    process.kill((JSON.parse(before) as { pid: number }).pid, 'SIGKILL')
    await waitFor(`another ${daemon}`, async () => readFileSync(record, 'utf8') !== before)
  }

  it('are there again when the plugin was killed', async () => {
    await kill('gpu')
    await untilAmounts('4 GPUs, 4 to allocate, 163840 MiB, 400 %')
    await cluster.apply(pod('one', gpus(1)))
    await cluster.kubectl('wait --for=condition=Ready pod/one --timeout=60s')
  })

  it('are on the Node again when that was deleted, and its agent made it anew', async () => {
    await cluster.kubectl(`delete node ${(await readNode()).metadata.name}`)
    await kill('node')
    await untilAmounts('4 GPUs, 4 to allocate, 163840 MiB, 400 %')
    await waitFor('the inventory', async () => (await readNode()).metadata.annotations?.['centaurus.io/gpu-devices'])
  })
})
