import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { RuleBook, type RuleEntry } from './rule-book.ts'

const entry: RuleEntry = {
  tenant: 't',
  kind: 'NetworkPolicy',
  namespace: 'x',
  name: 'np',
  direction: 'ingress',
  index: 0,
  text: '{}',
}

describe('the rule book', () => {
  it('gives the same rule the same number, in another process too', () => {
    assert.equal(new RuleBook().acquire(entry), new RuleBook().acquire({ ...entry }))
  })

  it('gives another number to each other rule, place, direction, policy and tenant', () => {
    const book = new RuleBook()
    const others: Partial<RuleEntry>[] = [
      {},
      { text: '{"from":[]}' },
      { index: 1 },
      { direction: 'egress' },
      { name: 'other' },
      { namespace: 'y' },
      { tenant: 'u' },
    ]
    const ids = others.map((change) => book.acquire({ ...entry, ...change }))
    assert.equal(new Set(ids).size, others.length)
    assert.ok(ids.every((id) => id > 0 && id < 2 ** 32 && Number.isInteger(id)))
  })

  it('tells what a rule was for a while after its policy is gone, and forgets in the end', () => {
    const book = new RuleBook()
    const id = book.acquire(entry)
    book.acquire(entry)
    book.release(id)
    for (let index = 1; index <= 5000; index++) book.release(book.acquire({ ...entry, index }))
    assert.equal(book.describe(id)?.name, 'np', 'a policy still has it')
    book.release(id)
    assert.equal(book.describe(id)?.name, 'np')
    for (let index = 1; index <= 4096; index++) book.release(book.acquire({ ...entry, index }))
    assert.equal(book.describe(id), undefined)
    assert.equal(book.describe(0), undefined)
  })
})
