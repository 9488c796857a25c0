/**
 * Which identity a pod has. Decided by what the pod is and what policies ask for, so that whoever sees both finds the same name, without asking anybody:
 * the controller that makes the objects, and the nodes that use them.
 */
import type { Pod } from '../generated/types/core/v1.ts'
import { isPodTerminal } from '../kinds/pod/phase.ts'
import { NAMESPACE_ANNOTATION, SYSTEM_TENANT, TENANT_ANNOTATION } from './names.ts'
import { DEFAULT_VPC, VPC_ANNOTATION } from './network.ts'
import { OBJECT_NAME_LENGTH_MAX, qualifyName } from './qualified-name.ts'
import { sha256 } from './sha256.ts'

/** Pods that run take an identity that refines theirs only so long after it was heard of: by then other hosts know it too. */
export const IDENTITY_SETTLE_MS = 1_000
/** An identity that no pod would get is deleted after so long: every pod has switched by then, also on hosts that were away for a while. */
export const IDENTITY_QUARANTINE_MS = 600_000
/** Identities of a tenant. Who reaches it uses a label in policies that is different on nearly every pod. */
export const IDENTITIES_MAX = 65_536

/** What a NetworkIdentity is for, in its tenant's own names. */
export interface IdentityContent {
  readonly vpc: string
  readonly namespace: string
  readonly labels: Readonly<Record<string, string>>
  /** Sorted. */
  readonly keys: readonly string[]
}

/** Whether the pod has an address of its own, or will have. */
export function isInPodNetwork(pod: Readonly<Pod>): boolean {
  return pod.spec?.hostNetwork !== true && !isPodTerminal(pod)
}

/** Tenant of an object in a view over all tenants; `system` for objects that say nothing. */
export function tenantOfViewed({ metadata }: Pick<Pod, 'metadata'>): string {
  return metadata.annotations?.[TENANT_ANNOTATION] ?? SYSTEM_TENANT
}

/** `keys`: of labels that policies ask of pods in its namespace, sorted. The pod may come from a view over all tenants. */
export function identityContentOf({ metadata }: Readonly<Pod>, keys: readonly string[]): IdentityContent {
  const { annotations, namespace = '', labels: all = {} } = metadata
  const labels: Record<string, string> = {}
  for (const key of keys) {
    const value = all[key]
    if (typeof value === 'string') labels[key] = value
  }
  return {
    vpc: annotations?.[VPC_ANNOTATION] ?? DEFAULT_VPC,
    namespace: annotations?.[NAMESPACE_ANNOTATION] ?? namespace,
    labels,
    keys,
  }
}

/** Text that is equal for equal contents alone. */
export function identityKeyOf({ vpc, namespace, labels, keys }: IdentityContent): string {
  return JSON.stringify([vpc, namespace, keys.map((key) => [key, labels[key] ?? null])])
}

/** Name of the NetworkIdentity in its tenant: `id-` and 64 bits of SHA-256. */
export function identityNameOf(content: IdentityContent): string {
  const [high = 0, low = 0] = sha256(identityKeyOf(content))
  return `id-${hex(high)}${hex(low)}`
}

/** Its name in a view over all tenants. */
export function viewedName(name: string, tenant: string): string {
  return qualifyName(name, tenant, OBJECT_NAME_LENGTH_MAX)
}

/** Name of the pod's Vpc, as its view names it. */
export function vpcNameOf(pod: Readonly<Pod>): string {
  return viewedName(pod.metadata.annotations?.[VPC_ANNOTATION] ?? DEFAULT_VPC, tenantOfViewed(pod))
}

function hex(word: number): string {
  return word.toString(16).padStart(8, '0')
}
