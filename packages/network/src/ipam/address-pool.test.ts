import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock, createSeededRandom } from '@centaurus/base'
import { ADDRESS_REST_MS, AddressPool, type AddressBlock } from './address-pool.ts'

function poolOf(...blocks: string[]) {
  const clock = createManualClock()
  return { clock, pool: new AddressPool({ blocks: blocks.map((cidr) => block(cidr)), clock }) }
}

function block(cidr: string, ...reserved: string[]): AddressBlock {
  return { cidr, reserved }
}

function take(pool: AddressPool): string {
  const taken = pool.take()
  assert.ok('address' in taken, 'the pool is full')
  return taken.address
}

describe('AddressPool', () => {
  it('gives neither edges of a block nor reserved addresses', () => {
    const pool = new AddressPool({ blocks: [block('10.244.3.0/29', '10.244.3.1')], clock: createManualClock() })
    const all = Array.from({ length: 5 }, () => take(pool))
    assert.deepEqual(all, ['10.244.3.2', '10.244.3.3', '10.244.3.4', '10.244.3.5', '10.244.3.6'])
    assert.deepEqual(pool.take(), { resting: 0 })
  })

  it('gives every address of blocks that are too small for edges', () => {
    const { pool } = poolOf('10.0.0.4/31')
    assert.deepEqual([take(pool), take(pool)], ['10.0.0.4', '10.0.0.5'])
  })

  it('lets an address rest after its release', async () => {
    const { pool, clock } = poolOf('10.0.0.0/30')
    const first = take(pool)
    take(pool)
    pool.release(first)
    await clock.advance(ADDRESS_REST_MS - 1)
    assert.deepEqual(pool.take(), { resting: 1 })
    await clock.advance(1)
    assert.equal(take(pool), first)
  })

  it('takes what was never used before what was, and then what was released first', async () => {
    const { pool, clock } = poolOf('10.0.0.0/29')
    const [a, b, c] = [take(pool), take(pool), take(pool)]
    for (const address of [b, a, c]) pool.release(address)
    await clock.advance(ADDRESS_REST_MS)
    assert.deepEqual([take(pool), take(pool), take(pool)], ['10.0.0.4', '10.0.0.5', '10.0.0.6'])
    assert.deepEqual([take(pool), take(pool), take(pool)], [b, a, c])
  })

  it('goes on in a block that is added when the first one is full', () => {
    const { pool } = poolOf('10.0.0.0/30')
    take(pool)
    take(pool)
    pool.addBlock(block('10.9.0.0/30'))
    pool.addBlock(block('10.9.0.0/30'))
    assert.deepEqual([take(pool), take(pool)], ['10.9.0.1', '10.9.0.2'])
    assert.deepEqual(pool.take(), { resting: 0 })
  })

  it('keeps what was claimed, and what lies outside of its blocks never comes to others', () => {
    const { pool } = poolOf('10.0.0.0/30')
    assert.equal(pool.claim('10.0.0.1'), true)
    assert.equal(pool.claim('10.0.0.1'), false)
    assert.equal(pool.claim('10.99.0.1'), true)
    pool.release('10.99.0.1')
    assert.equal(take(pool), '10.0.0.2')
    assert.deepEqual(pool.take(), { resting: 0 })
  })

  it('says what is no address and what is no block', () => {
    const { pool } = poolOf()
    assert.throws(() => pool.addBlock(block('10.0.0.1/24')), /"10.0.0.1\/24" is no block/)
    assert.throws(() => pool.claim('pod'), /"pod" is no IPv4 address/)
  })

  it('never has an address in two hands, nor back before its rest, whatever happens in whatever order', async () => {
    for (let seed = 1; seed <= 50; seed++) {
      const random = createSeededRandom(seed)
      const { pool, clock } = poolOf('10.0.0.0/28', '10.7.0.0/29')
      const held = new Set<string>()
      const releasedAt = new Map<string, number>()
      for (let step = 0; step < 400; step++) {
        const dice = random.next()
        if (dice < 0.5) {
          const taken = pool.take()
          const resting = [...releasedAt.values()].filter((at) => clock.monotonicMs() - at < ADDRESS_REST_MS)
          if (!('address' in taken)) {
            assert.equal(held.size + resting.length, 20)
            continue
          }
          assert.ok(!held.has(taken.address), `${taken.address} was given twice, seed ${seed}`)
          assert.ok(clock.monotonicMs() - (releasedAt.get(taken.address) ?? -Infinity) >= ADDRESS_REST_MS)
          releasedAt.delete(taken.address)
          held.add(taken.address)
        } else if (dice < 0.9 && held.size > 0) {
          const address = [...held][random.integer(held.size)]!
          held.delete(address)
          releasedAt.set(address, clock.monotonicMs())
          pool.release(address)
        } else await clock.advance(random.integer(30_000))
        assert.equal(pool.takenCount, held.size)
      }
    }
  })
})
