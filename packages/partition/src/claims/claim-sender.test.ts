import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock, silentLogger } from '@centaurus/base'
import { ClaimSender } from './claim-sender.ts'

describe('the sender of claims', () => {
  it('tells who does not answer, and asks again at once when told that the partition is back', async () => {
    let isAway = true
    let requests = 0
    const failures: number[] = []
    const sender = new ClaimSender({
      door: ({ epoch, items }) => {
        requests++
        if (isAway) return Promise.reject(new Error('No answer'))
        return Promise.resolve({ epoch, items: items.map(({ uid }) => ({ uid, result: 'released' })) })
      },
      partition: 'tp',
      epoch: 1,
      clock: createManualClock(), // on which no time passes
      logger: silentLogger,
      onDeposed: () => assert.fail('nobody else leads'),
      onFailed: (retryMs) => failures.push(retryMs),
    })
    const released = sender.send([{ op: 'release', uid: 'pod' }])
    while (failures.length === 0) await new Promise((resolve) => setImmediate(resolve))
    const claim = { op: 'claim', uid: 'b', tenant: 't', namespace: 'n', name: 'b', node: 'x', requests: {} } as const
    const [refused] = await sender.send([claim])
    assert.equal(refused?.type, 'unreachable')
    assert.equal(requests, 1)
    isAway = false
    sender.retryNow()
    const [result] = await released
    assert.equal(result?.type, 'answered')
    await sender.close()
  })
})
