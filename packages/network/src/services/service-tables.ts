/** What the kernel must know to serve Services; made by the pure planner, written by the data plane. */

export type ServiceProtocol = 'TCP' | 'UDP' | 'SCTP'

/** One place where packets go that were sent to a Service. */
export interface ServiceBackend {
  readonly ip: string
  readonly port: number
  /** Whether its pod is on this host. */
  readonly isLocal: boolean
}

/** An endpoint that gets no new flows, such as one that ends: what it has goes on while it is known. */
export interface DrainingBackend extends ServiceBackend {
  /** Flows without connections (UDP) stay with it only while it serves. */
  readonly isServing: boolean
}

/** What becomes of a packet for which there is no backend. `refuse`: an ICMP error for UDP and SCTP, a reset for TCP. */
export type EmptyAnswer = 'refuse' | 'drop'

/** One address and port that leads to backends. */
export interface ServiceFrontend {
  /** Network whose pods may use it, and that of the backends. */
  readonly vni: number
  /** ClusterIP, external or load balancer's address; undefined: a node port, on every address of the host. */
  readonly ip: string | undefined
  /** `cluster`: only pods of its network and this host reach it. */
  readonly scope: 'cluster' | 'external'
  readonly port: number
  readonly protocol: ServiceProtocol
  /** Of packets from pods and from this host. */
  readonly backends: readonly ServiceBackend[]
  readonly whenEmpty: EmptyAnswer
  /** Of packets from outside of the cluster; differs with `externalTrafficPolicy: Local`, which also keeps the client's address. */
  readonly externalBackends: readonly ServiceBackend[]
  readonly whenExternalEmpty: EmptyAnswer
  readonly draining: readonly DrainingBackend[]
  readonly keepsSource: boolean
  /** Blocks of clients that may use it, such as `192.0.2.0/24`; others are dropped. Undefined: everybody. */
  readonly sourceRanges: readonly string[] | undefined
  /** One client, one backend, for so long after its last new flow (as kube-proxy counts); 0: no affinity. */
  readonly affinitySeconds: number
  /** For people: `default/web:http`. Frontends of one network with one name share backends and affinity. */
  readonly name: string
}

export interface ServiceTables {
  /** Ordered by VNI, address, protocol and port, so that equal inputs give equal tables. No two have the same VNI, address, protocol and port. */
  readonly frontends: readonly ServiceFrontend[]
}
