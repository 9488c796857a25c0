import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock } from '@centaurus/base'
import { createMemoryStore } from './memory/memory-store.ts'
import { CompactedError } from './store.ts'
import { put, recordWatch } from './testing/fixtures.ts'

describe('automatic compaction', () => {
  it('forgets at each interval what was overwritten before the last one', async () => {
    const clock = createManualClock()
    const store = createMemoryStore({ clock, automaticCompaction: { intervalMs: 1_000 } })
    for (let i = 0; i < 3; i++) await put(store, 'a', `${i}`) // up to revision 4
    await clock.advance(1_000)
    await store.get('a', { atRevision: 2 })
    await put(store, 'a', '3')
    await clock.advance(1_000)
    await assert.rejects(store.get('a', { atRevision: 3 }), CompactedError)
    assert.equal((await store.get('a', { atRevision: 4 })).entry?.modRevision, 4)
    await clock.advance(10_000)
    assert.equal((await store.get('a')).entry?.modRevision, 5)
    await store.close()
  })

  it('keeps no more revisions than it is told', async () => {
    const store = createMemoryStore({ automaticCompaction: { revisionsMax: 100 } })
    for (let i = 0; i < 1_000; i++) await put(store, `k${i % 5}`, `${i}`)
    const revision = await store.currentRevision()
    await store.get('k0', { atRevision: revision - 99 })
    await assert.rejects(store.get('k0', { atRevision: revision - 126 }), CompactedError)
    await store.close()
  })
})

describe('progress', () => {
  it('is sent now and then without being asked for', async () => {
    const clock = createManualClock()
    const store = createMemoryStore({ clock, progressIntervalMs: 500 })
    const record = recordWatch(store, 'quiet/')
    await put(store, 'a', '1')
    await clock.advance(500)
    assert.deepEqual(record.progress, [2])
    await clock.advance(500)
    assert.deepEqual(record.progress, [2, 2])
    await store.close()
  })
})
