import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { compareCell, compileWorld, judgeCell } from '../testing/policy-cells.ts'
import { generateWorld, listTraffic } from '../testing/policy-generator.ts'
import type { OracleWorld, Traffic } from '../testing/policy-oracle.ts'
import { describeCell, shrinkWorld } from '../testing/policy-shrink.ts'

const WORLDS = Number(process.env['POLICY_WORLDS'] ?? 200)
const FIRST_SEED = Number(process.env['POLICY_SEED'] ?? 1)
/** One cell of so many is compared, another one in each world. */
const STRIDE = 4

describe('compiled policy sets', () => {
  it('say what the specifications say, in every cell, and by which rule', (t) => {
    let cells = 0
    let denied = 0
    let sets = 0
    for (let seed = FIRST_SEED; seed < FIRST_SEED + WORLDS; seed++) {
      const world = generateWorld(seed)
      const compiled = compileWorld(world)
      sets += new Set([...compiled.sets.values()].map(({ key }) => key)).size
      const traffic = listTraffic(world)
      for (let i = seed % STRIDE; i < traffic.length; i += STRIDE) {
        const difference = compareCell(world, compiled, traffic[i]!)
        if (difference !== undefined) assert.fail(explainFailure(world, traffic[i]!, seed))
        cells++
        if (!judgeCell(compiled, traffic[i]!).allowed) denied++
      }
    }
    t.diagnostic(`${cells} cells of ${sets} policy sets, ${denied} denied`)
    assert.ok(WORLDS < 200 || (cells >= 400_000 && sets >= 900), `${cells} cells, ${sets} sets`)
    assert.ok(denied > cells / 5 && denied < (cells * 4) / 5, `${denied} of ${cells} cells are denied`)
  })
})

function explainFailure(world: OracleWorld, traffic: Traffic, seed: number): string {
  const fails = (smaller: OracleWorld): boolean => compareCell(smaller, compileWorld(smaller), traffic) !== undefined
  const smallest = shrinkWorld(world, fails)
  const difference = compareCell(smallest, compileWorld(smallest), traffic)
  return `POLICY_SEED=${seed}: ${difference}\n${describeCell(smallest, traffic)}`
}
