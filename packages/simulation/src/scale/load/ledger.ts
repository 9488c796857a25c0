/** A Deployment of the run. */
export interface LoadedDeployment {
  readonly tenant: number
  readonly namespace: string
  readonly name: string
  replicas: number
}

/** What the users asked for, and the servers acknowledged: what must be there at the end. */
export class Ledger {
  readonly deployments: LoadedDeployment[] = []
  /** Pods of their own that were acknowledged and not deleted, as `tenant/namespace/name`. */
  readonly singlePods = new Set<string>()
  /** Daemon pods: one a node. */
  daemons = 0
  /** Creates that were acknowledged, over the whole run. */
  acknowledged = 0

  /** Pods that should be running. */
  get wanted(): number {
    return this.deployments.reduce((sum, { replicas }) => sum + replicas, 0) + this.singlePods.size + this.daemons
  }
}
