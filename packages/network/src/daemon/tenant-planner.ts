import { isDeepStrictEqual } from 'node:util'
import {
  podQuality,
  readQuality,
  tenantQualityOf,
  type IdentityBook,
  type NetworkQuality,
  type Stored,
  type UsedLabelKeys,
} from '@centaurus/api'
import { DEFAULT_VPC, VPC_ANNOTATION, type Vpc } from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import type { Clock } from '@centaurus/base'
import type { PodNetwork } from '../cni/pod-network-source.ts'
import { VPC_BLOCK_PREFIX } from '../layouts/layouts.ts'
import { withEgress } from '../egress/plan-egress.ts'
import { LocalSets } from '../policy/local-sets.ts'
import { PolicyWorld, type PodFacts } from '../policy/policy-world.ts'
import type { RuleBook } from '../policy/rule-book.ts'
import type { ClusterView, ViewChange } from './cluster-view.ts'
import { endpointKey, type LocalPod } from './local-pod.ts'
import type { NetworkPlan, PlannedEndpoint } from './network-state.ts'
import { podFactsOf } from './pod-facts.ts'
import { nameOfNamespace, ownNameOf, ownNamespaceOf, unqualify } from './tenants.ts'
import { internalAddressOf, podBlocksOf, SHARED_DOMAIN } from './topology.ts'

/** A pod whose labels changed keeps what it was known as for so long while there is no identity for what it is now; after that it is nobody. */
const STALE_IDENTITY_MS = 30_000

export interface TenantPlannerDeps {
  readonly view: ClusterView
  readonly rules: RuleBook
  /** Of all tenants. */
  readonly keys: UsedLabelKeys
  readonly identities: IdentityBook
  /** Where the cluster's DNS answers pods. */
  readonly dnsAddresses: readonly string[]
  readonly clock: Pick<Clock, 'monotonicMs'>
}

export interface TenantPlan {
  readonly networks: readonly NetworkPlan[]
  /** When a pod will get another identity, on the monotonic clock. */
  readonly againAtMs: number | undefined
}

/** A pod's network, or what is missing before it has one, as a sentence. */
export type FoundNetwork =
  | { readonly type: 'missing'; readonly what: string }
  /** `isExact`: policies can tell everything of the pod that they ask for; else a moment's patience helps. */
  | { readonly type: 'found'; readonly network: PodNetwork; readonly isExact: boolean }

interface VpcWorld {
  readonly world: PolicyWorld
  readonly sets: LocalSets
  readonly identities: Set<number>
  readonly pods: Map<string, SeenPod>
  /** Pods that have the identity that says all of them. */
  readonly exact: Map<string, ExactIdentity>
  /** Pods that are not any more what their identity says, and since when. */
  readonly staleSinceMs: Map<string, number>
  /** Whether identities were left out, of namespaces that nobody knew the name of. */
  hasUnknownNamespaces: boolean
}

/** Objects and key lists are the same as long as nothing changed, so a look at them spares the work. */
interface SeenPod {
  readonly object: Stored<Pod>
  readonly facts: PodFacts
}

interface ExactIdentity {
  readonly object: Stored<Pod>
  readonly keys: readonly string[]
  readonly id: number
}

interface IdentityQuestion {
  readonly object: Stored<Pod>
  readonly pod: LocalPod
  readonly key: string
  readonly again: (atMs: number) => void
}

/** Plans the networks of one tenant on this host, kept up to date object by object. */
export class TenantPlanner {
  readonly tenant: string
  readonly #deps: TenantPlannerDeps
  /** By the name of the VPC: those that have, or had, pods here. */
  readonly #worlds = new Map<string, VpcWorld>()
  /** Number → name, of networks that were planned. */
  readonly #planned = new Map<number, string>()

  constructor(tenant: string, deps: TenantPlannerDeps) {
    this.tenant = tenant
    this.#deps = deps
  }

  /** What was not understood of policies, and is closed. */
  *problems(): Generator<{ readonly policy: string; readonly problem: string }> {
    const [first] = this.#worlds.values()
    if (first === undefined) return
    const { networkPolicies, clusterNetworkPolicies } = this.#deps.view.objectsOf(this.tenant)
    for (const policy of [...networkPolicies, ...clusterNetworkPolicies]) {
      const namespace = ownNamespaceOf(policy)
      const name = namespace === '' ? ownNameOf(policy) : policy.metadata.name
      for (const problem of first.world.problemsOf(namespace, name))
        yield { policy: namespace === '' ? name : `${namespace}/${name}`, problem }
    }
  }

  /** Takes in a change of the tenant's own objects, or of a node. */
  change(change: ViewChange): void {
    for (const [vpc, each] of this.#worlds) {
      // its name may be what somebody's identity waited for
      if (change.kind === 'namespace' && each.hasUnknownNamespaces) this.#worlds.delete(vpc)
      else this.#changeWorld(each, vpc, change)
    }
  }

  networkOf(pod: Stored<Pod>): FoundNetwork {
    const { view, keys, identities, clock } = this.#deps
    const vpc = pod.metadata.annotations?.[VPC_ANNOTATION] ?? DEFAULT_VPC
    const object = view.vpcOf(this.tenant, vpc)
    if (object === undefined) return missing(`There is no Vpc "${vpc}" in tenant ${this.tenant}`)
    const vni = object.status?.vni
    if (vni === undefined) return missing(`Vpc "${vpc}" of tenant ${this.tenant} has no number yet`)
    const choice = identities.choose(pod, {
      keys: keys.of(this.tenant, pod.metadata.namespace ?? ''),
      nowMs: clock.monotonicMs(),
    })
    if (choice.type === 'none')
      return missing(`Pod ${pod.metadata.namespace}/${pod.metadata.name} has no NetworkIdentity yet`)
    const isShared = object.spec?.cidr === undefined
    const network = {
      vpc,
      vni,
      routeDomain: isShared ? SHARED_DOMAIN : vni,
      blockPrefix: isShared ? this.#nodeBlockPrefix() : VPC_BLOCK_PREFIX,
      identity: choice.id,
    }
    return { type: 'found', network, isExact: choice.type === 'exact' }
  }

  /** `pods`: of this tenant that are attached here. */
  plan(pods: readonly LocalPod[]): TenantPlan {
    const byVni = new Map<number, LocalPod[]>()
    for (const pod of pods) byVni.set(pod.endpoint.vni, [...(byVni.get(pod.endpoint.vni) ?? []), pod])
    for (const { status, ...vpc } of this.#deps.view.vpcsOf(this.tenant))
      if (status?.vni !== undefined && byVni.has(status.vni)) this.#planned.set(status.vni, ownNameOf(vpc))
    let againAtMs: number | undefined
    const again = (atMs: number): void => {
      againAtMs = Math.min(againAtMs ?? Infinity, atMs)
    }
    const networks = [...this.#planned].map(([vni, vpc]) =>
      this.#planNetwork({ vni, vpc, pods: byVni.get(vni) ?? [] }, again),
    )
    for (const { vni, endpoints } of networks) {
      if (endpoints.size > 0) continue
      this.#worlds.delete(this.#planned.get(vni)!)
      this.#planned.delete(vni)
    }
    return { networks, againAtMs }
  }

  #planNetwork(
    { vni, vpc, pods }: { readonly vni: number; readonly vpc: string; readonly pods: readonly LocalPod[] },
    again: (atMs: number) => void,
  ): NetworkPlan {
    if (pods.length === 0) return { vni, endpoints: new Map(), identities: new Set() }
    const own = this.#world(vpc)
    const gone = new Set(own.pods.keys())
    const seen = pods.map((pod) => {
      const key = endpointKey(pod.endpoint)
      const object = pod.reference === undefined ? undefined : this.#deps.view.podOf(pod.reference)
      if (object !== undefined) setFacts(own, key, { object, ip: pod.endpoint.ip })
      gone.delete(key)
      return { pod, key, object }
    })
    for (const key of gone) {
      own.pods.delete(key)
      own.exact.delete(key)
      own.staleSinceMs.delete(key)
      own.sets.removePod(key)
    }
    own.sets.takeChanges()
    const vpcObject = this.#deps.view.vpcOf(this.tenant, vpc)
    const endpoints = new Map<string, PlannedEndpoint>()
    for (const { pod, key, object } of seen) {
      const identity = object === undefined ? pod.endpoint.identity : this.#identityOf(own, { object, pod, key, again })
      // a pod that never had an identity stays closed
      const set = identity === 0 && !own.staleSinceMs.has(key) ? undefined : own.sets.get(key)
      const quality = object && vpcObject && this.#qualityOf(object, vpcObject)
      endpoints.set(pod.endpoint.ip, { ...withEgress(pod.endpoint, vpcObject), identity, set, quality })
    }
    return { vni, endpoints, identities: own.identities }
  }

  #qualityOf(pod: Stored<Pod>, { status }: Stored<Vpc>): NetworkQuality {
    const namespace = this.#deps.view.namespaceOf(pod)
    return podQuality(
      readQuality(pod.metadata.annotations).wish,
      readQuality(namespace?.metadata.annotations).wish,
      tenantQualityOf(this.tenant, status?.tenantNetwork),
    )
  }

  #identityOf(own: VpcWorld, { object, pod: { endpoint }, key, again }: IdentityQuestion): number {
    const { keys, identities, clock } = this.#deps
    const used = keys.of(this.tenant, object.metadata.namespace ?? '')
    const current = endpoint.identity === 0 ? undefined : endpoint.identity
    const known = own.exact.get(key)
    const isSame = known?.object === object && known.keys === used && known.id === current
    if (isSame && own.identities.has(known.id)) return known.id
    const nowMs = clock.monotonicMs()
    const choice = identities.choose(object, { keys: used, current, nowMs })
    if (choice.type === 'exact') own.exact.set(key, { object, keys: used, id: choice.id })
    const sinceMs = own.staleSinceMs.get(key)
    if (choice.type === 'stale') {
      const endsAtMs = (sinceMs ?? nowMs) + STALE_IDENTITY_MS
      own.staleSinceMs.set(key, sinceMs ?? nowMs)
      if (nowMs >= endsAtMs) return 0
      again(endsAtMs)
      return choice.id
    }
    if (choice.type === 'none') return endpoint.identity
    own.staleSinceMs.delete(key)
    if (choice.type === 'settling') again(nowMs + choice.recheckInMs)
    return choice.id
  }

  #world(vpc: string): VpcWorld {
    let own = this.#worlds.get(vpc)
    if (own !== undefined) return own
    const { view, rules, dnsAddresses } = this.#deps
    const world = new PolicyWorld({ tenant: this.tenant, rules })
    world.setDnsAddresses(dnsAddresses)
    own = {
      world,
      sets: new LocalSets(world),
      identities: new Set(),
      pods: new Map(),
      exact: new Map(),
      staleSinceMs: new Map(),
      hasUnknownNamespaces: false,
    }
    const objects = view.objectsOf(this.tenant)
    const isGone = false
    for (const object of objects.namespaces) this.#changeWorld(own, vpc, { kind: 'namespace', object, isGone })
    for (const object of objects.networkPolicies) this.#changeWorld(own, vpc, { kind: 'networkPolicy', object, isGone })
    for (const object of objects.clusterNetworkPolicies)
      this.#changeWorld(own, vpc, { kind: 'clusterNetworkPolicy', object, isGone })
    for (const object of objects.identities) this.#changeWorld(own, vpc, { kind: 'identity', object, isGone })
    for (const object of view.nodes) this.#changeWorld(own, vpc, { kind: 'node', object, isGone })
    this.#worlds.set(vpc, own)
    return own
  }

  #changeWorld(own: VpcWorld, vpc: string, change: ViewChange): void {
    const { world, identities } = own
    const { isGone } = change
    switch (change.kind) {
      case 'namespace':
        world.setNamespace(nameOfNamespace(change.object), isGone ? undefined : (change.object.metadata.labels ?? {}))
        return
      case 'networkPolicy': {
        const { metadata, spec } = change.object
        const namespace = ownNamespaceOf(change.object)
        if (isGone) world.removeNetworkPolicy(namespace, metadata.name)
        else
          world.setNetworkPolicy({
            metadata: { namespace, name: metadata.name },
            ...(spec === undefined ? {} : { spec }),
          })
        return
      }
      case 'clusterNetworkPolicy': {
        const name = ownNameOf(change.object)
        if (isGone) world.removeClusterNetworkPolicy(name)
        else world.setClusterNetworkPolicy({ metadata: { name }, spec: change.object.spec })
        return
      }
      case 'identity': {
        const { spec } = change.object
        if (unqualify(spec.vpc) !== vpc) return
        const namespace = this.#deps.view.ownNamespace(spec.namespace)
        if (namespace === undefined) own.hasUnknownNamespaces = true
        else if (isGone) {
          world.removeIdentity(spec.id)
          identities.delete(spec.id)
        } else {
          world.addIdentity({ ...spec, namespace })
          identities.add(spec.id)
        }
        return
      }
      case 'node': {
        const { metadata } = change.object
        const address = internalAddressOf(change.object)
        if (isGone || address === undefined) world.removeNode(metadata.name)
        else world.setNode(metadata.name, metadata.labels ?? {}, [address])
        return
      }
      default: // nothing in policies depends on it
    }
  }

  #nodeBlockPrefix(): number {
    const [block = '/24'] = this.#deps.view.ownNode === undefined ? [] : podBlocksOf(this.#deps.view.ownNode)
    return Number(block.split('/')[1])
  }
}

function setFacts(
  { pods, sets }: VpcWorld,
  key: string,
  { object, ip }: { readonly object: Stored<Pod>; readonly ip: string },
): void {
  const known = pods.get(key)
  if (known?.object === object) return
  const facts = podFactsOf(object, ip)
  pods.set(key, { object, facts })
  if (!isDeepStrictEqual(known?.facts, facts)) sets.setPod(key, facts)
}

function missing(what: string): FoundNetwork {
  return { type: 'missing', what }
}
