import { DEFAULT_VPC, VPC_ANNOTATION } from '@centaurus/api/centaurus/v1'
import type { Service } from '@centaurus/api/core/v1'
import type { Dataplane } from '../dataplane/dataplane.ts'
import { planServices, type ServicePlan } from '../services/plan.ts'
import type { ClusterView } from './cluster-view.ts'
import { tenantOf } from './tenants.ts'

/** Label of a node. Source: Kubernetes' well-known labels. */
const ZONE_LABEL = 'topology.kubernetes.io/zone'

export interface ServiceApplierDeps {
  readonly view: ClusterView
  readonly dataplane: Pick<Dataplane, 'applyServices'>
}

/** A Service belongs to one network, as pods do, and chooses as they do. */
function vpcNameOf({ metadata }: Readonly<Service>): string {
  return metadata.annotations?.[VPC_ANNOTATION] ?? DEFAULT_VPC
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
    const plan = planServices({
      nodeName: view.nodeName,
      zone: view.ownNode?.metadata.labels?.[ZONE_LABEL],
      services: view.services,
      slices: view.slices,
      vniOf: (service) => view.vpcOf(tenantOf(service), vpcNameOf(service))?.status?.vni,
    })
    const problems = dataplane.applyServices(plan.tables)
    const skipped = problems.map(({ name, reason }) => ({ service: name, reason }))
    this.#plan = { ...plan, skipped: [...plan.skipped, ...skipped] }
    return this.#plan
  }
}
