import { addQuantities, formatQuantity, quantityOfUnits, type Quantity } from '@centaurus/api'

/** What a namespace uses of each amount that a quota names; 0 where nothing counts. */
export function planUsed(
  names: readonly string[],
  usages: readonly ReadonlyMap<string, Quantity>[],
): Record<string, string> {
  const used: Record<string, string> = {}
  for (const name of names) {
    let total = quantityOfUnits(0)
    let isFirst = true
    for (const usage of usages) {
      const amount = usage.get(name)
      if (amount === undefined) continue
      total = isFirst ? amount : addQuantities(total, amount)
      isFirst = false
    }
    used[name] = formatQuantity(total)
  }
  return used
}
