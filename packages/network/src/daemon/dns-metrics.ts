import { Counter, type Registry } from 'prom-client'
import type { DnsCounters } from '../dns/counters.ts'

/** Metrics of what names were asked for; returns what sets them. Labels are fixed lists, and the codes that answers have had. */
export function createDnsMetrics(registry: Registry): (counters: DnsCounters) => void {
  const counter = <L extends string>(name: string, help: string, labelNames: readonly L[]) =>
    new Counter({ name: `centaurus_network_dns_${name}`, help, labelNames, registers: [registry] })
  const queries = counter('queries_total', 'Answers, by what was asked for and by their code.', ['kind', 'rcode'])
  const forwards = counter('forwards_total', 'Questions to other servers, by how they ended.', ['result'])
  const cache = counter('cache_lookups_total', 'Names of others that were looked for in the cache.', ['result'])
  const ignored = counter('ignored_total', 'Messages that deserve no answer.', [])
  const truncated = counter('truncated_total', 'Answers over UDP that were cut.', [])
  const refused = counter('connections_refused_total', 'TCP connections that were one too many.', [])
  return (now) => {
    for (const each of [queries, forwards, cache, ignored, truncated, refused]) each.reset()
    for (const [kind, codes] of Object.entries(now.queries))
      for (const [rcode, count] of Object.entries(codes)) queries.inc({ kind, rcode }, count)
    for (const [result, count] of Object.entries(now.forwards)) forwards.inc({ result }, count)
    cache.inc({ result: 'hit' }, now.cacheHits)
    cache.inc({ result: 'miss' }, now.cacheMisses)
    ignored.inc(now.ignored)
    truncated.inc(now.truncated)
    refused.inc(now.connectionsRefused)
  }
}
