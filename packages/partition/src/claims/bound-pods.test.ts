import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RESOURCE_PARTITION_ANNOTATION } from '@centaurus/api'
import { nodes, pods, type PodSpec } from '@centaurus/api/core/v1'
import { startTestServer } from '@centaurus/apiserver/testing'
import { silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'
import { createMemoryStore } from '@centaurus/store'
import { acquireEpoch } from '../epoch/acquire-epoch.ts'
import { BoundPodClaimer } from './bound-pod-claimer.ts'
import { createClaimBinder } from './claim-binder.ts'
import { ClaimBook } from './claim-book.ts'
import { createClaimsExtension } from './claims-extension.ts'

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setTimeout(resolve, 5))
}

function specOf(cpu: string, more: Partial<PodSpec> = {}): PodSpec {
  return { nodeName: 'n', containers: [{ name: 'c', image: 'i', resources: { requests: { cpu } } }], ...more }
}

describe('pods that came with a node', () => {
  it('get room after the fact, or fail as a kubelet would have it', async () => {
    const store = createMemoryStore()
    const claims = new ClaimBook({ store, clock: systemClock, logger: silentLogger })
    const get = () => ({
      metadata: { name: 'p', uid: 'p', resourceVersion: '1', creationTimestamp: '' },
      spec: { roles: ['Tenant' as const, 'Resource' as const], endpoints: ['https://127.0.0.1:1'] },
    })
    const membership = { self: 'p', get, hosts: () => true, tenants: () => [], onChange: () => () => {} }
    const server = await startTestServer({ store, extensions: [createClaimsExtension({ claims, store, membership })] })
    const { client } = server
    const node = await client.create(nodes, { metadata: { name: 'n' } })
    const allocatable = { cpu: '2', memory: '4Gi', pods: '10' }
    await client.updateStatus(nodes, { ...node, status: { allocatable, capacity: allocatable } })
    const { epoch } = await acquireEpoch(store)
    const deps = { client, clock: systemClock, logger: silentLogger, partitionOf: () => 'p' }
    const binder = createClaimBinder({
      ...deps,
      membership,
      openLink: () => assert.fail('the nodes are our own'),
      epoch,
      localClaims: claims,
      onDeposed: () => assert.fail('nobody else leads'),
    })
    const informers = createInformerFactory(client)
    const claimer = new BoundPodClaimer({ ...deps, binder, pods: informers.informer(pods) })
    const create = (name: string, spec: PodSpec, annotations: Record<string, string> = {}) =>
      client.create(pods, { metadata: { name, namespace: 'default', annotations }, spec })
    const find = (name: string) => client.get(pods, { namespace: 'default', name })

    const mirror = await create('static', specOf('500m'), { 'kubernetes.io/config.mirror': 'x' })
    await until(() => claims.ledger.nodeOf(mirror.metadata.uid) === 'n')
    const fits = await create('fits', specOf('1'))
    await until(async () => (await find('fits')).metadata.annotations?.[RESOURCE_PARTITION_ANNOTATION] === 'p')
    assert.deepEqual(claims.ledger.claims('n').used, { cpu: 1500, pods: 2 })
    await create('big', specOf('501m'))
    await until(async () => (await find('big')).status?.phase === 'Failed')
    const big = await find('big')
    assert.equal(big.status?.reason, 'OutOfcpu')
    assert.match(big.status?.message ?? '', /Insufficient cpu/)
    assert.equal(big.metadata.annotations?.[RESOURCE_PARTITION_ANNOTATION], undefined)

    await client.delete(pods, { namespace: 'default', name: 'static' }, { gracePeriodSeconds: 0 })
    await client.delete(pods, { namespace: 'default', name: 'fits' }, { gracePeriodSeconds: 0 })
    await until(() => claims.ledger.claimCount === 0)
    assert.equal(claims.ledger.nodeOf(fits.metadata.uid), undefined)
    await claimer.close()
    await informers.close()
    await binder.close()
    await server.close()
  })
})
