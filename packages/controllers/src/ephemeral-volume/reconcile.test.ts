import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { persistentvolumeclaims, pods } from '@centaurus/api/core/v1'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startEphemeralVolumeController } from './reconcile.ts'

describe('ephemeral volumes on a real API server', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({ controllers: [startEphemeralVolumeController] })
  })
  after(() => plane.close())

  it('get a claim that belongs to their pod', async () => {
    const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } }
    const volumeClaimTemplate = { metadata: { labels: { app: 'scratch' } }, spec }
    const pod = await plane.client.create(pods, {
      metadata: { name: 'worker', namespace: 'default' },
      spec: {
        containers: [{ name: 'c', image: 'x' }],
        volumes: [{ name: 'scratch', ephemeral: { volumeClaimTemplate } }],
      },
    })
    const claim = await plane.eventually(() =>
      plane.client.get(persistentvolumeclaims, { namespace: 'default', name: 'worker-scratch' }),
    )
    assert.deepEqual(claim.metadata.labels, { app: 'scratch' })
    assert.deepEqual(claim.metadata.ownerReferences, [
      {
        apiVersion: 'v1',
        kind: 'Pod',
        name: 'worker',
        uid: pod.metadata.uid,
        controller: true,
        blockOwnerDeletion: true,
      },
    ])
  })
})
