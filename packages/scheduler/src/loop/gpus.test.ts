import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createApiServer, type ApiServer } from '@centaurus/apiserver'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory, type Client, type InformerFactory } from '@centaurus/client'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { GPU, GPU_ALLOCATION_ANNOTATION, GPU_MEMORY, parseGpuAllocation, type GpuAllocation } from '@centaurus/api/gpu'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import { createMemoryStore, type Store } from '@centaurus/store'
import { gpuNode, gpuPod, type GpuPodInput } from '../testing/gpu-objects.ts'
import { startScheduler, type RunningScheduler } from './scheduler.ts'

const WAIT_MS = 10_000
const deps = { clock: systemClock, random: createSeededRandom(1), logger: silentLogger }

describe('pods with GPUs on a real API server', () => {
  let store: Store
  let server: ApiServer
  let client: Client
  let informers: InformerFactory
  let scheduler: RunningScheduler

  const start = (): void => {
    informers = createInformerFactory(client, deps)
    scheduler = startScheduler({ client, informers, ...deps })
  }
  const stop = async (): Promise<void> => {
    await scheduler.close()
    await informers.close()
  }
  before(async () => {
    store = createMemoryStore()
    server = createApiServer({ store, ...deps })
    await server.start()
    client = server.client()
    const { metadata, spec, status } = gpuNode('n', { gpus: 2 })
    const { annotations = {} } = metadata
    const made = await client.create(nodes, { metadata: { name: 'n', annotations } })
    await client.update(nodes, { ...made, spec: { ...spec } })
    const open = await client.get(nodes, { name: 'n' })
    await client.updateStatus(nodes, { ...open, status: { ...status } })
    await client.create(priorityclasses, { metadata: { name: 'high' }, value: 1_000 })
    start()
  })
  after(async () => {
    await stop()
    await server.close()
    await store.close()
  })

  async function eventually<T>(check: () => Promise<T | undefined>): Promise<T> {
    const deadline = performance.now() + WAIT_MS
    for (;;) {
      const seen = await check()
      if (seen !== undefined) return seen
      assert.ok(performance.now() < deadline, `waited ${WAIT_MS} ms: ${check.toString()}`)
      await new Promise((resolve) => setTimeout(resolve, 5))
    }
  }
  const create = (name: string, limits: Record<string, string>, input: GpuPodInput = {}): Promise<Pod> => {
    const { spec, metadata } = gpuPod(name, limits, { terminationGracePeriodSeconds: 0, ...input })
    const { annotations = {} } = metadata
    return client.create(pods, { metadata: { name, namespace: 'default', annotations }, spec: spec! })
  }
  const podOf = (name: string): Promise<Pod> => client.get(pods, { namespace: 'default', name })
  /** What the pod was given, once it has a node. */
  const allocationOf = (name: string): Promise<GpuAllocation> =>
    eventually(async () => {
      const { spec, metadata } = await podOf(name)
      if (!spec?.nodeName) return undefined
      return parseGpuAllocation(metadata.annotations?.[GPU_ALLOCATION_ANNOTATION] ?? '{}')
    })
  const refusalOf = (name: string): Promise<string> =>
    eventually(async () => {
      const { status } = await podOf(name)
      return status?.conditions?.find(({ type, status: is }) => type === 'PodScheduled' && is === 'False')?.message
    })

  it('are bound with their devices', async () => {
    await create('a', { [GPU_MEMORY]: '8000' })
    await create('b', { [GPU]: '1' })
    assert.deepEqual({ ...(await allocationOf('a')) }, { main: [{ uuid: 'n-0', memoryMiB: 8_000 }] })
    assert.deepEqual({ ...(await allocationOf('b')) }, { main: [{ uuid: 'n-1' }] })
  })

  it('wait with the reason, and come when a device is free', async () => {
    await create('c', { [GPU_MEMORY]: '9000' })
    assert.match(await refusalOf('c'), /^0\/1 nodes are available: 1 Insufficient GPU memory on any one device\./)
    await client.delete(pods, { namespace: 'default', name: 'b' })
    assert.deepEqual({ ...(await allocationOf('c')) }, { main: [{ uuid: 'n-1', memoryMiB: 9_000 }] })
  })

  it('keep their devices when the scheduler starts again', async () => {
    await stop()
    start()
    await create('d', { [GPU_MEMORY]: '8000' })
    assert.deepEqual({ ...(await allocationOf('d')) }, { main: [{ uuid: 'n-0', memoryMiB: 8_000 }] })
    await create('e', { [GPU_MEMORY]: '7001' })
    assert.match(await refusalOf('e'), /Insufficient GPU memory on any one device/)
    await client.delete(pods, { namespace: 'default', name: 'e' })
  })

  it('take devices of less important ones', async () => {
    await create('vip', { [GPU]: '1' }, { priorityClassName: 'high' })
    assert.deepEqual({ ...(await allocationOf('vip')) }, { main: [{ uuid: 'n-1' }] })
    await assert.rejects(podOf('c'), /not found/)
    assert.deepEqual({ ...(await allocationOf('a')) }, { main: [{ uuid: 'n-0', memoryMiB: 8_000 }] })
  })
})
