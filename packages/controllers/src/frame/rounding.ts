/**
 * An int-or-percentage of `total`: a number as it is, `"25%"` rounded as asked. Absent or not a percentage: 0.
 * Source: apimachinery pkg/util/intstr GetScaledValueFromIntOrPercent.
 */
export function scaledValue(
  value: number | string | undefined,
  total: number,
  { round }: { readonly round: 'up' | 'down' },
): number {
  if (value === undefined) return 0
  if (typeof value === 'number') return value
  const percent = /^(\d+)%$/.exec(value)
  if (percent === null) return 0
  const exact = (Number(percent[1]) * total) / 100
  return round === 'up' ? Math.ceil(exact) : Math.floor(exact)
}
