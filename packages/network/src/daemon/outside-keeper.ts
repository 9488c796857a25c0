import { SYSTEM_TENANT } from '@centaurus/api'
import type { Logger } from '@centaurus/base'
import { setOutsideRoutes } from '../host/outside-routes.ts'
import type { ServiceFrontend } from '../services/service-tables.ts'
import type { ClusterView } from './cluster-view.ts'
import type { PodNetworks } from './pod-networks.ts'

/**
 * Addresses outside of the cluster at which this machine's own processes find Services: those of the operators, since a tenant has no say in what the machine's processes
 * reach, and no node's, since all else of that node has the address too.
 */
export function listOutsideAddresses(
  view: Pick<ClusterView, 'nodes' | 'tenantOfVni'>,
  frontends: readonly ServiceFrontend[],
): string[] {
  const ofNodes = new Set(view.nodes.flatMap(({ status }) => status?.addresses?.map(({ address }) => address) ?? []))
  const addresses = frontends.flatMap(({ scope, ip, vni }) =>
    scope === 'external' && ip !== undefined && !ofNodes.has(ip) && view.tenantOfVni(vni) === SYSTEM_TENANT ? [ip] : [],
  )
  return [...new Set(addresses)].sort()
}

export interface OutsideKeeperDeps {
  readonly view: Pick<ClusterView, 'nodes' | 'tenantOfVni'>
  readonly networks: Pick<PodNetworks, 'services'>
  /** Of now. */
  readonly nodeIP: () => string
  readonly logger: Logger
}

/** Sets the routes anew whenever it is told to look and they are others; one at a time. What failed is tried again with the next look. */
export class OutsideKeeper {
  readonly #deps: OutsideKeeperDeps
  #known: string | undefined
  #working: Promise<void> = Promise.resolve()

  constructor(deps: OutsideKeeperDeps) {
    this.#deps = deps
  }

  look(): void {
    this.#working = this.#working.then(() => this.#follow())
  }

  /** What was begun is done. */
  async close(): Promise<void> {
    await this.#working
  }

  async #follow(): Promise<void> {
    const { view, networks, nodeIP, logger } = this.#deps
    const frontends = networks.services.plan?.tables.frontends ?? []
    const routes = { addresses: listOutsideAddresses(view, frontends), source: nodeIP() }
    const text = JSON.stringify(routes)
    if (text === this.#known) return
    try {
      await setOutsideRoutes(routes)
      this.#known = text
    } catch (error) {
      logger.error('Could not set routes to addresses of Services outside of the cluster', { error })
    }
  }
}
