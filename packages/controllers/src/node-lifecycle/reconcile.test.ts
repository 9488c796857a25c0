import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { createManualClock, type ManualClock } from '@centaurus/base'
import { leases } from '@centaurus/api/coordination/v1'
import { nodes, pods, type Node } from '@centaurus/api/core/v1'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startNodeLifecycleController } from './reconcile.ts'

describe('the node lifecycle controller', () => {
  let plane: ControlPlane
  let clock: ManualClock

  before(async () => {
    clock = createManualClock()
    plane = await startControlPlane({ controllers: [(deps) => startNodeLifecycleController({ ...deps, clock })] })
  })
  after(() => plane?.close())

  const conditions = (status: string): NonNullable<Node['status']>['conditions'] => [
    {
      type: 'Ready',
      status,
      reason: 'KubeletReady',
      message: '',
      lastHeartbeatTime: '2026-01-01T00:00:00Z',
      lastTransitionTime: '2026-01-01T00:00:00Z',
    },
  ]
  const taintsOf = async (name: string): Promise<string[]> =>
    ((await plane.client.get(nodes, { name })).spec?.taints ?? []).map(({ key, effect }) => `${key}:${effect}`)
  const register = async (name: string): Promise<void> => {
    const node = await plane.client.create(nodes, { metadata: { name } })
    await plane.client.updateStatus(nodes, { ...node, status: { conditions: conditions('True') } })
    await plane.eventually(async () => (await taintsOf(name)).length === 0)
  }

  it('opens a node that is ready, and closes one that falls silent, with its pods', async () => {
    await register('well')
    await register('silent')
    await plane.client.create(pods, {
      metadata: { name: 'p', namespace: 'default' },
      spec: { nodeName: 'silent', containers: [{ name: 'c', image: 'x' }] },
    })
    const pod = await plane.client.get(pods, { namespace: 'default', name: 'p' })
    await plane.client.updateStatus(pods, {
      ...pod,
      status: { phase: 'Running', conditions: [{ type: 'Ready', status: 'True' }] },
    })
    const lease = {
      metadata: { name: 'well', namespace: 'kube-node-lease' },
      spec: { renewTime: '2026-01-01T00:00:40.000000Z' },
    }
    await clock.advance(40_000)
    await plane.client.create(leases, lease)
    await plane.eventually(
      async () => plane.informers.informer(leases, { namespace: 'kube-node-lease' }).list().length === 1,
    )
    await clock.advance(11_000)
    await plane.eventually(async () => {
      const ready = (await plane.client.get(nodes, { name: 'silent' })).status?.conditions?.find(
        ({ type }) => type === 'Ready',
      )
      return ready?.status === 'Unknown' && ready.reason === 'NodeStatusUnknown'
    })
    await plane.eventually(async () => (await taintsOf('silent')).length === 2)
    assert.deepEqual(await taintsOf('silent'), [
      'node.kubernetes.io/unreachable:NoSchedule',
      'node.kubernetes.io/unreachable:NoExecute',
    ])
    await plane.eventually(async () => {
      const seen = await plane.client.get(pods, { namespace: 'default', name: 'p' })
      return seen.status?.conditions?.find(({ type }) => type === 'Ready')?.status === 'False'
    })
    assert.deepEqual(await taintsOf('well'), [], 'its lease was renewed')
  })
})
