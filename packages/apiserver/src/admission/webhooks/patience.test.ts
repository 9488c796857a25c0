import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock, type ManualClock } from '@centaurus/base'
import { Patience } from './patience.ts'

describe('Patience', () => {
  function setUp(): { clock: ManualClock; patience: Patience; call: (tenant: string, ms: number) => boolean } {
    const clock = createManualClock()
    const patience = new Patience(clock)
    const call = (tenant: string, ms: number): boolean => {
      try {
        const leave = patience.enter(tenant)
        clock.advance(ms)
        leave()
        return true
      } catch {
        return false
      }
    }
    return { clock, patience, call }
  }

  it('has no end for webhooks that answer soon', () => {
    const { call } = setUp()
    for (let i = 0; i < 1_000; i++) assert.equal(call('acme', 90), true)
  })

  it('ends for a tenant whose webhooks hold others up, and comes back slowly', () => {
    const { clock, call } = setUp()
    let calls = 0
    while (call('acme', 3000)) calls++
    assert.equal(calls, 4)
    assert.equal(call('globex', 3000), true)
    const begin = clock.now()
    while (!call('acme', 3000)) clock.advance(1000)
    // a tenth of a second of waiting comes back every second
    const waited = (clock.now() - begin) / 1000
    assert.ok(waited >= 3 && waited < 60, String(waited))
    const from = clock.now()
    let held = 0
    while (clock.now() - from < 600_000) {
      if (call('acme', 3000)) held += 3000
      else clock.advance(1000)
    }
    assert.ok(held / 600_000 < 0.15, String(held))
  })

  it('lets only so many calls of a tenant wait at once', () => {
    const { patience } = setUp()
    const leaves = Array.from({ length: 16 }, () => patience.enter('acme'))
    assert.throws(() => patience.enter('acme'), /take too long/)
    leaves[0]!()
    patience.enter('acme')
  })
})
