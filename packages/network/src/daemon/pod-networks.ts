import { IdentityBook, UsedLabelKeys } from '@centaurus/api'
import type { Clock, Logger, Random, Timer } from '@centaurus/base'
import type { AttachedPod, EndpointReference, KnownEndpoint, PodReference } from '../cni/pod-network-source.ts'
import type { Dataplane } from '../dataplane/dataplane.ts'
import type { RuleBook } from '../policy/rule-book.ts'
import type { PlannedTenant } from '../policy-report/report-tenant.ts'
import type { ClusterView, ViewChange } from './cluster-view.ts'
import { endpointKey, type LocalPod } from './local-pod.ts'
import type { ServicePlan } from '../services/plan.ts'
import { PlanApplier } from './plan-applier.ts'
import { ServiceApplier } from './service-applier.ts'
import { TenantPlanner, type FoundNetwork, type TenantPlan } from './tenant-planner.ts'
import { tenantOf } from './tenants.ts'
import { planTopology } from './topology.ts'

export interface PodNetworksDeps {
  readonly view: ClusterView
  readonly dataplane: Dataplane
  readonly rules: RuleBook
  /** Where the cluster's DNS answers pods. */
  readonly dnsAddresses: readonly string[]
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  /** Hears of each change of a tenant that reached the kernel. */
  readonly onApplied?: ((change: AppliedChange) => void) | undefined
  /** Hears of each tenant whose objects are all in the kernel again, whether or not that took a write; before any other news. */
  readonly onPlanned?: ((planned: PlannedTenant) => void) | undefined
  /** Hears when something may have changed in the kernel. */
  readonly onChanged?: (() => void) | undefined
  /** Hears of each change of nodes and their blocks that is in the kernel. */
  readonly onTopology?: (() => void) | undefined
  /** Hears of each plan of Services that is in the kernel. */
  readonly onServices?: ((plan: ServicePlan) => void) | undefined
}

export interface AppliedChange {
  readonly tenant: string
  /** From when the first news of it arrived until packets see it. */
  readonly effectiveAfterMs: number
  /** Calls of the data plane. */
  readonly writes: number
}

/** News within this time are one change: a list brings many at once. */
const GATHER_MS = 1
const RETRY_MS = 1_000

/**
 * Keeps the kernel as the API and the attached pods want it. What the API can't say now stays as it is: nothing is planned before everything was listed once,
 * endpoints are taken away by who attached them alone, and informers keep what they know while the API is away.
 */
export class PodNetworks {
  readonly #deps: PodNetworksDeps
  readonly #applier: PlanApplier
  readonly #services: ServiceApplier
  readonly #local = new Map<string, LocalPod>()
  readonly #planners = new Map<string, TenantPlanner>()
  readonly #keys = new UsedLabelKeys()
  readonly #identities = new IdentityBook()
  /** Tenants to plan again, and when the first news came, on the monotonic clock. */
  readonly #dirty = new Map<string, number>()
  readonly #waiters = new Set<() => void>()
  #topologyDirty = true
  #servicesDirty = true
  #timer: Timer | undefined
  #dueAtMs = Infinity
  #failure: string | undefined
  /** Everything was in the kernel once, and packets see it. */
  #isActive = false
  #closed = false

  constructor(deps: PodNetworksDeps) {
    this.#deps = deps
    this.#applier = new PlanApplier(deps.dataplane, deps.random)
    this.#services = new ServiceApplier(deps)
    for (const { policySet: _, shaper: __, ...endpoint } of deps.dataplane.listEndpoints())
      this.#local.set(endpointKey(endpoint), { endpoint, reference: undefined })
  }

  /**
   * Tells who the endpoints are that an earlier daemon left. Those that the kernel has lost, as with tables of another layout, are made again. Before
   * {@link start}.
   */
  adopt(attached: readonly AttachedPod[]): void {
    const { dataplane, logger } = this.#deps
    for (const pod of attached) {
      const known = this.#local.get(endpointKey(pod))
      this.#local.set(endpointKey(pod), { endpoint: known?.endpoint ?? endpointOf(pod), reference: pod })
      if (known !== undefined) continue
      try {
        dataplane.attachPod(pod.ifindex)
      } catch (error) {
        logger.error('Could not attach the program of a pod again', { namespace: pod.namespace, pod: pod.name, error })
      }
    }
  }

  /** Follows the API. Plans as soon as everything was listed. */
  start(): void {
    const { view } = this.#deps
    view.follow((change) => this.#take(change))
    void view.whenSynced().then(
      () => this.#schedule(0),
      () => {}, // closed before
    )
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  /** Why packets may not be judged as the API says now; undefined: they are. */
  get problem(): string | undefined {
    const { missing } = this.#deps.view
    if (missing.length > 0) return `The API server has not listed ${missing.join(', ')} yet`
    return this.#failure ?? (this.#isActive ? undefined : 'Not everything is in the kernel yet')
  }

  get applier(): PlanApplier {
    return this.#applier
  }

  get services(): ServiceApplier {
    return this.#services
  }

  get localPods(): ReadonlyMap<string, LocalPod> {
    return this.#local
  }

  /** By the address that the host knows it by. */
  atHostAddress(address: string): LocalPod | undefined {
    for (const pod of this.#local.values()) if (pod.endpoint.hostIP === address) return pod
    return undefined
  }

  get planners(): ReadonlyMap<string, TenantPlanner> {
    return this.#planners
  }

  listEndpoints(): KnownEndpoint[] {
    return [...this.#local.values()].map(({ endpoint }) => endpoint)
  }

  networkOf(pod: PodReference): FoundNetwork {
    const { view } = this.#deps
    if (this.problem !== undefined) return { type: 'missing', what: this.problem }
    const object = view.podOf(pod)
    if (object === undefined) return { type: 'missing', what: `Pod ${pod.namespace}/${pod.name} is not known here yet` }
    return this.#planner(tenantOf(object)).networkOf(object)
  }

  /** Resolves after something changed. */
  whenChanged(signal: AbortSignal): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>()
    const abort = (): void => reject(signal.reason as Error)
    signal.addEventListener('abort', abort, { once: true })
    this.#waiters.add(resolve)
    return promise.finally(() => {
      this.#waiters.delete(resolve)
      signal.removeEventListener('abort', abort)
    })
  }

  /** The pod's endpoint is in the kernel, with its policy, when it returns. Throws when the kernel does not take it. */
  activate(pod: AttachedPod): void {
    const { vni, ip, ifindex } = pod
    const key = endpointKey(pod)
    const tenant = this.#deps.view.tenantOfVni(vni)
    if (tenant === undefined)
      throw new Error(`Network ${vni} of pod ${pod.namespace}/${pod.name} is not known any more`)
    const before = this.#local.get(key)
    this.#local.set(key, { endpoint: endpointOf(pod), reference: pod })
    try {
      // first the program, which lets nothing pass from a device without an endpoint
      this.#deps.dataplane.attachPod(ifindex)
      this.#plan(tenant, this.#dirty.get(tenant))
      const slot = this.#applier.networks.get(vni)?.endpoints.get(ip)?.slot
      if (slot === undefined) throw new Error('Its object is gone, or has no identity yet')
    } catch (error) {
      if (before === undefined) this.#local.delete(key)
      else this.#local.set(key, before)
      throw error
    }
  }

  /** Takes an endpoint away. Idempotent. */
  forget(endpoint: EndpointReference): void {
    this.#local.delete(endpointKey(endpoint))
    const tenant = this.#deps.view.tenantOfVni(endpoint.vni)
    if (tenant !== undefined && this.#deps.view.missing.length === 0) this.#plan(tenant, this.#dirty.get(tenant))
    else this.#applier.removeEndpoint(endpoint)
  }

  #take(change: ViewChange): void {
    const { object, isGone } = change
    switch (change.kind) {
      case 'node':
        this.#topologyDirty = true
        for (const tenant of this.#planners.keys()) this.#takeOf(tenant, change)
        break
      case 'subnet':
        this.#topologyDirty = true
        break
      case 'vpc':
        this.#topologyDirty = true
        this.#servicesDirty = true
        this.#takeOf(tenantOf(object), change)
        break
      case 'service':
      case 'slice':
        this.#servicesDirty = true
        break
      case 'networkPolicy':
        if (isGone) this.#keys.remove(change.object)
        else this.#keys.putPolicy(change.object)
        this.#takeOf(tenantOf(object), change)
        break
      case 'clusterNetworkPolicy':
        if (isGone) this.#keys.remove(change.object)
        else this.#keys.putClusterPolicy(change.object)
        this.#takeOf(tenantOf(object), change)
        break
      case 'identity':
        if (isGone) this.#identities.remove(change.object)
        else this.#identities.put(change.object, this.#heardAtMs())
        this.#takeOf(tenantOf(object), change)
        break
      default:
        this.#takeOf(tenantOf(object), change)
    }
    this.#schedule(GATHER_MS)
  }

  /** When others heard of an identity too; of those that are there at the start long ago. */
  #heardAtMs(): number {
    return this.#deps.view.missing.length > 0 ? -Infinity : this.#deps.clock.monotonicMs()
  }

  /** A tenant without pods here costs nothing but its label keys. */
  #takeOf(tenant: string, change: ViewChange): void {
    this.#planners.get(tenant)?.change(change)
    this.#mark(tenant)
  }

  #mark(tenant: string): void {
    if (!this.#dirty.has(tenant)) this.#dirty.set(tenant, this.#deps.clock.monotonicMs())
    this.#schedule(GATHER_MS)
  }

  #schedule(delayMs: number): void {
    const { clock } = this.#deps
    const dueAtMs = clock.monotonicMs() + delayMs
    if (this.#closed || dueAtMs >= this.#dueAtMs) return
    this.#timer?.cancel()
    this.#dueAtMs = dueAtMs
    this.#timer = clock.setTimer(delayMs, () => {
      this.#dueAtMs = Infinity
      this.#work()
    })
  }

  #work(): void {
    if (this.#closed || this.#deps.view.missing.length > 0) return
    const failures = [
      this.#attempt('routes', () => this.#applyTopology()),
      ...Array.from(this.#dirty, ([tenant, since]) =>
        this.#attempt(`tenant ${tenant}`, () => this.#plan(tenant, since)),
      ),
      this.#attempt('services', () => this.#applyServices()),
      this.#attempt('left networks', () => this.#applier.dropEmptyNetworks()),
    ].filter((failure) => failure !== undefined)
    if (failures.length === 0) failures.push(...this.#activate())
    if (failures.length > 0) this.#schedule(RETRY_MS)
    else if (this.#failure !== undefined) this.#deps.logger.info('Programmed the pod network again')
    this.#failure = failures[0]
    for (const wake of this.#waiters) wake()
  }

  /** What went wrong, if anything. */
  #activate(): string[] {
    const failure = this.#attempt('programs', () => this.#deps.dataplane.activate())
    this.#isActive ||= failure === undefined
    return failure === undefined ? [] : [failure]
  }

  /** One part that fails does not keep the others from the kernel. Returns what went wrong. */
  #attempt(part: string, apply: () => void): string | undefined {
    try {
      apply()
      return undefined
    } catch (error) {
      if (this.#failure === undefined) this.#deps.logger.error('Could not program the pod network', { part, error })
      return error instanceof Error ? error.message : String(error)
    }
  }

  #applyTopology(): void {
    if (!this.#topologyDirty) return
    const { nodeName, nodes, vpcs, subnets } = this.#deps.view
    this.#applier.applyTopology(planTopology({ nodeName, nodes, vpcs, subnets }))
    this.#topologyDirty = false
    this.#deps.onChanged?.()
    this.#deps.onTopology?.()
  }

  #applyServices(): void {
    if (!this.#servicesDirty) return
    this.#deps.onServices?.(this.#services.apply())
    this.#servicesDirty = false
  }

  /** `since`: when the first news of it came; undefined: it was not the API's. */
  #plan(tenant: string, since: number | undefined): void {
    const { clock, onApplied, onPlanned } = this.#deps
    const pods = this.#podsOf(tenant)
    const plan = this.#planner(tenant).plan(pods)
    const writes = this.#apply(plan)
    this.#dirty.delete(tenant)
    const now = clock.monotonicMs()
    if (plan.againAtMs !== undefined) this.#again(tenant, plan.againAtMs - now)
    this.#deps.onChanged?.()
    onPlanned?.({ tenant, hasPods: pods.length > 0, effectiveAfterMs: now - (since ?? now) })
    if (since !== undefined && writes > 0) onApplied?.({ tenant, writes, effectiveAfterMs: now - since })
  }

  #apply({ networks }: TenantPlan): number {
    let writes = 0
    for (const network of networks) {
      writes += this.#applier.applyNetwork(network).length
      // the next choice of identity starts from what packets carry now
      for (const endpoint of network.endpoints.values()) {
        const key = endpointKey(endpoint)
        const known = this.#local.get(key)
        if (known === undefined) continue
        this.#local.set(key, { ...known, endpoint: { ...known.endpoint, identity: endpoint.identity } })
      }
    }
    return writes
  }

  #again(tenant: string, delayMs: number): void {
    this.#deps.clock.setTimer(Math.max(0, delayMs), () => this.#mark(tenant))
  }

  #podsOf(tenant: string): LocalPod[] {
    const { view } = this.#deps
    return [...this.#local.values()].filter(({ endpoint }) => view.tenantOfVni(endpoint.vni) === tenant)
  }

  #planner(tenant: string): TenantPlanner {
    let planner = this.#planners.get(tenant)
    if (planner === undefined) {
      planner = new TenantPlanner(tenant, { ...this.#deps, keys: this.#keys, identities: this.#identities })
      this.#planners.set(tenant, planner)
    }
    return planner
  }
}

/** Without an identity yet. */
function endpointOf({ vni, ip, hostIP, mac, ifindex, routeDomain, blockPrefix }: AttachedPod): LocalPod['endpoint'] {
  return { vni, ip, hostIP, mac, ifindex, routeDomain, blockPrefix, identity: 0 }
}
