/**
 * Keeps namespaces within their ResourceQuotas. `status.used` is changed in the same commit as the object, at the quota's revision:
 * two creates can never both take the last of an amount, and a delete gives back at once.
 * Messages: apiserver pkg/admission/plugin/resourcequota/controller.go, v0.37.
 */
import {
  compareQuantities,
  createQuantity,
  deepEqual,
  parseQuantity,
  type KubeObject,
  type Quantity,
  type Stored,
} from '@centaurus/api'
import { pods, resourcequotas, type Pod, type ResourceQuota } from '@centaurus/api/core/v1'
import type { Change, Comparison } from '@centaurus/store'
import type { ResourceRegistry, StorageForm } from '../resource/registry.ts'
import { encodeStored } from '../storage/encoding.ts'
import { resourcePrefix } from '../storage/keys.ts'
import type { AdmissionContext, AdmissionStep, AdmittedWrite } from './admission.ts'
import { addUsage, isInScope, isPodCharged, subtractUsage, usageOf, type Usage } from './quota-usage.ts'
import { isWriteTo, refuseAdmission } from './refuse.ts'

const NOTHING: Usage = new Map()
/** What a Pod must state when a quota limits it. */
const STATED = new Set(['cpu', 'memory', 'requests.cpu', 'requests.memory', 'limits.cpu', 'limits.memory'])

export const resourceQuota: AdmissionStep = {
  name: 'ResourceQuota',
  handles: ({ request }) => request.target.definition.info.namespaced,
  reserve(write, context) {
    if (isWriteTo(write, resourcequotas)) {
      countUsed(write, context)
      return undefined
    }
    const { namespace, target } = write.request
    const quotas = context.reader.list(resourcequotas, namespace, { tenant: target.tenant })
    if (quotas.length === 0) return undefined
    const prefix = resourcePrefix(target.tenant, { keyGroup: 'core', resource: 'resourcequotas' })
    const compare: Comparison[] = []
    const changes: Change[] = []
    for (const quota of quotas) {
      const charged = charge(write, quota)
      if (charged === undefined) continue
      const objectKey = `${namespace}/${quota.metadata.name}`
      const key = prefix + objectKey
      compare.push({ key, modRevision: context.cache.resource(prefix).get(objectKey)?.revision ?? 0 })
      changes.push({ type: 'put', key, value: encodeStored(charged) })
    }
    return { compare, changes }
  },
}

/** The quota after the write; undefined when it does not change. Throws Forbidden when the write does not fit. */
function charge(write: AdmittedWrite, quota: Stored<ResourceQuota>): ResourceQuota | undefined {
  const form = write.request.target.definition.storage
  const hard = quota.spec?.hard ?? {}
  const used = chargeUsage(write, {
    name: quota.metadata.name,
    hard,
    used: quota.status?.used ?? {},
    speaksOf: (object) => isInScope(quota, form, object),
  })
  if (used === undefined) return undefined
  return { ...quota, status: { ...quota.status, hard: quota.status?.hard ?? hard, used } }
}

/** Limits, and what is used of them. */
export interface ChargedQuota {
  /** How refusals call it. */
  readonly name: string
  readonly hard: Readonly<Record<string, string>>
  readonly used: Readonly<Record<string, string>>
  readonly speaksOf: (object: KubeObject) => boolean
}

/** What is used after the write; undefined when that is the same. Throws Forbidden when the write does not fit. */
export function chargeUsage(write: AdmittedWrite, quota: ChargedQuota): Record<string, string> | undefined {
  const { draft, old, operation, request } = write
  const { hard } = quota
  const form = request.target.definition.storage
  const next = operation === 'delete' ? undefined : draft
  const usedBy = (object: KubeObject | undefined): Usage =>
    object === undefined || !quota.speaksOf(object) ? NOTHING : usageOf(form, object)
  const usage = usedBy(next)
  if (operation === 'create' && usage !== NOTHING) requireStated(write, quota)
  const delta = subtractUsage(usage, usedBy(old))
  const used: Record<string, string> = { ...quota.used }
  const exceeded: string[] = []
  for (const [name, amount] of delta) {
    if (hard[name] === undefined) continue
    const before = parseQuantity(used[name] ?? '0')
    const after = atLeastZero(before.nanos + amount.nanos, used[name] === undefined ? amount : before)
    if (amount.nanos > 0n && compareQuantities(after, parseQuantity(hard[name])) > 0) exceeded.push(name)
    used[name] = after.text
  }
  if (exceeded.length > 0) throw refuseAdmission(write, describeExceeded(quota, delta, exceeded))
  return deepEqual(used, quota.used) ? undefined : used
}

function atLeastZero(nanos: bigint, like: Quantity): Quantity {
  return createQuantity(nanos < 0n ? 0n : nanos, like.format)
}

function describeExceeded(quota: ChargedQuota, delta: Usage, exceeded: readonly string[]): string {
  const names = exceeded.toSorted()
  const list = (amount: (name: string) => string): string => names.map((name) => `${name}=${amount(name)}`).join(',')
  const requested = list((name) => delta.get(name)!.text)
  const used = list((name) => quota.used[name] ?? '0')
  const limited = list((name) => quota.hard[name] ?? '0')
  return `exceeded quota: ${quota.name}, requested: ${requested}, used: ${used}, limited: ${limited}`
}

/** A Pod whose amounts are limited must say them, for each container. */
function requireStated(write: AdmittedWrite, { name: quotaName, hard }: ChargedQuota): void {
  if (!isWriteTo(write, pods)) return
  const pod = write.draft as Pod
  if (!isPodCharged(pod)) return
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])]
  const missing = Object.keys(hard)
    .filter((name) => STATED.has(name))
    .toSorted()
    .flatMap((name) => {
      const part = name.startsWith('limits.') ? 'limits' : 'requests'
      const bare = name.replace(/^(limits|requests)\./, '')
      const without = containers.filter((container) => container.resources?.[part]?.[bare] === undefined)
      if (without.length === 0 || pod.spec?.resources?.[part]?.[bare] !== undefined) return []
      return [`${name} for: ${without.map((container) => container.name).join(',')}`]
    })
  if (missing.length === 0) return
  throw refuseAdmission(write, `failed quota: ${quotaName}: must specify ${missing.join('; ')}`)
}

/** A quota begins with what is there. Source: what kube-controller-manager's resourcequota controller does a moment later. */
function countUsed(write: AdmittedWrite, { cache, registries }: AdmissionContext): void {
  const quota = write.draft as ResourceQuota
  const { namespace, target } = write.request
  const hard = quota.spec?.hard ?? {}
  const isNew = write.operation === 'create' || !deepEqual(hard, (write.old as ResourceQuota | undefined)?.spec?.hard)
  if (write.operation === 'delete' || !isNew) return
  const total = new Map<string, Quantity>()
  for (const { storage, prefix } of countedResources(registries.of(target.tenant), target.tenant)) {
    if (!storage.namespaced) continue
    for (const cached of cache.peek(prefix)?.range(`${namespace}/`) ?? []) {
      const object = cached.object()
      if (isInScope(quota, storage, object)) addUsage(total, usageOf(storage, object))
    }
  }
  const used: Record<string, string> = {}
  for (const name of Object.keys(hard)) used[name] = total.get(name)?.text ?? '0'
  quota.status = { hard, used }
}

/** Each resource of the tenant once, whatever versions it has. */
export function* countedResources(
  registry: ResourceRegistry,
  tenant: string,
): Generator<{ readonly storage: StorageForm; readonly prefix: string }, void> {
  const seen = new Set<string>()
  for (const { storage } of registry.list()) {
    const prefix = resourcePrefix(tenant, storage)
    if (seen.has(prefix)) continue
    seen.add(prefix)
    yield { storage, prefix }
  }
}
