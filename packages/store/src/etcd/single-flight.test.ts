import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { SingleFlight } from './single-flight.ts'

describe('SingleFlight', () => {
  it('gives who comes during a call the next one, and never has two under way', async () => {
    const started: PromiseWithResolvers<number>[] = []
    const flight = new SingleFlight(() => {
      const call = Promise.withResolvers<number>()
      started.push(call)
      return call.promise
    })
    const first = flight.run()
    const later = [flight.run(), flight.run()]
    assert.equal(started.length, 1)
    started[0]!.resolve(1)
    assert.equal(await first, 1)
    while (started.length < 2) await Promise.resolve()
    const third = flight.run()
    started[1]!.resolve(2)
    assert.deepEqual(await Promise.all(later), [2, 2])
    while (started.length < 3) await Promise.resolve()
    started[2]!.resolve(3)
    assert.equal(await third, 3)
    assert.equal(started.length, 3)
  })

  it('goes on after a call that failed', async () => {
    let calls = 0
    const flight = new SingleFlight(async () => {
      calls++
      if (calls === 1) throw new Error('first')
      return calls
    })
    const first = flight.run()
    const second = flight.run()
    await assert.rejects(first, /first/)
    assert.equal(await second, 2)
    assert.equal(await flight.run(), 3)
  })
})
