import {
  mutatingadmissionpolicies,
  mutatingadmissionpolicybindings,
  mutatingwebhookconfigurations,
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
  validatingwebhookconfigurations,
} from '@centaurus/api/admissionregistration/v1'
import type { ObjectReader } from '../resource/object-reader.ts'
import type { StoredObjects } from '../resource/stored-objects.ts'
import { compilePolicies, type CompiledPolicy } from './policies/compile.ts'
import { compileMutatingPolicies, type CompiledMutatingPolicy } from './policies/mutate.ts'
import { compileWebhooks, type CompiledWebhook } from './webhooks/compile.ts'

/** What a tenant wants asked about its writes. */
export interface TenantHooks {
  readonly mutatingPolicies: readonly CompiledMutatingPolicy[]
  readonly mutating: readonly CompiledWebhook[]
  readonly validating: readonly CompiledWebhook[]
  readonly policies: readonly CompiledPolicy[]
}

const SOURCES = [
  mutatingadmissionpolicies,
  mutatingadmissionpolicybindings,
  mutatingwebhookconfigurations,
  validatingwebhookconfigurations,
  validatingadmissionpolicies,
  validatingadmissionpolicybindings,
]

/**
 * Webhooks and policies by tenant, compiled when one of them has changed and is needed. A write costs one look-up here, and nothing else where
 * its tenant has none.
 */
export class HookIndex {
  readonly #reader: ObjectReader
  /** Null: it has none. */
  readonly #byTenant = new Map<string, TenantHooks | null>()
  readonly #stops: readonly (() => void)[]

  constructor(reader: ObjectReader, stored: Pick<StoredObjects, 'onChange'>) {
    this.#reader = reader
    this.#stops = SOURCES.map(({ group, resource }) =>
      stored.onChange(`${group}/${resource}`, ({ tenant }) => this.#byTenant.delete(tenant)),
    )
  }

  /** Undefined: the tenant has none. */
  of(tenant: string): TenantHooks | undefined {
    let hooks = this.#byTenant.get(tenant)
    if (hooks === undefined) this.#byTenant.set(tenant, (hooks = this.#compile(tenant)))
    return hooks ?? undefined
  }

  close(): void {
    for (const stop of this.#stops) stop()
  }

  #compile(tenant: string): TenantHooks | null {
    const reader = this.#reader
    const options = { tenant }
    const hooks = {
      mutatingPolicies: compileMutatingPolicies(
        reader.list(mutatingadmissionpolicies, undefined, options),
        reader.list(mutatingadmissionpolicybindings, undefined, options),
      ),
      mutating: compileWebhooks(reader.list(mutatingwebhookconfigurations, undefined, options)),
      validating: compileWebhooks(reader.list(validatingwebhookconfigurations, undefined, options)),
      policies: compilePolicies(
        reader.list(validatingadmissionpolicies, undefined, options),
        reader.list(validatingadmissionpolicybindings, undefined, options),
      ),
    }
    return Object.values(hooks).every((some) => some.length === 0) ? null : hooks
  }
}
