import { deepEqual, SYSTEM_TENANT, tooManyRequests, type KubeObject } from '@centaurus/api'
import { mutatingwebhookconfigurations } from '@centaurus/api/admissionregistration/v1'
import type { Clock, Logger, Random } from '@centaurus/base'
import type { Authorizer } from '../access/access.ts'
import { isForOperators } from '../access/operator-resources.ts'
import type { ObjectReader } from '../resource/object-reader.ts'
import type { WriteRequest } from '../resource/target.ts'
import type { TenantRegistries } from '../resource/tenant-registries.ts'
import type { TenantDirectory } from '../tenants/tenant-directory.ts'
import type { WatchCache } from '../watch-cache/watch-cache.ts'
import { HookIndex, type TenantHooks } from './hook-index.ts'
import { Attributes, type AttributesInit } from './matching/attributes.ts'
import { Warnings } from './matching/warnings.ts'
import { newRounds, noteChange } from './matching/rounds.ts'
import { TenantCredit } from './matching/tenant-credit.ts'
import { mutateByPolicies } from './policies/mutate.ts'
import { holdPolicies } from './policies/validate.ts'
import { createAddressPolicy } from './webhooks/address-policy.ts'
import { WebhookCaller } from './webhooks/call.ts'
import { Patience } from './webhooks/patience.ts'
import { Complaints, type WebhookReport } from './webhooks/reports.ts'
import type { Asked } from './webhooks/ask.ts'
import { askMutating } from './webhooks/mutate.ts'
import { askValidating } from './webhooks/validate.ts'

/** How long all webhooks of one request may take. Source: kube-apiserver's --request-timeout. */
const REVIEW_MS_MAX = 60_000
/** Time that one thread, which serves everybody, may work for a tenant's webhooks and policies. */
const COMPUTING = { msMax: 5_000, msPerSecond: 200 }
const COMPUTING_RETRY_SECONDS = 1
/** Of configurations and policies: none of them can keep people from mending them. */
const EXEMPT_GROUP = mutatingwebhookconfigurations.group
/** Name of the server itself: what it makes is what a cluster needs to start. */
const SERVER_NAME = 'system:apiserver'

export interface ReviewsOptions {
  /** Networks, as CIDRs, to which tenants' webhooks may lead beside public addresses. Default: none. */
  readonly tenantWebhookNetworks?: readonly string[] | undefined
}

export interface ReviewsDeps {
  readonly reader: ObjectReader
  readonly cache: WatchCache
  readonly registries: TenantRegistries
  readonly tenants: TenantDirectory
  readonly authorizer: Authorizer
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
}

/**
 * What the tenants themselves want asked about each write: webhooks and admission policies. Those of a tenant speak of its own objects only,
 * whoever writes these, and those of `system` of the operators'.
 */
export class Reviews {
  readonly #deps: ReviewsDeps
  readonly #index: HookIndex
  readonly #caller: WebhookCaller
  readonly #patience: Patience
  readonly #computing: TenantCredit
  readonly #complaints: Complaints
  /** Told of each call of a webhook when it has ended. */
  onCall: ((report: WebhookReport) => void) | undefined

  constructor(deps: ReviewsDeps, options: ReviewsOptions = {}) {
    this.#deps = deps
    this.#index = new HookIndex(deps.reader, deps.cache)
    const addresses = createAddressPolicy(options.tenantWebhookNetworks ?? [])
    this.#caller = new WebhookCaller({ reader: deps.reader, random: deps.random, addresses })
    this.#patience = new Patience(deps.clock)
    this.#computing = new TenantCredit(deps.clock, COMPUTING)
    this.#complaints = new Complaints(deps.clock, deps.logger)
  }

  /** True when somebody may want to see writes like this one. One look-up. */
  concern(request: WriteRequest): boolean {
    return this.#hooksFor(request) !== undefined
  }

  /** Undefined: nobody wants to see it. `init` is made only when somebody might. */
  open(request: WriteRequest, init: () => AttributesInit): Review | undefined {
    const hooks = this.#hooksFor(request)
    if (hooks === undefined) return undefined
    const deps = {
      ...this.#deps,
      caller: this.#caller,
      patience: this.#patience,
      computing: this.#computing,
      report: (report: WebhookReport) => {
        this.#complaints.take(report)
        this.onCall?.(report)
      },
    }
    return new Review(deps, { hooks, attributes: new Attributes(init()) })
  }

  close(): void {
    this.#index.close()
    this.#caller.close()
  }

  #hooksFor(request: WriteRequest): TenantHooks | undefined {
    const hooks = this.#index.of(request.target.tenant)
    return hooks === undefined || this.#isExempt(request) ? undefined : hooks
  }

  /** Nothing keeps a tenant's end waiting. */
  #isExempt({ target, user, isInProcess }: WriteRequest): boolean {
    const { tenant, definition } = target
    if (definition.storage.group === EXEMPT_GROUP) return true
    if (isInProcess === true && user.name === SERVER_NAME) return true
    return tenant !== SYSTEM_TENANT && this.#deps.tenants.find(tenant)?.phase === 'Terminating'
  }
}

interface ReviewDeps extends ReviewsDeps {
  readonly caller: WebhookCaller
  readonly patience: Patience
  readonly computing: TenantCredit
  readonly report: (report: WebhookReport) => void
}

/** One write on its way by those who want to see it. */
export class Review {
  readonly #deps: ReviewDeps
  readonly #hooks: TenantHooks
  readonly #attributes: Attributes
  readonly #warnings: Warnings
  readonly #endMs: number
  readonly #policyRounds = newRounds()
  readonly #webhookRounds = newRounds()

  constructor(
    deps: ReviewDeps,
    { hooks, attributes }: { readonly hooks: TenantHooks; readonly attributes: Attributes },
  ) {
    this.#deps = deps
    this.#hooks = hooks
    this.#attributes = attributes
    this.#warnings = new Warnings(attributes.request.warn)
    this.#endMs = deps.clock.monotonicMs() + REVIEW_MS_MAX
  }

  /** What policies and webhooks made of it. Shared: do not change it. */
  get object(): KubeObject | undefined {
    return this.#attributes.object
  }

  /**
   * Policies first, then the mutating webhooks; true when {@link object} is another one than before. Throws their refusals. What in a tenant only
   * operators may write, such as where a pod runs, they do not change.
   */
  async mutate(): Promise<boolean> {
    if (isOperatorsWrite(this.#attributes)) return false
    const { mutatingPolicies: policies, mutating: webhooks } = this.#hooks
    const asked = this.#asked()
    const rounds = this.#policyRounds
    const byPolicies =
      policies.length > 0 && asked.compute(() => mutateByPolicies(this.#deps, asked, { policies, rounds }))
    if (byPolicies) noteChange(this.#webhookRounds)
    const byWebhooks =
      webhooks.length > 0 && (await askMutating(this.#deps, asked, { webhooks, rounds: this.#webhookRounds }))
    if (byWebhooks) noteChange(this.#policyRounds)
    return byPolicies || byWebhooks
  }

  /** Asks those again who want that, after others have changed the object; `object` is what it is now. */
  async mutateAgain(object: KubeObject): Promise<boolean> {
    const isChanged = !deepEqual(object, this.#attributes.object)
    this.#attributes.replaceObject(object)
    for (const rounds of [this.#policyRounds, this.#webhookRounds]) {
      if (isChanged) noteChange(rounds)
      rounds.isSecond = true
    }
    return this.mutate()
  }

  /** Policies first, then all validating webhooks at once, as upstream. Throws the first refusal. */
  async validate(): Promise<void> {
    const { policies, validating } = this.#hooks
    const asked = this.#asked()
    if (policies.length > 0) asked.compute(() => holdPolicies(this.#deps, asked, policies))
    if (validating.length > 0) await askValidating(this.#deps, asked, validating)
  }

  #asked(): Asked {
    return {
      attributes: this.#attributes,
      warnings: this.#warnings,
      msLeft: () => this.#endMs - this.#deps.clock.monotonicMs(),
      compute: (work) => this.#compute(work),
    }
  }

  #compute<T>(work: () => T): T {
    const { clock, computing } = this.#deps
    const { tenant } = this.#attributes
    if (tenant === SYSTEM_TENANT) return work()
    if (!computing.has(tenant)) {
      throw tooManyRequests('webhooks and policies of this cluster take too much time', COMPUTING_RETRY_SECONDS)
    }
    const beganMs = clock.monotonicMs()
    try {
      return work()
    } finally {
      computing.charge(tenant, clock.monotonicMs() - beganMs)
    }
  }
}

function isOperatorsWrite({ tenant, requested, subresource }: Attributes): boolean {
  const { group, resource } = requested.resource
  return isForOperators({ tenant, group, resource, subresource, verb: 'update', isResourceRequest: true })
}
