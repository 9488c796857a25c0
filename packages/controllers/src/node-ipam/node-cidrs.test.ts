import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom, doIpv4BlocksOverlap, parseIpv4Block } from '@centaurus/base'
import { NodeCidrs } from './node-cidrs.ts'

function cidrsOf(...blocks: string[]): NodeCidrs {
  const cidrs = new NodeCidrs(24)
  for (const block of blocks) cidrs.addBlock(block)
  return cidrs
}

describe('NodeCidrs', () => {
  it('gives the ranges of its blocks one after the other, until there are none', () => {
    const cidrs = cidrsOf('10.244.0.0/23', '10.250.0.0/24')
    assert.deepEqual(
      ['a', 'b', 'c', 'd'].map((owner) => cidrs.take(owner)),
      ['10.244.0.0/24', '10.244.1.0/24', '10.250.0.0/24', undefined],
    )
    assert.equal(cidrs.freeCount, 0)
  })

  it('gives a range that came back as late as possible', () => {
    const cidrs = cidrsOf('10.244.0.0/22')
    cidrs.take('a')
    cidrs.vacate('a', '10.244.0.0/24')
    assert.deepEqual(
      ['b', 'c', 'd', 'e'].map((owner) => cidrs.take(owner)),
      ['10.244.1.0/24', '10.244.2.0/24', '10.244.3.0/24', '10.244.0.0/24'],
    )
  })

  it('respects ranges of any size that others gave, also before it has the block', () => {
    const cidrs = cidrsOf()
    cidrs.occupy('a', '10.244.1.128/25')
    cidrs.occupy('b', '10.244.2.0/23')
    cidrs.occupy('c', 'fd00::/64')
    assert.equal(cidrs.overlaps('10.244.0.0/24'), false)
    cidrs.addBlock('10.244.0.0/21')
    assert.equal(cidrs.overlaps('10.244.0.0/24'), true)
    assert.equal(cidrs.freeCount, 5)
    cidrs.occupy('d', '10.0.0.0/8')
    assert.equal(cidrs.take('e'), undefined)
    cidrs.vacate('d', '10.0.0.0/8')
    assert.equal(cidrs.take('e'), '10.244.0.0/24')
    assert.equal(cidrs.take('e'), '10.244.4.0/24')
  })

  it('counts owners: a range that two say they have is free when both are gone', () => {
    const cidrs = cidrsOf('10.244.0.0/24')
    cidrs.occupy('a', '10.244.0.0/24')
    cidrs.occupy('a', '10.244.0.0/24')
    cidrs.occupy('b', '10.244.0.0/24')
    cidrs.vacate('a', '10.244.0.0/24')
    cidrs.vacate('a', '10.244.0.0/24')
    assert.equal(cidrs.take('c'), undefined)
    cidrs.vacate('b', '10.244.0.0/24')
    assert.equal(cidrs.take('c'), '10.244.0.0/24')
  })

  it('ignores blocks that are none, or too small for a node', () => {
    const cidrs = cidrsOf('10.244.0.0/25', 'fd00::/48', 'x')
    assert.equal(cidrs.take('a'), undefined)
  })

  it('never gives overlapping ranges, and knows how many are free, whatever comes and goes', () => {
    for (let seed = 1; seed <= 30; seed++) {
      const random = createSeededRandom(seed)
      const cidrs = cidrsOf('10.244.0.0/20')
      const held = new Map<string, string>()
      for (let step = 0; step < 300; step++) {
        const owner = `o${random.integer(30)}`
        const has = held.get(owner)
        if (step === 100) cidrs.addBlock('10.8.0.0/21')
        if (has !== undefined) {
          cidrs.vacate(owner, has)
          held.delete(owner)
          continue
        }
        const taken = cidrs.take(owner)
        if (taken === undefined) {
          assert.equal(held.size, step < 100 ? 16 : 24)
          continue
        }
        for (const other of held.values())
          assert.ok(
            !doIpv4BlocksOverlap(parseIpv4Block(other)!, parseIpv4Block(taken)!),
            `seed ${seed}: ${other} ${taken}`,
          )
        held.set(owner, taken)
        assert.equal(cidrs.freeCount, (step < 100 ? 16 : 24) - held.size)
      }
    }
  })

  it('has 60,000 nodes in a few kilobytes a block', () => {
    const cidrs = new NodeCidrs(24)
    for (let block = 0; block < 240; block++) cidrs.addBlock(`10.${block}.0.0/16`)
    const all = new Set(Array.from({ length: 60_000 }, (_, index) => cidrs.take(`node-${index}`)))
    assert.equal(all.size, 60_000)
    assert.equal(cidrs.freeCount, 1_440)
  })
})
