import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isStatus, type StatusError } from '@centaurus/api'
import { deployments, type Deployment } from '@centaurus/api/apps/v1'
import { configmaps, events, nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { poddisruptionbudgets } from '@centaurus/api/policy/v1'
import type { Client } from '@centaurus/client'
import { startTestServer, type TestServer } from '../testing/test-server.ts'

const NAMESPACE = 'default'

function pod(name: string, labels: Record<string, string> = {}): Pod {
  return {
    metadata: { name, namespace: NAMESPACE, labels },
    spec: { containers: [{ name: 'main', image: 'example' }] },
  }
}

function deployment(name: string): Deployment {
  const labels = { app: name }
  return {
    metadata: { name, namespace: NAMESPACE },
    spec: {
      replicas: 2,
      selector: { matchLabels: labels },
      template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'example' }] } },
    },
  }
}

describe('writes', () => {
  let test: TestServer
  let client: Client
  before(async () => {
    test = await startTestServer()
    client = test.client
  })
  after(() => test.close())

  it('binds a Pod once', async () => {
    await client.create(pods, pod('bound'))
    const name = { namespace: NAMESPACE, name: 'bound' }
    const binding = { metadata: { name: 'bound' }, target: { kind: 'Node', name: 'n1' } }
    await client.createSubresource(pods, name, 'binding', binding)
    const bound = await client.get(pods, name)
    assert.equal(bound.spec?.nodeName, 'n1')
    assert.equal(bound.status?.conditions?.find((condition) => condition.type === 'PodScheduled')?.status, 'True')
    await assert.rejects(client.createSubresource(pods, name, 'binding', binding), (error: StatusError) => {
      assert.equal(error.code, 409)
      assert.equal(
        error.message,
        'Operation cannot be fulfilled on pods/binding "bound": pod bound is already assigned to node "n1"',
      )
      return true
    })
  })

  it('deletes a Pod on a node in two steps, one without a node at once', async () => {
    await client.create(pods, pod('free'))
    await client.delete(pods, { namespace: NAMESPACE, name: 'free' })
    await assert.rejects(client.get(pods, { namespace: NAMESPACE, name: 'free' }), (error) =>
      isStatus(error, 'NotFound'),
    )

    const name = { namespace: NAMESPACE, name: 'placed' }
    await client.create(pods, pod('placed'))
    await client.createSubresource(pods, name, 'binding', { metadata: {}, target: { kind: 'Node', name: 'n1' } })
    await client.delete(pods, name)
    const going = await client.get(pods, name)
    assert.equal(going.metadata.deletionGracePeriodSeconds, 30)
    assert.ok(going.metadata.deletionTimestamp)
    await client.delete(pods, name, { gracePeriodSeconds: 0, preconditions: { uid: going.metadata.uid } })
    await assert.rejects(client.get(pods, name), (error) => isStatus(error, 'NotFound'))
  })

  it('keeps dependents by a finalizer when asked to orphan them', async () => {
    await client.create(deployments, deployment('orphaning'))
    const name = { namespace: NAMESPACE, name: 'orphaning' }
    await client.delete(deployments, name, { propagationPolicy: 'Orphan' })
    assert.deepEqual((await client.get(deployments, name)).metadata.finalizers, ['orphan'])
    await client.delete(deployments, name, { propagationPolicy: 'Background' })
    await assert.rejects(client.get(deployments, name), (error) => isStatus(error, 'NotFound'))
  })

  it('writes nothing when what a finalizer holds is deleted again', async () => {
    const name = { namespace: NAMESPACE, name: 'held' }
    const held = pod('held')
    await client.create(pods, { ...held, metadata: { ...held.metadata, finalizers: ['example.com/wait'] } })
    await client.delete(pods, name)
    const first = await client.get(pods, name)
    await client.delete(pods, name)
    await client.delete(pods, name, { gracePeriodSeconds: 0 })
    assert.equal((await client.get(pods, name)).metadata.resourceVersion, first.metadata.resourceVersion)
    await client.patch(pods, name, { type: 'merge', body: { metadata: { finalizers: null } } })
  })

  it('evicts as long as the disruption budget allows', async () => {
    const labels = { app: 'guarded' }
    await client.create(poddisruptionbudgets, {
      metadata: { name: 'guard', namespace: NAMESPACE },
      spec: { minAvailable: 1, selector: { matchLabels: labels } },
    })
    const guard = await client.get(poddisruptionbudgets, { namespace: NAMESPACE, name: 'guard' })
    const counts = { currentHealthy: 2, desiredHealthy: 1, expectedPods: 2, disruptionsAllowed: 1 }
    await client.updateStatus(poddisruptionbudgets, { ...guard, status: { ...counts, observedGeneration: 1 } })
    const ready = { type: 'Ready', status: 'True' }
    for (const name of ['g1', 'g2']) {
      const created = await client.create(pods, pod(name, labels))
      await client.updateStatus(pods, { ...created, status: { phase: 'Running', conditions: [ready] } })
    }
    await client.createSubresource(pods, { namespace: NAMESPACE, name: 'g1' }, 'eviction', { metadata: { name: 'g1' } })
    await assert.rejects(
      client.createSubresource(pods, { namespace: NAMESPACE, name: 'g2' }, 'eviction', { metadata: { name: 'g2' } }),
      (error: StatusError) => {
        assert.equal(error.code, 429)
        assert.equal(error.message, "Cannot evict pod as it would violate the pod's disruption budget.")
        assert.equal(error.details?.causes?.[0]?.reason, 'DisruptionBudget')
        return true
      },
    )
  })

  it('scales by the scale subresource and bumps the generation', async () => {
    await client.create(deployments, deployment('scaled'))
    const name = { namespace: NAMESPACE, name: 'scaled' }
    const patch = { type: 'merge' as const, body: { spec: { replicas: 5 } } }
    await client.patch(deployments, name, patch, { subresource: 'scale' })
    const scaled = await client.get(deployments, name)
    assert.equal(scaled.spec?.replicas, 5)
    assert.equal(scaled.metadata.generation, 2)
    const scale = await client.getSubresource<{ status: { selector: string } }>(deployments, name, 'scale')
    assert.equal(scale.status.selector, 'app=scaled')
  })

  it('changes only the status through the status subresource, and never through the object', async () => {
    const created = await client.create(deployments, deployment('status'))
    const changed = { ...created, spec: { ...created.spec!, replicas: 9 }, status: { replicas: 2 } }
    const withStatus = await client.updateStatus(deployments, changed)
    assert.equal(withStatus.spec?.replicas, 2)
    assert.equal(withStatus.status?.replicas, 2)
    assert.equal(withStatus.metadata.generation, 1)
    const withSpec = await client.update(deployments, { ...withStatus, status: { replicas: 7 } })
    assert.equal(withSpec.status?.replicas, 2)
  })

  it('lets who makes a node give it a status, and nobody else', async () => {
    const conditions = [{ type: 'Ready', status: 'True' }]
    const made = await client.create(nodes, { metadata: { name: 'own' }, status: { conditions } })
    assert.equal(made.status?.conditions?.[0]?.type, 'Ready')
    const { status } = await client.create(deployments, { ...deployment('fresh'), status: { replicas: 7 } })
    assert.equal(status?.replicas, undefined)
  })

  it('patches in all four ways', async () => {
    const name = { namespace: NAMESPACE, name: 'patched' }
    await client.create(configmaps, { metadata: name, data: { a: '1', b: '2' } })
    await client.patch(configmaps, name, { type: 'json', body: [{ op: 'replace', path: '/data/a', value: '3' }] })
    await client.patch(configmaps, name, { type: 'merge', body: { data: { b: null } } })
    await client.patch(configmaps, name, { type: 'strategic', body: { metadata: { labels: { x: 'y' } } } })
    const applied = { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'patched' }, data: { c: '4' } }
    await client.patch(configmaps, name, { type: 'apply', body: applied }, { fieldManager: 'me' })
    const patched = await client.get(configmaps, name)
    assert.deepEqual(patched.data, { a: '3', c: '4' })
    assert.deepEqual(patched.metadata.labels, { x: 'y' })
    const mine = patched.metadata.managedFields?.find((entry) => entry.manager === 'me')
    assert.equal(mine?.operation, 'Apply')
    const other = { ...applied, data: { c: '5' } }
    await assert.rejects(
      client.patch(configmaps, name, { type: 'apply', body: other }, { fieldManager: 'you' }),
      (error) => isStatus(error, 'Conflict'),
    )
  })

  it('loses no update when many patch at once', async () => {
    const name = { namespace: NAMESPACE, name: 'busy' }
    await client.create(configmaps, { metadata: name })
    await Promise.all(
      Array.from({ length: 20 }, (_, i) =>
        client.patch(configmaps, name, { type: 'merge', body: { data: { [`k${i}`]: 'v' } } }),
      ),
    )
    assert.equal(Object.keys((await client.get(configmaps, name)).data ?? {}).length, 20)
  })

  it('stores nothing on a dry run', async () => {
    const dry = await client.create(configmaps, { metadata: { name: 'dry', namespace: NAMESPACE } }, { dryRun: true })
    assert.ok(dry.metadata.uid)
    await assert.rejects(client.get(configmaps, { namespace: NAMESPACE, name: 'dry' }), (error) =>
      isStatus(error, 'NotFound'),
    )
  })

  it('keeps Events of both groups in one place', async () => {
    await client.create(events, {
      metadata: { name: 'e', namespace: NAMESPACE },
      involvedObject: { kind: 'Pod', name: 'p', namespace: NAMESPACE },
      reason: 'Tested',
      message: 'text',
      type: 'Normal',
    })
    const response = await test.request('GET', `/apis/events.k8s.io/v1/namespaces/${NAMESPACE}/events/e`)
    const event = response.json<{ note: string; regarding: { name: string }; apiVersion: string }>()
    assert.equal(event.apiVersion, 'events.k8s.io/v1')
    assert.equal(event.note, 'text')
    assert.equal(event.regarding.name, 'p')
  })
})
