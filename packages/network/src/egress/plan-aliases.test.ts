import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { planAliases } from './plan-aliases.ts'

const block = (vni: number, cidr: string) => ({ vni, cidr })

describe('aliases of blocks', () => {
  it('differ for equal blocks of two networks, and are the same whenever they are asked for', () => {
    const blocks = [block(7, '10.0.0.0/26'), block(8, '10.0.0.0/26'), block(7, '10.0.0.64/26')]
    const { aliases } = planAliases(blocks, [])
    assert.deepEqual([...aliases.keys()], ['7 10.0.0.0/26', '8 10.0.0.0/26', '7 10.0.0.64/26'])
    const all = [...aliases.values()].map(({ alias }) => alias)
    assert.equal(new Set(all).size, 3)
    for (const alias of all) assert.match(alias, /^240\.\d+\.\d+\.(0|64|128|192)\/26$/)
    assert.deepEqual(planAliases(blocks.toReversed(), []).aliases, aliases)
  })

  it('stay as long as their blocks, and give way to none that comes', () => {
    const [own] = planAliases([block(7, '10.0.0.0/26')], []).aliases.values()
    const other = { ...block(9, '10.9.0.0/26'), alias: own!.alias }
    const { aliases } = planAliases([block(7, '10.0.0.0/26'), block(9, '10.9.0.0/26')], [other])
    assert.deepEqual(aliases.get('9 10.9.0.0/26'), other)
    assert.notEqual(aliases.get('7 10.0.0.0/26')?.alias, own!.alias)
    assert.equal(planAliases([], [other]).aliases.size, 0)
  })

  it('are as many as the table has room for', () => {
    const blocks = Array.from({ length: 32_770 }, (_, vni) => block(vni + 1, '10.0.0.0/26'))
    const { aliases, without } = planAliases(blocks, [])
    assert.equal(new Set([...aliases.values()].map(({ alias }) => alias)).size, 32_768)
    assert.deepEqual(
      without.map(({ vni }) => vni),
      [32_769, 32_770],
    )
  })
})
