import { Counter, Gauge, Histogram, Registry } from 'prom-client'
import type { ChannelReport } from '../channels/channel-service.ts'
import type { DnsCounters } from '../dns/counters.ts'
import type { ShaperCounts } from '../dataplane/dataplane.ts'
import { createChannelMetrics } from './channel-metrics.ts'
import { createDnsMetrics } from './dns-metrics.ts'
import { createShapingMetrics } from './shaping-metrics.ts'
import type { NamedRule } from './drop-log.ts'

/** Rules that have a time series of their own; the others are counted together. Those with the most packets are kept. */
const RULES_MAX = 200
/** From 0.1 ms: a change is to be in the kernel within 10 ms. */
const APPLY_BUCKETS_SECONDS = [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1]
const CNI_BUCKETS_SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]

type Count = { readonly packets: number; readonly bytes: number }

/** What is read when somebody asks. */
export interface MetricReadings {
  readonly drops: ReadonlyMap<string, Count>
  readonly rules: readonly { readonly rule: NamedRule; readonly tenant: string; readonly packets: number }[]
  readonly tables: readonly { readonly name: string; readonly entries: number; readonly maxEntries: number }[]
  readonly endpoints: number
  readonly policySets: number
  readonly identities: number
  readonly nodes: number
  readonly services: number
  /** By level. */
  readonly levels: readonly (ShaperCounts & { readonly name: string })[]
  /** By level, bits a second; undefined: not limited. */
  readonly rates: readonly (number | undefined)[]
  readonly isReady: boolean
  /** Undefined: no service of channels runs. */
  readonly channels: ChannelReport | undefined
  /** Undefined: names are not served yet. */
  readonly dns: DnsCounters | undefined
}

export interface NetworkMetrics {
  observeApplied(change: { readonly effectiveAfterMs: number; readonly writes: number }): void
  observeCni(call: { readonly command: string; readonly result: 'ok' | 'error'; readonly durationMs: number }): void
  read(): Promise<{ readonly contentType: string; readonly text: string }>
}

/** What the daemon measures, as Prometheus text. Labels are bounded: reasons and tables are fixed lists, rules are at most 200. */
export function createNetworkMetrics(readings: () => MetricReadings): NetworkMetrics {
  const registry = new Registry()
  const applied = new Histogram({
    name: 'centaurus_network_policy_apply_seconds',
    help: 'From the arrival of a change of policies, identities or labels until packets see it.',
    buckets: APPLY_BUCKETS_SECONDS,
    registers: [registry],
  })
  const writes = new Counter({
    name: 'centaurus_network_policy_writes_total',
    help: 'Calls of the data plane for changes of policies, identities or labels.',
    registers: [registry],
  })
  const cni = new Histogram({
    name: 'centaurus_network_cni_duration_seconds',
    help: 'Time of calls of the container runtime, such as ADD.',
    labelNames: ['command', 'result'] as const,
    buckets: CNI_BUCKETS_SECONDS,
    registers: [registry],
  })
  const fill = createReadings(registry)
  const fillShaping = createShapingMetrics(registry)
  const fillDns = createDnsMetrics(registry)
  const fillChannels = createChannelMetrics(registry)
  return {
    observeApplied(change) {
      applied.observe(change.effectiveAfterMs / 1000)
      writes.inc(change.writes)
    },
    observeCni({ command, result, durationMs }) {
      cni.observe({ command, result }, durationMs / 1000)
    },
    async read() {
      const now = readings()
      fill(now)
      fillShaping(now)
      fillChannels(now.channels)
      if (now.dns !== undefined) fillDns(now.dns)
      return { contentType: registry.contentType, text: await registry.metrics() }
    },
  }
}

/** Metrics that are set from readings; returns what sets them. */
function createReadings(registry: Registry): (readings: MetricReadings) => void {
  const registers = [registry]
  const gauge = (name: string, help: string) => new Gauge({ name: `centaurus_network_${name}`, help, registers })
  const endpoints = gauge('endpoints', 'Pods of this host.')
  const policySets = gauge('policy_sets', 'Policy sets in use.')
  const identities = gauge('identities', 'Identities that policy sets know of, over all networks.')
  const nodes = gauge('nodes', 'Other nodes whose identities are believed.')
  const services = gauge('service_frontends', 'Addresses and ports of Services that are served.')
  const ready = gauge('ready', '1 when pods can be attached, else 0.')
  const labelled = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Gauge({ name: `centaurus_network_${name}`, help, labelNames, registers })
  const tableEntries = labelled('table_entries', 'Entries of a table in the kernel.', ['table'])
  const tableMax = labelled('table_max_entries', 'Entries that a table in the kernel may have.', ['table'])
  const drops = counter(registry, 'drops_total', { help: 'Dropped packets.', labelNames: ['reason'] })
  const bytes = counter(registry, 'dropped_bytes_total', { help: 'Bytes of dropped packets.', labelNames: ['reason'] })
  const rules = counter(registry, 'rule_packets_total', {
    help: 'New flows that a rule allowed and packets that it denied. Rule -1 is the isolation by the policy itself.',
    labelNames: ['tenant', 'kind', 'namespace', 'policy', 'direction', 'rule'],
  })
  return (now) => {
    endpoints.set(now.endpoints)
    policySets.set(now.policySets)
    identities.set(now.identities)
    nodes.set(now.nodes)
    services.set(now.services)
    ready.set(now.isReady ? 1 : 0)
    for (const { name, entries, maxEntries } of now.tables) {
      tableEntries.set({ table: name }, entries)
      tableMax.set({ table: name }, maxEntries)
    }
    for (const each of [drops, bytes, rules]) each.reset()
    for (const [reason, count] of now.drops) {
      drops.inc({ reason }, count.packets)
      bytes.inc({ reason }, count.bytes)
    }
    const sorted = [...now.rules].sort((a, b) => b.packets - a.packets)
    sorted.forEach(({ rule, tenant, packets }, place) => rules.inc(labelsOf({ rule, tenant, place }), packets))
  }
}

function counter<L extends string>(
  registry: Registry,
  name: string,
  { help, labelNames }: { readonly help: string; readonly labelNames: readonly L[] },
): Counter<L> {
  return new Counter({ name: `centaurus_network_${name}`, help, labelNames, registers: [registry] })
}

interface PlacedRule {
  readonly rule: NamedRule
  readonly tenant: string
  /** Among all, by packets. */
  readonly place: number
}

function labelsOf({ rule, tenant, place }: PlacedRule) {
  if (place >= RULES_MAX) return { tenant: '', kind: 'other', namespace: '', policy: '', direction: '', rule: '' }
  const { kind, namespace, name, direction, index } = rule
  return { tenant, kind, namespace, policy: name, direction, rule: String(index) }
}
