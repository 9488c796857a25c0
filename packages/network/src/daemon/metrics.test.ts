import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createDnsCounters } from '../dns/counters.ts'
import { createNetworkMetrics, type MetricReadings } from './metrics.ts'

const NOTHING: MetricReadings = {
  drops: new Map(),
  rules: [],
  tables: [],
  endpoints: 0,
  policySets: 0,
  identities: 0,
  nodes: 0,
  services: 0,
  levels: [],
  rates: [],
  isReady: false,
  channels: undefined,
  dns: undefined,
}

const rule = (index: number) => ({
  kind: 'NetworkPolicy',
  namespace: 'shop',
  name: 'web',
  direction: 'ingress',
  index,
})

describe("the network's metrics", () => {
  it('tell what each class sent, and may send', async () => {
    const counts = { packets: 7, bytes: 700, drops: 1, dropBytes: 100, marks: 2, backlogNs: 5e6 }
    const levels = [
      { name: 'premium high', ...counts },
      { name: 'premium medium', ...counts, packets: 0 },
    ]
    const metrics = createNetworkMetrics(() => ({ ...NOTHING, levels, rates: [1e9, undefined] }))
    await metrics.read()
    const { text } = await metrics.read()
    assert.match(text, /^centaurus_network_qos_packets_total\{level="premium high"\} 7$/m)
    assert.match(text, /^centaurus_network_qos_marks_total\{level="premium high"\} 2$/m)
    assert.match(text, /^centaurus_network_qos_backlog_seconds\{level="premium high"\} 0.005$/m)
    assert.match(text, /^centaurus_network_qos_rate_bits\{level="premium high"\} 1000000000$/m)
    assert.doesNotMatch(text, /^centaurus_network_qos_rate_bits\{level="premium medium"\}/m)
  })

  it('count drops by reason and rule, and say how full tables are', async () => {
    const metrics = createNetworkMetrics(() => ({
      ...NOTHING,
      isReady: true,
      drops: new Map([['PolicyIngress', { packets: 3, bytes: 180 }]]),
      rules: [{ rule: rule(-1), tenant: 'acme', packets: 3 }],
      tables: [{ name: 'pairs', entries: 5, maxEntries: 100 }],
    }))
    await metrics.read()
    const { text } = await metrics.read()
    assert.match(text, /^centaurus_network_drops_total\{reason="PolicyIngress"\} 3$/m)
    assert.match(text, /^centaurus_network_dropped_bytes_total\{reason="PolicyIngress"\} 180$/m)
    assert.match(
      text,
      /^centaurus_network_rule_packets_total\{tenant="acme",kind="NetworkPolicy",namespace="shop",policy="web",direction="ingress",rule="-1"\} 3$/m,
    )
    assert.match(text, /^centaurus_network_table_entries\{table="pairs"\} 5$/m)
    assert.match(text, /^centaurus_network_table_max_entries\{table="pairs"\} 100$/m)
    assert.match(text, /^centaurus_network_ready 1$/m)
  })

  it('count names that were asked for, once names are served', async () => {
    const dns = createDnsCounters()
    dns.queries.cluster['NXDOMAIN'] = 3
    dns.forwards.retried = 2
    dns.cacheHits = 5
    dns.truncated = 1
    const metrics = createNetworkMetrics(() => ({ ...NOTHING, dns }))
    await metrics.read()
    const { text } = await metrics.read()
    for (const line of [
      'queries_total{kind="cluster",rcode="NXDOMAIN"} 3',
      'forwards_total{result="retried"} 2',
      'cache_lookups_total{result="hit"} 5',
      'cache_lookups_total{result="miss"} 0',
      'truncated_total 1',
      'connections_refused_total 0',
    ])
      assert.ok(text.split('\n').includes(`centaurus_network_dns_${line}`), line)
  })

  it('keep a bounded number of rules apart, those with the most packets', async () => {
    const rules = Array.from({ length: 250 }, (_, index) => ({ rule: rule(index), tenant: 'acme', packets: index + 1 }))
    const { text } = await createNetworkMetrics(() => ({ ...NOTHING, rules })).read()
    const lines = text.split('\n').filter((line) => line.startsWith('centaurus_network_rule_packets_total{'))
    assert.equal(lines.length, 201)
    assert.ok(lines.some((line) => line.includes('rule="249"')))
    const others = lines.find((line) => line.includes('kind="other"'))
    assert.equal(others?.split(' ').at(-1), String((50 * 51) / 2))
  })

  it('measure how long changes and calls of the runtime took', async () => {
    const metrics = createNetworkMetrics(() => NOTHING)
    metrics.observeApplied({ effectiveAfterMs: 2, writes: 4 })
    metrics.observeCni({ command: 'ADD', result: 'ok', durationMs: 12 })
    const { text } = await metrics.read()
    assert.match(text, /^centaurus_network_policy_apply_seconds_sum 0\.002$/m)
    assert.match(text, /^centaurus_network_policy_writes_total 4$/m)
    assert.match(text, /^centaurus_network_cni_duration_seconds_count\{command="ADD",result="ok"\} 1$/m)
  })
})
