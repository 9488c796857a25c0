import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Node } from '@centaurus/api/core/v1'
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
    const { stdout } = await cluster.centaurus(['gpu', 'status'])
    assert.equal(stdout.split('\n')[0]?.replace(/^Node \S+, /, ''), '4 GPUs, simulated: nothing computes on them')
    for (const uuid of uuids) assert.match(stdout, new RegExp(`whole +${uuid}`))
    assert.match(stdout, /default +two +main +all +all/)
  })

  it('run programs that call the driver, in their containers', { skip: process.arch !== 'x64' }, async () => {
    // The program is linked with the host's C library.
    const mounts = [
      { name: 'programs', mountPath: '/programs', hostPath: await buildCuda() },
      { name: 'loader', mountPath: '/lib64', hostPath: '/lib64' },
      { name: 'libraries', mountPath: '/lib/x86_64-linux-gnu', hostPath: '/lib/x86_64-linux-gnu' },
    ]
    await cluster.apply(
      pod(
        'computes',
        {
          command: ['/programs/load', 'kernels=20', 'kernel=1000000'],
          volumeMounts: mounts.map(({ name, mountPath }) => ({ name, mountPath, readOnly: true })),
          ...gpus(1),
        },
        { restartPolicy: 'Never', volumes: mounts.map(({ name, hostPath: path }) => ({ name, hostPath: { path } })) },
      ),
    )
    await cluster.kubectl('wait --for=jsonpath={.status.phase}=Succeeded pod/computes --timeout=60s')
    const { launches } = JSON.parse(await cluster.kubectl('logs computes')) as { launches: number }
    assert.equal(launches, 20)
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
