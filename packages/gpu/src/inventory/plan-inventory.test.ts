import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Node } from '@centaurus/api/core/v1'
import { parseGpuInventory } from '@centaurus/api/gpu'
import { parsePools } from '../sources/simulated/parse-pools.ts'
import { simulateGpus } from '../sources/simulated/simulated-probe.ts'
import { inventoryOf } from './inventory-of.ts'
import { planInventory } from './plan-inventory.ts'

const gpusOf = (pool: string) => simulateGpus(parsePools(`pools: [{name: a, ${pool}}]`), 'n')
const EIGHT = gpusOf('preset: dgx-a100')
const NONE = gpusOf('preset: dgx-a100, count: 0')

/** The node as it is after the plan was written. */
function apply(node: Partial<Node>, { metadata, status }: ReturnType<typeof planInventory>): Node {
  const merge = (
    there: Record<string, string> = {},
    patch: Record<string, string | null> = {},
  ): Record<string, string> =>
    Object.fromEntries(
      Object.entries({ ...there, ...patch }).filter((entry): entry is [string, string] => entry[1] !== null),
    )
  return {
    metadata: {
      labels: merge(node.metadata?.labels, metadata?.labels),
      annotations: merge(node.metadata?.annotations, metadata?.annotations),
    },
    status: {
      capacity: merge(node.status?.capacity, status?.capacity),
      allocatable: merge(node.status?.allocatable, status?.allocatable),
    },
  }
}

const BARE: Node = { metadata: { labels: { a: 'b' } }, status: { capacity: { cpu: '4' }, allocatable: { cpu: '4' } } }

describe('planInventory', () => {
  it('says all of a node with GPUs', () => {
    const node = apply(BARE, planInventory({ node: BARE, kind: 'nvidia', gpus: EIGHT }))
    assert.deepEqual(node.metadata.labels, {
      a: 'b',
      'nvidia.com/gpu.product': 'NVIDIA-A100-SXM4-40GB',
      'nvidia.com/gpu.count': '8',
      'nvidia.com/gpu.memory': '40960',
    })
    const annotation = node.metadata.annotations?.['centaurus.io/gpu-devices'] ?? ''
    assert.deepEqual(parseGpuInventory(annotation), inventoryOf(EIGHT))
    const amounts = { cpu: '4', 'centaurus.io/gpu-memory': '327680', 'centaurus.io/gpu-compute': '800' }
    assert.deepEqual(node.status, { capacity: amounts, allocatable: amounts })
  })

  it('writes nothing when all is said', () => {
    const node = apply(BARE, planInventory({ node: BARE, kind: 'simulated', gpus: EIGHT }))
    assert.deepEqual(planInventory({ node, kind: 'simulated', gpus: EIGHT }), {
      metadata: undefined,
      status: undefined,
    })
    const other = { ...node.status?.allocatable, 'centaurus.io/gpu-memory': '320Ki' }
    assert.equal(
      planInventory({
        node: { ...node, status: { ...node.status, allocatable: other } },
        kind: 'simulated',
        gpus: EIGHT,
      }).status,
      undefined,
      'another way to write the same quantity',
    )
  })

  it('says that simulated GPUs are simulated', () => {
    const { metadata } = planInventory({ node: BARE, kind: 'simulated', gpus: EIGHT })
    assert.equal(metadata?.labels['centaurus.io/gpu-simulated'], 'true')
    assert.equal(metadata?.annotations['centaurus.io/gpu-simulated'], 'true')
  })

  it('offers no memory and no time of a GPU that is not healthy', () => {
    const gpus = gpusOf('preset: pcie-t4, unhealthy: [0, 2]')
    const { status } = planInventory({ node: BARE, kind: 'nvidia', gpus })
    assert.equal(status?.allocatable['centaurus.io/gpu-memory'], '30720')
    assert.equal(status?.capacity['centaurus.io/gpu-compute'], '200')
  })

  it('takes back all that it said when the GPUs are gone', () => {
    const node = apply(BARE, planInventory({ node: BARE, kind: 'simulated', gpus: EIGHT }))
    assert.deepEqual(apply(node, planInventory({ node, kind: 'simulated', gpus: NONE })), {
      ...BARE,
      metadata: { ...BARE.metadata, annotations: {} },
    })
    assert.deepEqual(planInventory({ node: BARE, kind: 'nvidia', gpus: NONE }), {
      metadata: undefined,
      status: undefined,
    })
  })

  it('leaves labels to a GPU feature discovery that runs there', () => {
    const labels = { 'nvidia.com/gfd.timestamp': '1', 'nvidia.com/gpu.product': 'NVIDIA-A100-SXM4-40GB-SHARED' }
    const node = { ...BARE, metadata: { labels } }
    assert.deepEqual(planInventory({ node, kind: 'nvidia', gpus: EIGHT }).metadata?.labels, {})
  })

  it('makes a label of any model', () => {
    const model = `(${'Very '.repeat(20)}Long) GPU`
    const { metadata } = planInventory({ node: BARE, kind: 'nvidia', gpus: gpusOf(`model: "${model}"`) })
    const product = metadata?.labels['nvidia.com/gpu.product'] ?? ''
    assert.match(product, /^[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?$/)
  })
})
