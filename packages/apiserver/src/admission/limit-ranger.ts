import {
  compareQuantities,
  parseQuantity,
  quantityMilliValue,
  quantityOfMillis,
  quantityOfUnits,
  podLimits,
  podRequests,
} from '@centaurus/api'
import {
  limitranges,
  persistentvolumeclaims,
  pods,
  type Container,
  type LimitRangeItem,
  type PersistentVolumeClaim,
  type Pod,
} from '@centaurus/api/core/v1'
import type { AdmissionContext, AdmissionStep, AdmittedWrite } from './admission.ts'
import { isWriteTo, refuseAdmission } from './refuse.ts'

const ANNOTATION = 'kubernetes.io/limit-ranger'

type Amounts = Readonly<Record<string, string>>

/** Fills in and enforces LimitRanges. Source: kubernetes plugin/pkg/admission/limitranger, v1.37. */
export const limitRanger: AdmissionStep = {
  name: 'LimitRanger',
  handles: (write) =>
    (write.operation === 'create' && (isWriteTo(write, pods) || isWriteTo(write, persistentvolumeclaims))) ||
    (write.operation === 'update' && isWriteTo(write, pods, 'resize')),
  mutate(write, context) {
    if (write.operation !== 'create' || !isWriteTo(write, pods)) return
    for (const item of itemsOf(write, context)) {
      if (item.type === 'Container') setDefaults(write.draft as Pod, item)
    }
  },
  validate(write, context) {
    const problems = itemsOf(write, context).flatMap((item) => checkItem(write, item))
    if (problems.length === 0) return
    const why = problems.length === 1 ? problems[0]! : `[${problems.join(', ')}]`
    throw refuseAdmission(write, why)
  },
}

function itemsOf({ request }: AdmittedWrite, { reader }: AdmissionContext): LimitRangeItem[] {
  const ranges = reader.list(limitranges, request.namespace, { tenant: request.target.tenant })
  return ranges.flatMap((range) => range.spec?.limits ?? [])
}

function setDefaults(pod: Pod, item: LimitRangeItem): void {
  const notes: string[] = []
  for (const container of pod.spec?.containers ?? []) mergeDefaults(container, item, { kind: 'container', notes })
  for (const container of pod.spec?.initContainers ?? []) {
    mergeDefaults(container, item, { kind: 'init container', notes })
  }
  if (notes.length === 0) return
  pod.metadata.annotations = {
    ...pod.metadata.annotations,
    [ANNOTATION]: `LimitRanger plugin set: ${notes.join('; ')}`,
  }
}

function mergeDefaults(
  container: Container,
  item: LimitRangeItem,
  { kind, notes }: { readonly kind: string; readonly notes: string[] },
): void {
  const { limits, requests } = container.resources ?? {}
  const addedRequests = missing(item.defaultRequest, requests)
  const addedLimits = missing(item.default, limits)
  if (addedRequests.length === 0 && addedLimits.length === 0) return
  container.resources = {
    ...container.resources,
    limits: { ...item.default, ...limits },
    requests: { ...item.defaultRequest, ...requests },
  }
  if (addedRequests.length > 0) notes.push(`${addedRequests.join(', ')} request for ${kind} ${container.name}`)
  if (addedLimits.length > 0) notes.push(`${addedLimits.join(', ')} limit for ${kind} ${container.name}`)
}

function missing(defaults: Amounts | undefined, own: Amounts | undefined): string[] {
  return Object.keys(defaults ?? {})
    .filter((name) => own?.[name] === undefined)
    .toSorted()
}

function checkItem(write: AdmittedWrite, item: LimitRangeItem): string[] {
  if (isWriteTo(write, persistentvolumeclaims)) {
    if (item.type !== 'PersistentVolumeClaim') return []
    const requests = (write.draft as PersistentVolumeClaim).spec?.resources?.requests ?? {}
    return [...checkMin(item, requests, {}), ...checkMaxRequest(item, requests)]
  }
  const { spec } = write.draft as Pod
  if (spec === undefined) return []
  if (item.type === 'Container') {
    return [...spec.containers, ...(spec.initContainers ?? [])].flatMap(({ resources }) =>
      checkAmounts(item, resources?.requests ?? {}, resources?.limits ?? {}),
    )
  }
  if (item.type !== 'Pod') return []
  return checkAmounts(item, toTexts(podRequests(spec)), toTexts(podLimits(spec)))
}

function toTexts(amounts: Readonly<Record<string, number>>): Amounts {
  return Object.fromEntries(
    Object.entries(amounts).map(([name, amount]) => [
      name,
      name === 'cpu' ? quantityOfMillis(amount).text : quantityOfUnits(amount, 'BinarySI').text,
    ]),
  )
}

function checkAmounts(item: LimitRangeItem, requests: Amounts, limits: Amounts): string[] {
  return [
    ...checkMin(item, requests, limits),
    ...checkMax(item, requests, limits),
    ...checkRatio(item, requests, limits),
  ]
}

function isLess(a: string, b: string): boolean {
  return compareQuantities(parseQuantity(a), parseQuantity(b)) < 0
}

function checkMin({ min, type }: LimitRangeItem, requests: Amounts, limits: Amounts): string[] {
  return Object.entries(min ?? {}).flatMap(([name, bound]) => {
    const head = `minimum ${name} usage per ${type} is ${bound}`
    const request = requests[name]
    const limit = limits[name]
    if (request === undefined) return [`${head}.  No request is specified`]
    if (isLess(request, bound)) return [`${head}, but request is ${request}`]
    return limit !== undefined && isLess(limit, bound) ? [`${head}, but limit is ${limit}`] : []
  })
}

function checkMaxRequest({ max, type }: LimitRangeItem, requests: Amounts): string[] {
  return Object.entries(max ?? {}).flatMap(([name, bound]) => {
    const head = `maximum ${name} usage per ${type} is ${bound}`
    const request = requests[name]
    if (request === undefined) return [`${head}.  No request is specified`]
    return isLess(bound, request) ? [`${head}, but request is ${request}`] : []
  })
}

function checkMax({ max, type }: LimitRangeItem, requests: Amounts, limits: Amounts): string[] {
  return Object.entries(max ?? {}).flatMap(([name, bound]) => {
    const head = `maximum ${name} usage per ${type} is ${bound}`
    const request = requests[name]
    const limit = limits[name]
    if (limit === undefined) return [`${head}.  No limit is specified`]
    if (isLess(bound, limit)) return [`${head}, but limit is ${limit}`]
    return request !== undefined && isLess(bound, request) ? [`${head}, but request is ${request}`] : []
  })
}

function checkRatio({ maxLimitRequestRatio, type }: LimitRangeItem, requests: Amounts, limits: Amounts): string[] {
  return Object.entries(maxLimitRequestRatio ?? {}).flatMap(([name, bound]) => {
    const head = `${name} max limit to request ratio per ${type} is ${bound}`
    const request = quantityMilliValue(requests[name] ?? '0')
    const limit = quantityMilliValue(limits[name] ?? '0')
    if (request === 0) return [`${head}, but no request is specified or request is 0`]
    if (limit === 0) return [`${head}, but no limit is specified or limit is 0`]
    const ratio = limit / request
    return ratio * 1000 > quantityMilliValue(bound) ? [`${head}, but provided ratio is ${ratio.toFixed(6)}`] : []
  })
}
