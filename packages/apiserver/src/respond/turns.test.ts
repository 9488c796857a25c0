import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createTurns } from './turns.ts'

describe('turns', () => {
  it('lets one go on at a time, in order, and whoever comes back waits behind the others', async () => {
    const turns: (() => void)[] = []
    const takeTurn = createTurns((turn) => turns.push(turn))
    const seen: string[] = []
    const work = async (name: string): Promise<void> => {
      for (const piece of [1, 2]) {
        await takeTurn()
        seen.push(`${name}${piece}`)
      }
    }
    const done = Promise.all([work('a'), work('b'), work('c')])
    while (turns.length > 0) {
      const before = seen.length
      turns.shift()!()
      await new Promise((resolve) => setImmediate(resolve))
      assert.equal(seen.length, before + 1)
    }
    await done
    assert.deepEqual(seen, ['a1', 'b1', 'c1', 'a2', 'b2', 'c2'])
  })
})
