import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { deepClone, deepEqual, encodeProtobuf, fillZeros, trackUpdate } from '@centaurus/api'
import { createManualClock } from '@centaurus/base'
import { builtInDefinitions } from '../resource/built-in.ts'
import type { WriteRequest } from '../resource/target.ts'
import { startTestServer, type TestServer } from '../testing/test-server.ts'
import { storedSchema } from './managed-fields.ts'
import type { AnyObject } from './prepare.ts'
import { planRenewal } from './renewal.ts'

const definition = builtInDefinitions().find(({ storage }) => storage.resource === 'leases')!
const NOW_MS = Date.UTC(2026, 1, 3, 4, 5, 6)

/** Only what the plan looks at. */
const requestOf = (fieldManager: string): WriteRequest => ({ target: { definition }, fieldManager }) as WriteRequest

/** What the long way makes of it. */
function track(old: AnyObject | undefined, changed: AnyObject, manager: string): AnyObject {
  const schema = storedSchema(definition)
  const updated = fillZeros(changed, schema, old)
  const apiVersion = 'coordination.k8s.io/v1'
  return trackUpdate({ live: old, updated, schema, manager, nowMs: NOW_MS, apiVersion, subresource: '' }) as AnyObject
}

function leaseOf(renewTime: string): AnyObject {
  return {
    kind: 'Lease',
    apiVersion: 'coordination.k8s.io/v1',
    metadata: {
      name: 'n1',
      namespace: 'kube-node-lease',
      uid: 'u1',
      resourceVersion: '7',
      creationTimestamp: '2026-01-01T00:00:00Z',
      ownerReferences: [{ apiVersion: 'v1', kind: 'Node', name: 'n1', uid: 'node' }],
    },
    spec: { holderIdentity: 'n1', leaseDurationSeconds: 40, renewTime },
  }
}

describe('renewing a Lease', () => {
  const first = leaseOf('2026-01-01T00:00:00.000000Z')
  const old = track(undefined, first, 'kubelet')
  const plan = (changed: AnyObject, { manager = 'kubelet', subresource = '', from = old } = {}) =>
    planRenewal(requestOf(manager), { old: from, changed, subresource, nowMs: NOW_MS })

  it('gives what the long way gives, whether or not managedFields come along', () => {
    const changed = leaseOf('2026-01-01T00:00:10.000000Z')
    const withFields = {
      ...changed,
      metadata: { ...changed.metadata, managedFields: deepClone(old.metadata.managedFields) },
    }
    for (const sent of [changed, withFields] as AnyObject[]) {
      assert.deepEqual(JSON.parse(JSON.stringify(plan(sent))), JSON.parse(JSON.stringify(track(old, sent, 'kubelet'))))
    }
  })

  it('leaves everything else to the long way', () => {
    const renewed = (): AnyObject => leaseOf('2026-01-01T00:00:10.000000Z')
    const others: AnyObject[] = [
      { ...renewed(), spec: { ...(renewed()['spec'] as object), holderIdentity: 'n2' } },
      { ...renewed(), spec: { holderIdentity: 'n1', renewTime: '2026-01-01T00:00:10.000000Z' } },
      { ...renewed(), spec: { ...(renewed()['spec'] as object), renewTime: undefined } },
      { ...renewed(), spec: undefined },
      { ...renewed(), metadata: { ...renewed().metadata, labels: { a: 'b' } } },
      { ...renewed(), metadata: { ...renewed().metadata, ownerReferences: [] } },
      { ...renewed(), metadata: { ...renewed().metadata, managedFields: [] } },
      { ...renewed(), metadata: { ...renewed().metadata, finalizers: ['x/y'] } },
    ]
    for (const changed of others) assert.equal(plan(changed), undefined, JSON.stringify(changed))
    assert.equal(plan(renewed(), { manager: 'someone' }), undefined)
    assert.equal(plan(renewed(), { subresource: 'status' }), undefined)
    const shared = track(old, leaseOf('2026-01-01T00:00:05.000000Z'), 'someone')
    assert.equal(plan(renewed(), { from: shared }), undefined, 'the field was taken by another')
    assert.ok(!deepEqual(shared.metadata.managedFields, old.metadata.managedFields))
  })

  describe('over HTTP', () => {
    let server: TestServer
    const clock = createManualClock(NOW_MS)
    before(async () => {
      server = await startTestServer({ clock })
    })
    after(() => server.close())

    it('is seen by watchers and readers, and refused when it is late', async () => {
      const path = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'
      const { resourceVersion: _version, uid: _uid, creationTimestamp: _time, ...metadata } = first.metadata
      const headers = { 'user-agent': 'kubelet' }
      const created = await server.request('POST', path, { body: { ...first, metadata }, headers })
      assert.equal(created.status, 201, created.text)
      await clock.advance(10_000)
      const body = created.json<AnyObject>()
      body['spec'] = { ...(body['spec'] as object), renewTime: '2026-01-01T00:00:10Z' }
      const renewed = await server.request('PUT', `${path}/n1`, { body, headers })
      assert.equal(renewed.status, 200, renewed.text)
      const read = (await server.request('GET', `${path}/n1`)).json<AnyObject>()
      assert.deepEqual(read, renewed.json())
      assert.equal((read['spec'] as { renewTime: string }).renewTime, '2026-01-01T00:00:10.000000Z')
      assert.deepEqual(
        read.metadata.managedFields?.map(({ manager, time }) => [manager, time]),
        [['kubelet', '2026-02-03T04:05:16Z']],
      )
      const late = await server.request('PUT', `${path}/n1`, { body, headers })
      assert.equal(late.status, 409)
      const dry = { ...read, spec: { ...(read['spec'] as object), renewTime: '2026-01-01T00:00:20Z' } }
      assert.equal((await server.request('PUT', `${path}/n1?dryRun=All`, { body: dry, headers })).status, 200)
      const bad = { ...read, spec: { ...(read['spec'] as object), renewTime: 'soon' } }
      assert.equal((await server.request('PUT', `${path}/n1`, { body: bad, headers })).status, 400)
      assert.deepEqual((await server.request('GET', `${path}/n1`)).json(), read)
    })

    it('answers and stores the same whatever the form in which it comes', async () => {
      const path = '/apis/coordination.k8s.io/v1/namespaces/default/leases'
      const headers = { 'user-agent': 'kubelet' }
      const times = [
        ['2026-01-01T00:00:30.000000Z', 'application/json'],
        ['2026-01-01T00:00:30Z', 'application/json'],
        ['2026-01-01T00:00:30.000000Z', 'application/vnd.kubernetes.protobuf'],
      ] as const
      const answers: AnyObject[] = []
      for (const [i, [renewTime, type]] of times.entries()) {
        const named = { ...leaseOf('2026-01-01T00:00:00.000000Z'), metadata: { name: `form-${i}` } }
        const body = (await server.request('POST', path, { body: named, headers })).json<AnyObject>()
        body['spec'] = { ...(body['spec'] as object), renewTime }
        const sent = type === 'application/json' ? body : encodeProtobuf(body)
        const renewed = await server.request('PUT', `${path}/form-${i}`, {
          body: sent,
          headers: { ...headers, 'content-type': type },
        })
        assert.equal(renewed.status, 200, renewed.text)
        assert.deepEqual((await server.request('GET', `${path}/form-${i}`)).json(), renewed.json())
        const { metadata, spec } = renewed.json<AnyObject>()
        answers.push({ spec, metadata: { managedFields: metadata.managedFields } } as AnyObject)
      }
      assert.deepEqual(answers[1], answers[0])
      assert.deepEqual(answers[2], answers[0])
    })
  })
})
