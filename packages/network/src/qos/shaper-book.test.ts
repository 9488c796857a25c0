import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Endpoint, Shaper } from '../dataplane/dataplane.ts'
import { ShaperBook } from './shaper-book.ts'

/** The tables of a host as the book sees them: what was written, and in what order. */
class Tables {
  readonly shapers = new Map<number, Shaper>()
  readonly calls: string[] = []
  endpoints: Endpoint[] = []

  setShaper(shaper: Shaper): void {
    this.calls.push(`set ${shaper.id}`)
    this.shapers.set(shaper.id, shaper)
  }
  removeShaper(id: number): void {
    this.calls.push(`remove ${id}`)
    this.shapers.delete(id)
  }
  listShapers(): Shaper[] {
    return [...this.shapers.values()]
  }
  listEndpoints(): Endpoint[] {
    return this.endpoints
  }
}

const pod = { vni: 5, ip: '10.0.0.1' }
const other = { vni: 6, ip: '10.0.0.1' }
const plain = { networkClass: 'best-effort', priority: 'medium' } as const
const limited = { ...plain, egressBandwidth: 10e6 } as const

describe('shapers of pods', () => {
  it('are shared by pods without limits, one for each level, and cost no write', () => {
    const tables = new Tables()
    const book = new ShaperBook(tables)
    assert.equal(book.shaperOf(pod, plain), 8)
    assert.equal(book.shaperOf(other, { networkClass: 'premium', priority: 'high' }), 1)
    assert.deepEqual(tables.calls, [])
  })

  it('are a pod’s own when it has limits, and stay the same when these change', () => {
    const tables = new Tables()
    const book = new ShaperBook(tables)
    const id = book.shaperOf(pod, limited)
    assert.equal(id, 16)
    assert.notEqual(book.shaperOf(other, limited), id)
    assert.equal(book.shaperOf(pod, limited), id)
    assert.deepEqual(tables.calls, ['set 16', 'set 17'])
    assert.equal(book.shaperOf(pod, { ...limited, egressBandwidth: 20e6 }), id)
    assert.equal(tables.shapers.get(id)?.egressBandwidth, 20e6)
  })

  it('are free only when the endpoint names them no more', () => {
    const tables = new Tables()
    const book = new ShaperBook(tables)
    const id = book.shaperOf(pod, limited)
    book.settle(pod, id)
    const shared = book.shaperOf(pod, plain)
    assert.ok(tables.shapers.has(id))
    assert.notEqual(book.shaperOf(other, limited), id)
    book.settle(pod, shared)
    assert.ok(!tables.shapers.has(id))
    book.settle(other, undefined)
    assert.equal(tables.shapers.size, 0)
  })

  it('of an earlier daemon are taken over, and those that nobody names freed', () => {
    const tables = new Tables()
    tables.shapers.set(20, { id: 20, level: 7, egressBandwidth: 10e6 })
    tables.shapers.set(21, { id: 21, level: 7, egressBandwidth: 10e6 })
    tables.endpoints = [{ ...pod, shaper: 20 } as Endpoint]
    const book = new ShaperBook(tables)
    assert.deepEqual(tables.calls, ['remove 21'])
    assert.equal(book.shaperOf(pod, limited), 20)
    assert.deepEqual(tables.calls, ['remove 21'])
  })
})
