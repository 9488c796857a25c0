/**
 * What a job does, by how it uses a GPU over time. Alnair's idea: training repeats itself (batches, epochs, checkpoints), and so its use correlates with itself a period
 * later; serving follows those who ask. Pure.
 */
import { autocorrelate, chanceOf } from './autocorrelation.ts'

/**
 * `training`: repeats itself. `inference`: varies without a pattern. `steady`: even use, of which nobody can tell whether it trains or serves. `idle`: hardly any.
 */
export type JobKind = 'training' | 'inference' | 'steady' | 'idle'

export interface UseClass {
  readonly kind: JobKind
  /** Of `training`: after how many samples it repeats itself. */
  readonly period?: number | undefined
}

/** Fewer tell nothing, and fewer of a job that uses the GPU hide periods: what repeats itself later would be taken for what has no pattern. */
const SAMPLES_MIN = 60
const BUSY_SAMPLES_MIN = 300
/** Percent of a GPU that counts as use. */
const BUSY_PERCENT = 3
/** So few samples in use are none. */
const IDLE_PART = 0.02
/** Standard deviation by mean, up to which use is even. */
const STEADY_VARIATION = 0.1
/** A period is seen so often at least. */
const REPEATS_MIN = 3
/** Multiples of a period that are looked at. */
const HARMONICS_MAX = 4
/** How far a multiple may be from where it should be, as part of the lag. */
const JITTER = 0.05
/** Half of what lies between a repetition and the middle before it: 1 is exact, noise makes it less. */
const CONTRAST_MIN = 0.18
/** Times what chance makes. */
const SIGNIFICANCE = 2.2
/** Of periods that are nearly as good the shortest is meant, the others are its multiples. */
const NEARLY = 0.75

/** Of evenly spaced samples in percent, oldest first; undefined: too few. */
export function classifyUse(percents: readonly number[]): UseClass | undefined {
  const n = percents.length
  if (n < SAMPLES_MIN) return undefined
  if (percents.filter((percent) => percent >= BUSY_PERCENT).length < n * IDLE_PART) return { kind: 'idle' }
  if (n < BUSY_SAMPLES_MIN) return undefined
  const mean = percents.reduce((sum, x) => sum + x, 0) / n
  const deviation = Math.sqrt(percents.reduce((sum, x) => sum + (x - mean) ** 2, 0) / n)
  const period = findPeriod(percents)
  if (period !== undefined) return { kind: 'training', period }
  return { kind: deviation <= mean * STEADY_VARIATION ? 'steady' : 'inference' }
}

/** In samples, 2 and more; undefined: there is none that chance would not make. One of fewer than 8 samples may be told as twice itself. */
export function findPeriod(values: readonly number[]): number | undefined {
  const acf = autocorrelate(values, Math.floor(values.length / REPEATS_MIN))
  const needed = Math.max(CONTRAST_MIN, SIGNIFICANCE * chanceOf(acf, values.length))
  const candidates: Candidate[] = []
  for (let lag = 2; lag < acf.length; lag++) {
    if (!isPeak(acf, lag)) continue
    const candidate = judge(acf, lag)
    if (candidate.contrast >= needed) candidates.push(candidate)
  }
  const best = Math.max(...candidates.map(({ contrast }) => contrast))
  return candidates.find(({ contrast }) => contrast >= best * NEARLY)?.period
}

interface Candidate {
  readonly period: number
  /** Mean over its multiples. */
  readonly contrast: number
}

function isPeak(acf: readonly number[], lag: number): boolean {
  return acf[lag]! > 0 && acf[lag]! >= acf[lag - 1]! && acf[lag]! >= (acf[lag + 1] ?? -1)
}

/** The period is measured by its multiples, each of which tells it better. */
function judge(acf: readonly number[], lag: number): Candidate {
  let period = lag
  let contrast = 0
  let harmonics = 0
  for (let k = 1; k <= HARMONICS_MAX; k++) {
    const reach = k === 1 ? 0 : Math.max(1, Math.floor(period * k * JITTER))
    const expected = Math.round(period * k)
    if (expected + reach >= acf.length) break
    const at = highest(acf, expected - reach, expected + reach)
    const middle = Math.round(at - period / 2)
    contrast += (acf[at]! - acf[middle]!) / 2
    harmonics++
    period = at / k
  }
  return { period, contrast: harmonics === 0 ? 0 : contrast / harmonics }
}

function highest(acf: readonly number[], from: number, to: number): number {
  let best = from
  for (let lag = from + 1; lag <= to; lag++) if (acf[lag]! > acf[best]!) best = lag
  return best
}
