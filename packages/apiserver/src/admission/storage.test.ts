import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { persistentvolumeclaims, persistentvolumes, type PersistentVolumeClaim } from '@centaurus/api/core/v1'
import { storageclasses, type StorageClass } from '@centaurus/api/storage/v1'
import { createMemoryStore } from '@centaurus/store'
import { startTestServer } from '../testing/test-server.ts'

const DEFAULT_CLASS: StorageClass = {
  metadata: { name: 'plain', annotations: { 'storageclass.kubernetes.io/is-default-class': 'true' } },
  provisioner: 'example.com/plain',
}

function claimOf(name: string, storage = '1Gi'): PersistentVolumeClaim {
  const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage } } }
  return { metadata: { name, namespace: 'default' }, spec }
}

describe('admission of storage', () => {
  it('makes the storage class of a new cluster once, and leaves what people did with it', async () => {
    const store = createMemoryStore()
    const admission = { storageClass: DEFAULT_CLASS }
    const first = await startTestServer({ store, admission })
    assert.equal((await first.client.create(persistentvolumeclaims, claimOf('a'))).spec?.storageClassName, 'plain')
    await first.client.delete(storageclasses, { name: 'plain' })
    const second = await startTestServer({ store, admission })
    assert.deepEqual((await second.client.list(storageclasses)).items, [])
    await first.server.close()
    await second.close()
  })

  it('protects claims and volumes that may be in use', async () => {
    const test = await startTestServer()
    const claim = await test.client.create(persistentvolumeclaims, claimOf('a'))
    assert.deepEqual(claim.metadata.finalizers, ['kubernetes.io/pvc-protection'])
    const spec = { capacity: { storage: '1Gi' }, accessModes: ['ReadWriteOnce'], hostPath: { path: '/x' } }
    const volume = await test.client.create(persistentvolumes, {
      metadata: { name: 'v', finalizers: ['example.com/own', 'kubernetes.io/pv-protection'] },
      spec,
    })
    assert.deepEqual(volume.metadata.finalizers, ['example.com/own', 'kubernetes.io/pv-protection'])
    await test.client.delete(persistentvolumeclaims, { namespace: 'default', name: 'a' })
    const kept = await test.client.get(persistentvolumeclaims, { namespace: 'default', name: 'a' })
    assert.notEqual(kept.metadata.deletionTimestamp, undefined)
    await test.close()
  })

  it('lets a bound claim grow only in a class that can', async () => {
    const test = await startTestServer({ admission: { storageClass: DEFAULT_CLASS } })
    const { client } = test
    const claim = await client.create(persistentvolumeclaims, claimOf('a'))
    const grow = (from: PersistentVolumeClaim): PersistentVolumeClaim => ({
      ...from,
      spec: { ...from.spec, resources: { requests: { storage: '2Gi' } } },
    })
    await assert.rejects(client.update(persistentvolumeclaims, grow(claim)), /spec is immutable/)
    const named = await client.update(persistentvolumeclaims, {
      ...claim,
      spec: { ...claim.spec, volumeName: 'v' },
    })
    const bound = await client.updateStatus(persistentvolumeclaims, { ...named, status: { phase: 'Bound' } })
    await assert.rejects(
      client.update(persistentvolumeclaims, grow(bound)),
      /persistentvolumeclaims "a" is forbidden: only dynamically provisioned pvc can be resized and the storageclass that provisions the pvc must support resize/,
    )
    const found = await client.get(storageclasses, { name: 'plain' })
    await client.update(storageclasses, { ...found, allowVolumeExpansion: true })
    const grown = await client.update(persistentvolumeclaims, grow(bound))
    assert.equal(grown.spec?.resources?.requests?.['storage'], '2Gi')
    await test.close()
  })
})
