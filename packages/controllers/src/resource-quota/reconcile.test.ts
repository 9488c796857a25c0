import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { quantityOfUnits } from '@centaurus/api'
import { configmaps, resourcequotas } from '@centaurus/api/core/v1'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startResourceQuotaController, type QuotaRules } from './reconcile.ts'

const AT = { namespace: 'default', name: 'limits' }
const quotaRules: QuotaRules = {
  usageOf: ({ resource }) => new Map([[`count/${resource}`, quantityOfUnits(1)]]),
  isInScope: () => true,
}

describe('resource quotas on a real API server', () => {
  let plane: ControlPlane
  before(async () => {
    plane = await startControlPlane({ controllers: [(deps) => startResourceQuotaController({ ...deps, quotaRules })] })
  })
  after(() => plane.close())

  it('tell what a namespace uses, and less of it after a deletion', async () => {
    for (const name of ['a', 'b']) {
      await plane.client.create(configmaps, {
        apiVersion: 'v1',
        kind: 'ConfigMap',
        metadata: { name, namespace: AT.namespace },
      })
    }
    const hard = { 'count/configmaps': '10', 'count/secrets': '5' }
    await plane.client.create(resourcequotas, {
      apiVersion: 'v1',
      kind: 'ResourceQuota',
      metadata: { ...AT },
      spec: { hard },
    })
    const used = async (): Promise<string | undefined> =>
      (await plane.client.get(resourcequotas, AT)).status?.used?.['count/configmaps']
    await plane.eventually(async () => (await used()) === '2')
    const { status } = await plane.client.get(resourcequotas, AT)
    assert.deepEqual([status?.hard, status?.used?.['count/secrets']], [hard, '0'])
    await plane.client.delete(configmaps, { namespace: AT.namespace, name: 'a' })
    await plane.eventually(async () => (await used()) === '1')
  })
})
