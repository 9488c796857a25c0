import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import {
  batchAt,
  efficiencyOf,
  fitStepModel,
  goodput,
  secondsPerStep,
  type StepModel,
  type StepObservation,
} from './goodput.ts'

const term = (max: number): fc.Arbitrary<number> => fc.double({ min: 0, max, noNaN: true })
const models: fc.Arbitrary<StepModel> = fc.record({
  fixed: term(1),
  perSample: fc.double({ min: 0.0001, max: 0.01, noNaN: true }),
  joining: term(1),
  perWorker: term(0.1),
})
const observe = (model: StepModel, sizes: readonly (readonly [workers: number, batch: number])[], noise = 1) =>
  sizes.map(([workers, batch]) => ({
    workers,
    batch,
    secondsPerStep: secondsPerStep(model, { workers, batch }) * noise,
    weight: 1,
  }))

describe('the model of a step', () => {
  it('is found again from sizes that tell its terms apart', () => {
    const sizes = [
      [1, 64],
      [2, 64],
      [2, 512],
      [4, 256],
      [8, 64],
    ] as const
    fc.assert(
      fc.property(models, (model) => {
        const found = fitStepModel(observe(model, sizes))!
        for (const [workers, batch] of [...sizes, [3, 96], [16, 1_024]] as const) {
          const size = { workers, batch }
          const [expected, actual] = [secondsPerStep(model, size), secondsPerStep(found, size)]
          assert.ok(Math.abs(actual - expected) < 0.01 * expected, `${workers}: ${actual} for ${expected}`)
        }
      }),
    )
  })

  it('never has a negative term, whatever was reported', () => {
    const observation = fc.record({
      workers: fc.integer({ min: 1, max: 64 }),
      batch: fc.integer({ min: 1, max: 4_096 }),
      secondsPerStep: fc.double({ min: 1e-4, max: 1_000, noNaN: true }),
      weight: fc.double({ min: 0.01, max: 1_000, noNaN: true }),
    })
    const check = (observations: readonly StepObservation[]): void => {
      const found = fitStepModel(observations)!
      for (const value of Object.values(found)) assert.ok(value >= 0 && Number.isFinite(value))
      assert.ok(secondsPerStep(found, observations[0]!) > 0)
    }
    // What a larger size says counts so much more that the smallest would be taken to need no time.
    check(
      [
        [1, 1, 0.0001, 0.01],
        [11, 1, 0.000_127_5, 0.257_7],
        [10, 4, 0.0001, 1.412_6],
        [31, 1, 0.000_641_3, 0.043_6],
      ].map(([workers, batch, seconds, weight]) => ({
        workers: workers!,
        batch: batch!,
        secondsPerStep: seconds!,
        weight: weight!,
      })),
    )
    fc.assert(fc.property(fc.array(observation, { minLength: 1, maxLength: 12 }), check))
  })

  it('takes a job that ran at one size to scale', () => {
    const found = fitStepModel([{ workers: 2, batch: 128, secondsPerStep: 1, weight: 5 }])!
    const rule = { kind: 'constant', batch: 128 } as const
    assert.ok(Math.abs(goodput(found, 4, { rule }) / goodput(found, 2, { rule }) - 2) < 0.001)
  })

  it('learns at the second size that a job does not scale', () => {
    const found = fitStepModel([
      { workers: 1, batch: 128, secondsPerStep: 1, weight: 5 },
      { workers: 2, batch: 128, secondsPerStep: 0.95, weight: 5 },
    ])!
    const rule = { kind: 'constant', batch: 128 } as const
    assert.ok(goodput(found, 4, { rule }) < 1.5 * goodput(found, 2, { rule }))
  })

  it('is nothing without observations that mean something', () => {
    assert.equal(fitStepModel([]), undefined)
    assert.equal(fitStepModel([{ workers: 1, batch: 1, secondsPerStep: 1e9, weight: 1 }]), undefined)
    assert.equal(fitStepModel([{ workers: 1, batch: 1, secondsPerStep: 0, weight: 1 }]), undefined)
  })
})

describe('goodput', () => {
  const model: StepModel = { fixed: 0.1, perSample: 0.001, joining: 0.05, perWorker: 0.01 }

  it('counts samples a second by the rule of the batch', () => {
    assert.equal(batchAt({ kind: 'constant', batch: 64 }, 8), 64)
    assert.equal(batchAt({ kind: 'perWorker', samples: 64 }, 8), 512)
    const expected = 512 / (0.1 + 0.064 + 0.05 + 0.06)
    assert.ok(Math.abs(goodput(model, 8, { rule: { kind: 'perWorker', samples: 64 } }) - expected) < 1e-9)
  })

  it('discounts samples of batches beyond the base, less the noisier gradients are', () => {
    assert.equal(efficiencyOf(64, { baseBatch: 64, noiseScale: 100 }), 1)
    assert.equal(efficiencyOf(128, undefined), 1)
    const [quiet, noisy] = [100, 10_000].map((noiseScale) => efficiencyOf(512, { baseBatch: 64, noiseScale }))
    assert.ok(quiet! < noisy! && noisy! < 1 && quiet! > 0)
  })
})
