import { Counter, Gauge, type Registry } from 'prom-client'
import type { MetricReadings } from './metrics.ts'

const COUNTERS = {
  packets: ['packets_total', 'Packets that left by the uplink.'],
  bytes: ['bytes_total', 'Bytes that left by the uplink, as the link has them.'],
  drops: ['drops_total', 'Packets that would have waited too long.'],
  marks: ['marks_total', 'Packets that were told of a congested way (ECN).'],
} as const

/** Metrics of what leaves by the uplink, by level: class and priority, or the host itself. Returns what sets them. */
export function createShapingMetrics(registry: Registry): (readings: MetricReadings) => void {
  const labels = { labelNames: ['level'] as const, registers: [registry] }
  const counters = Object.entries(COUNTERS).map(([field, [name, help]]) => {
    const counter = new Counter({ name: `centaurus_network_qos_${name}`, help, ...labels })
    return { field: field as keyof typeof COUNTERS, counter }
  })
  const rates = new Gauge({
    name: 'centaurus_network_qos_rate_bits',
    help: 'What a level may send now, bits a second; absent: not limited.',
    ...labels,
  })
  const backlog = new Gauge({
    name: 'centaurus_network_qos_backlog_seconds',
    help: 'How long a packet of a level waits now.',
    ...labels,
  })
  return ({ levels, rates: allowed }) => {
    rates.reset()
    for (const { counter } of counters) counter.reset()
    levels.forEach((counts, level) => {
      const name = { level: counts.name }
      for (const { field, counter } of counters) counter.inc(name, counts[field])
      backlog.set(name, counts.backlogNs / 1e9)
      const rate = allowed[level]
      if (rate !== undefined) rates.set(name, rate)
    })
  }
}
