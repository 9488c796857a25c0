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
  const values = new Map<Name, number[]>(names.map((name) => [name, []]))
  for (let round = 0; round < rounds; round++) {
    for (const name of names) values.get(name)!.push(await candidates[name]())
  }
  return Object.fromEntries(names.map((name) => [name, median(values.get(name)!)])) as Record<Name, number>
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
