import {
  createQuantity,
  formatQuantity,
  formatTime,
  NAMESPACE_ANNOTATION,
  quantityOfUnits,
  TENANT_ANNOTATION,
  type KubeObject,
  type Stored,
} from '@centaurus/api'
import { nodes, pods, type Node, type Pod } from '@centaurus/api/core/v1'
import { partitionOf } from '../proxy/backend.ts'
import type { ObjectReader } from '../resource/object-reader.ts'
import type { VirtualObjects } from '../resource/registry.ts'
import type { ContainersUsage, Usage } from './compute-usage.ts'
import type { UsageSource } from './usage-source.ts'

export interface MetricsDeps {
  readonly reader: ObjectReader
  readonly source: Pick<UsageSource, 'ofNodes' | 'ofPods'>
}

export interface NodeMetrics extends KubeObject {
  readonly timestamp: string
  readonly window: string
  readonly usage: ResourceUsage
}

export interface PodMetrics extends KubeObject {
  readonly timestamp: string
  readonly window: string
  readonly containers: readonly { readonly name: string; readonly usage: ResourceUsage }[]
}

export interface ResourceUsage {
  readonly cpu: string
  readonly memory: string
}

/** What the nodes of this partition use. Source: metrics-server pkg/api/node.go, v0.8. */
export function nodeMetrics({ reader, source }: MetricsDeps): Pick<VirtualObjects, 'get' | 'list'> {
  const describe = async (found: readonly Stored<Node>[]): Promise<NodeMetrics[]> => {
    const usages = await source.ofNodes(found.map(({ metadata }) => metadata.name))
    return found.flatMap((node) => {
      const usage = usages.get(node.metadata.name)
      return usage === undefined ? [] : [describeNode(node, usage)]
    })
  }
  return {
    async get(_place, name) {
      const node = reader.get(nodes, { name })
      return node === undefined ? undefined : (await describe([node]))[0]
    },
    list: (_place, wants) => describe(reader.list(nodes).filter((node) => wants(labelled(node)))),
  }
}

/** What the tenant's running pods use, or those of all tenants in a view. Source: metrics-server pkg/api/pod.go, v0.8. */
export function podMetrics({ reader, source }: MetricsDeps): Pick<VirtualObjects, 'get' | 'list'> {
  const describe = async (found: readonly Stored<Pod>[]): Promise<PodMetrics[]> => {
    const running = found.filter(({ spec, status }) => (spec?.nodeName ?? '') !== '' && status?.phase === 'Running')
    const usages = await source.ofPods(
      running.map((pod) => ({
        uid: pod.metadata.uid,
        node: pod.spec?.nodeName ?? '',
        partition: partitionOf(pod),
      })),
    )
    return running.flatMap((pod) => {
      // by uid: a name on a node may be that of another tenant's pod
      const containers = usages.get(pod.metadata.uid)
      return containers === undefined ? [] : [describePod(pod, containers)]
    })
  }
  return {
    async get({ tenant, namespace }, name) {
      const pod = reader.get(pods, { namespace, name }, { tenant })
      return pod === undefined ? undefined : (await describe([pod]))[0]
    },
    list({ tenant, namespace }, wants) {
      const all = reader.list(pods, namespace === '' ? undefined : namespace, { tenant })
      return describe(all.filter((pod) => wants(labelled(pod))))
    },
  }
}

function labelled({ metadata: { name, namespace, labels } }: Stored<KubeObject>): KubeObject {
  return {
    metadata: { name, ...(namespace === undefined ? {} : { namespace }), ...(labels === undefined ? {} : { labels }) },
  }
}

function describeNode(node: Stored<Node>, usage: Usage): NodeMetrics {
  return { ...head('NodeMetrics', node, [usage]), usage: formatUsage(usage) }
}

function describePod(pod: Stored<Pod>, containers: ContainersUsage): PodMetrics {
  const described = [...containers].map(([name, usage]) => ({ name, usage: formatUsage(usage) }))
  return { ...head('PodMetrics', pod, [...containers.values()]), containers: described }
}

/** The time is the earliest of the parts', and the window the longest, so that nothing is said to be newer than it is. */
function head(kind: string, object: Stored<KubeObject>, parts: readonly Usage[]) {
  const timestamp = formatTime(Math.min(...parts.map(({ atMs }) => atMs)))
  const { metadata } = labelled(object)
  const whose = Object.entries(object.metadata.annotations ?? {}).filter(
    ([name]) => name === TENANT_ANNOTATION || name === NAMESPACE_ANNOTATION,
  )
  return {
    apiVersion: 'metrics.k8s.io/v1beta1',
    kind,
    metadata: {
      ...metadata,
      ...(whose.length === 0 ? {} : { annotations: Object.fromEntries(whose) }),
      creationTimestamp: timestamp,
    },
    timestamp,
    window: `${Math.max(...parts.map(({ windowMs }) => windowMs)) / 1_000}s`,
  }
}

/** Whole units of what upstream tells: billionths of a core, KiB. */
function formatUsage({ cpuNanoCores, memoryBytes }: Usage): ResourceUsage {
  return {
    cpu: formatQuantity(createQuantity(BigInt(Math.round(cpuNanoCores)))),
    memory: formatQuantity(quantityOfUnits(Math.ceil(memoryBytes / 1024) * 1024, 'BinarySI')),
  }
}
