import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { statefulsets } from '@centaurus/api/apps/v1'
import { persistentvolumeclaims, persistentvolumes, pods } from '@centaurus/api/core/v1'
import { startCluster, type Cluster } from './cluster.ts'

const WAIT_MS = 20_000

describe('volumes in a cluster for tests', () => {
  let cluster: Cluster
  before(async () => {
    cluster = await startCluster({ simulatedNodes: 3 })
  })
  after(() => cluster.close())

  async function eventually(check: () => Promise<boolean>): Promise<void> {
    const deadline = performance.now() + WAIT_MS
    while (!(await check())) {
      assert.ok(performance.now() < deadline, `waited ${WAIT_MS} ms: ${check.toString()}`)
      await new Promise((resolve) => setTimeout(resolve, 20))
    }
  }

  it('come with the pods of a stateful set, and go with their claims', async () => {
    const { client } = cluster
    const labels = { app: 'db' }
    const volumeMounts = [{ name: 'data', mountPath: '/data' }]
    const claim = { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '1Gi' } } }
    await client.create(statefulsets, {
      metadata: { name: 'db', namespace: 'default' },
      spec: {
        serviceName: 'db',
        replicas: 3,
        podManagementPolicy: 'Parallel',
        selector: { matchLabels: labels },
        template: { metadata: { labels }, spec: { containers: [{ name: 'c', image: 'x', volumeMounts }] } },
        volumeClaimTemplates: [{ metadata: { name: 'data' }, spec: claim }],
        persistentVolumeClaimRetentionPolicy: { whenDeleted: 'Delete', whenScaled: 'Retain' },
      },
    })
    await eventually(async () => {
      const { status } = await client.get(statefulsets, { namespace: 'default', name: 'db' })
      return status?.readyReplicas === 3
    })
    const volumes = (await client.list(persistentvolumes)).items
    const claims = (await client.list(persistentvolumeclaims, { namespace: 'default' })).items
    assert.deepEqual([volumes.length, claims.map(({ status }) => status?.phase)], [3, ['Bound', 'Bound', 'Bound']])
    for (const pod of (await client.list(pods, { namespace: 'default' })).items) {
      const own = volumes.find(({ spec }) => spec?.claimRef?.name === `data-${pod.metadata.name}`)
      assert.equal(own?.metadata.labels?.['centaurus.io/node'], pod.spec?.nodeName, 'a volume is where its pod is')
    }
    await client.delete(statefulsets, { namespace: 'default', name: 'db' })
    await eventually(async () => (await client.list(persistentvolumes)).items.length === 0)
  })
})
