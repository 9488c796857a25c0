import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { createSeededRandom, type Random } from '@centaurus/base'
import { classifyUse, findPeriod, type JobKind } from './classify-use.ts'

const SAMPLES = 600
/** A sample is what was used over its time. */
const MOMENTS = 10
const SERIES_PER_KIND = 150
const F1_MIN = 0.95
/** Of the true period. */
const PERIOD_ERROR_MAX = 0.05

const clamp = (percent: number): number => Math.min(100, Math.max(0, percent))
const uniform = (random: Random, low: number, high: number): number => low + (high - low) * random.next()
/** Sum of uniform numbers: normal enough. */
function noise(random: Random, deviation: number): number {
  const sum = Array.from({ length: 12 }, () => random.next()).reduce((all, each) => all + each, 0)
  return (sum - 6) * deviation
}

interface Training {
  readonly period: number
  readonly jitter?: number
  readonly noise?: number
}

/** Computes for a part of each period, and loads data or writes for the rest. `jitter`: deviation of a period's length, as part of it. */
function training(random: Random, { period, jitter = 0, noise: deviation = 0 }: Training): number[] {
  const [duty, high] = [uniform(random, 0.4, 0.85), uniform(random, 40, 100)]
  const low = uniform(random, 0, high * 0.4)
  const trend = uniform(random, -0.01, 0.01)
  let [length, phase] = [period, period * random.next()]
  const moment = (): number => {
    phase += 1 / MOMENTS
    if (phase >= length) {
      phase -= length
      length = period * (1 + noise(random, jitter))
    }
    return phase < duty * length ? high : low
  }
  return Array.from({ length: SAMPLES }, (_, i) => {
    const used = Array.from({ length: MOMENTS }, moment).reduce((all, each) => all + each, 0) / MOMENTS
    return clamp(used + trend * i + noise(random, deviation))
  })
}

/** Requests that come by chance, at a rate that wanders: `memory` of 0 forgets at once. */
function inference(random: Random, memory: number): number[] {
  const [level, swing] = [uniform(random, 5, 60), uniform(random, 0.3, 0.8)]
  let wander = 0
  return Array.from({ length: SAMPLES }, () => {
    wander = memory * wander + noise(random, swing * Math.sqrt(1 - memory ** 2))
    const requests = level * Math.exp(wander) * (1 + noise(random, 0.15))
    return clamp(requests)
  })
}

/** Busy and not, each as long as it happens. */
function bursts(random: Random): number[] {
  const [high, mean] = [uniform(random, 30, 95), uniform(random, 3, 25)]
  let [busy, left] = [false, 0]
  return Array.from({ length: SAMPLES }, () => {
    if (left-- <= 0) {
      busy = !busy
      left = -mean * Math.log(1 - random.next())
    }
    return clamp((busy ? high : 0) + noise(random, 3))
  })
}

function idle(random: Random): number[] {
  return Array.from({ length: SAMPLES }, () => (random.next() < 0.01 ? uniform(random, 0, 60) : random.next()))
}

function steady(random: Random): number[] {
  const level = uniform(random, 40, 97)
  return Array.from({ length: SAMPLES }, () => clamp(level + noise(random, level * 0.04)))
}

const GENERATORS: Readonly<Record<JobKind, (random: Random) => number[]>> = {
  training: (random) =>
    training(random, {
      period: Math.exp(uniform(random, Math.log(4), Math.log(120))),
      jitter: uniform(random, 0, 0.03),
      noise: uniform(random, 0, 10),
    }),
  inference: (random) => (random.next() < 0.3 ? bursts(random) : inference(random, uniform(random, 0, 0.95))),
  idle,
  steady,
}
const KINDS = Object.keys(GENERATORS) as JobKind[]

describe('classifyUse', () => {
  it(`tells kinds of noisy jobs apart, each with an F1 of ${F1_MIN} and more`, (t) => {
    const results = KINDS.flatMap((kind, k) =>
      Array.from({ length: SERIES_PER_KIND }, (_, seed) => {
        const said = classifyUse(GENERATORS[kind](createSeededRandom(k * 10_000 + seed)))
        return { kind, said: said?.kind }
      }),
    )
    for (const kind of KINDS) {
      const right = results.filter((result) => result.kind === kind && result.said === kind).length
      const wrong = results.filter((result) => (result.kind === kind) !== (result.said === kind)).length
      const f1 = (2 * right) / (2 * right + wrong)
      t.diagnostic(`${kind}: F1 ${f1.toFixed(3)}`)
      assert.ok(f1 >= F1_MIN, `${kind}: F1 ${f1}`)
    }
  })

  it('finds the period of what repeats itself', () => {
    const input = fc.record({ seed: fc.nat(), period: fc.double({ min: 8, max: 150, noNaN: true }), noise: fc.nat(5) })
    fc.assert(
      fc.property(input, ({ seed, ...how }) => {
        const found = findPeriod(training(createSeededRandom(seed), how))
        assert.ok(Math.abs((found ?? NaN) / how.period - 1) <= PERIOD_ERROR_MAX, `${found}`)
      }),
      { seed: 1, numRuns: 150 },
    )
  })

  it('finds no period in what does not vary, or only rises', () => {
    assert.equal(findPeriod(Array.from({ length: SAMPLES }, () => 50)), undefined)
    assert.equal(findPeriod(Array.from({ length: SAMPLES }, (_, i) => i / 10)), undefined)
  })

  it('is not misled by an outlier', () => {
    const series = training(createSeededRandom(3), { period: 20, noise: 2 }).map((x) => x / 2)
    assert.equal(classifyUse(series.with(17, 100))?.kind, 'training')
    assert.equal(classifyUse(idle(createSeededRandom(4)).with(3, 100))?.kind, 'idle')
  })

  it('says nothing of a few samples, and something of any others', () => {
    assert.equal(classifyUse(Array.from({ length: 59 }, () => 0)), undefined)
    assert.equal(classifyUse(Array.from({ length: 60 }, () => 0))?.kind, 'idle')
    assert.equal(classifyUse(Array.from({ length: 299 }, () => 50)), undefined)
    const series = fc.array(fc.double({ min: 0, max: 100, noNaN: true }), { minLength: 300, maxLength: 400 })
    fc.assert(
      fc.property(series, (percents) => {
        const { kind, period } = classifyUse(percents)!
        assert.ok(KINDS.includes(kind))
        if (period !== undefined) assert.ok(period >= 2 && period <= percents.length / 3)
      }),
      { seed: 2 },
    )
  })
})
