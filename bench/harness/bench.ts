/** What a bench file exports as `bench`. Its file name is its name. */
export interface Bench {
  /** One line for `--list`. */
  readonly summary: string
  /** What `--only` can choose; absent: it measures everything. */
  readonly parts?: readonly string[]
  /** It replays recorded load, from the folder that `--trace` names. */
  readonly needsTrace?: boolean
  /** Measures; several rounds, the peer in turn with ours. Cleans up after itself, also when it throws. */
  run(context: BenchContext): Promise<readonly BenchResult[]>
}

export interface BenchContext {
  /** How many times each figure is measured; the median counts. */
  readonly rounds: number
  /** Chosen of the bench's parts; all of them when nothing was. */
  readonly parts: readonly string[]
  /** Whether to try that everything works rather than to measure: few samples, small loads. */
  readonly quick: boolean
  /** A folder with recorded load; undefined: none was named. */
  readonly trace?: string | undefined
  /** An empty directory on the disk that is measured; removed afterwards. */
  readonly directory: string
  /** Progress, on standard error. */
  log(message: string): void
}

/** One figure. With a peer, `ratio` is ours divided by the peer's. A figure that could not be measured is null, and there is no ratio. */
export interface BenchResult {
  readonly metric: string
  readonly value: number | null
  readonly unit: string
  readonly peer?: string
  readonly peerValue?: number | null
  /** Why a figure is null. */
  readonly failure?: string
  readonly ratio?: number
  /** What it should be, for people. */
  readonly target?: string
  readonly meets?: boolean
}

export type BenchTarget =
  | { readonly ratioAtLeast: number }
  | { readonly ratioAtMost: number }
  | { readonly atLeast: number }
  | { readonly atMost: number }

/** Completes a figure: the ratio to its peer, and whether it meets its target. */
export function benchResult(figure: {
  readonly metric: string
  readonly value: number
  readonly unit: string
  readonly peer?: { readonly name: string; readonly value: number } | undefined
  readonly target?: BenchTarget | undefined
}): BenchResult {
  const { metric, unit, peer, target } = figure
  const value = roundFigure(figure.value)
  const ratio = peer === undefined ? undefined : roundFigure(figure.value / peer.value)
  return {
    metric,
    value,
    unit,
    ...(peer !== undefined && ratio !== undefined
      ? { peer: peer.name, peerValue: roundFigure(peer.value), ratio }
      : {}),
    ...(target === undefined ? {} : judge(target, { value, ratio, peer: peer?.name ?? 'peer' })),
  }
}

/** Three figures that count; more would be noise. */
export function roundFigure(value: number): number {
  return Number(value.toPrecision(3))
}

function judge(
  target: BenchTarget,
  measured: { readonly value: number; readonly ratio: number | undefined; readonly peer: string },
): { readonly target: string; readonly meets: boolean } {
  const { value, peer } = measured
  const ratio = measured.ratio ?? Number.NaN
  if ('ratioAtLeast' in target)
    return { target: `≥ ${target.ratioAtLeast} × ${peer}`, meets: ratio >= target.ratioAtLeast }
  if ('ratioAtMost' in target)
    return { target: `≤ ${target.ratioAtMost} × ${peer}`, meets: ratio <= target.ratioAtMost }
  if ('atLeast' in target) return { target: `≥ ${target.atLeast}`, meets: value >= target.atLeast }
  return { target: `≤ ${target.atMost}`, meets: value <= target.atMost }
}
