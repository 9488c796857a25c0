import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { configmaps, namespaces, serviceaccounts } from '@centaurus/api/core/v1'
import { startNamespaceController } from './reconcile.ts'
import { startServiceAccountController, startRootCaPublisher } from '../service-account/reconcile.ts'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'

describe('namespaces on a real API server', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({
      controllers: [startNamespaceController, startServiceAccountController, startRootCaPublisher],
    })
  })
  after(() => plane.close())

  it('get a service account and the certificate authority, which come back when deleted', async () => {
    await plane.client.create(namespaces, { apiVersion: 'v1', kind: 'Namespace', metadata: { name: 'team' } })
    const first = await plane.eventually(() =>
      plane.client.get(serviceaccounts, { namespace: 'team', name: 'default' }),
    )
    const map = await plane.eventually(() =>
      plane.client.get(configmaps, { namespace: 'team', name: 'kube-root-ca.crt' }),
    )
    assert.deepEqual(map.data, { 'ca.crt': 'CA' })
    await plane.client.delete(serviceaccounts, { namespace: 'team', name: 'default' })
    await plane.eventually(async () => {
      const again = await plane.client.get(serviceaccounts, { namespace: 'team', name: 'default' })
      return again.metadata.uid !== first.metadata.uid
    })
    await plane.client.update(configmaps, { ...map, data: { 'ca.crt': 'another' } })
    await plane.eventually(
      async () =>
        (await plane.client.get(configmaps, { namespace: 'team', name: 'kube-root-ca.crt' })).data?.['ca.crt'] === 'CA',
    )
  })

  it('go with all that is in them, and say what holds them up', async () => {
    const metadata = { name: 'held', namespace: 'team', finalizers: ['example.com/hold'] }
    await plane.client.create(configmaps, { apiVersion: 'v1', kind: 'ConfigMap', metadata })
    await plane.client.delete(namespaces, { name: 'team' })
    const waiting = await plane.eventually(async () => {
      const { status } = await plane.client.get(namespaces, { name: 'team' })
      return status?.conditions?.find(
        ({ type, status: value }) => type === 'NamespaceFinalizersRemaining' && value === 'True',
      )
    })
    assert.equal(
      waiting.message,
      'Some content in the namespace has finalizers remaining: example.com/hold in 1 resource instances',
    )
    await plane.client.patch(
      configmaps,
      { namespace: 'team', name: 'held' },
      { type: 'merge', body: { metadata: { finalizers: null } } },
    )
    await plane.client.patch(
      namespaces,
      { name: 'team' },
      { type: 'merge', body: { metadata: { labels: { look: 'again' } } } },
    )
    await plane.eventually(() =>
      plane.client.get(namespaces, { name: 'team' }).then(
        () => false,
        (error) => isStatus(error, 'NotFound'),
      ),
    )
  })
})
