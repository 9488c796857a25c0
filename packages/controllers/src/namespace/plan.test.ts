import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { planNamespaceConditions, planRecheckSeconds } from './plan.ts'

describe('planNamespaceConditions', () => {
  it('says what is left and what holds it', () => {
    const remaining = [{ group: 'example.com', resource: 'widgets', count: 2, finalizers: ['a/b', 'a/b'] }]
    const conditions = planNamespaceConditions([], { discoveryError: undefined, deletionErrors: [], remaining }, 0)
    const messages = conditions.filter(({ status }) => status === 'True').map(({ message }) => message)
    assert.deepEqual(messages, [
      'Some resources are remaining: widgets.example.com has 2 resource instances',
      'Some content in the namespace has finalizers remaining: a/b in 2 resource instances',
    ])
    assert.equal(planRecheckSeconds(0, remaining), 8)
  })

  it('keeps the time of what did not change', () => {
    const clear = { discoveryError: undefined, deletionErrors: [], remaining: [] }
    const first = planNamespaceConditions([], clear, 0)
    assert.deepEqual(planNamespaceConditions(first, clear, 60_000), first)
    const failed = planNamespaceConditions(first, { ...clear, discoveryError: 'no answer' }, 60_000)
    assert.equal(failed[0]?.lastTransitionTime, '1970-01-01T00:01:00Z')
    assert.equal(failed[1]?.lastTransitionTime, '1970-01-01T00:00:00Z')
  })
})
