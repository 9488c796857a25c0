/** What the kernel must know to serve Services; made by the pure planner, written by the data plane. */

export type ServiceProtocol = 'TCP' | 'UDP' | 'SCTP'

/** One place where packets go that were sent to a Service. */
export interface ServiceBackend {
  readonly ip: string
  readonly port: number
  /** Whether its pod is on this host. */
  readonly isLocal: boolean
}

/** One address and port that leads to backends. */
export interface ServiceFrontend {
  /** Network whose pods may use it. For node ports: that of the backends. */
  readonly vni: number
  /** ClusterIP, external or load balancer's address; undefined: a node port, on every address of the host. */
  readonly ip: string | undefined
  readonly port: number
  readonly protocol: ServiceProtocol
  /** Of packets from pods and from this host. Empty: refused, with an ICMP error for UDP and a reset for TCP. */
  readonly backends: readonly ServiceBackend[]
  /** Of packets from outside of the cluster; differs with `externalTrafficPolicy: Local`, which also keeps the client's address. */
  readonly externalBackends: readonly ServiceBackend[]
  readonly keepsSource: boolean
  /** One client, one backend, for so long after its last packet; 0: no affinity. */
  readonly affinitySeconds: number
  /** For people: `default/web:http`. */
  readonly name: string
}

export interface ServiceTables {
  /** Ordered by VNI, address, protocol and port, so that equal inputs give equal tables. */
  readonly frontends: readonly ServiceFrontend[]
}
