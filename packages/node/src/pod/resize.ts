import { quantityMilliValue, quantityValue } from '@centaurus/api'
import type { Container, Pod } from '@centaurus/api/core/v1'

import { allContainers, measure, podRequests } from './resources.ts'

type Resources = NonNullable<Container['resources']>

/** What each container was given, by its name. */
export type Allocation = ReadonlyMap<string, Resources | undefined>

/** Resources that a running container can change. Source: kubelet allocation manager, v1.37. */
const RESIZABLE = ['cpu', 'memory'] as const
type Resizable = (typeof RESIZABLE)[number]

export interface ContainerResize {
  readonly name: string
  /** Its policy wants a new container for what changes. */
  readonly restart: boolean
}

export type ResizeDecision =
  | { readonly kind: 'none' }
  /** `Infeasible`: the node will never have that much; `Deferred`: it hasn't now. */
  | { readonly kind: 'pending'; readonly reason: 'Infeasible' | 'Deferred'; readonly message: string }
  | { readonly kind: 'accepted'; readonly changes: readonly ContainerResize[] }

/** What the pod's containers have, as an agent before this one reported it; what was never reported is as the spec says. */
export function readAllocation(pod: Pod): Allocation {
  const statuses = [...(pod.status?.initContainerStatuses ?? []), ...(pod.status?.containerStatuses ?? [])]
  return new Map(
    allContainers(pod).map(({ name, resources }) => {
      const known = statuses.find((status) => status.name === name)?.resources
      return [name, known === undefined ? resources : { ...resources, ...known }]
    }),
  )
}

/** What the spec asks for. */
export function allocationOf(pod: Pod): Allocation {
  return new Map(allContainers(pod).map(({ name, resources }) => [name, resources]))
}

/** The pod with the resources that its containers have, whatever the spec asks for by now. */
export function withAllocation(pod: Pod, allocation: Allocation): Pod {
  const apply = (container: Container): Container => {
    const resources = allocation.get(container.name)
    return resources === undefined || isSame(container.resources, resources) ? container : { ...container, resources }
  }
  const { containers = [], initContainers } = pod.spec ?? {}
  const changed = containers.map(apply)
  const changedInit = initContainers?.map(apply)
  const isUnchanged =
    changed.every((container, i) => container === containers[i]) &&
    (changedInit ?? []).every((container, i) => container === initContainers?.[i])
  if (isUnchanged) return pod
  return {
    ...pod,
    spec: { ...pod.spec, containers: changed, ...(changedInit === undefined ? {} : { initContainers: changedInit }) },
  }
}

/** Whether the pod may have now what its spec asks for. `others`: pods of this node, as they are allocated. Pure. */
export function planResize(
  desired: Pod,
  allocated: Pod,
  { allocatable, others }: { readonly allocatable: Readonly<Record<string, string>>; readonly others: readonly Pod[] },
): ResizeDecision {
  const changes = findChanges(desired, allocated)
  if (changes.length === 0) return { kind: 'none' }
  const requests = podRequests(desired)
  for (const name of RESIZABLE) {
    const requested = requests.get(name) ?? 0
    const capacity = measure(name, allocatable[name] ?? '0')
    if (requested > capacity) {
      const message = `Node didn't have enough capacity: ${name}, requested: ${requested}, capacity: ${capacity}`
      return { kind: 'pending', reason: 'Infeasible', message }
    }
  }
  for (const name of RESIZABLE) {
    const requested = requests.get(name) ?? 0
    const used = others.reduce((sum, other) => sum + (podRequests(other).get(name) ?? 0), 0)
    const capacity = measure(name, allocatable[name] ?? '0')
    if (requested > (podRequests(allocated).get(name) ?? 0) && requested + used > capacity) {
      const message = `Node didn't have enough resource: ${name}, requested: ${requested}, used: ${used}, capacity: ${capacity}`
      return { kind: 'pending', reason: 'Deferred', message }
    }
  }
  return { kind: 'accepted', changes }
}

function findChanges(desired: Pod, allocated: Pod): ContainerResize[] {
  const before = new Map(allContainers(allocated).map((container) => [container.name, container]))
  return allContainers(desired).flatMap((container) => {
    const changed = RESIZABLE.filter((name) =>
      differs(name, container.resources, before.get(container.name)?.resources),
    )
    if (changed.length === 0) return []
    const restart = changed.some((name) =>
      container.resizePolicy?.some(
        ({ resourceName, restartPolicy }) => resourceName === name && restartPolicy === 'RestartContainer',
      ),
    )
    return [{ name: container.name, restart }]
  })
}

function isSame(a: Resources | undefined, b: Resources | undefined): boolean {
  return !RESIZABLE.some((name) => differs(name, a, b))
}

function differs(name: Resizable, a: Resources | undefined, b: Resources | undefined): boolean {
  const value = name === 'cpu' ? quantityMilliValue : quantityValue
  const read = (quantity: string | undefined): number | undefined =>
    quantity === undefined ? undefined : value(quantity)
  return read(a?.requests?.[name]) !== read(b?.requests?.[name]) || read(a?.limits?.[name]) !== read(b?.limits?.[name])
}

/** Source: kubelet events/resize.go, v1.37. */
export function resizeMessage(pod: Pod, what: string, error: string): string {
  const list = (containers: readonly Container[]): object[] =>
    containers.map(({ name, resources }) => ({ name, resources: resources ?? {} }))
  const { containers = [], initContainers = [] } = pod.spec ?? {}
  const summary = {
    ...(initContainers.length === 0 ? {} : { initContainers: list(initContainers) }),
    containers: list(containers),
    generation: pod.metadata.generation ?? 0,
    ...(error === '' ? {} : { error }),
  }
  return `${what}: ${JSON.stringify(summary)}`
}
