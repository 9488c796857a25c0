import type { ApiServerCore, CreateExtension } from '../extension.ts'
import { locateNode, type NodeTls } from '../proxy/backend.ts'
import { fetchSummary } from './fetch-summary.ts'
import { metricsDefinitions } from './metrics-definitions.ts'
import { NodeScraper } from './node-scraper.ts'
import type { PeerUsage } from './peer-usage.ts'
import { UsageSource } from './usage-source.ts'

export interface ResourceMetricsOptions {
  readonly tls: NodeTls
  /** The way to other partitions' nodes, and theirs to the nodes here; absent: there are no others. */
  readonly peers?: ((core: ApiServerCore) => PeerUsage) | undefined
}

/**
 * Serves `metrics.k8s.io/v1beta1` for `kubectl top` and autoscalers: nodes of this partition, and pods of its tenants wherever they are. Nodes
 * are asked by their own partition when somebody wants to know, and other partitions' once for all pods there.
 */
export function createResourceMetricsExtension({ tls, peers: createPeers }: ResourceMetricsOptions): CreateExtension {
  return (core) => {
    const { registry, reader, clock, logger } = core
    const scraper = new NodeScraper({
      // async: what can't be located is a node that does not answer
      fetch: async (node, signal) =>
        fetchSummary(locateNode({ reader, tls }, node, `/stats/summary?node=${encodeURIComponent(node)}`), signal),
      clock,
      logger,
    })
    const peers = createPeers?.(core)
    const source = new UsageSource({ scraper, peers, logger })
    registry.change({ added: metricsDefinitions({ reader, source }) })
    return {
      routes: peers === undefined ? [] : [peers.serve((asks) => source.onOwnNodes(asks))],
      async close() {
        scraper.close()
        await peers?.close()
      },
    }
  }
}
