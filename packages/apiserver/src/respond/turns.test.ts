import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createTurns } from './turns.ts'

function setUp() {
  const turns: (() => void)[] = []
  let nowMs = 0
  const takeTurn = createTurns({ nextTurn: (turn) => turns.push(turn), nowMs: () => nowMs })
  return {
    takeTurn,
    turns,
    async turn(lengthMs = 0): Promise<void> {
      nowMs += lengthMs
      turns.shift()!()
      await new Promise((resolve) => setImmediate(resolve))
    },
  }
}

describe('turns', () => {
  it('lets one go on at a time, in order, and whoever comes back waits behind the others', async () => {
    const { takeTurn, turns, turn } = setUp()
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
      await turn()
      assert.equal(seen.length, before + 1)
    }
    await done
    assert.deepEqual(seen, ['a1', 'b1', 'c1', 'a2', 'b2', 'c2'])
  })

  it('gives more at once where turns are long', async () => {
    const { takeTurn, turn } = setUp()
    const first = takeTurn()
    await turn(1)
    assert.equal(await first, 1.1)
    const second = takeTurn()
    await turn(500)
    assert.equal(await second, 551)
  })
})
