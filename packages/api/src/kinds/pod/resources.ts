import type { Container, PodSpec } from '../../generated/types/core/v1.ts'
import { quantityMilliValue, quantityOfMillis, quantityOfUnits, quantityValue } from '../../quantity/quantity.ts'

/** Amounts by resource name: `cpu` in thousandths, every other resource in its own unit (bytes for memory), rounded up. */
export type ResourceAmounts = Record<string, number>

const HUGE_PAGES_PREFIX = 'hugepages-'

/**
 * What a node must have free for a pod: the sum of its containers and sidecars, or what init containers need beside the sidecars
 * that started before them, if that is more; then the pod's own `resources`, which replace the sum; then `overhead`.
 * Source: PodRequests, component-helpers resource/helpers.go v0.37 (without status). Throws `SyntaxError` on a bad quantity.
 */
export function podRequests(spec: Readonly<PodSpec>): ResourceAmounts {
  return withPodLevel(spec, 'requests')
}

/** As {@link podRequests}, for limits. Overhead is added only to resources that have a limit. Source: PodLimits, same file. */
export function podLimits(spec: Readonly<PodSpec>): ResourceAmounts {
  return withPodLevel(spec, 'limits')
}

/** Sum over containers alone. Source: AggregateContainerRequests and AggregateContainerLimits, same file. */
export function aggregateContainers(spec: Readonly<PodSpec>, part: 'requests' | 'limits'): ResourceAmounts {
  const total: ResourceAmounts = {}
  const sidecars: ResourceAmounts = {}
  const starting: ResourceAmounts = {}
  for (const container of spec.containers ?? []) addAmounts(total, containerAmounts(container, part))
  for (const container of spec.initContainers ?? []) {
    const amounts = containerAmounts(container, part)
    if (isSidecar(container)) {
      addAmounts(total, amounts)
      addAmounts(sidecars, amounts)
      raiseAmounts(starting, sidecars)
    } else {
      addAmounts(amounts, sidecars)
      raiseAmounts(starting, amounts)
    }
  }
  raiseAmounts(total, starting)
  return total
}

/** An init container that keeps running beside the others. */
export function isSidecar(container: Readonly<Container>): boolean {
  return container.restartPolicy === 'Always'
}

/** Resources that a pod as a whole can ask for. */
export function isPodLevelResource(name: string): boolean {
  return name === 'cpu' || name === 'memory' || name.startsWith(HUGE_PAGES_PREFIX)
}

/** Whether the pod as a whole asks for something. Source: IsPodLevelResourcesSet. */
export function hasPodLevelResources(spec: Readonly<PodSpec>): boolean {
  return Object.keys({ ...spec.resources?.requests, ...spec.resources?.limits }).some(isPodLevelResource)
}

/**
 * Completes `spec.resources` of a new pod from its containers, when it names any resource at all.
 * Source: DefaultPodLevelResources, pkg/api/pod/util.go v1.37.
 */
export function defaultPodLevelResources(spec: PodSpec): void {
  const resources = spec.resources
  if (resources === undefined || (isEmpty(resources.requests ?? {}) && isEmpty(resources.limits ?? {}))) return
  const containerLimits = aggregateContainers(spec, 'limits')
  const containerRequests = aggregateContainers(spec, 'requests')
  const limits = { ...resources.limits }
  for (const [name, amount] of Object.entries(containerLimits)) {
    if (name.startsWith(HUGE_PAGES_PREFIX) && resources.requests?.[name] === undefined)
      limits[name] ??= amountText(name, amount)
  }
  const requests = { ...resources.requests }
  for (const [name, amount] of Object.entries(containerRequests)) {
    if (name === 'cpu' || name === 'memory') requests[name] ??= amountText(name, amount)
  }
  for (const [name, text] of Object.entries(limits)) {
    if (isPodLevelResource(name)) requests[name] ??= text
  }
  for (const [name, text] of Object.entries(requests)) {
    if (!isPodLevelResource(name) || !everyContainerLimits(spec, name)) continue
    limits[name] ??= amountText(name, Math.max(containerLimits[name] ?? 0, parseAmount(name, text)))
  }
  if (!isEmpty(limits)) resources.limits = limits
  if (!isEmpty(requests)) resources.requests = requests
}

function withPodLevel(spec: Readonly<PodSpec>, part: 'requests' | 'limits'): ResourceAmounts {
  const total = aggregateContainers(spec, part)
  for (const [name, text] of Object.entries(spec.resources?.[part] ?? {})) {
    if (isPodLevelResource(name)) total[name] = parseAmount(name, text)
  }
  for (const [name, text] of Object.entries(spec.overhead ?? {})) {
    if (part === 'limits' && !total[name]) continue
    total[name] = (total[name] ?? 0) + parseAmount(name, text)
  }
  return total
}

function everyContainerLimits(spec: PodSpec, name: string): boolean {
  const running = [...(spec.containers ?? []), ...(spec.initContainers ?? []).filter(isSidecar)]
  return running.every((container) => container.resources?.limits?.[name] !== undefined)
}

function containerAmounts(container: Readonly<Container>, part: 'requests' | 'limits'): ResourceAmounts {
  const amounts: ResourceAmounts = {}
  const list = container.resources?.[part]
  for (const name in list) amounts[name] = parseAmount(name, list[name]!)
  return amounts
}

function parseAmount(name: string, text: string): number {
  return name === 'cpu' ? quantityMilliValue(text) : quantityValue(text)
}

function amountText(name: string, amount: number): string {
  return name === 'cpu' ? quantityOfMillis(amount).text : quantityOfUnits(amount, 'BinarySI').text
}

function addAmounts(into: ResourceAmounts, more: ResourceAmounts): void {
  for (const name in more) into[name] = (into[name] ?? 0) + more[name]!
}

function raiseAmounts(into: ResourceAmounts, other: ResourceAmounts): void {
  for (const name in other) into[name] = Math.max(into[name] ?? 0, other[name]!)
}

function isEmpty(record: object): boolean {
  return Object.keys(record).length === 0
}
