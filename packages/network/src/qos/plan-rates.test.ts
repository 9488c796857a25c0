import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '@centaurus/base'
import { LEVEL_ORDER, planRates, type LevelUse, type RateHistory } from './plan-rates.ts'

const LINK = 10e9
const USABLE = LINK * 0.98
const LEVELS = 10

/** What senders get of a link that serves each level up to its rate: what the programs do, without packets. */
function run(offered: (look: number) => readonly number[], looks: number): { sent: number[][]; rates: number[][] } {
  let history: RateHistory = []
  let rates: readonly number[] = Array.from({ length: LEVELS }, () => LINK)
  const sent: number[][] = []
  const planned: number[][] = []
  for (let look = 0; look < looks; look++) {
    const wants = offered(look)
    const got = wants.map((want, level) => Math.min(want, rates[level] ?? 0))
    sent.push(got)
    const uses = wants.map((want, level): LevelUse => {
      const isShort = want > (rates[level] ?? 0)
      return { bandwidth: got[level] ?? 0, backlogNs: isShort ? 10_000_000 : 0, drops: 0 }
    })
    const plan = planRates(history, uses, LINK)
    ;({ rates, history } = plan)
    planned.push([...rates])
  }
  return { sent, rates: planned }
}

const sum = (values: readonly number[]): number => values.reduce((all, each) => all + each, 0)
const offer = (loads: Readonly<Record<number, number>>): number[] =>
  Array.from({ length: LEVELS }, (_, level) => loads[level] ?? 0)

describe('rates of levels', () => {
  it('give a level that is alone the whole link', () => {
    const { sent } = run(() => offer({ 7: 20e9 }), 3)
    assert.ok((sent.at(-1)?.[7] ?? 0) >= USABLE * 0.999)
  })

  it('serve the levels before first, and keep the others alive', () => {
    const { sent } = run(() => offer({ 0: 20e9, 7: 20e9 }), 5)
    const last = sent.at(-1) ?? []
    assert.ok((last[0] ?? 0) >= USABLE * 0.96)
    assert.ok((last[7] ?? 0) >= USABLE * 0.029)
    assert.ok(sum(last) <= USABLE * 1.001)
  })

  it('give what a level stops using to the others within a few looks', () => {
    const { sent } = run((look) => offer({ 0: look < 5 ? 9e9 : 0, 7: 20e9 }), 10)
    assert.ok((sent[4]?.[7] ?? 0) <= 1e9)
    assert.ok((sent[9]?.[7] ?? 0) >= USABLE * 0.999)
  })

  it('let a level that begins take its rate at once, and the others give way with the next look', () => {
    const { sent } = run((look) => offer({ 0: look < 5 ? 0 : 5e9, 7: 20e9 }), 8)
    assert.equal(sent[5]?.[0], 5e9)
    assert.ok(sum(sent[6] ?? []) <= USABLE * 1.001)
    assert.ok((sent[7]?.[7] ?? 0) >= USABLE - 5e9 * 1.06)
  })

  it('take no burst on a slow link for a queue', () => {
    const backlogs = offer({ 0: 5e6, 7: 50e6 })
    const uses = offer({ 0: 5e6, 7: 5e6 }).map((bandwidth, level) => ({
      bandwidth,
      backlogNs: backlogs[level]!,
      drops: 0,
    }))
    assert.ok(planRates([], uses, 10e6).rates[7]! >= 4e6)
  })

  it('look less often at a link that has room', () => {
    const idle = planRates(
      [],
      offer({ 7: 1e9 }).map((bandwidth) => ({ bandwidth, backlogNs: 0, drops: 0 })),
      LINK,
    )
    assert.equal(idle.isBusy, false)
  })

  for (let seed = 1; seed <= 50; seed++) {
    it(`share any steady load in order and without waste (seed ${seed})`, () => {
      const random = createSeededRandom(seed)
      const loads = Array.from({ length: LEVELS }, () => (random.integer(3) === 0 ? 0 : random.integer(6e9)))
      const { sent } = run(() => loads, 12)
      const last = sent.at(-1) ?? []
      assert.ok(sum(last) <= USABLE * 1.001, 'no more than the link')
      const possible = Math.min(sum(loads), USABLE)
      assert.ok(sum(last) >= possible * 0.94, `${sum(last)} of ${possible} used`)
      // who comes first is short only by what keeps the others alive
      let before = 0
      for (const level of LEVEL_ORDER) {
        const load = loads[level] ?? 0
        const fair = Math.max(0, Math.min(load, USABLE * 0.75 - before))
        assert.ok((last[level] ?? 0) >= fair * 0.99, `level ${level} got ${last[level]} of ${fair}`)
        before += load * 1.05
      }
    })
  }
})
