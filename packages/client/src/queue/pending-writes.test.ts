import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import { createManualClock } from '@centaurus/base'
import type { Informer } from '../informer.ts'
import { compareResourceVersions, PendingWrites } from './pending-writes.ts'

const pod = (version: string): Stored<Pod> => ({
  metadata: { name: 'a', uid: 'u', resourceVersion: version, creationTimestamp: '' },
})

describe('pending writes', () => {
  it('compares versions as numbers of any length', () => {
    assert.ok(compareResourceVersions('9', '10') < 0)
    assert.ok(compareResourceVersions('90071992547409931', '90071992547409930') > 0)
    assert.equal(compareResourceVersions('5', '5'), 0)
  })

  it('settle when the informer has come to the version written', () => {
    const informer = { resourceVersion: '10', get: () => undefined } as unknown as Informer<Pod> & {
      resourceVersion: string
    }
    const writes = new PendingWrites(createManualClock())
    assert.ok(writes.isSettled('k'))
    writes.wrote('k', informer, pod('11'))
    assert.equal(writes.isSettled('k'), false)
    Object.assign(informer, { resourceVersion: '11' })
    assert.ok(writes.isSettled('k'))
  })

  it('settle when a deleted object is gone or terminating, and give up on a cache that never shows it', async () => {
    const clock = createManualClock()
    const informer = { resourceVersion: '1', get: (): Stored<Pod> | undefined => pod('1') } as unknown as Informer<Pod>
    const writes = new PendingWrites(clock)
    writes.deleted('k', informer, pod('1'))
    assert.equal(writes.isSettled('k'), false)
    await clock.advance(300_000)
    assert.ok(writes.isSettled('k'))
    writes.deleted('k', informer, pod('1'))
    Object.assign(informer, { get: () => ({ metadata: { uid: 'u', deletionTimestamp: 'now' } }) })
    assert.ok(writes.isSettled('k'))
  })
})
