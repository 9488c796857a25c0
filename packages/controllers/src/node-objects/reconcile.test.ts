import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { networkreports } from '@centaurus/api/centaurus/v1'
import { leases } from '@centaurus/api/coordination/v1'
import { nodes } from '@centaurus/api/core/v1'
import { csinodes } from '@centaurus/api/storage/v1'
import { createNetworkExtension } from '@centaurus/apiserver'
import { startControlPlane } from '../testing/control-plane.ts'
import { isLeftByNode } from './plan.ts'
import { startNodeObjectCollector } from './reconcile.ts'

const owner = (uid: string) => ({ apiVersion: 'v1', kind: 'Node', name: 'n', uid })

describe('isLeftByNode', () => {
  it('is so for an object whose Node is gone or another one, and for no other', () => {
    const node = { metadata: { name: 'n', uid: 'now' } }
    const object = (uid: string) => ({ metadata: { name: 'n', ownerReferences: [owner(uid)] } })
    assert.equal(isLeftByNode(object('now'), node), false)
    assert.equal(isLeftByNode(object('before'), node), true)
    assert.equal(isLeftByNode(object('now'), undefined), true)
    assert.equal(isLeftByNode({ metadata: { name: 'n' } }, undefined), false)
  })
})

describe('collection of node objects on a real API server', () => {
  it('takes lease, CSINode and report of a node that goes, and keeps those of nodes that are there or to come', async () => {
    const plane = await startControlPlane({
      controllers: [startNodeObjectCollector],
      extensions: [createNetworkExtension()],
    })
    const { client } = plane
    const node = await client.create(nodes, { metadata: { name: 'n' } })
    const ownerReferences = [owner(node.metadata.uid)]
    const namespace = 'kube-node-lease'
    await client.create(leases, { metadata: { name: 'n', namespace, ownerReferences }, spec: {} })
    await client.create(leases, { metadata: { name: 'early', namespace }, spec: {} })
    await client.create(csinodes, { metadata: { name: 'n', ownerReferences }, spec: { drivers: [] } })
    await client.create(networkreports, { metadata: { name: 'n', ownerReferences }, spec: { tenants: [] } })
    await plane.eventually(async () => plane.informers.informer(nodes).list().length === 1)
    await client.delete(nodes, { name: 'n' })
    await plane.eventually(async () => (await client.list(csinodes)).items.length === 0)
    await plane.eventually(async () => (await client.list(networkreports)).items.length === 0)
    await plane.eventually(async () => {
      const { items } = await client.list(leases, { namespace })
      return items.map(({ metadata }) => metadata.name).join() === 'early'
    })
    await plane.close()
  })
})
