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
  it('are each pod’s own, and stay the same when their quality changes', () => {
    const tables = new Tables()
    const book = new ShaperBook(tables)
    const id = book.shaperOf(pod, plain)
    assert.equal(id, 16)
    assert.deepEqual(tables.shapers.get(id), { id, level: 7 })
    assert.notEqual(book.shaperOf(other, limited), id)
    assert.equal(book.shaperOf(pod, limited), id)
    assert.equal(tables.shapers.get(id)?.egressBandwidth, 10e6)
    assert.equal(book.shaperOf(pod, { networkClass: 'premium', priority: 'high' }), id)
    assert.deepEqual(tables.shapers.get(id), { id, level: 0 })
  })

  it('cost no write when nothing changes', () => {
    const tables = new Tables()
    const book = new ShaperBook(tables)
    book.shaperOf(pod, limited)
    book.shaperOf(pod, { ...limited })
    assert.deepEqual(tables.calls, ['set 16'])
  })

  it('are free once the pod is gone', () => {
    const tables = new Tables()
    const book = new ShaperBook(tables)
    const id = book.shaperOf(pod, limited)
    book.release(pod)
    assert.equal(tables.shapers.size, 0)
    assert.equal(book.shaperOf(other, limited), id)
    book.release(pod)
    assert.equal(tables.shapers.size, 1)
  })

  it('of an earlier daemon are taken over, and those that nobody names freed', () => {
    const tables = new Tables()
    tables.shapers.set(20, { id: 20, level: 7, egressBandwidth: 10e6 })
    tables.shapers.set(21, { id: 21, level: 7, egressBandwidth: 10e6 })
    tables.endpoints = [{ ...pod, shaper: 20 } as Endpoint]
    const book = new ShaperBook(tables)
    assert.deepEqual(tables.calls, ['remove 21'])
    assert.deepEqual(book.qualityOf(20), limited)
    assert.equal(book.shaperOf(pod, limited), 20)
    assert.deepEqual(tables.calls, ['remove 21'])
  })
})
