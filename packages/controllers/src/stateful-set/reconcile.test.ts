import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { controllerrevisions, statefulsets, type StatefulSet } from '@centaurus/api/apps/v1'
import { persistentvolumeclaims, pods, type Pod } from '@centaurus/api/core/v1'
import { startGarbageCollector } from '../garbage-collector/reconcile.ts'
import { startStatefulSetController } from './reconcile.ts'
import { runPods, startControlPlane, type ControlPlane } from '../testing/control-plane.ts'

const AT = { namespace: 'default', name: 'db' }

describe('stateful sets on a real API server', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({ controllers: [startStatefulSetController, startGarbageCollector] })
    runPods(plane)
  })
  after(() => plane.close())

  const podList = async (): Promise<readonly Pod[]> => (await plane.client.list(pods, { namespace: 'default' })).items
  const podNames = async (): Promise<string> => (await podList()).map(({ metadata }) => metadata.name).join(' ')
  const claimNames = async (): Promise<string> => {
    const { items } = await plane.client.list(persistentvolumeclaims, { namespace: 'default' })
    return items
      .filter(({ metadata }) => metadata.deletionTimestamp === undefined)
      .map(({ metadata }) => metadata.name)
      .join(' ')
  }
  const set: StatefulSet = {
    apiVersion: 'apps/v1',
    kind: 'StatefulSet',
    metadata: { ...AT },
    spec: {
      replicas: 3,
      serviceName: 'db',
      selector: { matchLabels: { app: 'db' } },
      persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Retain', whenScaled: 'Delete' },
      template: { metadata: { labels: { app: 'db' } }, spec: { containers: [{ name: 'c', image: 'db:1' }] } },
      volumeClaimTemplates: [
        {
          metadata: { name: 'data' },
          spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } },
        },
      ],
    },
  }

  it('creates its pods in order, with names, host names and claims', async () => {
    await plane.client.create(statefulsets, set)
    await plane.eventually(async () => (await podNames()) === 'db-0 db-1 db-2')
    const list = await podList()
    const created = list.map(({ metadata }) => Number(metadata.resourceVersion))
    assert.equal(created.length, 3)
    assert.equal(list[1]?.spec?.hostname, 'db-1')
    assert.equal(list[1]?.spec?.subdomain, 'db')
    assert.equal(list[1]?.metadata.labels?.['apps.kubernetes.io/pod-index'], '1')
    assert.equal(
      list[1]?.spec?.volumes?.find(({ name }) => name === 'data')?.persistentVolumeClaim?.claimName,
      'data-db-1',
    )
    assert.equal(await claimNames(), 'data-db-0 data-db-1 data-db-2')
    await plane.eventually(async () => {
      const { status } = await plane.client.get(statefulsets, AT)
      return status?.readyReplicas === 3 && status.currentRevision === status.updateRevision
    })
  })

  it('updates from the last pod down to the partition', async () => {
    const template = { spec: { containers: [{ name: 'c', image: 'db:2' }] } }
    const updateStrategy = { type: 'RollingUpdate', rollingUpdate: { partition: 1 } }
    await plane.client.patch(statefulsets, AT, { type: 'strategic', body: { spec: { template, updateStrategy } } })
    const images = async (): Promise<string> =>
      (await podList()).map(({ spec }) => spec?.containers[0]?.image).join(' ')
    await plane.eventually(async () => (await images()) === 'db:1 db:2 db:2')
    await plane.client.patch(statefulsets, AT, {
      type: 'merge',
      body: { spec: { updateStrategy: { rollingUpdate: { partition: 0 } } } },
    })
    await plane.eventually(async () => (await images()) === 'db:2 db:2 db:2')
    await plane.eventually(async () => {
      const { status } = await plane.client.get(statefulsets, AT)
      return status?.currentRevision === status?.updateRevision && status?.updatedReplicas === 3
    })
  })

  it('scales down from the end and drops the claims as its policy says', async () => {
    await plane.client.patch(statefulsets, AT, { type: 'merge', body: { spec: { replicas: 1 } } })
    await plane.eventually(async () => (await podNames()) === 'db-0')
    await plane.eventually(async () => (await claimNames()) === 'data-db-0')
  })

  it('makes no revision for a set that is being deleted', async () => {
    const labels = { app: 'going' }
    const going = { namespace: 'default', name: 'going' }
    const spec = { ...set.spec, replicas: 0, selector: { matchLabels: labels }, volumeClaimTemplates: [] }
    spec.template = { metadata: { labels }, spec: set.spec.template.spec! }
    const revisions = async (): Promise<readonly string[]> => {
      const { items } = await plane.client.list(controllerrevisions)
      return items.map(({ metadata }) => metadata.name).filter((name) => name.startsWith('going-'))
    }
    await plane.client.create(statefulsets, { metadata: { ...going, finalizers: ['example.com/wait'] }, spec })
    await plane.eventually(async () => (await revisions()).length === 1)
    await plane.client.delete(statefulsets, going)
    await plane.client.delete(controllerrevisions, { namespace: 'default', name: (await revisions())[0]! })
    await plane.client.create(statefulsets, {
      metadata: { namespace: 'default', name: 'later' },
      spec: { ...spec, replicas: 1 },
    })
    await plane.eventually(async () => (await podNames()) === 'db-0 later-0') // what came before it was worked on
    assert.deepEqual(await revisions(), [])
    await plane.client.patch(statefulsets, going, { type: 'merge', body: { metadata: { finalizers: null } } })
  })
})
