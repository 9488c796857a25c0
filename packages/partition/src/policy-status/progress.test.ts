import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { mergeProgress, type PartitionProgress } from './merge-progress.ts'
import { parseProgress, parseProgressRequest } from './progress-wire.ts'
import type { LocalProgress, TenantProgress } from './read-progress.ts'

function saying(progress: LocalProgress, hosts: string[]): TenantProgress {
  return { hosts, policies: { networkPolicies: { 'web/a': progress }, clusterNetworkPolicies: {} } }
}

function merge(...answers: PartitionProgress[]) {
  return mergeProgress({ kind: 'networkPolicies', key: 'web/a', revision: 9 }, answers)
}

describe('how far a policy is', () => {
  const rp1 = {
    partition: 'rp1',
    hosts: ['a', 'b'],
    progress: saying({ revision: 9, applied: 2, slowestMs: 12, waiting: [] }, ['a', 'b']),
  }
  const rp2 = {
    partition: 'rp2',
    hosts: ['c', 'd'],
    progress: saying({ revision: 9, applied: 1, slowestMs: 30, waiting: ['d'] }, ['c', 'd']),
  }

  it('is added up over partitions', () => {
    assert.deepEqual(merge(rp1), { resourceVersion: '9', hosts: 2, applied: 2, slowestMs: 12 })
    assert.deepEqual(merge(rp1, rp2), { resourceVersion: '9', hosts: 4, applied: 3, slowestMs: 30, waiting: ['d'] })
    assert.deepEqual(merge(), { resourceVersion: '9', hosts: 0, applied: 0 })
  })

  it('is nothing where an older policy is, or none, or nobody answers', () => {
    const older = { ...rp1, progress: saying({ revision: 8, applied: 2, slowestMs: 1, waiting: [] }, ['a', 'b']) }
    assert.deepEqual(merge(older), { resourceVersion: '9', hosts: 2, applied: 0, waiting: ['a', 'b'] })
    const silent = { partition: 'rp2', hosts: ['c'], progress: undefined }
    assert.deepEqual(merge(rp1, silent), {
      resourceVersion: '9',
      hosts: 3,
      applied: 2,
      slowestMs: 12,
      waiting: ['c'],
      silent: ['rp2'],
    })
  })

  it('is never on more hosts than there are, and names a few that wait', () => {
    const many = Array.from({ length: 9 }, (_, i) => `n${i}`)
    const early = {
      partition: 'rp1',
      hosts: ['a'],
      progress: saying({ revision: 9, applied: 2, waiting: [] }, ['a', 'b']),
    }
    assert.equal(merge(early).applied, 1)
    assert.equal(merge({ partition: 'rp1', hosts: many, progress: undefined }).waiting?.length, 5)
  })

  it('is asked for and told in words that are checked', () => {
    assert.equal(parseProgressRequest(Buffer.from('{"tenant":"acme"}')), 'acme')
    assert.throws(() => parseProgressRequest(Buffer.from('{}')), /must be \{"tenant":"NAME"\}/)
    const answer = rp2.progress
    assert.deepEqual(parseProgress(JSON.parse(JSON.stringify(answer))), answer)
    for (const wrong of [undefined, {}, { ...answer, hosts: [1] }, { hosts: [], policies: { networkPolicies: {} } }])
      assert.equal(parseProgress(wrong), undefined)
  })
})
