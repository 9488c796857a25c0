import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock, expectWithin, systemClock } from './clock.ts'

describe('a manual clock', () => {
  it('fires timers in order of their time, then of their creation', async () => {
    const clock = createManualClock(0)
    const fired: string[] = []
    clock.setTimer(20, () => fired.push('late'))
    clock.setTimer(10, () => fired.push('first'))
    clock.setTimer(10, () => fired.push('second'))
    await clock.advance(15)
    assert.deepEqual(fired, ['first', 'second'])
    await clock.advance(5)
    assert.deepEqual(fired, ['first', 'second', 'late'])
  })

  it('shows each timer its own time', async () => {
    const clock = createManualClock(1000)
    const seen: number[] = []
    clock.setTimer(5, () => {
      seen.push(clock.now())
      clock.setTimer(5, () => seen.push(clock.now()))
    })
    await clock.advance(100)
    assert.deepEqual(seen, [1005, 1010])
    assert.equal(clock.now(), 1100)
    assert.equal(clock.monotonicMs(), 100)
  })

  it('forgets a cancelled timer', async () => {
    const clock = createManualClock()
    clock.setTimer(1, () => assert.fail('fired')).cancel()
    await clock.advance(10)
  })
})

describe('the system clock', () => {
  it('does not fire a timer of months at once', async () => {
    const timer = systemClock.setTimer(100 * 24 * 60 * 60 * 1000, () => assert.fail('fired'))
    await systemClock.sleep(5)
    timer.cancel()
  })
})

describe('sleep', () => {
  it('rejects with the reason when the signal aborts', async () => {
    for (const clock of [createManualClock(), systemClock]) {
      const abort = new AbortController()
      const sleeping = clock.sleep(60_000, { signal: abort.signal })
      abort.abort(new Error('enough'))
      await assert.rejects(sleeping, /enough/)
      await assert.rejects(clock.sleep(1, { signal: abort.signal }), /enough/)
    }
  })
})

describe('what is expected within a time', () => {
  it('expires once, and not when it came', async () => {
    const clock = createManualClock()
    let expired = 0
    expectWithin(clock, 100, () => expired++)
    expectWithin(clock, 100, () => expired++).cancel()
    await clock.advance(99)
    assert.equal(expired, 0)
    await clock.advance(1_000)
    assert.equal(expired, 1)
  })

  it('is given its time again when nobody could have noticed that it came', () => {
    let nowMs = 0
    const timers: (() => void)[] = []
    const clock = {
      monotonicMs: () => nowMs,
      setTimer: (_ms: number, fire: () => void) => {
        timers.push(fire)
        return { cancel: () => {} }
      },
    }
    let expired = 0
    expectWithin(clock, 100, () => expired++)
    nowMs = 5_000
    timers.shift()!()
    assert.equal(expired, 0)
    nowMs = 5_101
    timers.shift()!()
    assert.equal(expired, 1)
  })
})
