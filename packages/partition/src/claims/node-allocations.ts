import {
  column,
  formatAge,
  formatQuantity,
  quantityMilliValue,
  quantityOfMillis,
  quantityOfUnits,
  type KubeObject,
  type TableColumn,
} from '@centaurus/api'
import type { NodeAllocation, NodeDevice } from '@centaurus/api/centaurus/v1'
import {
  GPU_COMPUTE_MAX,
  GPU_DEVICES_ANNOTATION,
  isWholeGpu,
  parseGpuInventory,
  splitDeviceAmounts,
  type GpuGrant,
} from '@centaurus/api/gpu'
import { nodes, type Node } from '@centaurus/api/core/v1'
import { customDefinitions, type ObjectReader, type ResourceDefinition, type VirtualPlace } from '@centaurus/apiserver'
import { freeOf } from './decide-claims.ts'
import type { Ledger } from './ledger.ts'
import type { Amounts } from './model.ts'

/** What `kubectl get nodeallocations` shows: each node of this partition, what it has, what was given of it, and to whom. */
export function nodeAllocationDefinitions(ledger: Ledger, reader: ObjectReader): ResourceDefinition[] {
  const get = (_place: VirtualPlace, name: string): NodeAllocation | undefined => {
    const node = reader.get<Node>(nodes, { name })
    return node === undefined ? undefined : describeNode(ledger, node)
  }
  return customDefinitions({
    metadata: { name: 'nodeallocations.centaurus.io' },
    spec: {
      group: 'centaurus.io',
      scope: 'Cluster',
      names: {
        plural: 'nodeallocations',
        singular: 'nodeallocation',
        kind: 'NodeAllocation',
        listKind: 'NodeAllocationList',
        shortNames: ['nalloc'],
      },
      versions: [{ name: 'v1', served: true, storage: true, schema: { openAPIV3Schema: { type: 'object' } } }],
    },
  }).map((definition) => ({
    ...definition,
    info: { ...definition.info, verbs: ['get', 'list'], subresources: [] },
    behavior: { ...definition.behavior, columns: COLUMNS, row: rowOf },
    virtual: { get, list: () => reader.list<Node>(nodes).map((node) => describeNode(ledger, node)) },
  }))
}

function describeNode(ledger: Ledger, node: Readonly<Node>): NodeAllocation {
  const { name = '', uid, creationTimestamp } = node.metadata
  const capacity = ledger.capacity(name) ?? {}
  const { claims, used } = ledger.claims(name)
  const offered = splitDeviceAmounts(capacity)
  const given = splitDeviceAmounts(used)
  const devices = describeDevices(node, given.grants)
  return {
    apiVersion: 'centaurus.io/v1',
    kind: 'NodeAllocation',
    metadata: { name, uid, creationTimestamp },
    status: {
      allocatable: formatAmounts(offered.others),
      claimed: formatAmounts(given.others),
      free: formatAmounts(freeOf(offered.others, given.others)),
      ...(devices.length === 0 ? {} : { devices }),
      claims: claims.map((claim) => {
        const { others, grants } = splitDeviceAmounts(claim.terms.requests)
        return {
          uid: claim.uid,
          tenant: claim.terms.tenant,
          partition: claim.terms.partition,
          namespace: claim.terms.namespace,
          name: claim.name,
          requests: formatAmounts(others),
          ...(grants.length === 0 ? {} : { devices: grants }),
        }
      }),
    },
  }
}

/** Each GPU of the node, and what is left of it. */
function describeDevices({ metadata }: Readonly<Node>, given: readonly GpuGrant[]): NodeDevice[] {
  const text = metadata.annotations?.[GPU_DEVICES_ANNOTATION]
  if (text === undefined) return []
  const byUuid = new Map(given.map((grant) => [grant.uuid, grant]))
  try {
    return parseGpuInventory(text).devices.map(({ uuid, model, memoryMiB, healthy }) => {
      const grant = byUuid.get(uuid)
      const isWhole = grant !== undefined && isWholeGpu(grant)
      const freeMemoryMiB = isWhole ? 0 : Math.max(0, memoryMiB - (grant?.memoryMiB ?? 0))
      const freeCompute = isWhole ? 0 : Math.max(0, GPU_COMPUTE_MAX - (grant?.compute ?? 0))
      return { uuid, model, memoryMiB, healthy, freeMemoryMiB, freeCompute, isUsed: grant !== undefined }
    })
  } catch (error) {
    if (error instanceof SyntaxError) return []
    throw error
  }
}

function formatAmounts(amounts: Amounts): Record<string, string> {
  return Object.fromEntries(Object.entries(amounts).map(([name, amount]) => [name, formatAmount(name, amount)]))
}

function formatAmount(name: string, amount: number): string {
  if (name === 'cpu') return formatQuantity(quantityOfMillis(amount))
  const isBytes = name === 'memory' || name === 'ephemeral-storage' || name.startsWith('hugepages-')
  return formatQuantity(quantityOfUnits(amount, isBytes ? 'BinarySI' : 'DecimalSI'))
}

const COLUMNS: readonly TableColumn[] = [
  column('Name', 'The node', { format: 'name' }),
  column('Pods', 'Pods that have room on the node', { type: 'integer' }),
  column('CPU', 'CPU that was given to them'),
  column('CPU%', 'Of what the node offers'),
  column('Memory', 'Memory that was given to them'),
  column('Memory%', 'Of what the node offers'),
  column('Partitions', 'Tenant partitions that have pods on the node'),
  column('Age', 'Of the node', { type: 'date' }),
]

function rowOf(object: KubeObject, nowMs: number): unknown[] {
  const { metadata, status } = object as NodeAllocation
  const partitions = [...new Set(status.claims.map(({ partition }) => partition))].toSorted()
  return [
    metadata.name,
    status.claims.length,
    status.claimed['cpu'] ?? '0',
    percent(status, 'cpu'),
    status.claimed['memory'] ?? '0',
    percent(status, 'memory'),
    partitions.length === 0 ? '<none>' : partitions.join(','),
    formatAge(metadata.creationTimestamp, nowMs),
  ]
}

function percent({ claimed, allocatable }: NodeAllocation['status'], name: string): string {
  const whole = quantityMilliValue(allocatable[name] ?? '0')
  const part = quantityMilliValue(claimed[name] ?? '0')
  return whole === 0 ? '<unknown>' : `${Math.round((100 * part) / whole)}%`
}
