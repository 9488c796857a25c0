import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { secrets, serviceaccounts } from '@centaurus/api/core/v1'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startTokenSecretController, type TokenSecretDeps } from './reconcile.ts'

const fillTokenSecret: TokenSecretDeps['fillTokenSecret'] = (secret, account) =>
  secret.data?.['token'] === undefined ? { ...secret, data: { token: btoa(account.metadata.uid) } } : undefined

describe('token secrets on a real API server', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({
      controllers: [(deps) => startTokenSecretController({ ...deps, fillTokenSecret })],
    })
  })
  after(() => plane.close())

  it('are filled for their account, and go with it', async () => {
    const at = { namespace: 'default', name: 'robot' }
    const account = await plane.client.create(serviceaccounts, {
      apiVersion: 'v1',
      kind: 'ServiceAccount',
      metadata: { ...at },
    })
    const annotations = { 'kubernetes.io/service-account.name': 'robot' }
    const type = 'kubernetes.io/service-account-token'
    await plane.client.create(secrets, { apiVersion: 'v1', kind: 'Secret', metadata: { ...at, annotations }, type })
    const token = await plane.eventually(async () => (await plane.client.get(secrets, at)).data?.['token'])
    assert.equal(token, btoa(account.metadata.uid))
    await plane.client.delete(serviceaccounts, at)
    await plane.eventually(() =>
      plane.client.get(secrets, at).then(
        () => false,
        (error) => isStatus(error, 'NotFound'),
      ),
    )
  })
})
