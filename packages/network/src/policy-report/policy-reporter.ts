import { deepEqual, isStatus } from '@centaurus/api'
import { networkreports, REPORTED_CHANGES_MAX, type PolicyReport, type TenantReport } from '@centaurus/api/centaurus/v1'
import { nodes } from '@centaurus/api/core/v1'
import type { OwnerReference } from '@centaurus/api/meta/v1'
import type { Clock, Logger, Timer } from '@centaurus/base'
import type { Client } from '@centaurus/client'

/** What is reported within this time is one write. */
const REPORT_DELAY_MS = 1_000
const RETRY_MS = 5_000
const KINDS = ['networkPolicies', 'clusterNetworkPolicies'] as const

export interface PolicyReporterDeps {
  /** As the node. */
  readonly client: Client
  readonly nodeName: string
  readonly clock: Clock
  readonly logger: Logger
}

/** Packets of a tenant's pods here see all of its policies of a kind up to `revision`, the greatest resourceVersion among them. */
export interface AppliedPolicies {
  readonly tenant: string
  readonly kind: (typeof KINDS)[number]
  readonly revision: string
  /** From when the newest of them was heard of until packets saw it. */
  readonly afterMs: number
}

/**
 * Tells which policies are in this host's kernel, by the NetworkReport of the node: written when a policy has changed and never for pods, at most once a second.
 * Whoever applies policies calls {@link reportApplied} after each change; what says nothing new is not written.
 */
export class PolicyReporter {
  readonly #deps: PolicyReporterDeps
  readonly #tenants = new Map<string, TenantReport>()
  #timer: Timer | undefined
  #writing: Promise<void> | undefined
  #isDirty = false
  /** Whether what an earlier process of this host reported was looked at. */
  #isResumed = false
  #closed = false

  constructor(deps: PolicyReporterDeps) {
    this.#deps = deps
  }

  reportApplied({ tenant, kind, revision, afterMs }: AppliedPolicies): void {
    const known = this.#tenants.get(tenant) ?? { tenant }
    const next = withChange(known[kind], { revision: Number(revision), afterMs: Math.round(afterMs) })
    if (next === undefined) return
    this.#tenants.set(tenant, { ...known, [kind]: next })
    this.#schedule(REPORT_DELAY_MS)
  }

  /** No pod of the tenant is here any more. */
  forget(tenant: string): void {
    if (this.#tenants.delete(tenant)) this.#schedule(REPORT_DELAY_MS)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#timer?.cancel()
    await this.#writing
  }

  #schedule(delayMs: number): void {
    this.#isDirty = true
    if (this.#closed || this.#timer !== undefined || this.#writing !== undefined) return
    this.#timer = this.#deps.clock.setTimer(delayMs, () => {
      this.#timer = undefined
      this.#writing = this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#isDirty = false
    const isWritten = await this.#write()
    this.#writing = undefined
    if (!isWritten) this.#schedule(RETRY_MS)
    else if (this.#isDirty) this.#schedule(REPORT_DELAY_MS)
  }

  /** What is still the newest was applied when it was reported first, and not just now that this process began. */
  #resume(earlier: readonly TenantReport[]): void {
    this.#isResumed = true
    for (const { tenant, ...reports } of earlier) {
      const known = this.#tenants.get(tenant)
      if (known === undefined) continue
      const kept = KINDS.filter((kind) => reports[kind]?.revision === known[kind]?.revision)
      this.#tenants.set(tenant, { ...known, ...Object.fromEntries(kept.map((kind) => [kind, reports[kind]])) })
    }
  }

  /** False: try again later. */
  async #write(): Promise<boolean> {
    const { client, nodeName, logger } = this.#deps
    try {
      const current = await find(client, nodeName)
      if (!this.#isResumed) this.#resume(current?.spec.tenants ?? [])
      const tenants = [...this.#tenants.values()].toSorted((a, b) => (a.tenant < b.tenant ? -1 : 1))
      if (current === undefined) {
        const ownerReferences = await ownersOf(client, nodeName)
        await client.create(networkreports, { metadata: { name: nodeName, ownerReferences }, spec: { tenants } })
      } else if (!deepEqual(current.spec, { tenants }))
        await client.update(networkreports, { ...current, spec: { tenants } })
      return true
    } catch (error) {
      if (!this.#closed) logger.warn('Could not report which policies are applied', { error })
      return false
    }
  }
}

async function find(client: Client, name: string) {
  try {
    return await client.get(networkreports, { name })
  } catch (error) {
    if (isStatus(error, 'NotFound')) return undefined
    throw error
  }
}

/** It goes with its node. */
async function ownersOf(client: Client, name: string): Promise<OwnerReference[]> {
  const { metadata } = await client.get(nodes, { name })
  return [{ apiVersion: 'v1', kind: 'Node', name, uid: metadata.uid }]
}

/** Undefined when it says nothing new. A smaller revision is of another time of the partition's store, or of policies that are gone. */
function withChange(
  known: PolicyReport | undefined,
  change: { readonly revision: number; readonly afterMs: number },
): PolicyReport | undefined {
  if (known?.revision === change.revision) return undefined
  const older = (known?.recent ?? []).filter(({ revision }) => revision < change.revision)
  return { revision: change.revision, recent: [change, ...older].slice(0, REPORTED_CHANGES_MAX) }
}
