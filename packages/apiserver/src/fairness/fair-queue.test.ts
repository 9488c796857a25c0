import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { createManualClock } from '@centaurus/base'
import { FairQueue, type FairRequest } from './fair-queue.ts'

/** A queue whose turns come when the test says so, and work that ends when the test says so. */
function setUp(seats: Record<string, number> = {}) {
  const clock = createManualClock()
  const turns: (() => void)[] = []
  const queue = new FairQueue({ clock, seatsOf: (tenant) => seats[tenant], nextTurn: (turn) => turns.push(turn) })
  const begun: string[] = []
  const ends = new Map<string, () => void>()
  const settle = async (): Promise<void> => {
    for (let i = 0; i < 10; i++) await Promise.resolve()
  }
  const refused: string[] = []
  return {
    clock,
    queue,
    begun,
    refused,
    ask(tenant: string, name: string, { weight = 1, isWanted = () => true }: Partial<FairRequest> = {}): void {
      const work = (): Promise<void> => {
        begun.push(name)
        return new Promise((resolve) => ends.set(name, resolve))
      }
      queue.run({ tenant, weight, isWanted }, work).catch((error: unknown) => {
        assert.ok(isStatus(error, 'TooManyRequests'))
        refused.push(name)
      })
    },
    async end(name: string): Promise<void> {
      ends.get(name)!()
      await settle()
    },
    async turn(): Promise<void> {
      for (const turn of turns.splice(0)) turn()
      await settle()
    },
    settle,
  }
}

const ask = (world: ReturnType<typeof setUp>, tenant: string, count: number): void => {
  for (let i = 0; i < count; i++) world.ask(tenant, `${tenant}${i}`)
}

describe('a fair queue', () => {
  it('begins at once what there is room for', async () => {
    const world = setUp()
    ask(world, 'a', 3)
    assert.deepEqual(world.begun, ['a0', 'a1', 'a2'])
    assert.equal(world.queue.length, 0)
  })

  it('looks at the network between some requests and the next', async () => {
    const world = setUp()
    ask(world, 'a', 20)
    assert.equal(world.begun.length, 8)
    await world.turn()
    assert.equal(world.begun.length, 16)
    await world.turn()
    assert.equal(world.begun.length, 20)
  })

  it('begins few that are heavy', async () => {
    const world = setUp()
    for (let i = 0; i < 4; i++) world.ask('a', `list${i}`, { weight: 8 })
    assert.deepEqual(world.begun, ['list0'])
    await world.turn()
    assert.deepEqual(world.begun, ['list0', 'list1'])
  })

  it('lets a newcomer in before what a busy tenant had waiting', async () => {
    const world = setUp()
    ask(world, 'loud', 500)
    world.ask('quiet', 'quiet0')
    assert.ok(!world.begun.includes('quiet0'))
    await world.turn()
    assert.deepEqual(world.begun.slice(8), ['quiet0', 'loud8'])
  })

  it('looks at the network more often while several tenants are here', async () => {
    const world = setUp()
    ask(world, 'loud', 30)
    world.ask('quiet', 'quiet0')
    await world.turn()
    await world.turn()
    assert.equal(world.begun.length, 12)
    await world.clock.advance(1_000)
    await world.turn()
    assert.equal(world.begun.length, 20)
  })

  it('serves in turn those who ask alike, and less often who holds seats longer', async () => {
    const world = setUp({ a: 2, b: 2 })
    ask(world, 'a', 40)
    ask(world, 'b', 40)
    await world.turn()
    assert.deepEqual(world.begun, ['a0', 'a1', 'b0', 'b1'])
    await world.clock.advance(100)
    await world.end('a0')
    await world.end('a1')
    await world.turn()
    assert.deepEqual(world.begun.slice(4), ['a2', 'a3'])
    await world.end('b0')
    await world.turn()
    assert.deepEqual(world.begun.slice(6), ['b2'])
  })

  it('gives a tenant no more seats than its own, whatever is free', async () => {
    const world = setUp({ small: 1 })
    ask(world, 'small', 3)
    await world.turn()
    assert.deepEqual(world.begun, ['small0'])
    await world.end('small0')
    await world.turn()
    assert.deepEqual(world.begun, ['small0', 'small1'])
  })

  it('refuses beyond its bounds: too many that wait, and one that waits too long', async () => {
    const world = setUp({ a: 1 })
    ask(world, 'a', 1 + 1_024 + 2)
    await world.settle()
    assert.deepEqual(world.refused, ['a1025', 'a1026'])
    await world.clock.advance(16_000)
    await world.settle()
    assert.equal(world.refused.length, 2 + 1_024)
    assert.equal(world.queue.length, 0)
    await world.end('a0')
    assert.equal(world.queue.running, 0)
  })

  it('drops what its caller gave up', async () => {
    const world = setUp({ a: 1 })
    world.ask('a', 'first')
    world.ask('a', 'gone', { isWanted: () => false })
    world.ask('a', 'last')
    await world.end('first')
    await world.turn()
    assert.deepEqual(world.begun, ['first', 'last'])
  })
})
