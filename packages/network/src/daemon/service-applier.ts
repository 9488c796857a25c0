import type { Dataplane } from '../dataplane/dataplane.ts'
import { planServices, type ServicePlan } from '../services/plan.ts'
import type { ClusterView } from './cluster-view.ts'
import { findNetworks, findStrangers } from './service-networks.ts'
import { tenantOf } from './tenants.ts'
import { podBlocksOf } from './topology.ts'

/** Label of a node. Source: Kubernetes' well-known labels. */
const ZONE_LABEL = 'topology.kubernetes.io/zone'

export interface ServiceApplierDeps {
  readonly view: ClusterView
  readonly dataplane: Pick<Dataplane, 'applyServices'>
}

/** Serves the Services of all tenants on this host. */
export class ServiceApplier {
  readonly #deps: ServiceApplierDeps
  #plan: ServicePlan | undefined

  constructor(deps: ServiceApplierDeps) {
    this.#deps = deps
  }

  /** What is served; undefined: nothing was planned yet. */
  get plan(): ServicePlan | undefined {
    return this.#plan
  }

  apply(): ServicePlan {
    const { view, dataplane } = this.#deps
    const podBlocks = view.nodes.flatMap(podBlocksOf)
    const plan = planServices({
      nodeName: view.nodeName,
      zone: view.ownNode?.metadata.labels?.[ZONE_LABEL],
      services: view.services,
      slices: view.slices,
      networksOf: (service) => findNetworks(service, view.vpcsOf(tenantOf(service))),
      strangersOf: (service) => findStrangers(service, { vpcs: view.vpcsOf(tenantOf(service)), podBlocks }),
    })
    const problems = dataplane.applyServices(plan.tables)
    const skipped = problems.map(({ name, reason }) => ({ service: name, reason }))
    this.#plan = { ...plan, skipped: [...plan.skipped, ...skipped] }
    return this.#plan
  }
}
