import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Lanes } from './lanes.ts'

describe('lanes', () => {
  it('let one in at a time for each key, in order, and forget who left', async () => {
    const lanes = new Lanes()
    const log: string[] = []
    const go = async (key: string, name: string): Promise<void> => {
      const leave = await lanes.enter(key)
      log.push(`+${name}`)
      await new Promise((resolve) => setImmediate(resolve))
      log.push(`-${name}`)
      leave()
    }
    const all = Promise.all([go('k', 'a'), go('k', 'b'), go('other', 'x'), go('k', 'c')])
    assert.ok(lanes.isBusy('k'))
    await all
    assert.deepEqual(
      log.filter((entry) => !entry.endsWith('x')),
      ['+a', '-a', '+b', '-b', '+c', '-c'],
    )
    assert.ok(log.indexOf('+x') < log.indexOf('+b'))
    assert.deepEqual([lanes.isBusy('k'), lanes.isBusy('other')], [false, false])
  })
})
