import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { describeNetwork, planNodeCondition } from './node-condition.ts'

const FIRST = '2026-01-01T00:00:00Z'
const LATER = '2026-01-01T00:01:00Z'

describe('the condition NetworkUnavailable', () => {
  it('is True with the reason in words until the network works, then False, and changes its time with its status alone', () => {
    const waiting = planNodeCondition(undefined, describeNetwork('The node has no addresses for pods yet'), FIRST)!
    assert.deepEqual(waiting, {
      type: 'NetworkUnavailable',
      status: 'True',
      reason: 'NetworkNotReady',
      message: 'The node has no addresses for pods yet',
      lastHeartbeatTime: FIRST,
      lastTransitionTime: FIRST,
    })
    const other = planNodeCondition(waiting, describeNetwork('Something else'), LATER)!
    assert.deepEqual([other.message, other.lastTransitionTime], ['Something else', FIRST])
    const ready = planNodeCondition(other, describeNetwork(undefined), LATER)!
    assert.deepEqual([ready.status, ready.lastTransitionTime], ['False', LATER])
  })

  it('is left alone when nothing changed', () => {
    const ready = planNodeCondition(undefined, describeNetwork(undefined), FIRST)
    assert.equal(planNodeCondition(ready, describeNetwork(undefined), LATER), undefined)
  })
})
