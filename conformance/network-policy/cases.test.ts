import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import {
  askOracle,
  compareCell,
  compileWorld,
  describeCell,
  type OracleWorld,
  type Traffic,
} from '@centaurus/network/testing'
import { addressOf } from './addresses.ts'
import { POLICY_CASES, UPSTREAM_CASES } from './cases.ts'
import { act, createWorld, isExpected, listCells, parseProbe, PODS, PROBES } from './policy-case.ts'

function nameOf(party: Traffic['source']): string {
  return 'pod' in party ? `${party.pod.namespace}/${party.pod.name}` : party.address
}

function checkExpectations(world: OracleWorld, expect: Readonly<Record<string, readonly string[]>>): void {
  for (const [probe, lines] of Object.entries(expect)) {
    for (const cell of listCells(world, parseProbe(probe))) {
      const expected = isExpected(lines, nameOf(cell.source), nameOf(cell.destination))
      assert.equal(askOracle(world, cell).allowed, expected, describeCell(world, cell))
    }
  }
}

describe('NetworkPolicy', () => {
  it(`has cases of all that upstream tests, and as many more`, () => {
    assert.equal(UPSTREAM_CASES.length, 48)
    assert.ok(POLICY_CASES.length >= 48 + 217, `${POLICY_CASES.length} cases`)
    const titles = POLICY_CASES.map(({ title }) => title)
    assert.ok(UPSTREAM_CASES.every(({ steps }) => steps.every(({ expect }) => expect !== undefined)))
    assert.ok(new Set(titles).size >= titles.length - 1, 'cases must have titles of their own')
  })

  it('is understood by the oracle as upstream’s tests expect', () => {
    for (const { title, steps } of UPSTREAM_CASES) {
      let world = createWorld(addressOf)
      for (const { actions, expect = {} } of steps) {
        world = actions.reduce(act, world)
        try {
          checkExpectations(world, expect)
        } catch (cause) {
          throw new Error(title, { cause })
        }
      }
    }
  })

  it('is compiled to what the oracle says, in every cell of every case', (t) => {
    let cells = 0
    for (const { title, steps } of POLICY_CASES) {
      let world = createWorld(addressOf)
      for (const { actions } of steps) {
        world = actions.reduce(act, world)
        const compiled = compileWorld(world)
        for (const cell of PROBES.flatMap((probe) => listCells(world, probe))) {
          const difference = compareCell(world, compiled, cell)
          if (difference !== undefined) assert.fail(`${title}: ${difference}\n${describeCell(world, cell)}`)
          cells++
        }
      }
    }
    t.diagnostic(`${POLICY_CASES.length} cases, ${cells} cells`)
    assert.equal(PODS.length, 9)
    assert.ok(cells > 110_000)
  })
})
