import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import { nodeallocations } from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import {
  formatGpuInventory,
  GPU_ALLOCATION_ANNOTATION,
  GPU_DEVICES_ANNOTATION,
  parseGpuAllocation,
  type GpuGrant,
} from '@centaurus/api/gpu'
import { startCluster, type Cluster } from './cluster.ts'

const WAIT_MS = 20_000
const GPUS_PER_NODE = 4

describe('parts of GPUs in a cluster for tests', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ simulatedNodes: 2 })
    for (const { metadata } of (await cluster.client.list(nodes)).items) await describeGpus(metadata.name)
  })
  after(() => cluster.close())

  /** As the plugin does. */
  async function describeGpus(name: string): Promise<void> {
    const devices = Array.from({ length: GPUS_PER_NODE }, (_, index) => ({
      uuid: `GPU-${name}-${index}`,
      index,
      model: 'NVIDIA A100',
      memoryMiB: 40_000,
      healthy: true,
    }))
    const annotations = { [GPU_DEVICES_ANNOTATION]: formatGpuInventory({ devices }) }
    await cluster.client.patch(nodes, { name }, { type: 'merge', body: { metadata: { annotations } } })
  }

  async function eventually(check: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + WAIT_MS
    while (!(await check())) {
      assert.ok(performance.now() < deadline, `waited ${WAIT_MS} ms: ${check.toString()}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }
  const list = async (): Promise<readonly Stored<Pod>[]> =>
    (await cluster.client.list(pods, { namespace: 'default' })).items
  const isRunning = ({ status }: Pod): boolean => status?.phase === 'Running'
  const grantsOf = ({ metadata }: Pod): readonly GpuGrant[] => {
    const text = metadata?.annotations?.[GPU_ALLOCATION_ANNOTATION]
    return text === undefined ? [] : Object.values(parseGpuAllocation(text)).flat()
  }

  it('are given to as many pods as fit, and claimed; the others wait for the reason that they are told', async () => {
    const limits = { 'nvidia.com/gpumem': '20000', 'centaurus.io/gpu-compute': '50' }
    const fitting = 2 * GPUS_PER_NODE * 2
    await Promise.all(
      Array.from({ length: fitting + 2 }, (_, i) =>
        cluster.client.create(pods, {
          metadata: { name: `p${i}`, namespace: 'default' },
          spec: { containers: [{ name: 'main', image: 'x', resources: { limits } }] },
        }),
      ),
    )
    await eventually(async () => (await list()).filter(isRunning).length === fitting)
    const running = (await list()).filter(isRunning)
    const users = Map.groupBy(running.flatMap(grantsOf), ({ uuid }) => uuid)
    assert.deepEqual(
      [...users.values()].map((grants) => grants.length),
      Array.from({ length: 2 * GPUS_PER_NODE }, () => 2),
    )
    const isTold = ({ status }: Pod): boolean =>
      status?.conditions?.some(({ message = '' }) => /2 Insufficient GPU memory on any one device/.test(message)) ===
      true
    await eventually(async () => (await list()).filter(isTold).length === 2)
    for (const { status } of (await cluster.client.list(nodeallocations)).items)
      assert.ok(status.devices?.every(({ freeMemoryMiB, freeCompute }) => freeMemoryMiB === 0 && freeCompute === 0))
  })

  it('are given to those that wait when others end', async () => {
    const before = (await list()).filter(isRunning)
    const [first] = before
    await cluster.client.delete(pods, { namespace: 'default', name: first!.metadata.name })
    const isNew = ({ metadata }: Pod): boolean => !before.some((pod) => pod.metadata.name === metadata.name)
    await eventually(async () => (await list()).filter(isRunning).some(isNew))
    const next = (await list()).filter(isRunning).find(isNew)
    assert.deepEqual(grantsOf(next!), grantsOf(first!), 'the part that the first one had')
  })
})
