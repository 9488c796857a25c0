import {
  addQuantities,
  column,
  formatQuantity,
  parseQuantity,
  quantityOfUnits,
  type KubeObject,
  type TableColumn,
} from '@centaurus/api'
import type { CustomResourceDefinition } from '@centaurus/api/apiextensions/v1'
import { customDefinitions } from '../crd/custom-definition.ts'
import type { ResourceDefinition } from '../resource/registry.ts'
import { nodeMetrics, podMetrics, type MetricsDeps, type NodeMetrics, type PodMetrics } from './metrics-objects.ts'

const TIMES = {
  timestamp: { type: 'string', format: 'date-time', description: 'End of the window over which was measured.' },
  window: { type: 'string', description: 'Length of that window, such as 10.5s.' },
}
const USAGE = {
  type: 'object',
  description: 'Mean use of cpu over the window, and the working set of memory.',
  additionalProperties: { anyOf: [{ type: 'integer' }, { type: 'string' }], 'x-kubernetes-int-or-string': true },
}
const NODE_SCHEMA = { type: 'object', properties: { ...TIMES, usage: USAGE } }
const CONTAINER = { type: 'object', properties: { name: { type: 'string' }, usage: USAGE } }
const POD_SCHEMA = { type: 'object', properties: { ...TIMES, containers: { type: 'array', items: CONTAINER } } }

/** Source: metrics-server pkg/api/table.go, v0.8. */
const COLUMNS: readonly TableColumn[] = [
  column('Name', 'Name of the resource', { format: 'name' }),
  column('cpu', 'Use of cpu'),
  column('memory', 'Working set of memory'),
  column('Window', 'Time over which was measured', { format: 'duration' }),
]

/** `nodes` and `pods` of `metrics.k8s.io/v1beta1`: read-only and computed. Source: metrics-server v0.8. */
export function metricsDefinitions(deps: MetricsDeps): ResourceDefinition[] {
  const node = { resource: 'nodes', kind: 'NodeMetrics', scope: 'Cluster' } as const
  const pod = { resource: 'pods', kind: 'PodMetrics', scope: 'Namespaced' } as const
  return [
    ...define(node, (object) => [(object as NodeMetrics).usage]).map((definition) => ({
      ...definition,
      virtual: { ...nodeMetrics(deps), schema: NODE_SCHEMA },
    })),
    ...define(pod, (object) => (object as PodMetrics).containers.map(({ usage }) => usage)).map((definition) => ({
      ...definition,
      virtual: { ...podMetrics(deps), schema: POD_SCHEMA, forTenants: true },
    })),
  ]
}

interface Names {
  readonly resource: string
  readonly kind: string
  readonly scope: CustomResourceDefinition['spec']['scope']
}

function define(
  { resource, kind, scope }: Names,
  usagesOf: (object: KubeObject) => readonly { readonly cpu: string; readonly memory: string }[],
): ResourceDefinition[] {
  return customDefinitions({
    metadata: { name: `${resource}.metrics.k8s.io` },
    spec: {
      group: 'metrics.k8s.io',
      scope,
      names: { plural: resource, kind, listKind: `${kind}List` },
      versions: [{ name: 'v1beta1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
    },
  }).map((definition) => ({
    ...definition,
    info: { ...definition.info, verbs: ['get', 'list'], subresources: [] },
    behavior: {
      ...definition.behavior,
      columns: COLUMNS,
      row(object) {
        const usages = usagesOf(object)
        const { window } = object as NodeMetrics
        return [
          object.metadata.name,
          sum(usages.map(({ cpu }) => cpu)),
          sum(usages.map(({ memory }) => memory)),
          window,
        ]
      },
    },
  }))
}

function sum(quantities: readonly string[]): string {
  return formatQuantity(
    quantities.map((text) => parseQuantity(text)).reduce((a, b) => addQuantities(a, b), quantityOfUnits(0)),
  )
}
