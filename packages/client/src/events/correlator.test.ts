import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Event } from '@centaurus/api/core/v1'
import { createEventCorrelator } from './correlator.ts'

function eventOf(message: string, name = `pod.${message}`): Event {
  return {
    metadata: { name, namespace: 'default' },
    involvedObject: { kind: 'Pod', namespace: 'default', name: 'pod', uid: 'u' },
    reason: 'Failed',
    type: 'Warning',
    message,
    count: 1,
    firstTimestamp: '2026-01-01T00:00:00Z',
    source: { component: 'test' },
  }
}

describe('event correlator', () => {
  it('counts repeats on the name of the first', () => {
    const correlator = createEventCorrelator()
    assert.equal(correlator.correlate(eventOf('a', 'pod.1'), 0)?.isRepeat, false)
    const repeat = correlator.correlate(eventOf('a', 'pod.2'), 1)
    assert.equal(repeat?.isRepeat, true)
    assert.equal(repeat?.event.metadata.name, 'pod.1')
    assert.equal(repeat?.event.count, 2)
  })

  it('combines from the tenth different message of one reason on', () => {
    const correlator = createEventCorrelator()
    for (let i = 0; i < 9; i++) assert.equal(correlator.correlate(eventOf(`m${i}`), i)?.event.message, `m${i}`)
    assert.equal(correlator.correlate(eventOf('m9'), 9)?.event.message, '(combined from similar events): m9')
    const next = correlator.correlate(eventOf('m10'), 10)
    assert.equal(next?.event.message, '(combined from similar events): m10')
    assert.equal(next?.event.count, 2)
  })

  it('drops what goes beyond the burst, and lets one through each five minutes', () => {
    const correlator = createEventCorrelator()
    const passed = Array.from({ length: 40 }, () => correlator.correlate(eventOf('a'), 0)).filter(Boolean)
    assert.equal(passed.length, 25)
    assert.equal(correlator.correlate(eventOf('a'), 299_999), undefined)
    assert.notEqual(correlator.correlate(eventOf('a'), 300_000), undefined)
  })
})
