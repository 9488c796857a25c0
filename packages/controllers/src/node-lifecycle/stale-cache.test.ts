import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock, createSeededRandom, silentLogger } from '@centaurus/base'
import {
  createInformerFactory,
  type Informer,
  type InformerFactory,
  type RunningController,
  type SelectOptions,
} from '@centaurus/client'
import type { KubeObject, ResourceType } from '@centaurus/api'
import { leases } from '@centaurus/api/coordination/v1'
import { nodes } from '@centaurus/api/core/v1'
import { startControlPlane } from '../testing/control-plane.ts'
import { startNodeLifecycleController } from './reconcile.ts'

const LEASE = { namespace: 'kube-node-lease', name: 'n' }

describe('node lifecycle with a lease cache that has stopped', () => {
  it('calls no node silent whose lease the server has in a later version', async () => {
    const clock = createManualClock()
    const plane = await startControlPlane({ controllers: [] })
    const { client } = plane
    await client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } })
    const ready = { type: 'Ready', status: 'True', lastHeartbeatTime: '2026-01-01T00:00:00Z' }
    await client.patch(
      nodes,
      { name: 'n' },
      { type: 'strategic', body: { status: { conditions: [ready] } } },
      { subresource: 'status' },
    )
    await client.create(leases, { metadata: { ...LEASE }, spec: { renewTime: '2026-01-01T00:00:00.000000Z' } })
    const random = createSeededRandom(1)
    const stopped = createInformerFactory(client, { random, logger: silentLogger })
    const stale = stopped.informer(leases, { namespace: LEASE.namespace })
    await stale.whenSynced()
    await stopped.close()
    const informers: InformerFactory = {
      ...plane.informers,
      informer: <T extends KubeObject>(type: ResourceType<T>, select?: SelectOptions) =>
        type.resource === 'leases' ? (stale as unknown as Informer<T>) : plane.informers.informer(type, select),
    }
    let controller: RunningController | undefined
    try {
      controller = startNodeLifecycleController({ client, informers, clock, random, logger: silentLogger })
      await plane.eventually(async () => controller!.queue.isIdle())
      await client.patch(leases, LEASE, { type: 'merge', body: { spec: { renewTime: '2026-01-01T00:00:50.000000Z' } } })
      for (let i = 0; i < 14; i++) {
        await clock.advance(5_000)
        await plane.eventually(async () => controller!.queue.isIdle())
      }
      const { status } = await client.get(nodes, { name: 'n' })
      assert.equal(status?.conditions?.find(({ type }) => type === 'Ready')?.status, 'True')
      await client.delete(leases, LEASE)
      await clock.advance(5_000)
      await plane.eventually(async () => controller!.queue.isIdle())
      assert.equal((await client.get(nodes, { name: 'n' })).status?.conditions?.[0]?.status, 'True', 'still behind')
    } finally {
      await controller?.close()
      await plane.close()
    }
  })
})
