import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import {
  events,
  nodes,
  persistentvolumeclaims,
  persistentvolumes,
  pods,
  type PersistentVolumeClaim,
} from '@centaurus/api/core/v1'
import { storageclasses } from '@centaurus/api/storage/v1'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startVolumeBindingController } from '../volume-binding/reconcile.ts'
import { startClaimProtectionController, startVolumeProtectionController } from '../volume-protection/reconcile.ts'
import { localStorageClass } from './plan.ts'
import { startVolumeProvisioningController } from './reconcile.ts'

const SELECTED = 'volume.kubernetes.io/selected-node'

describe('claims of the local class on a real API server', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({
      controllers: [
        startVolumeBindingController,
        startVolumeProvisioningController,
        startClaimProtectionController,
        startVolumeProtectionController,
      ],
    })
    await plane.client.create(storageclasses, localStorageClass)
    const annotations = { 'centaurus.io/local-volumes': '/volumes' }
    await plane.client.create(nodes, {
      metadata: { name: 'n1', labels: { 'kubernetes.io/hostname': 'n1' }, annotations },
    })
  })
  after(() => plane.close())

  const at = (name: string) => ({ namespace: 'default', name })

  async function createClaim(name: string): Promise<PersistentVolumeClaim> {
    const spec = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } }
    return plane.client.create(persistentvolumeclaims, { metadata: at(name), spec })
  }

  async function reasonsOf(name: string): Promise<string[]> {
    const { items } = await plane.client.list(events, { namespace: 'default' })
    return items.filter(({ involvedObject }) => involvedObject.name === name).map(({ reason }) => reason ?? '')
  }

  /** As the scheduler does. */
  async function select(name: string, node: string): Promise<void> {
    const body = { metadata: { annotations: { [SELECTED]: node } } }
    await plane.client.patch(persistentvolumeclaims, at(name), { type: 'merge', body })
  }

  async function bound(name: string): Promise<PersistentVolumeClaim> {
    return plane.eventually(async () => {
      const claim = await plane.client.get(persistentvolumeclaims, at(name))
      return claim.status?.phase === 'Bound' && claim
    })
  }

  it('get a volume on the selected node, and tell so as other provisioners do', async () => {
    assert.equal((await createClaim('data')).spec?.storageClassName, 'local')
    await plane.eventually(async () => (await reasonsOf('data')).includes('WaitForFirstConsumer'))
    await select('data', 'n1')
    const claim = await bound('data')
    const volume = await plane.eventually(async () => {
      const found = await plane.client.get(persistentvolumes, { name: claim.spec!.volumeName! })
      return found.status?.phase === 'Bound' && found
    })
    assert.equal(volume.spec?.local?.path, `/volumes/${volume.metadata.name}`)
    assert.deepEqual(volume.metadata.finalizers, ['centaurus.io/local-volume', 'kubernetes.io/pv-protection'])
    await plane.eventually(async () => {
      const reasons = await reasonsOf('data')
      return ['ExternalProvisioning', 'Provisioning', 'ProvisioningSucceeded'].every((one) => reasons.includes(one))
    })
  })

  it('stay while a pod on a node uses them, then leave the volume to the node', async () => {
    await plane.client.create(pods, {
      metadata: at('user'),
      spec: {
        nodeName: 'n1',
        terminationGracePeriodSeconds: 0,
        containers: [{ name: 'c', image: 'x' }],
        volumes: [{ name: 'v', persistentVolumeClaim: { claimName: 'data' } }],
      },
    })
    const { volumeName = '' } = (await bound('data')).spec ?? {}
    await plane.client.delete(persistentvolumeclaims, at('data'))
    await createClaim('other') // an event later: the controller has looked at the deletion by then
    await plane.eventually(async () => (await reasonsOf('other')).includes('WaitForFirstConsumer'))
    const kept = await plane.client.get(persistentvolumeclaims, at('data'))
    assert.deepEqual(kept.metadata.finalizers, ['kubernetes.io/pvc-protection'])
    await plane.client.delete(pods, at('user'), { gracePeriodSeconds: 0 })
    await plane.eventually(async () => {
      try {
        await plane.client.get(persistentvolumeclaims, at('data'))
      } catch (error) {
        return isStatus(error, 'NotFound')
      }
      return false
    })
    await plane.eventually(
      async () => (await plane.client.get(persistentvolumes, { name: volumeName })).status?.phase === 'Released',
    )
    await plane.client.delete(persistentvolumes, { name: volumeName })
    const left = await plane.eventually(async () => {
      const { finalizers } = (await plane.client.get(persistentvolumes, { name: volumeName })).metadata
      return finalizers?.length === 1 && finalizers
    })
    assert.deepEqual(left, ['centaurus.io/local-volume'], 'the data may still be there')
  })

  it('go back to the scheduler when the selected node is gone', async () => {
    await select('other', 'n2')
    await plane.eventually(async () => (await reasonsOf('other')).includes('ProvisioningFailed'))
    const claim = await plane.eventually(async () => {
      const found = await plane.client.get(persistentvolumeclaims, at('other'))
      return found.metadata.annotations?.[SELECTED] === undefined && found
    })
    assert.equal(claim.status?.phase, 'Pending')
  })

  it('keep a bound volume that somebody deletes', async () => {
    await select('other', 'n1')
    const name = (await bound('other')).spec!.volumeName!
    await plane.eventually(async () => (await plane.client.get(persistentvolumes, { name })).status?.phase === 'Bound')
    await plane.client.delete(persistentvolumes, { name })
    const { finalizers } = (await plane.client.get(persistentvolumes, { name })).metadata
    assert.ok(finalizers?.includes('kubernetes.io/pv-protection'))
  })
})
