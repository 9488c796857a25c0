import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { KubeObject, Stored } from '@centaurus/api'
import { replicasets } from '@centaurus/api/apps/v1'
import { pods } from '@centaurus/api/core/v1'
import type { OwnerReference } from '@centaurus/api/meta/v1'
import { OwnerGraph, saysNothingNew } from './graph.ts'
import { planCollection, type OwnerState } from './plan.ts'

interface ObjectInit {
  readonly owners?: readonly string[]
  readonly blocks?: boolean
  readonly deletingWith?: string
}

function objectOf(uid: string, { owners = [], blocks = true, deletingWith }: ObjectInit = {}): Stored<KubeObject> {
  const ownerReferences = owners.map((owner): OwnerReference => ({
    apiVersion: 'apps/v1',
    kind: 'ReplicaSet',
    name: owner,
    uid: owner,
    blockOwnerDeletion: blocks,
  }))
  return {
    metadata: {
      uid,
      name: uid,
      namespace: 'ns',
      resourceVersion: '1',
      creationTimestamp: '',
      ownerReferences,
      ...(deletingWith === undefined ? {} : { deletionTimestamp: 'now', finalizers: [deletingWith] }),
    },
  }
}

describe('OwnerGraph', () => {
  it('learns nothing from updates that change neither owners, finalizers nor the deletion', () => {
    const versions = [
      objectOf('a', { owners: ['x'] }),
      objectOf('a', { owners: ['x'], blocks: false }),
      objectOf('a', { owners: ['y'] }),
      objectOf('a', { owners: ['x', 'y'] }),
      objectOf('a'),
      objectOf('b', { owners: ['x'] }),
      objectOf('a', { owners: ['x'], deletingWith: 'orphan' }),
      objectOf('a', { owners: ['x'], deletingWith: 'foregroundDeletion' }),
    ]
    for (const [i, old] of versions.entries()) {
      for (const [j, object] of versions.entries()) assert.equal(saysNothingNew(object, old), i === j, `${i} to ${j}`)
      const graph = new OwnerGraph()
      graph.put(replicasets, objectOf('x'))
      graph.put(replicasets, objectOf('y'))
      graph.put(pods, old)
      const again = { ...old, metadata: { ...old.metadata, resourceVersion: '2', labels: { new: 'label' } } }
      assert.equal(saysNothingNew(again, old), true)
      assert.deepEqual(graph.put(pods, again), { check: [], orphan: [] })
    }
  })

  it('asks for a look at what an owner leaves behind', () => {
    const graph = new OwnerGraph()
    graph.put(replicasets, objectOf('set'))
    assert.deepEqual(graph.put(pods, objectOf('a', { owners: ['set'] })), { check: [], orphan: [] })
    graph.put(pods, objectOf('b', { owners: ['set'] }))
    assert.deepEqual(graph.remove('set').check, ['a', 'b'])
  })

  it('asks for a look at an object whose owner nobody has seen, once', () => {
    const graph = new OwnerGraph()
    assert.deepEqual(graph.put(pods, objectOf('a', { owners: ['unknown'] })).check, ['a'])
    assert.deepEqual(graph.put(pods, objectOf('a', { owners: ['unknown'] })).check, [])
  })

  it('pushes dependents when the owner starts to wait, and the owner when the last one stops blocking', () => {
    const graph = new OwnerGraph()
    graph.put(replicasets, objectOf('set'))
    graph.put(pods, objectOf('a', { owners: ['set'] }))
    assert.deepEqual(graph.put(replicasets, objectOf('set', { deletingWith: 'foregroundDeletion' })).check, [
      'set',
      'a',
    ])
    assert.equal(graph.blockingDependentsOf('set').length, 1)
    assert.deepEqual(graph.put(pods, objectOf('a', { owners: ['set'], blocks: false })).check, ['set'])
    assert.equal(graph.blockingDependentsOf('set').length, 0)
    assert.deepEqual(graph.remove('a').check, ['set'])
  })

  it('wants dependents orphaned when the owner asks for it', () => {
    const graph = new OwnerGraph()
    graph.put(pods, objectOf('a', { owners: ['set'] }))
    assert.deepEqual(graph.put(replicasets, objectOf('set', { deletingWith: 'orphan' })).orphan, ['set'])
    assert.deepEqual(
      graph.dependentsOf('set').map(({ uid }) => uid),
      ['a'],
    )
    graph.put(pods, objectOf('a'))
    assert.deepEqual(graph.dependentsOf('set'), [])
  })
})

describe('planCollection', () => {
  const plan = (states: readonly OwnerState[], more: { hasDependents?: boolean; finalizer?: string } = {}): unknown => {
    const object = objectOf('x', { owners: states.map((_, i) => `o${i}`) })
    if (more.finalizer !== undefined) object.metadata.finalizers = [more.finalizer]
    const owners = object.metadata.ownerReferences!.map((reference, i) => ({ reference, state: states[i]! }))
    return planCollection({ object, owners, hasDependents: more.hasDependents ?? false, hasWaitingDependent: false })
  }

  it('keeps what has an owner, and drops references to others', () => {
    assert.deepEqual(plan([]), { action: 'keep' })
    assert.deepEqual(plan(['present']), { action: 'keep' })
    assert.deepEqual(plan(['absent', 'present', 'waiting']), { action: 'dropReferences', uids: ['o0', 'o2'] })
  })

  it('deletes what has none, in the foreground when its own dependents matter to a waiting owner', () => {
    assert.deepEqual(plan(['absent']), { action: 'delete', propagationPolicy: 'Background', unblock: false })
    assert.deepEqual(plan(['waiting']), { action: 'delete', propagationPolicy: 'Background', unblock: false })
    assert.deepEqual(plan(['waiting'], { hasDependents: true }), {
      action: 'delete',
      propagationPolicy: 'Foreground',
      unblock: false,
    })
    assert.deepEqual(plan(['absent'], { finalizer: 'orphan' }), {
      action: 'delete',
      propagationPolicy: 'Orphan',
      unblock: false,
    })
  })
})
