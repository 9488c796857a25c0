import { isDeepStrictEqual } from 'node:util'
import {
  formatKey,
  readQuality,
  splitQualifiedName,
  type KubeObject,
  type ResourceType,
  type Stored,
} from '@centaurus/api'
import {
  networkidentities,
  remotenodes,
  subnets,
  vpcs,
  type NetworkIdentity,
  type RemoteNode,
  type Subnet,
  type Vpc,
} from '@centaurus/api/centaurus/v1'
import {
  namespaces,
  nodes,
  pods,
  services,
  type Namespace,
  type Node,
  type Pod,
  type Service,
} from '@centaurus/api/core/v1'
import { endpointslices, type EndpointSlice } from '@centaurus/api/discovery/v1'
import { networkpolicies, type NetworkPolicy } from '@centaurus/api/networking/v1'
import { clusternetworkpolicies, type ClusterNetworkPolicy } from '@centaurus/api/policy-networking/v1alpha2'
import type { Informer, InformerFactory } from '@centaurus/client'
import type { PodReference } from '../cni/pod-network-source.ts'
import { NewestRevisions } from './newest-revisions.ts'
import { internalAddressOf, podBlocksOf } from './topology.ts'
import { nameOfNamespace, ownNameOf, tenantOf } from './tenants.ts'

export interface ClusterViewOptions {
  /** As the node's agent: pods of this node. */
  readonly podInformers: InformerFactory
  /** View over all tenants: everything else. */
  readonly informers: InformerFactory
  readonly nodeName: string
}

/** News of one object. `isGone`: it was deleted, and is as it was last. */
export type ViewChange = { readonly isGone: boolean } & (
  | { readonly kind: 'pod'; readonly object: Stored<Pod> }
  | { readonly kind: 'namespace'; readonly object: Stored<Namespace> }
  | { readonly kind: 'networkPolicy'; readonly object: Stored<NetworkPolicy> }
  | { readonly kind: 'clusterNetworkPolicy'; readonly object: Stored<ClusterNetworkPolicy> }
  | { readonly kind: 'identity'; readonly object: Stored<NetworkIdentity> }
  | { readonly kind: 'vpc'; readonly object: Stored<Vpc> }
  | { readonly kind: 'subnet'; readonly object: Stored<Subnet> }
  | { readonly kind: 'node'; readonly object: Stored<Node> }
  | { readonly kind: 'service'; readonly object: Stored<Service> }
  | { readonly kind: 'slice'; readonly object: Stored<EndpointSlice> }
)

/** Everything of one tenant that decides about its pods' packets. */
export interface TenantObjects {
  readonly vpcs: readonly Stored<Vpc>[]
  readonly namespaces: readonly Stored<Namespace>[]
  readonly networkPolicies: readonly Stored<NetworkPolicy>[]
  readonly clusterNetworkPolicies: readonly Stored<ClusterNetworkPolicy>[]
  readonly identities: readonly Stored<NetworkIdentity>[]
}

const TENANT_INDEX = 'tenant'
const VNI_INDEX = 'vni'
const byVni = ({ status }: Stored<Vpc>): string[] => (status?.vni === undefined ? [] : [String(status.vni)])
const byTenant = (object: Stored<KubeObject>): string[] => [tenantOf(object)]

/** What the API says, as far as this host's network depends on it. Tells of changes that matter, and of no heartbeats. */
export class ClusterView {
  readonly nodeName: string
  readonly #pods: Informer<Pod>
  readonly #nodes: Informer<Node>
  readonly #remoteNodes: Informer<RemoteNode>
  readonly #namespaces: Informer<Namespace>
  readonly #networkPolicies: Informer<NetworkPolicy>
  readonly #clusterNetworkPolicies: Informer<ClusterNetworkPolicy>
  readonly #identities: Informer<NetworkIdentity>
  readonly #vpcs: Informer<Vpc>
  readonly #subnets: Informer<Subnet>
  readonly #services: Informer<Service>
  readonly #slices: Informer<EndpointSlice>
  readonly #newest: Readonly<Record<'networkPolicies' | 'clusterNetworkPolicies', NewestRevisions>>
  readonly #removers: (() => void)[] = []
  readonly #waiting: readonly { readonly resource: string; readonly informer: { readonly synced: boolean } }[]

  constructor({ podInformers, informers, nodeName }: ClusterViewOptions) {
    this.nodeName = nodeName
    const all = <T extends KubeObject>(type: ResourceType<T>): Informer<T> => informers.informer(type)
    this.#pods = podInformers.informer(pods, { fieldSelector: `spec.nodeName=${nodeName}` })
    this.#nodes = all(nodes)
    this.#remoteNodes = all(remotenodes)
    this.#namespaces = all(namespaces)
    this.#networkPolicies = all(networkpolicies)
    this.#clusterNetworkPolicies = all(clusternetworkpolicies)
    this.#identities = all(networkidentities)
    this.#vpcs = all(vpcs)
    this.#subnets = all(subnets)
    this.#services = all(services)
    this.#slices = all(endpointslices)
    for (const informer of [
      this.#namespaces,
      this.#networkPolicies,
      this.#clusterNetworkPolicies,
      this.#identities,
      this.#vpcs,
    ])
      informer.addIndex(TENANT_INDEX, byTenant)
    this.#vpcs.addIndex(VNI_INDEX, byVni)
    this.#newest = {
      networkPolicies: new NewestRevisions(this.#networkPolicies, TENANT_INDEX, tenantOf),
      clusterNetworkPolicies: new NewestRevisions(this.#clusterNetworkPolicies, TENANT_INDEX, tenantOf),
    }
    this.#removers.push(...Object.values(this.#newest).map((newest) => () => newest.close()))
    this.#waiting = Object.entries({
      pods: this.#pods,
      nodes: this.#nodes,
      remotenodes: this.#remoteNodes,
      namespaces: this.#namespaces,
      networkpolicies: this.#networkPolicies,
      clusternetworkpolicies: this.#clusterNetworkPolicies,
      networkidentities: this.#identities,
      vpcs: this.#vpcs,
      subnets: this.#subnets,
      services: this.#services,
      endpointslices: this.#slices,
    }).map(([resource, informer]) => ({ resource, informer }))
  }

  /** Resources that were never listed whole: nothing may be planned before they were. */
  get missing(): string[] {
    return this.#waiting.filter(({ informer }) => !informer.synced).map(({ resource }) => resource)
  }

  async whenSynced(signal?: AbortSignal): Promise<void> {
    await Promise.all(
      [
        this.#pods,
        this.#nodes,
        this.#remoteNodes,
        this.#namespaces,
        this.#networkPolicies,
        this.#clusterNetworkPolicies,
        this.#identities,
        this.#vpcs,
        this.#subnets,
        this.#services,
        this.#slices,
      ].map((informer) => informer.whenSynced(signal)),
    )
  }

  /** Objects that are there are told of as well. */
  follow(listener: (change: ViewChange) => void): void {
    this.#watch(this.#nodes, nodeFacts, (object, isGone) => listener({ kind: 'node', object, isGone }))
    this.#watch(this.#remoteNodes, nodeFacts, (object, isGone) => listener({ kind: 'node', object, isGone }))
    this.#watch(this.#vpcs, vpcFacts, (object, isGone) => listener({ kind: 'vpc', object, isGone }))
    this.#watch(this.#subnets, specFacts, (object, isGone) => listener({ kind: 'subnet', object, isGone }))
    this.#watch(this.#namespaces, namespaceFacts, (object, isGone) => listener({ kind: 'namespace', object, isGone }))
    this.#watch(this.#networkPolicies, specFacts, (object, isGone) =>
      listener({ kind: 'networkPolicy', object, isGone }),
    )
    this.#watch(this.#clusterNetworkPolicies, specFacts, (object, isGone) =>
      listener({ kind: 'clusterNetworkPolicy', object, isGone }),
    )
    this.#watch(this.#identities, specFacts, (object, isGone) => listener({ kind: 'identity', object, isGone }))
    this.#watch(this.#pods, podFacts, (object, isGone) => listener({ kind: 'pod', object, isGone }))
    this.#watch(this.#services, serviceFacts, (object, isGone) => listener({ kind: 'service', object, isGone }))
    this.#watch(this.#slices, sliceFacts, (object, isGone) => listener({ kind: 'slice', object, isGone }))
  }

  close(): void {
    for (const remove of this.#removers.splice(0)) remove()
  }

  /** Undefined also when there is another one of the name now. */
  podOf({ namespace, name, uid }: PodReference): Stored<Pod> | undefined {
    const pod = this.#pods.get(formatKey(namespace, name))
    return uid === undefined || pod?.metadata.uid === uid ? pod : undefined
  }

  get ownNode(): Stored<Node> | undefined {
    return this.#nodes.list().find(({ metadata }) => metadata.name === this.nodeName)
  }

  /** Those of other partitions too: of these only what decides about packets is known. */
  get nodes(): readonly Stored<Node>[] {
    return [...this.#nodes.list(), ...this.#remoteNodes.list()]
  }

  get vpcs(): readonly Stored<Vpc>[] {
    return this.#vpcs.list()
  }

  get subnets(): readonly Stored<Subnet>[] {
    return this.#subnets.list()
  }

  get services(): readonly Stored<Service>[] {
    return this.#services.list()
  }

  get slices(): readonly Stored<EndpointSlice>[] {
    return this.#slices.list()
  }

  /** All of a tenant's objects; the cost is their number. */
  objectsOf(tenant: string): TenantObjects {
    return {
      vpcs: this.#vpcs.byIndex(TENANT_INDEX, tenant),
      namespaces: this.#namespaces.byIndex(TENANT_INDEX, tenant),
      networkPolicies: this.#networkPolicies.byIndex(TENANT_INDEX, tenant),
      clusterNetworkPolicies: this.#clusterNetworkPolicies.byIndex(TENANT_INDEX, tenant),
      identities: this.#identities.byIndex(TENANT_INDEX, tenant),
    }
  }

  namespaceOf({ metadata: { namespace } }: Readonly<Pod>): Stored<Namespace> | undefined {
    return this.#namespaces.get(namespace ?? '')
  }

  vpcsOf(tenant: string): readonly Stored<Vpc>[] {
    return this.#vpcs.byIndex(TENANT_INDEX, tenant)
  }

  /** The greatest resourceVersion of a tenant's policies of a kind; undefined: there are none. */
  newestPolicyOf(tenant: string, kind: 'networkPolicies' | 'clusterNetworkPolicies'): string | undefined {
    return this.#newest[kind].of(tenant)
  }

  /** What a tenant calls a namespace of the view; undefined: nobody knows what its shortened name stands for. */
  ownNamespace(qualified: string): string | undefined {
    const namespace = this.#namespaces.get(qualified)
    return namespace === undefined ? splitQualifiedName(qualified)?.name : nameOfNamespace(namespace)
  }

  /** Whose network it is; undefined: not known. */
  tenantOfVni(vni: number): string | undefined {
    const [vpc] = this.#vpcs.byIndex(VNI_INDEX, String(vni))
    return vpc === undefined ? undefined : tenantOf(vpc)
  }

  /** The name that it has in its tenant; undefined: not known. */
  nameOfVni(vni: number): string | undefined {
    const [vpc] = this.#vpcs.byIndex(VNI_INDEX, String(vni))
    return vpc === undefined ? undefined : ownNameOf(vpc)
  }

  /** A tenant's network by its own name. */
  vpcOf(tenant: string, name: string): Stored<Vpc> | undefined {
    return this.#vpcs.byIndex(TENANT_INDEX, tenant).find((vpc) => ownNameOf(vpc) === name)
  }

  #watch<T extends KubeObject>(
    informer: Informer<T>,
    facts: (object: Stored<T>) => unknown,
    changed: (object: Stored<T>, isGone: boolean) => void,
  ): void {
    const remove = informer.addHandler({
      onAdd: (object) => changed(object, false),
      onDelete: (object) => changed(object, true),
      onUpdate(object, old) {
        if (!isDeepStrictEqual(facts(object), facts(old))) changed(object, false)
      },
    })
    this.#removers.push(remove)
  }
}

// What a change must touch to matter.

function podFacts({ metadata, spec }: Stored<Pod>): unknown {
  const ports = [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].map((container) => container.ports)
  return [metadata.labels, ports, readQuality(metadata.annotations).wish]
}

function namespaceFacts({ metadata }: Stored<Namespace>): unknown {
  return [metadata.labels, readQuality(metadata.annotations).wish]
}

function specFacts(object: Stored<KubeObject>): unknown {
  return (object as { readonly spec?: unknown }).spec
}

function vpcFacts({ spec, status }: Stored<Vpc>): unknown {
  return [spec, status?.vni, status?.tenantNetwork]
}

function nodeFacts(node: Stored<Node>): unknown {
  const { labels } = node.metadata
  return [internalAddressOf(node), podBlocksOf(node), labels]
}

function serviceFacts({ spec, status, metadata }: Stored<Service>): unknown {
  return [spec, status?.loadBalancer, metadata.labels, metadata.annotations]
}

function sliceFacts({ addressType, endpoints, ports, metadata }: Stored<EndpointSlice>): unknown {
  return [addressType, endpoints, ports, metadata.labels]
}
