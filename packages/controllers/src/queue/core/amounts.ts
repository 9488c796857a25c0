/** How much of what, by resource name, in whole units: CPU in millicores, memory in bytes, all else as counted. Without entries that are 0. */
export type Amounts = ReadonlyMap<string, number>

/** `parts[i]`, `times[i]` times, in one sum. */
export function sumAmounts(parts: readonly Amounts[], times: readonly number[]): Amounts {
  const sum = new Map<string, number>()
  parts.forEach((part, i) => {
    const factor = times[i] ?? 1
    if (factor === 0) return
    for (const [resource, amount] of part) if (amount > 0) sum.set(resource, (sum.get(resource) ?? 0) + amount * factor)
  })
  return sum
}

/** Equal amounts have equal texts. */
export function formatAmounts(amounts: Amounts): string {
  return [...amounts]
    .map(([resource, amount]) => `${resource}=${amount}`)
    .sort()
    .join(',')
}
