import type { CreateExtension } from '../extension.ts'
import { locateAgent } from '../proxy/backend.ts'
import type { ProxyOptions } from '../proxy/proxy-extension.ts'
import { fetchSummary } from './fetch-summary.ts'
import { metricsDefinitions } from './metrics-definitions.ts'
import { NodeScraper } from './node-scraper.ts'

/**
 * Serves `metrics.k8s.io/v1beta1` for `kubectl top` and autoscalers: nodes of this partition, and pods of its tenants, whose nodes are asked
 * for it wherever they are, as for logs.
 */
export function createResourceMetricsExtension({ tls, reach }: ProxyOptions): CreateExtension {
  return (core) => {
    const { registry, reader, clock, logger } = core
    const deps = { reader, tls, reach: reach?.(core) }
    const scraper = new NodeScraper({
      // async: what can't be located is a node that does not answer
      fetch: async (place, signal) =>
        fetchSummary(locateAgent(deps, place, `/stats/summary?node=${encodeURIComponent(place.node)}`), signal),
      clock,
      logger,
    })
    registry.change({ added: metricsDefinitions({ reader, usageOf: (places) => scraper.usageOf(places) }) })
    return { close: async () => scraper.close() }
  }
}
