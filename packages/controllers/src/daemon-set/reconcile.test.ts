import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { controllerrevisions, daemonsets, type DaemonSet } from '@centaurus/api/apps/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { startDaemonSetController } from './reconcile.ts'
import { runPods, startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { targetNode } from './pod.ts'

const AT = { namespace: 'default', name: 'agent' }

describe('daemon sets on a real API server', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({ controllers: [startDaemonSetController] })
    runPods(plane)
    for (const name of ['n1', 'n2']) await addNode(name)
  })
  after(() => plane.close())

  const addNode = async (name: string): Promise<void> => {
    const node = await plane.client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name } })
    if (node.spec?.taints !== undefined)
      await plane.client.update(nodes, { ...node, spec: { ...node.spec, taints: [] } })
  }
  const podList = async (): Promise<readonly Pod[]> => (await plane.client.list(pods, { namespace: 'default' })).items
  const daemonSet: DaemonSet = {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { ...AT },
    spec: {
      selector: { matchLabels: { app: 'agent' } },
      template: { metadata: { labels: { app: 'agent' } }, spec: { containers: [{ name: 'c', image: 'agent:1' }] } },
    },
  }

  it('runs one pod for each node, also for one that comes later', async () => {
    await plane.client.create(daemonsets, daemonSet)
    await plane.eventually(async () => (await podList()).length === 2)
    await addNode('n3')
    await plane.eventually(async () => (await podList()).length === 3)
    assert.deepEqual((await podList()).map(targetNode).toSorted(), ['n1', 'n2', 'n3'])
    const status = await plane.eventually(async () => {
      const found = await plane.client.get(daemonsets, AT)
      return found.status?.numberAvailable === 3 && found.status
    })
    assert.equal(status.desiredNumberScheduled, 3)
  })

  it('replaces all pods by a new template and keeps a revision of each', async () => {
    await plane.client.patch(daemonsets, AT, {
      type: 'strategic',
      body: { spec: { template: { spec: { containers: [{ name: 'c', image: 'agent:2' }] } } } },
    })
    await plane.eventually(async () => {
      const list = await podList()
      return list.length === 3 && list.every((pod) => pod.spec?.containers[0]?.image === 'agent:2')
    })
    const { items } = await plane.client.list(controllerrevisions, { namespace: 'default' })
    assert.deepEqual(items.map(({ revision }) => revision).toSorted(), [1, 2])
    await plane.eventually(async () => (await plane.client.get(daemonsets, AT)).status?.updatedNumberScheduled === 3)
  })
})
