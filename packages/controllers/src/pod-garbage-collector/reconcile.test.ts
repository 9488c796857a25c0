import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startPodGarbageCollector } from './reconcile.ts'

const FINALIZER = 'test/keep'

describe('pod garbage collection on a real API server', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({
      controllers: [(deps) => startPodGarbageCollector({ ...deps, nodeQuarantineMs: 50, terminatedPodsMax: 1 })],
    })
  })
  after(() => plane.close())

  const create = (name: string, nodeName: string): Promise<Pod> =>
    plane.client.create(pods, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default', finalizers: [FINALIZER] },
      spec: { containers: [{ name: 'c', image: 'i' }], ...(nodeName === '' ? {} : { nodeName }) },
    })
  const read = (name: string): Promise<Pod> => plane.client.get(pods, { namespace: 'default', name })

  it('fails and removes the pods of a node that is gone, and no others', async () => {
    await plane.client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'here' } })
    await create('kept', 'here')
    await create('orphan', 'gone')
    const pod = await plane.eventually(async () => {
      const found = await read('orphan')
      return found.metadata.deletionTimestamp !== undefined && found
    })
    const condition = pod.status?.conditions?.find(({ type }) => type === 'DisruptionTarget')
    assert.deepEqual([pod.status?.phase, condition?.reason], ['Failed', 'DeletionByPodGC'])
    assert.equal((await read('kept')).metadata.deletionTimestamp, undefined)
    await plane.client.delete(nodes, { name: 'here' })
    await plane.eventually(async () => (await read('kept')).status?.phase === 'Failed')
  })

  it('fails a pod that was deleted before it was scheduled', async () => {
    await create('never', '')
    await plane.client.delete(pods, { namespace: 'default', name: 'never' })
    await plane.eventually(async () => (await read('never')).status?.phase === 'Failed')
    await plane.client.patch(
      pods,
      { namespace: 'default', name: 'never' },
      { type: 'merge', body: { metadata: { finalizers: [] } } },
    )
    await plane.eventually(() =>
      read('never').then(
        () => false,
        (error) => isStatus(error, 'NotFound'),
      ),
    )
  })
})
