/** The middle value; of an even count the mean of the two in the middle. NaN for none. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b)
  const middle = sorted.length >>> 1
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2
}

/** The value that `part` (0 to 1) of the values do not exceed. */
export function percentile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.ceil(sorted.length * part) - 1)] ?? Number.NaN
}

/** Measures each candidate once a round, in turn, so that the machine's moods hit all alike. Returns the medians. */
export async function alternate<Name extends string>(
  rounds: number,
  candidates: Readonly<Record<Name, () => Promise<number>>>,
): Promise<Record<Name, number>> {
  const names = Object.keys(candidates) as Name[]
  const toFigures = (name: Name) => [name, async () => ({ value: await candidates[name]() })] as const
  const medians = await alternateFigures(rounds, Object.fromEntries(names.map(toFigures)))
  return Object.fromEntries(names.map((name) => [name, medians[name]!.value])) as Record<Name, number>
}

/** Like {@link alternate} for candidates that give several figures: the median of each. */
export async function alternateFigures<Name extends string, Figures extends Readonly<Record<keyof Figures, number>>>(
  rounds: number,
  candidates: Readonly<Record<Name, () => Promise<Figures>>>,
): Promise<Record<Name, Figures>> {
  const names = Object.keys(candidates) as Name[]
  const samples = new Map<Name, Figures[]>(names.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const name of names) samples.get(name)!.push(await candidates[name]())
  }
  return Object.fromEntries(names.map((name) => [name, medianFigures(samples.get(name)!)])) as Record<Name, Figures>
}

function medianFigures<Figures extends Readonly<Record<keyof Figures, number>>>(samples: readonly Figures[]): Figures {
  const figures = Object.keys(samples[0] ?? {}) as (keyof Figures)[]
  return Object.fromEntries(figures.map((figure) => [figure, median(samples.map((each) => each[figure]))])) as Figures
}

/** Keeps `inFlight` calls of `operation` under way for `durationMs`. Returns completed calls a second. */
export async function operationsPerSecond(
  options: { readonly inFlight: number; readonly durationMs: number },
  operation: () => Promise<unknown>,
): Promise<number> {
  const start = performance.now()
  const end = start + options.durationMs
  let done = 0
  const worker = async (): Promise<void> => {
    while (performance.now() < end) {
      await operation()
      done++
    }
  }
  await Promise.all(Array.from({ length: options.inFlight }, worker))
  return (done * 1000) / (performance.now() - start)
}
