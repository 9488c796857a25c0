import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { events, nodes, pods, type Pod, type Taint, type Toleration } from '@centaurus/api/core/v1'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startTaintEvictionController } from './reconcile.ts'

const TAINT: Taint = { key: 'broken', effect: 'NoExecute' }

describe('taint eviction on a real API server', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({ controllers: [startTaintEvictionController] })
    await plane.client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n' } })
  })
  after(() => plane.close())

  const create = (name: string, tolerations: Toleration[]): Promise<Pod> =>
    plane.client.create(pods, {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, namespace: 'default' },
      spec: { nodeName: 'n', tolerations, containers: [{ name: 'c', image: 'i' }] },
    })
  const taint = (taints: Taint[]): Promise<unknown> =>
    plane.client.patch(nodes, { name: 'n' }, { type: 'merge', body: { spec: { taints } } })
  const isLeaving = async (name: string): Promise<boolean> => {
    const pod = await plane.client.get(pods, { namespace: 'default', name })
    return pod.metadata.deletionTimestamp !== undefined
  }
  const messages = async (name: string): Promise<string[]> => {
    const { items } = await plane.client.list(events, { namespace: 'default' })
    return items.filter(({ involvedObject }) => involvedObject.name === name).map(({ message }) => message!)
  }

  it('evicts who does not tolerate, at once or in time, and lets others stay', async () => {
    const exists = { key: 'broken', operator: 'Exists', effect: 'NoExecute' }
    await create('out', [])
    await create('stays', [exists])
    await create('waits', [{ ...exists, tolerationSeconds: 3600 }])
    await create('briefly', [{ ...exists, tolerationSeconds: 1 }])
    await taint([TAINT])
    await plane.eventually(() => isLeaving('out'))
    const { status } = await plane.client.get(pods, { namespace: 'default', name: 'out' })
    const condition = status?.conditions?.find(({ type }) => type === 'DisruptionTarget')
    assert.deepEqual([condition?.status, condition?.reason], ['True', 'DeletionByTaintManager'])
    assert.equal(await isLeaving('briefly'), false)
    await plane.eventually(() => isLeaving('briefly'))
    await plane.eventually(async () => (await messages('out')).includes('Marking for deletion Pod default/out'))
    assert.deepEqual([await isLeaving('stays'), await isLeaving('waits')], [false, false])
  })

  it('changes its mind when the taint goes', async () => {
    await taint([])
    await plane.eventually(async () => (await messages('waits')).includes('Cancelling deletion of Pod default/waits'))
    assert.equal(await isLeaving('waits'), false)
  })

  it('evicts a pod that comes to a tainted node', async () => {
    await taint([TAINT])
    await create('late', [])
    await plane.eventually(() => isLeaving('late'))
  })
})
