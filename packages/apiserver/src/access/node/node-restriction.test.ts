import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { PersistentVolume } from '@centaurus/api/core/v1'
import type { CheckedWrite } from '../../extension.ts'
import type { RequestInfo } from '../../request/request-info.ts'
import { createTestReader } from '../../testing/object-reader.ts'
import { createNodeRestriction } from './node-restriction.ts'

const check = createNodeRestriction(createTestReader()).find(({ resource }) => resource === 'persistentvolumes')!

function folderOf(node: string, phase: string, more: Partial<PersistentVolume['metadata']> = {}): PersistentVolume {
  return {
    metadata: {
      name: 'pv',
      labels: { 'centaurus.io/node': node },
      annotations: { 'pv.kubernetes.io/provisioned-by': 'centaurus.io/local' },
      finalizers: ['kubernetes.io/pv-protection', 'centaurus.io/local-volume'],
      ...more,
    },
    spec: { persistentVolumeReclaimPolicy: 'Delete', local: { path: '/volumes/pv' } },
    status: { phase },
  }
}

function write(operation: 'update' | 'delete', old: PersistentVolume, object?: PersistentVolume): () => void {
  const user = { name: 'system:node:n1', groups: ['system:nodes'], uid: '', extra: {}, tenant: 'system' }
  const info = { resource: 'persistentvolumes', group: '', subresource: '', name: 'pv' } as RequestInfo // all it looks at
  const asked: CheckedWrite = { operation, old, object, user, info }
  return () => check.check(asked)
}

describe('node restriction of volumes', () => {
  it('lets a node delete its own folders, once they are to be reclaimed', () => {
    assert.doesNotThrow(write('delete', folderOf('n1', 'Released')))
    assert.doesNotThrow(write('delete', folderOf('n1', 'Available', { deletionTimestamp: '2026-01-01T00:00:00Z' })))
    assert.throws(write('delete', folderOf('n1', 'Bound')), /to be reclaimed/)
    assert.throws(write('delete', folderOf('n2', 'Released')), /folders of itself/)
    assert.throws(write('delete', folderOf('n1', 'Released', { annotations: {} })), /folders of itself/)
    const kept = folderOf('n1', 'Released')
    kept.spec!.persistentVolumeReclaimPolicy = 'Retain'
    assert.throws(write('delete', kept), /to be reclaimed/)
  })

  it('lets a node remove its finalizer and change nothing else', () => {
    const old = folderOf('n1', 'Released')
    const finalizers = ['kubernetes.io/pv-protection']
    const { metadata } = old
    assert.doesNotThrow(write('update', old, { ...old, metadata: { ...metadata, finalizers } }))
    assert.throws(write('update', old, { ...old, metadata: { ...metadata, finalizers: [] } }), /its finalizer/)
    const moved = { ...old, metadata: { ...metadata, finalizers }, spec: { ...old.spec, local: { path: '/etc' } } }
    assert.throws(write('update', old, moved), /its finalizer/)
    const stolen = folderOf('n2', 'Released')
    assert.throws(write('update', stolen, { ...stolen, metadata: { ...stolen.metadata, finalizers } }), /of itself/)
  })
})
