import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { median } from '../harness/measure.ts'
import { formatTable } from '../harness/report.ts'
import { compareOutcomes, measureInTurn, type Candidate } from './compare.ts'

const COMPARED = { metric: 'run', unit: 'ms', figure: 'ms', reduce: median }
const ignore = (): void => undefined

describe('measuring runtimes in turn', () => {
  it('takes one sample of each a round', async () => {
    const order: string[] = []
    const outcomes = await measureInTurn(2, [counting('quark', order), counting('runc', order)], ignore)
    assert.deepEqual(order, ['quark', 'runc', 'quark', 'runc'])
    const [result] = compareOutcomes(outcomes, COMPARED)
    assert.deepEqual(result, { metric: 'run', unit: 'ms', value: 2, peer: 'runc', peerValue: 3, ratio: 0.667 })
  })

  it('makes a failure null with its reason, and does not try again', async () => {
    let calls = 0
    const failing = { name: 'runc', measure: () => Promise.reject(new Error(`no cgroup, call ${++calls}`)) }
    const outcomes = await measureInTurn(3, [counting('quark', []), failing], ignore)
    const results = compareOutcomes(outcomes, { ...COMPARED, targets: { runc: { ratioAtMost: 1 } } })
    const failure = 'runc: round 1 of 3: no cgroup, call 1'
    assert.deepEqual(results, [{ metric: 'run', unit: 'ms', value: 2.5, peer: 'runc', peerValue: null, failure }])
    assert.match(formatTable(results), /runc: failed +runc: round 1 of 3: no cgroup/)
  })
})

/** The nth sample of quark is n + 1/2, of others 2 n. */
function counting(name: string, order: string[]): Candidate {
  let count = 0
  const measure = async (): Promise<{ ms: number }> => {
    order.push(name)
    count++
    return { ms: name === 'quark' ? count + 0.5 : count * 2 }
  }
  return { name, measure }
}
