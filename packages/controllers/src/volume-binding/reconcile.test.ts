import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { persistentvolumeclaims, persistentvolumes, pods } from '@centaurus/api/core/v1'
import { poddisruptionbudgets } from '@centaurus/api/policy/v1'
import { replicasets } from '@centaurus/api/apps/v1'
import { startDisruptionController } from '../disruption/reconcile.ts'
import { startReplicaSetController } from '../replica-set/reconcile.ts'
import { runPods, startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startClaimProtectionController } from '../volume-protection/reconcile.ts'
import { startVolumeBindingController } from './reconcile.ts'

describe('volumes and budgets on a real API server', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({
      controllers: [
        startVolumeBindingController,
        startClaimProtectionController,
        startDisruptionController,
        startReplicaSetController,
      ],
    })
    runPods(plane)
  })
  after(() => plane.close())

  it('binds a claim to the smallest volume that is large enough, and releases it with the claim', async () => {
    for (const [name, storage] of [
      ['large', '10Gi'],
      ['small', '1Gi'],
      ['fitting', '5Gi'],
    ] as const) {
      const spec = {
        capacity: { storage },
        accessModes: ['ReadWriteOnce'],
        hostPath: { path: `/data/${name}` },
        storageClassName: '',
      }
      await plane.client.create(persistentvolumes, {
        apiVersion: 'v1',
        kind: 'PersistentVolume',
        metadata: { name },
        spec,
      })
    }
    const at = { namespace: 'default', name: 'data' }
    const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '2Gi' } }, storageClassName: '' }
    await plane.client.create(persistentvolumeclaims, {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { ...at },
      spec,
    })
    const claim = await plane.eventually(async () => {
      const found = await plane.client.get(persistentvolumeclaims, at)
      return found.status?.phase === 'Bound' && found
    })
    assert.deepEqual([claim.spec?.volumeName, claim.status?.capacity?.['storage']], ['fitting', '5Gi'])
    await plane.eventually(
      async () => (await plane.client.get(persistentvolumes, { name: 'fitting' })).status?.phase === 'Bound',
    )
    await plane.client.delete(persistentvolumeclaims, at)
    await plane.eventually(
      async () => (await plane.client.get(persistentvolumes, { name: 'fitting' })).status?.phase === 'Released',
    )
  })

  it('says how many pods of a budget may go', async () => {
    const labels = { app: 'web' }
    const template = { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'web' }] } }
    const spec = { replicas: 4, selector: { matchLabels: labels }, template }
    await plane.client.create(replicasets, {
      apiVersion: 'apps/v1',
      kind: 'ReplicaSet',
      metadata: { name: 'web', namespace: 'default' },
      spec,
    })
    const budget = { maxUnavailable: '25%', selector: { matchLabels: labels } }
    const at = { namespace: 'default', name: 'web' }
    await plane.client.create(poddisruptionbudgets, {
      apiVersion: 'policy/v1',
      kind: 'PodDisruptionBudget',
      metadata: { ...at },
      spec: budget,
    })
    await plane.eventually(async () => {
      const { status } = await plane.client.get(poddisruptionbudgets, at)
      return status?.disruptionsAllowed === 1 && status.expectedPods === 4 && status.currentHealthy === 4
    })
    const [pod] = (await plane.client.list(pods, { namespace: 'default' })).items
    const eviction = {
      apiVersion: 'policy/v1',
      kind: 'Eviction',
      metadata: { name: pod!.metadata.name, namespace: 'default' },
    }
    await plane.client.createSubresource(pods, { namespace: 'default', name: pod!.metadata.name }, 'eviction', eviction)
  })
})
