import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import type { RemoteNode } from '@centaurus/api/centaurus/v1'
import type { Node } from '@centaurus/api/core/v1'
import { planRemoteNode } from './plan-remote-node.ts'

const NODE: Stored<Node> = {
  metadata: { name: 'n1', uid: 'u', resourceVersion: '9', creationTimestamp: '', labels: { zone: 'a' } },
  spec: { podCIDR: '10.244.3.0/24', podCIDRs: ['10.244.3.0/24'] },
  status: {
    addresses: [
      { type: 'InternalIP', address: '10.0.0.3' },
      { type: 'Hostname', address: 'n1' },
    ],
    conditions: [{ type: 'Ready', status: 'True', lastHeartbeatTime: '2026-01-01T00:00:00Z' }],
  },
}
const node = { object: NODE, partition: 'rp2' }
const always = (): boolean => true

function made(): Stored<RemoteNode> {
  const step = planRemoteNode({ node, copy: undefined, isAuthoritative: always })
  assert.equal(step.type, 'create')
  assert.ok('object' in step)
  const { labels, annotations } = step.object.metadata
  const metadata = { name: 'n1', uid: 'copy', resourceVersion: '1', creationTimestamp: '', labels, annotations }
  return { ...step.object, metadata }
}

describe("the copy of another partition's node", () => {
  it('says where its pods are, whether it is Ready, and how policies select it', () => {
    const { spec, status, metadata } = made()
    assert.deepEqual(spec, { partition: 'rp2', podCIDR: '10.244.3.0/24', podCIDRs: ['10.244.3.0/24'] })
    const conditions = [{ type: 'Ready', status: 'True' }]
    assert.deepEqual(status, { addresses: [{ type: 'InternalIP', address: '10.0.0.3' }], conditions })
    assert.deepEqual(metadata.labels, { zone: 'a' })
    assert.deepEqual(metadata.annotations, { 'centaurus.io/resource-partition': 'rp2' })
  })

  it('is written when that changes, and not with heartbeats', () => {
    const copy = made()
    const beat = {
      ...NODE,
      status: { ...NODE.status, conditions: [{ ...NODE.status!.conditions![0]!, lastHeartbeatTime: 'later' }] },
    }
    const same = planRemoteNode({ node: { object: beat, partition: 'rp2' }, copy, isAuthoritative: always })
    assert.deepEqual(same, { type: 'nothing' })
    const lost = { ...NODE, status: { ...NODE.status, conditions: [{ type: 'Ready', status: 'Unknown' }] } }
    const away = planRemoteNode({ node: { object: lost, partition: 'rp2' }, copy, isAuthoritative: always })
    assert.ok(away.type === 'update')
    assert.deepEqual(away.object.status?.conditions, [{ type: 'Ready', status: 'Unknown' }])
    const moved = { ...NODE, metadata: { ...NODE.metadata, labels: { zone: 'b' } } }
    const step = planRemoteNode({ node: { object: moved, partition: 'rp2' }, copy, isAuthoritative: always })
    assert.ok(step.type === 'update')
    assert.equal(step.object.metadata.uid, 'copy')
    assert.deepEqual(step.object.metadata.labels, { zone: 'b' })
  })

  it('goes when its partition says that there is no such node, and stays when nobody can say', () => {
    const copy = made()
    const facts = { node: undefined, copy }
    assert.deepEqual(planRemoteNode({ ...facts, isAuthoritative: (name) => name === 'rp2' }), { type: 'delete' })
    assert.deepEqual(planRemoteNode({ ...facts, isAuthoritative: () => false }), { type: 'nothing' })
    assert.deepEqual(planRemoteNode({ node: undefined, copy: undefined, isAuthoritative: always }), { type: 'nothing' })
  })
})
