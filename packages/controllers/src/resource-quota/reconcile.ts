import {
  deepEqual,
  formatQuantity,
  isPodTerminal,
  objectKey,
  parseQuantity,
  type KubeObject,
  type Quantity,
  type Stored,
} from '@centaurus/api'
import { pods, resourcequotas, type ResourceQuota } from '@centaurus/api/core/v1'
import type { RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps } from '../frame/controller.ts'
import { hasVerbs, type ResourceDiscovery, type ServedResource } from '../frame/discovery.ts'
import { planUsed } from './plan.ts'

/** Source: ResourceQuotaSyncPeriod default, kube-controller-manager v1.37. */
const RECOUNT_MS = 300_000
/** A namespace that is being emptied is recounted once, not for each object. */
const SETTLE_MS = 500

/** How objects are counted: the same rules by which admission charges them. */
export interface QuotaRules {
  /** Amounts by the names that quotas use, such as `requests.cpu`. */
  usageOf(resource: ServedResource, object: KubeObject): ReadonlyMap<string, Quantity>
  /** Whether the quota's scopes take the object. */
  isInScope(quota: ResourceQuota, resource: ServedResource, object: KubeObject): boolean
}

export interface ResourceQuotaDeps extends ControllerDeps {
  readonly discovery: ResourceDiscovery
  readonly quotaRules: QuotaRules
}

/** Recounts what quotas' namespaces use: after deletions, and now and then, as admission only adds. */
export function startResourceQuotaController(deps: ResourceQuotaDeps): RunningController {
  const quotas = deps.informers.informer(resourcequotas)
  const watched = new Set<string>()
  const removers: (() => void)[] = []
  return startReconciler(deps, {
    name: 'resourcequota-controller',
    informer: quotas,
    watch({ queue }) {
      const add = (quota: Stored<ResourceQuota>): void => queue.add(objectKey(quota))
      const recount = (object: Stored<KubeObject>): void => {
        for (const quota of quotas.list(object.metadata.namespace)) queue.addAfter(objectKey(quota), SETTLE_MS)
      }
      removers.push(
        quotas.addHandler({
          onAdd: add,
          onUpdate: (quota, old) => !deepEqual(quota.spec, old.spec) && add(quota),
          onDelete: add,
        }),
      )
      removers.push(
        deps.informers.informer(pods).addHandler({
          onUpdate: (pod, old) => {
            if (isPodTerminal(pod) && !isPodTerminal(old)) recount(pod)
          },
          onDelete: recount,
        }),
      )
      watched.add('/pods')
      return [() => removers.forEach((remove) => remove())]
    },
    async reconcile(key, { client, informers, queue }, signal) {
      const quota = quotas.get(key)
      if (quota === undefined) return undefined
      const hard = quota.spec?.hard ?? {}
      const counted: { readonly resource: ServedResource; readonly object: KubeObject }[] = []
      for (const resource of (await deps.discovery.resources(signal)).filter((candidate) =>
        isConstrained(candidate, Object.keys(hard)),
      )) {
        const informer = informers.informer(resource)
        const name = `${resource.group}/${resource.resource}`
        if (!watched.has(name)) {
          watched.add(name)
          removers.push(
            informer.addHandler({
              onDelete: (object) => {
                for (const other of quotas.list(object.metadata.namespace)) queue.addAfter(objectKey(other), SETTLE_MS)
              },
            }),
          )
        }
        if (!informer.synced) await informer.whenSynced(signal)
        for (const object of informer.list(quota.metadata.namespace)) {
          if (deps.quotaRules.isInScope(quota, resource, object)) counted.push({ resource, object })
        }
      }
      const usages = counted.map(({ resource, object }) => deps.quotaRules.usageOf(resource, object))
      const status = { hard, used: planUsed(Object.keys(hard), usages) }
      if (!isSameStatus(quota.status, status)) await client.updateStatus(resourcequotas, { ...quota, status })
      return { requeueAfterMs: RECOUNT_MS }
    },
  })
}

const POD_AMOUNTS = /^(pods|cpu|memory|ephemeral-storage|hugepages-.*|(requests|limits)\..*)$/
const CLAIM_AMOUNTS = /^(persistentvolumeclaims|requests\.storage|.*\.storageclass\.storage\.k8s\.io\/.*)$/

/** Whether any of the quota's names counts objects of this resource. */
function isConstrained(resource: ServedResource, names: readonly string[]): boolean {
  if (!resource.namespaced || !hasVerbs(resource, ['list', 'watch'])) return false
  const suffix = resource.group === '' ? '' : `.${resource.group}`
  if (names.includes(`count/${resource.resource}${suffix}`)) return true
  if (resource.group !== '') return false
  if (resource.resource === 'pods') return names.some((name) => POD_AMOUNTS.test(name) && !CLAIM_AMOUNTS.test(name))
  if (resource.resource === 'persistentvolumeclaims') return names.some((name) => CLAIM_AMOUNTS.test(name))
  if (resource.resource === 'services') return names.some((name) => name === 'services' || name.startsWith('services.'))
  return names.includes(resource.resource)
}

/** Amounts are compared by value: `1` and `1000m` are the same. */
function isSameStatus(
  old: ResourceQuota['status'],
  next: { hard: Record<string, string>; used: Record<string, string> },
): boolean {
  const normal = (list: Record<string, string> | undefined): Record<string, string> =>
    Object.fromEntries(Object.entries(list ?? {}).map(([name, text]) => [name, formatQuantity(parseQuantity(text))]))
  return deepEqual(normal(old?.hard), normal(next.hard)) && deepEqual(normal(old?.used), normal(next.used))
}
