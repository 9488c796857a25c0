import {
  addQuantities,
  createQuantity,
  parseQuantity,
  podLimits,
  podRequests,
  quantityOfMillis,
  quantityOfUnits,
  type KubeObject,
  type Quantity,
} from '@centaurus/api'
import type {
  Container,
  PersistentVolumeClaim,
  Pod,
  ResourceQuota,
  ScopedResourceSelectorRequirement,
  Service,
} from '@centaurus/api/core/v1'
import type { StorageForm } from '../resource/registry.ts'

/** Amounts that objects use up, by quota resource name such as `requests.cpu`. */
export type Usage = ReadonlyMap<string, Quantity>

const ONE = quantityOfUnits(1)
const TERMINAL_PHASES = new Set(['Succeeded', 'Failed'])
/** Kinds that older quotas count by their bare names. Source: kubernetes pkg/quota/v1/evaluator/core, v1.37. */
const LEGACY_COUNTS = new Set([
  'configmaps',
  'persistentvolumeclaims',
  'replicationcontrollers',
  'resourcequotas',
  'secrets',
  'services',
])

const AMOUNTS = new Set(['pods', 'services', 'persistentvolumeclaims'])

/** What one object counts for. Source: kubernetes pkg/quota/v1/evaluator/core, v1.37. */
export function usageOf({ group, resource }: Pick<StorageForm, 'group' | 'resource'>, object: KubeObject): Usage {
  const usage = new Map<string, Quantity>([[`count/${resource}${group === '' ? '' : `.${group}`}`, ONE]])
  if (group !== '') return usage
  if (LEGACY_COUNTS.has(resource)) usage.set(resource, ONE)
  if (resource === 'pods') addPod(usage, object as Pod)
  else if (resource === 'services') addService(usage, object as Service)
  else if (resource === 'persistentvolumeclaims') addClaim(usage, object as PersistentVolumeClaim)
  return usage
}

/** Whether what an object counts for depends on what is in it; others only count. */
export function usesAmounts({ group, resource }: Pick<StorageForm, 'group' | 'resource'>): boolean {
  return group === '' && AMOUNTS.has(resource)
}

/** A Pod that is over, or whose node should long have stopped it, uses nothing but its own entry. */
export function isPodCharged({ status }: Pod): boolean {
  return !TERMINAL_PHASES.has(status?.phase ?? '')
}

/** Counts pods of a priority class, named as the amounts of storage classes are; ours. */
export function priorityClassQuota(className: string): string {
  return `${className}.priorityclass.scheduling.k8s.io/pods`
}

function addPod(usage: Map<string, Quantity>, pod: Pod): void {
  if (!isPodCharged(pod) || pod.spec === undefined) return
  usage.set('pods', ONE)
  const { priorityClassName = '' } = pod.spec
  if (priorityClassName !== '') usage.set(priorityClassQuota(priorityClassName), ONE)
  for (const [name, amount] of Object.entries(podRequests(pod.spec))) {
    const quantity = toQuantity(name, amount)
    usage.set(`requests.${name}`, quantity)
    if (name === 'cpu' || name === 'memory' || name === 'ephemeral-storage' || name.startsWith('hugepages-')) {
      usage.set(name, quantity)
    }
  }
  for (const [name, amount] of Object.entries(podLimits(pod.spec))) {
    usage.set(`limits.${name}`, toQuantity(name, amount))
  }
}

function toQuantity(name: string, amount: number): Quantity {
  if (name === 'cpu') return quantityOfMillis(amount)
  return quantityOfUnits(amount, name === 'memory' || name === 'ephemeral-storage' ? 'BinarySI' : 'DecimalSI')
}

function addService(usage: Map<string, Quantity>, { spec }: Service): void {
  if (spec?.type === 'LoadBalancer') usage.set('services.loadbalancers', ONE)
  const needsPorts =
    spec?.type === 'NodePort' || (spec?.type === 'LoadBalancer' && spec.allocateLoadBalancerNodePorts !== false)
  if (needsPorts) usage.set('services.nodeports', quantityOfUnits(spec.ports?.length ?? 0))
}

function addClaim(usage: Map<string, Quantity>, { spec, metadata }: PersistentVolumeClaim): void {
  const storage = spec?.resources?.requests?.['storage']
  const requested = storage === undefined ? undefined : parseQuantity(storage)
  if (requested !== undefined) usage.set('requests.storage', requested)
  const storageClass = metadata.annotations?.['volume.beta.kubernetes.io/storage-class'] ?? spec?.storageClassName ?? ''
  if (storageClass === '') return
  usage.set(`${storageClass}.storageclass.storage.k8s.io/persistentvolumeclaims`, ONE)
  if (requested !== undefined) usage.set(`${storageClass}.storageclass.storage.k8s.io/requests.storage`, requested)
}

/** `a − b`, without zeros. */
export function subtractUsage(a: Usage, b: Usage): Map<string, Quantity> {
  const difference = new Map<string, Quantity>()
  for (const name of new Set([...a.keys(), ...b.keys()])) {
    const left = a.get(name)
    const nanos = (left?.nanos ?? 0n) - (b.get(name)?.nanos ?? 0n)
    if (nanos !== 0n) difference.set(name, createQuantity(nanos, (left ?? b.get(name)!).format))
  }
  return difference
}

export function addUsage(total: Map<string, Quantity>, usage: Usage): void {
  for (const [name, amount] of usage) {
    const sum = total.get(name)
    total.set(name, sum === undefined ? amount : addQuantities(sum, amount))
  }
}

/** Whether a quota speaks of this object: quotas with scopes see only the Pods in all of them. */
export function isInScope(
  { spec }: ResourceQuota,
  { resource, group }: Pick<StorageForm, 'group' | 'resource'>,
  object: KubeObject,
): boolean {
  const requirements: ScopedResourceSelectorRequirement[] = [
    ...(spec?.scopes ?? []).map((scopeName) => ({ scopeName, operator: 'Exists' })),
    ...(spec?.scopeSelector?.matchExpressions ?? []),
  ]
  if (requirements.length === 0) return true
  if (group !== '' || resource !== 'pods') return false
  return requirements.every((requirement) => matchesScope(requirement, object as Pod))
}

function matchesScope({ scopeName, operator, values }: ScopedResourceSelectorRequirement, { spec }: Pod): boolean {
  switch (scopeName) {
    case 'Terminating':
      return (spec?.activeDeadlineSeconds ?? -1) >= 0
    case 'NotTerminating':
      return (spec?.activeDeadlineSeconds ?? -1) < 0
    case 'BestEffort':
      return isBestEffort(spec)
    case 'NotBestEffort':
      return !isBestEffort(spec)
    case 'PriorityClass':
      return matchesText(spec?.priorityClassName ?? '', operator, values ?? [])
    case 'CrossNamespacePodAffinity':
      return crossesNamespaces(spec)
    default:
      return false
  }
}

function matchesText(text: string, operator: string, values: readonly string[]): boolean {
  switch (operator) {
    case 'In':
      return values.includes(text)
    case 'NotIn':
      return !values.includes(text)
    case 'DoesNotExist':
      return text === ''
    default:
      return text !== ''
  }
}

function isBestEffort(spec: Pod['spec']): boolean {
  const isBare = ({ resources }: Container): boolean =>
    [resources?.requests, resources?.limits].every(
      (list) => list?.['cpu'] === undefined && list?.['memory'] === undefined,
    )
  return [...(spec?.containers ?? []), ...(spec?.initContainers ?? [])].every(isBare)
}

function crossesNamespaces(spec: Pod['spec']): boolean {
  const { podAffinity, podAntiAffinity } = spec?.affinity ?? {}
  const terms = [podAffinity, podAntiAffinity].flatMap((affinity) => [
    ...(affinity?.requiredDuringSchedulingIgnoredDuringExecution ?? []),
    ...(affinity?.preferredDuringSchedulingIgnoredDuringExecution ?? []).map((entry) => entry.podAffinityTerm),
  ])
  return terms.some((term) => (term.namespaces?.length ?? 0) > 0 || term.namespaceSelector !== undefined)
}
