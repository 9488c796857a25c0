import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Node, Pod } from '@centaurus/api/core/v1'
import { formatGpuInventory, GPU, GPU_ALLOCATION_ANNOTATION, GPU_DEVICES_ANNOTATION } from '@centaurus/api/gpu'
import { startDevicePlugin, type TestDevicePlugin } from '@centaurus/node/testing'
import { TestCluster, whyNoRoot } from './lib/cluster.ts'
import { pod, shell } from './lib/manifests.ts'
import { mustRun, waitFor } from './lib/processes.ts'

const THING = 'example.com/thing'

describe('devices of a plugin', { skip: whyNoRoot() }, () => {
  let cluster: TestCluster
  let plugin: TestDevicePlugin
  /** Folder where plugins register that know only the kubelet's. */
  let kubeletDir: string

  before(async () => {
    cluster = await TestCluster.create('devices')
    kubeletDir = join(cluster.home, 'kubelet')
    await cluster.up('--kubelet-dir', kubeletDir)
    const mount = join(cluster.home, 'things')
    await mkdir(mount)
    await writeFile(join(mount, 'manual'), 'read me\n')
    // A zero device under another name: what is in the container came from the plugin.
    const hostPath = join(cluster.home, 'thing')
    await mustRun(['mknod', hostPath, 'c', '1', '5'])
    plugin = startDevicePlugin(
      { resource: THING, socket: 'thing.sock', mount, devices: [{ id: 'a', hostPath }] },
      { dir: join(cluster.home, 'node/device-plugins'), file: join(cluster.home, 'thing.json') },
    )
  })
  after(async () => {
    await plugin?.kill()
    await cluster?.remove()
  })

  const things = (count: number) => ({ resources: { limits: { [THING]: String(count) } } })
  const ready = (name: string): Promise<string> =>
    cluster.kubectl(`wait --for=condition=Ready pod/${name} --timeout=60s`)
  const get = (name: string): Promise<Pod> => cluster.json<Pod>(`get pod ${name}`)
  const counts = async (resource: string): Promise<string> => {
    const { items } = await cluster.json<{ items: Node[] }>('get nodes')
    const { capacity, allocatable } = items[0]!.status!
    return `${capacity?.[resource]}/${allocatable?.[resource]}`
  }
  const untilCounts = (expected: string, resource = THING): Promise<unknown> =>
    waitFor(`${expected} of ${resource}`, async () => (await counts(resource)) === expected, {
      describe: () => counts(resource),
    })
  const crashAgent = async (): Promise<void> => {
    const record = await readFile(join(cluster.home, 'run/node.json'), 'utf8')
    process.kill((JSON.parse(record) as { pid: number }).pid, 'SIGKILL')
    await waitFor('another agent', async () => readFileSync(join(cluster.home, 'run/node.json'), 'utf8') !== record)
  }

  it('are in the container that asks for them, and in no other', async () => {
    await untilCounts('1/1')
    await cluster.apply(pod('one', things(1)), pod('none'))
    await Promise.all([ready('one'), ready('none')])
    assert.equal(
      await cluster.exec('one', 'echo $THING_IDS; cat /things/manual; head -c 3 /dev/thing-a | wc -c'),
      'a\nread me\n3\n',
    )
    assert.equal(await cluster.exec('none', 'echo "$THING_IDS"; ls /dev | grep -c thing; true'), '\n0\n')
    const { status } = await get('one')
    assert.deepEqual(status?.containerStatuses?.[0]?.allocatedResourcesStatus, [
      { name: THING, resources: [{ resourceID: 'a', health: 'Healthy' }] },
    ])
  })

  it('are waited for, while the agent dies and comes back, and had when they are free', async () => {
    await cluster.apply(pod('two', things(1)))
    await cluster.eventually('describe pod two', (text) =>
      /0\/1 nodes are available: 1 Insufficient example.com\/thing/.test(text),
    )
    const before = (await get('one')).status!.containerStatuses![0]!
    await crashAgent()
    await untilCounts('1/1')
    const { containerID, restartCount } = (await get('one')).status!.containerStatuses![0]!
    assert.deepEqual({ containerID, restartCount }, { containerID: before.containerID, restartCount: 0 })
    // bound past the scheduler: the agent that came back, and the claims, know who has the device
    await cluster.apply(pod('pushy', things(1), { nodeName: (await get('one')).spec!.nodeName }))
    await cluster.kubectl('wait --for=jsonpath={.status.phase}=Failed pod/pushy --timeout=60s')
    assert.match(await cluster.kubectl('get pod pushy'), /UnexpectedAdmissionError|OutOfexample.com\/thing/)
    await cluster.kubectl('delete pod one pushy --wait')
    await ready('two')
    assert.equal(await cluster.exec('two', 'echo $THING_IDS; test -c /dev/thing-a && echo here'), 'a\nhere\n')
  })

  it('survive the crash of their container', async () => {
    await cluster.tryKubectl(['exec', 'two', '--', 'sh', '-c', 'kill -9 -1; kill 1'])
    const restarts = 'get pod two -o jsonpath={.status.containerStatuses[0].restartCount}'
    await cluster.eventually(restarts, (count) => Number(count) >= 1)
    await ready('two')
    assert.equal(await cluster.exec('two', 'echo $THING_IDS'), 'a\n')
  })

  it('are not given when they are ill, which the status of their pod says', async () => {
    plugin.change({ devices: [{ id: 'a', healthy: false, hostPath: join(cluster.home, 'thing') }] })
    await untilCounts('1/0')
    const health =
      'get pod two -o jsonpath={.status.containerStatuses[0].allocatedResourcesStatus[0].resources[0].health}'
    await cluster.eventually(health, (text) => text === 'Unhealthy')
    plugin.change({ devices: [{ id: 'a', hostPath: join(cluster.home, 'thing') }] })
    await untilCounts('1/1')
    await cluster.eventually(health, (text) => text === 'Healthy')
    await plugin.kill()
    await untilCounts('1/0')
    await cluster.eventually(health, (text) => text === 'Unknown')
    await cluster.kubectl('delete pod two none --wait')
  })

  it('are the GPUs that the binding of a pod names', async () => {
    const uuids = ['GPU-0', 'GPU-1']
    const gpus = startDevicePlugin(
      { resource: GPU, socket: 'gpu.sock', devices: uuids.map((id) => ({ id })) },
      { dir: join(cluster.home, 'node/device-plugins'), file: join(cluster.home, 'gpu.json') },
    )
    try {
      const { items } = await cluster.json<{ items: Node[] }>('get nodes')
      const { name } = items[0]!.metadata
      const inventory = uuids.map((uuid, index) => ({ uuid, index, model: 'A', memoryMiB: 4096, healthy: true }))
      const annotation = `${GPU_DEVICES_ANNOTATION}=${formatGpuInventory({ devices: inventory })}`
      await cluster.kubectl(['annotate', 'node', name!, annotation])
      const limits = { 'centaurus.io/gpu-memory': '1024', 'centaurus.io/gpu-compute': '40' }
      await cluster.apply(pod('shared', { resources: { limits } }, { schedulerName: 'nobody' }))
      const allocation = { main: [{ uuid: 'GPU-1', memoryMiB: 1024, compute: 40 }] }
      const binding = {
        apiVersion: 'v1',
        kind: 'Binding',
        metadata: { name: 'shared', annotations: { [GPU_ALLOCATION_ANNOTATION]: JSON.stringify(allocation) } },
        target: { apiVersion: 'v1', kind: 'Node', name },
      }
      await untilCounts('2/2', GPU)
      const path = '/api/v1/namespaces/default/pods/shared/binding'
      await cluster.kubectl(['create', '--raw', path, '-f', '-'], { input: JSON.stringify(binding) })
      await ready('shared')
      assert.equal(await cluster.exec('shared', 'echo $THING_IDS'), 'GPU-1::1024::40\n')
      const { metadata } = await get('shared')
      const [asked] = gpus.calls().filter(({ method }) => method === 'Allocate')
      assert.deepEqual([asked?.podUid, asked?.container], [metadata.uid, 'main'])
    } finally {
      await gpus.kill()
    }
  })

  it('come from plugins that look where kubelets are too', async () => {
    const other = startDevicePlugin(
      { resource: 'example.com/other', socket: 'other.sock', devices: [{ id: 'x' }] },
      { dir: join(kubeletDir, 'device-plugins'), file: join(cluster.home, 'other.json') },
    )
    try {
      const command = shell('echo $THING_IDS of $THING_RESOURCE')
      const limits = { 'example.com/other': '1' }
      await untilCounts('1/1', 'example.com/other')
      await cluster.apply(pod('other', { command, resources: { limits } }, { restartPolicy: 'Never' }))
      await cluster.kubectl('wait --for=jsonpath={.status.phase}=Succeeded pod/other --timeout=60s')
      assert.equal(await cluster.kubectl('logs other'), 'x of example.com/other\n')
      const metrics = await cluster.kubectl([
        'get',
        '--raw',
        `/api/v1/nodes/${(await get('other')).spec!.nodeName}/proxy/metrics`,
      ])
      assert.match(metrics, /kubelet_device_plugin_registration_total\{resource_name="example.com\/other"\} 1/)
      assert.match(
        metrics,
        /kubelet_device_plugin_alloc_duration_seconds_count\{resource_name="example.com\/other"\} 1/,
      )
    } finally {
      await other.kill()
    }
  })
})
