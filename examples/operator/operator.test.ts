import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { ApiextensionsV1Api, AppsV1Api, CustomObjectsApi, KubeConfig, type V1Deployment } from '@kubernetes/client-node'
import { startCluster, type Cluster } from 'centaurus'
import { GROUP, startOperator } from './operator.ts'

describe('an operator tested against a cluster of its own', () => {
  let cluster: Cluster
  let stop: (() => Promise<void>) | undefined
  const config = new KubeConfig()
  const errors: unknown[] = []

  before(async () => {
    cluster = await startCluster({ simulatedNodes: 1 })
    config.loadFromString(cluster.kubeconfig)
    await config.makeApiClient(ApiextensionsV1Api).createCustomResourceDefinition({
      body: {
        metadata: { name: `websites.${GROUP}` },
        spec: {
          group: GROUP,
          scope: 'Namespaced',
          names: { plural: 'websites', singular: 'website', kind: 'Website' },
          versions: [
            {
              name: 'v1',
              served: true,
              storage: true,
              schema: {
                openAPIV3Schema: {
                  type: 'object',
                  properties: {
                    spec: { type: 'object', properties: { page: { type: 'string' }, replicas: { type: 'integer' } } },
                  },
                },
              },
            },
          ],
        },
      },
    })
    stop = await startOperator(config, (error) => errors.push(error))
  })
  after(async () => {
    await stop?.()
    await cluster?.close()
  })

  const websites = { group: GROUP, version: 'v1', namespace: 'default', plural: 'websites' }
  const deployment = (): Promise<V1Deployment> =>
    config.makeApiClient(AppsV1Api).readNamespacedDeployment({ namespace: 'default', name: 'shop' })

  it('makes pods run for a Website, and follows its changes', async () => {
    const custom = config.makeApiClient(CustomObjectsApi)
    const site = {
      apiVersion: `${GROUP}/v1`,
      kind: 'Website',
      metadata: { name: 'shop' },
      spec: { page: 'hello', replicas: 2 },
    }
    await custom.createNamespacedCustomObject({ ...websites, body: site })
    await until(async () => (await deployment()).status?.readyReplicas === 2)
    await custom.patchNamespacedCustomObject({
      ...websites,
      name: 'shop',
      body: [{ op: 'replace', path: '/spec/replicas', value: 3 }],
    })
    await until(async () => (await deployment()).status?.readyReplicas === 3)
    await custom.deleteNamespacedCustomObject({ ...websites, name: 'shop' })
    await until(() =>
      deployment().then(
        () => false,
        (error: { code?: number }) => error.code === 404,
      ),
    )
    assert.deepEqual(errors, [])
  })
})

async function until(probe: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 20_000
  while (!(await probe().catch(() => false))) {
    assert.ok(performance.now() < deadline, 'waited 20 s')
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
}
