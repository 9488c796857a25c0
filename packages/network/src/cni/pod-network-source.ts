/** What attaching pods needs of whoever knows the pods. */

/** A pod as the container runtime names it. */
export interface PodReference {
  /** As the node agent knows it: qualified with the tenant. */
  readonly namespace: string
  readonly name: string
  /** Undefined from runtimes that do not tell. */
  readonly uid: string | undefined
  /** Of its sandbox. */
  readonly containerId: string
}

/** Where a pod belongs. */
export interface PodNetwork {
  /** Name of its VPC, `default` for most. */
  readonly vpc: string
  readonly vni: number
  /** 0: addresses come from the node's own block. Else the VNI, and they come from blocks of the VPC. */
  readonly routeDomain: number
  /** Length of the blocks in which its VPC's addresses are given to nodes. */
  readonly blockPrefix: number
  readonly identity: number
}

/** Addresses and devices of a pod on this host. */
export interface AttachedPod {
  readonly containerId: string
  readonly namespace: string
  readonly name: string
  readonly uid: string | undefined
  readonly vpc: string
  readonly vni: number
  readonly routeDomain: number
  readonly blockPrefix: number
  readonly ip: string
  /** By which the host knows it; equals `ip` when addresses come from the node's block. */
  readonly hostIP: string
  readonly mac: string
  /** The host's end of its veth. */
  readonly device: string
  readonly ifindex: number
}

/** An endpoint of the data plane. */
export interface EndpointReference {
  readonly vni: number
  readonly ip: string
}

/** One that the data plane has, for what has to be known again when a file was damaged. */
export interface KnownEndpoint extends EndpointReference {
  readonly hostIP: string
  readonly mac: string
  readonly ifindex: number
  readonly routeDomain: number
  readonly blockPrefix: number
}

/** Knows pods, their networks and identities, and the data plane. All calls are idempotent. */
export interface PodNetworkSource {
  /**
   * Resolves when the pod, its VPC and its identity are known. Rejects with a `CniError` that says for what it waited in vain (`tryAgainLater`), or why the pod can't
   * have a network.
   */
  preparePod(pod: PodReference, signal: AbortSignal): Promise<PodNetwork>
  /** Resolves when the data plane has the endpoint with its policy, and its program is at the device: the pod's first packet is judged right. */
  activate(pod: AttachedPod, signal: AbortSignal): Promise<void>
  /** Removes the endpoint. Whatever else is known of the pod is forgotten. */
  forget(endpoint: EndpointReference): Promise<void>
  listEndpoints(): readonly KnownEndpoint[]
  /** Why no pod can be attached now; undefined: they can. */
  whyNotReady(): string | undefined
}
