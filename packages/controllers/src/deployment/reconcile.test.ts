import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { deployments, replicasets, type Deployment } from '@centaurus/api/apps/v1'
import { endpoints, events, nodes, pods, services, type Pod } from '@centaurus/api/core/v1'
import { endpointslices } from '@centaurus/api/discovery/v1'
import { startDeploymentController } from './reconcile.ts'
import { startReplicaSetController } from '../replica-set/reconcile.ts'
import { startEndpointSliceController } from '../endpoint-slice/reconcile.ts'
import { startEndpointsController } from '../endpoints/reconcile.ts'
import { startGarbageCollector } from '../garbage-collector/reconcile.ts'
import { runPods, startControlPlane, type ControlPlane } from '../testing/control-plane.ts'

const NAMESPACE = 'default'
const AT = { namespace: NAMESPACE, name: 'web' }

function deploymentOf(image: string): Deployment {
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { ...AT },
    spec: {
      replicas: 3,
      selector: { matchLabels: { app: 'web' } },
      template: { metadata: { labels: { app: 'web' } }, spec: { containers: [{ name: 'c', image }] } },
    },
  }
}

describe('deployments and replica sets on a real API server', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({
      controllers: [
        startDeploymentController,
        startReplicaSetController,
        startEndpointSliceController,
        startEndpointsController,
        startGarbageCollector,
      ],
    })
    runPods(plane)
  })
  after(() => plane.close())

  const isComplete = async (): Promise<boolean> => {
    const { spec, status, metadata } = await plane.client.get(deployments, AT)
    return (
      status?.updatedReplicas === spec.replicas &&
      status?.availableReplicas === spec.replicas &&
      status?.replicas === spec.replicas &&
      status?.observedGeneration === metadata.generation
    )
  }
  const podList = async (): Promise<readonly Pod[]> =>
    (await plane.client.list(pods, { namespace: NAMESPACE, labelSelector: 'app=web' })).items

  it('brings a deployment to its pods, with names, labels, owners and events as upstream', async () => {
    await plane.client.create(deployments, deploymentOf('web:1'))
    await plane.eventually(isComplete)
    const [pod] = await podList()
    assert.match(pod!.metadata.name!, /^web-[a-z0-9]+-[a-z0-9]{5}$/)
    assert.equal(pod!.metadata.ownerReferences?.[0]?.kind, 'ReplicaSet')
    const { metadata, status } = await plane.client.get(deployments, AT)
    assert.equal(metadata.annotations?.['deployment.kubernetes.io/revision'], '1')
    await plane.eventually(async () =>
      (await plane.client.get(deployments, AT)).status?.conditions?.some(
        ({ reason }) => reason === 'NewReplicaSetAvailable',
      ),
    )
    assert.equal(status?.readyReplicas, 3)
    const recorded = await plane.eventually(async () => {
      const { items } = await plane.client.list(events, { namespace: NAMESPACE })
      return items.filter(({ reason }) => reason === 'SuccessfulCreate').length === 3 && items
    })
    assert.match(
      recorded.find(({ reason }) => reason === 'ScalingReplicaSet')!.message!,
      /^Scaled up replica set web-[a-z0-9]+ from 0 to 3$/,
    )
  })

  it('rolls a new template out and keeps the old set', async () => {
    const current = await plane.client.get(deployments, AT)
    await plane.client.update(deployments, {
      ...current,
      spec: { ...current.spec, template: deploymentOf('web:2').spec.template },
    })
    await plane.eventually(isComplete)
    await plane.eventually(async () => (await podList()).length === 3)
    assert.ok((await podList()).every((pod) => pod.spec?.containers[0]?.image === 'web:2'))
    const { items } = await plane.client.list(replicasets, { namespace: NAMESPACE })
    assert.deepEqual(items.map((set) => set.spec.replicas).toSorted(), [0, 3])
  })

  it('replaces a pod that is deleted, and removes what is scaled away', async () => {
    const [victim] = await podList()
    await plane.client.delete(pods, { namespace: NAMESPACE, name: victim!.metadata.name! }, { gracePeriodSeconds: 0 })
    await plane.eventually(async () => {
      const list = await podList()
      return list.length === 3 && list.every((pod) => pod.metadata.uid !== victim!.metadata.uid)
    })
    await plane.client.patch(deployments, AT, { type: 'merge', body: { spec: { replicas: 1 } } })
    await plane.eventually(async () => (await podList()).length === 1)
  })

  it('tells the service’s slices and endpoints where the pods are', async () => {
    await plane.client.create(nodes, { apiVersion: 'v1', kind: 'Node', metadata: { name: 'n1' } })
    const spec = {
      selector: { app: 'web' },
      ports: [{ name: 'http', port: 80, targetPort: 8080 }],
      publishNotReadyAddresses: true,
    }
    await plane.client.create(services, { apiVersion: 'v1', kind: 'Service', metadata: { ...AT }, spec })
    const slice = await plane.eventually(async () => {
      const { items } = await plane.client.list(endpointslices, {
        namespace: NAMESPACE,
        labelSelector: 'kubernetes.io/service-name=web',
      })
      return items.find((item) => (item.endpoints ?? []).length === 1)
    })
    assert.equal(slice.ports?.[0]?.port, 8080)
    const found = await plane.eventually(async () => (await plane.client.get(endpoints, AT)).subsets?.[0])
    assert.deepEqual(found.addresses?.[0]?.ip, slice.endpoints?.[0]?.addresses[0])
  })

  it('leaves nothing behind when it is deleted', async () => {
    await plane.client.delete(deployments, AT, { propagationPolicy: 'Background' })
    await plane.eventually(
      async () => (await plane.client.list(replicasets, { namespace: NAMESPACE })).items.length === 0,
    )
    await plane.eventually(async () => (await podList()).length === 0)
    await assert.rejects(plane.client.get(deployments, AT), (error) => isStatus(error, 'NotFound'))
  })

  it('waits for its pods in a foreground deletion', async () => {
    await plane.client.create(deployments, deploymentOf('web:1'))
    await plane.eventually(isComplete)
    await plane.client.delete(deployments, AT, { propagationPolicy: 'Foreground' })
    await plane.eventually(async () => {
      const gone = await plane.client.get(deployments, AT).then(
        () => false,
        (error) => isStatus(error, 'NotFound'),
      )
      return gone && (await podList()).length === 0
    })
  })

  it('orphans its sets when asked to, and adopts them again', async () => {
    await plane.client.create(deployments, deploymentOf('web:1'))
    await plane.eventually(isComplete)
    await plane.client.delete(deployments, AT, { propagationPolicy: 'Orphan' })
    const orphan = await plane.eventually(async () => {
      const { items } = await plane.client.list(replicasets, { namespace: NAMESPACE })
      return items.find(({ metadata }) => (metadata.ownerReferences ?? []).length === 0)
    })
    assert.equal((await podList()).length, 3)
    const owner = await plane.eventually(() => plane.client.create(deployments, deploymentOf('web:1')))
    await plane.eventually(async () => {
      const set = await plane.client.get(replicasets, { namespace: NAMESPACE, name: orphan.metadata.name })
      return set.metadata.ownerReferences?.[0]?.uid === owner.metadata.uid
    })
    await plane.eventually(isComplete)
    assert.equal((await podList()).length, 3)
  })
})
