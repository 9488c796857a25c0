import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { before, describe, it } from 'node:test'
import { quarkFolder } from '../binaries.ts'
import { buildQuark } from '../build-quark.ts'
import { findCargo, QUARK_SOURCES } from '../cargo.ts'
import { buildGuests, listCases, runCases } from './run-cases.ts'
import { diffCase, parseDiffering, type CaseResult } from './transcript.ts'

describe('system calls in quark', () => {
  let native: Map<string, CaseResult>
  let quark: Map<string, CaseResult>
  const differing = parseDiffering(readFileSync(join(QUARK_SOURCES, 'guests/differing.txt'), 'utf8'))

  before(async () => {
    const cargo = await findCargo()
    assert(cargo.path !== undefined, cargo.path === undefined ? cargo.why : '')
    const report = (line: string): void => void process.stderr.write(`${line}\n`)
    const guests = await buildGuests({ cargo: cargo.path, report })
    const cases = listCases(guests)
    native = await runCases({ runtime: 'runc', guests, cases })
    quark = await runCases({ runtime: await buildQuark({ outDir: quarkFolder(), cargo, report }), guests, cases })
    assert.equal(native.size, cases.length)
  })

  it('end natively by themselves', () => {
    const bad = [...native]
      .filter(([, { ending }]) => ending !== 'exited 0')
      .map(([name, { ending }]) => `${name}: ${ending}`)
    assert.deepEqual(bad, [])
  })

  it('answer as Linux does, but for those in differing.txt', () => {
    const wrong = [...native].flatMap(([name, result]) => {
      const diff = differing.has(name) ? [] : diffCase(result, quark.get(name))
      return diff.length === 0 ? [] : [name, ...diff.map((line) => `    ${line}`)]
    })
    assert.equal(wrong.join('\n'), '')
  })

  it('differ where differing.txt says so', () => {
    const stale = [...differing.keys()].filter((name) => {
      const result = native.get(name)
      return result === undefined || diffCase(result, quark.get(name)).length === 0
    })
    assert.deepEqual(stale, [], 'these cases are the same now, or are no more: take them out of differing.txt')
  })
})
