import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock } from '@centaurus/base'
import fc from 'fast-check'
import { RevisionWaiters } from './revision-waiters.ts'

const TIMEOUT_MS = 3_000

describe('those who wait for a revision', () => {
  it('go when it is reached, in whatever order they came, and not before', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.integer({ min: 1, max: 50 })),
        fc.array(fc.integer({ min: 1, max: 60 })),
        async (wanted, steps) => {
          const clock = createManualClock()
          const waiters = new RevisionWaiters(clock)
          const gone: number[] = []
          for (const [index, revision] of wanted.entries()) {
            const waiting = waiters.wait(revision, { timeoutMs: TIMEOUT_MS, fail: () => new Error('late') })
            waiting.then(
              () => gone.push(index),
              () => {},
            )
          }
          let reached = 0
          for (const step of steps) {
            reached = Math.max(reached, step)
            waiters.advance(reached)
          }
          await new Promise((resolve) => setImmediate(resolve))
          const due = [...wanted.keys()].filter((index) => wanted[index]! <= reached)
          assert.deepEqual(
            gone.toSorted((a, b) => a - b),
            due,
          )
        },
      ),
    )
  })

  it('give up after their time, each after its own, and hinder nobody', async () => {
    const clock = createManualClock()
    const waiters = new RevisionWaiters(clock)
    const wait = (revision: number): Promise<string> =>
      waiters.wait(revision, { timeoutMs: TIMEOUT_MS, fail: () => new Error(`no ${revision}`) }).then(
        () => `got ${revision}`,
        (error: Error) => error.message,
      )
    const first = [wait(7), wait(900), wait(900)]
    clock.advance(TIMEOUT_MS - 1)
    const second = wait(8)
    clock.advance(1)
    assert.deepEqual(await Promise.all(first), ['no 7', 'no 900', 'no 900'])
    waiters.advance(8)
    assert.equal(await second, 'got 8')
  })
})
