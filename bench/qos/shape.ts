import type { TestDataplane } from '@centaurus/network/testing'

export const MS = 1e6
export const FULL_BYTES = 1514
/** Of Ethernet, on the wire beside what the kernel counts. */
export const OVERHEAD_BYTES = 24
export const POD = 16
const LEVELS = 10

/** A pod, of which limits are known. */
export interface ShapedPod {
  readonly id: number
  readonly level: number
  /** Bits a second. */
  readonly limit?: number
}

/** Pods and rates of levels, bits a second, with clocks that nobody has used. */
export function shape(
  host: TestDataplane,
  { pods, levels = {} }: { readonly pods: readonly ShapedPod[]; readonly levels?: Readonly<Record<number, number>> },
): void {
  for (const table of ['shaper_clocks', 'level_clocks'].map((name) => host.map(name)))
    for (const key of table.keys()) table.set(key, Buffer.alloc(table.valueBytes))
  for (const { id } of host.tables.listShapers()) host.tables.removeShaper(id)
  for (const { id, level, limit } of pods)
    host.tables.setShaper({ id, level, ...(limit === undefined ? {} : { egressBandwidth: limit }) })
  const rates = Array.from({ length: LEVELS }, (_, level) => levels[level])
  host.tables.setShaping({ mode: 'edt', rates, overheadBytes: OVERHEAD_BYTES })
}
