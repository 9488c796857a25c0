import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock } from '@centaurus/base'
import { createMemoryStore } from '../memory/memory-store.ts'
import { CompactedError, FutureRevisionError } from '../store.ts'
import { put, recordWatch } from '../testing/fixtures.ts'
import { REVISIONS_A_SECOND, timedRevisions } from './revision-numbers.ts'

describe('timed revisions', () => {
  it('tell the time between two commits, whatever was committed in between', async () => {
    const difference = async (others: number): Promise<number> => {
      const clock = createManualClock()
      const store = createMemoryStore({ revisions: timedRevisions(clock) })
      await clock.advance(1_000)
      const first = await put(store, 'mine', '1')
      for (let i = 0; i < others; i++) {
        await clock.advance(5)
        await put(store, 'other', `${i}`)
      }
      await clock.advance(5_000 - others * 5)
      return (await put(store, 'mine', '2')) - first
    }
    assert.equal(await difference(0), 5 * REVISIONS_A_SECOND)
    assert.equal(await difference(900), 5 * REVISIONS_A_SECOND)
  })

  it('count when commits come faster, and fall in with the time again', async () => {
    const clock = createManualClock()
    const store = createMemoryStore({ revisions: timedRevisions(clock) })
    const revisions: number[] = []
    for (let i = 0; i < 30; i++) revisions.push(await put(store, 'a', `${i}`))
    assert.deepEqual(
      revisions,
      Array.from({ length: 30 }, (_, i) => 2 + i),
    )
    await clock.advance(10)
    assert.equal(await put(store, 'a', 'later'), 1 + 10 * (REVISIONS_A_SECOND / 1000))
  })

  it('have the number of the moment at which a commit came in', () => {
    const clock = createManualClock()
    const numbers = timedRevisions(clock)
    const [early, late] = [numbers.stamp(), numbers.stamp() + 40]
    const first = numbers.next(1, early)
    assert.equal(numbers.next(first, late), 41)
  })

  it('can be read and compacted between two commits', async () => {
    const clock = createManualClock()
    const store = createMemoryStore({ revisions: timedRevisions(clock) })
    const at: number[] = []
    for (let i = 0; i < 4; i++) {
      await clock.advance(100)
      at.push(await put(store, 'a', `${i}`))
    }
    const [, second, third, last] = at as [number, number, number, number]
    assert.equal((await store.get('a', { atRevision: third - 1 })).entry?.modRevision, second)
    await store.compact(third - 1)
    assert.equal((await store.get('a', { atRevision: third - 1 })).entry?.modRevision, second)
    await assert.rejects(store.get('a', { atRevision: third - 2 }), CompactedError)
    await assert.rejects(store.get('a', { atRevision: last + 1 }), FutureRevisionError)
    const watch = recordWatch(store, '', { from: third - 1 })
    await watch.untilRevision(last)
    assert.deepEqual(
      watch.calls.map(({ revision }) => revision),
      [third, last],
    )
    await store.close()
  })

  it('keep as many commits as they are told, however far apart', async () => {
    const clock = createManualClock()
    const store = createMemoryStore({ revisions: timedRevisions(clock), automaticCompaction: { revisionsMax: 20 } })
    const revisions: number[] = []
    for (let i = 0; i < 100; i++) {
      await clock.advance(1 + (i % 50))
      revisions.push(await put(store, `k${i % 3}`, `${i}`))
    }
    await store.get('k0', { atRevision: revisions.at(-20)! })
    await assert.rejects(store.get('k0', { atRevision: revisions.at(-27)! }), CompactedError)
    await store.close()
  })
})
