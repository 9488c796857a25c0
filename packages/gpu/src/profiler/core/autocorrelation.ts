/** How a series is like itself some time later. Pure. */

/** Values beyond these parts of all are taken for the nearest that is not: one outlier must not hide a pattern. */
const CLIPPED = 0.01

/**
 * Autocorrelation of evenly spaced values for lags of 0 to `lagMax`, without their linear trend; 1 is the same again, 0 is nothing in common. All 0 but the first for values
 * that do not vary. Costs `values.length * lagMax` multiplications. Source: Box, Jenkins, Time Series Analysis, 2.1.5, divided by the number of pairs.
 */
export function autocorrelate(values: readonly number[], lagMax: number): number[] {
  const rest = withoutTrend(clip(values))
  const n = rest.length
  const variance = sumOf(rest, (x) => x * x) / n
  const result = [1]
  for (let lag = 1; lag <= Math.min(lagMax, n - 1); lag++) {
    let sum = 0
    for (let i = lag; i < n; i++) sum += rest[i]! * rest[i - lag]!
    result.push(variance < Number.EPSILON ? 0 : sum / (n - lag) / variance)
  }
  return result
}

/**
 * How far from 0 the autocorrelation of a series without a period comes by chance, as a standard deviation: more than for white noise where neighbours are alike. `acf` is
 * the series' own, `n` its length. Source: Bartlett's formula with the lags before the first that is not positive.
 */
export function chanceOf(acf: readonly number[], n: number): number {
  const end = acf.findIndex((r) => r <= 0)
  const memory = acf.slice(1, end < 0 ? acf.length : end)
  return Math.sqrt((1 + 2 * sumOf(memory, (r) => r * r)) / n)
}

function clip(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b)
  const low = sorted[Math.floor(sorted.length * CLIPPED)] ?? 0
  const high = sorted[Math.ceil(sorted.length * (1 - CLIPPED)) - 1] ?? 0
  return values.map((value) => Math.min(high, Math.max(low, value)))
}

/** Least squares. */
function withoutTrend(values: readonly number[]): number[] {
  const n = values.length
  const middle = (n - 1) / 2
  const mean = sumOf(values, (x) => x) / n
  const spread = sumOf(values, (_, i) => (i - middle) ** 2)
  const slope = spread === 0 ? 0 : sumOf(values, (x, i) => (i - middle) * x) / spread
  return values.map((x, i) => x - mean - slope * (i - middle))
}

function sumOf(values: readonly number[], of: (value: number, i: number) => number): number {
  return values.reduce((sum, value, i) => sum + of(value, i), 0)
}
