import { quantityMilliValue, quantityValue } from '@centaurus/api'
import type { Container } from '@centaurus/api/core/v1'

const NANOS_PER_MILLI = 1_000_000
/** A simulated container uses this part of what it asks for. */
const USED_PART = 0.5
/** What one that asks for nothing uses. */
const IDLE_MILLICORES = 1
const IDLE_MEMORY_BYTES = 8 * 1024 ** 2

export interface SimulatedUsage {
  readonly cpuNanoCores: number
  readonly memoryBytes: number
}

/** What a simulated container says that it uses: always the same part of its requests. Undefined: a container that nobody knows any more. */
export function simulateUsage(container: Container | undefined): SimulatedUsage {
  const { cpu, memory } = container?.resources?.requests ?? {}
  return {
    cpuNanoCores: NANOS_PER_MILLI * (cpu === undefined ? IDLE_MILLICORES : USED_PART * quantityMilliValue(cpu)),
    memoryBytes: memory === undefined ? IDLE_MEMORY_BYTES : Math.round(USED_PART * quantityValue(memory)),
  }
}
