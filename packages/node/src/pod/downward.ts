import type { Container, Pod } from '@centaurus/api/core/v1'

import { allContainers, measure } from './resources.ts'

export interface DownwardContext {
  readonly podIps: readonly string[]
  readonly hostIps: readonly string[]
  readonly nodeName: string
  /** Node's allocatable, for limits that a container does not set: thousandths of cpu, units of the rest. */
  readonly allocatable: ReadonlyMap<string, number>
}

/** Value of a field of the pod. Throws for a path that is not offered. Source: api/v1/pod fieldpath + kubelet podFieldSelectorRuntimeValue, v1.37. */
export function podFieldValue(pod: Pod, fieldPath: string, context: DownwardContext): string {
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(fieldPath)
  if (subscript !== null) return pod.metadata[subscript[1] as 'labels' | 'annotations']?.[subscript[2]!] ?? ''
  switch (fieldPath) {
    case 'metadata.name':
      return pod.metadata.name ?? ''
    case 'metadata.namespace':
      return pod.metadata.namespace ?? ''
    case 'metadata.uid':
      return pod.metadata.uid ?? ''
    case 'metadata.labels':
      return formatMap(pod.metadata.labels)
    case 'metadata.annotations':
      return formatMap(pod.metadata.annotations)
    case 'spec.nodeName':
      return pod.spec?.nodeName ?? context.nodeName
    case 'spec.serviceAccountName':
      return pod.spec?.serviceAccountName ?? ''
    case 'status.hostIP':
      return context.hostIps[0] ?? ''
    case 'status.hostIPs':
      return context.hostIps.join(',')
    case 'status.podIP':
      return context.podIps[0] ?? ''
    case 'status.podIPs':
      return context.podIps.join(',')
    default:
      throw new Error(`unsupported fieldPath: ${fieldPath}`)
  }
}

/** Value of a resource field, divided and rounded up. Source: pkg/api/v1/resource ExtractContainerResourceValue, v1.37. */
export function resourceFieldValue(
  pod: Pod,
  ref: {
    readonly containerName?: string | undefined
    readonly resource: string
    readonly divisor?: string | undefined
  },
  context: DownwardContext & { readonly container?: Container | undefined },
): string {
  const container =
    ref.containerName === undefined || ref.containerName === ''
      ? context.container
      : allContainers(pod).find(({ name }) => name === ref.containerName)
  if (container === undefined) throw new Error(`container ${ref.containerName ?? ''} not found`)
  const [side, ...rest] = ref.resource.split('.')
  const name = rest.join('.')
  const { limits, requests } = container.resources ?? {}
  const quantity = side === 'limits' ? limits?.[name] : requests?.[name]
  const value =
    quantity !== undefined ? measure(name, quantity) : side === 'limits' ? (context.allocatable.get(name) ?? 0) : 0
  const divisor =
    ref.divisor === undefined || ref.divisor === '0' || ref.divisor === ''
      ? name === 'cpu'
        ? 1000
        : 1
      : measure(name, ref.divisor)
  return String(Math.ceil(value / divisor))
}

/** Sorted `key="value"` lines, values quoted as Go quotes them. Source: pkg/fieldpath FormatMap. */
function formatMap(map: Readonly<Record<string, string>> | undefined): string {
  return Object.entries(map ?? {})
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
    .join('\n')
}
