import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { deviceAmounts, GPU, GPU_COMPUTE, GPU_MEMORY, type GpuAllocation, type GpuGrant } from '@centaurus/api/gpu'
import type { Stored } from '@centaurus/api'
import type { Node, Pod } from '@centaurus/api/core/v1'
import { gpuContainer, gpuNode, gpuPod } from '../../testing/gpu-objects.ts'
import { node, pod } from '../../testing/objects.ts'
import { ClusterState } from '../cluster-state.ts'
import { decideGang } from '../decide-gang.ts'
import { decide, decideBatch, formatFitFailure } from '../decide.ts'
import { compilePod, type PodRequirements } from '../pod-requirements.ts'
import { planPreemption } from '../preempt.ts'
import { gpuUseOfPod } from './gpu-table.ts'

function cluster(...nodes: Stored<Node>[]): ClusterState {
  const state = new ClusterState()
  for (const each of nodes) state.putNode(each)
  return state
}

function compile(state: ClusterState, item: Stored<Pod>): PodRequirements {
  return compilePod(item, { index: state.resources, namespaceLabels: () => undefined })
}

/** Places a pod; the node and what its containers got, or the message. */
function place(state: ClusterState, item: Stored<Pod>): { node: string; gpus: GpuAllocation | undefined } | string {
  const requirements = compile(state, item)
  state.observe(requirements.footprint)
  const decision = decide(state, requirements, { startSlot: 0, tieBreak: () => 0.99 })
  if (decision.type === 'refuse') return formatFitFailure(decision.failure)
  const plan = state.place(item.metadata.uid, requirements.footprint, decision.nodeName)
  return { node: decision.nodeName, gpus: plan?.allocation }
}

/** Devices of each container. */
function devices(placed: ReturnType<typeof place>): Record<string, string[]> | string {
  if (typeof placed === 'string') return placed
  const entries = Object.entries(placed.gpus ?? {})
  return Object.fromEntries(entries.map(([name, grants]) => [name, grants.map(({ uuid }) => uuid)]))
}

const unsaid = '1 node(s) did not say which GPUs they have, which sharing and choosing them needs'
const half = { [GPU_MEMORY]: '8000', [GPU_COMPUTE]: '50' }
const message = (why: string, nodes = 1): string => `0/${nodes} nodes are available: ${why}.`

describe('devices of a pod', () => {
  it('are whole, or parts of memory and compute on one device', () => {
    const state = cluster(gpuNode('n', { gpus: 2 }))
    assert.deepEqual(place(state, gpuPod('a', half)), {
      node: 'n',
      gpus: { main: [{ uuid: 'n-0', memoryMiB: 8_000, compute: 50 }] },
    })
    assert.deepEqual(place(state, gpuPod('b', { [GPU]: '1' })), { node: 'n', gpus: { main: [{ uuid: 'n-1' }] } })
    assert.deepEqual(devices(place(state, gpuPod('c', half))), { main: ['n-0'] })
    assert.equal(place(state, gpuPod('d', half)), message('1 Insufficient GPU memory on any one device'))
    assert.equal(place(state, gpuPod('e', { [GPU]: '1' })), message('1 Insufficient free GPUs'))
    state.removePod('pod-b')
    assert.deepEqual(devices(place(state, gpuPod('e', { [GPU]: '1' }))), { main: ['n-1'] })
  })

  it('are not given twice where memory fits and compute does not, or the other way round', () => {
    const state = cluster(gpuNode('n', { gpus: 1 }))
    place(state, gpuPod('a', { [GPU_MEMORY]: '1000', [GPU_COMPUTE]: '80' }))
    assert.equal(
      place(state, gpuPod('b', { [GPU_MEMORY]: '1000', [GPU_COMPUTE]: '30' })),
      message('1 Insufficient GPU compute on any one device'),
    )
    assert.deepEqual(
      devices(place(state, gpuPod('c', { [GPU_MEMORY]: '15000' }))),
      { main: ['n-0'] },
      'it reserves none',
    )
  })

  it('are different ones for each of several, and apart for each container', () => {
    const state = cluster(gpuNode('n', { gpus: 4 }))
    const two = gpuPod('a', [
      gpuContainer('x', { [GPU]: '2', ...half }),
      gpuContainer('y', { [GPU]: '1' }),
      gpuContainer('z', half),
    ])
    assert.deepEqual(devices(place(state, two)), { x: ['n-1', 'n-2'], y: ['n-0'], z: ['n-1'] })
    assert.deepEqual(devices(place(state, gpuPod('b', { [GPU]: '2', ...half }))), { main: ['n-2', 'n-3'] })
    assert.equal(place(state, gpuPod('c', { [GPU]: '5', ...half })), message('1 node(s) had too few GPUs'))
  })

  it('of init containers are those of the others, as far as these suffice', () => {
    const state = cluster(gpuNode('n', { gpus: 2 }))
    const init = gpuContainer('init', { [GPU_MEMORY]: '12000' })
    const item = gpuPod('a', [gpuContainer('main', half)], { initContainers: [init] })
    assert.deepEqual(devices(place(state, item)), { main: ['n-0'], init: ['n-0'] })
    assert.deepEqual(state.gpuUse('pod-a')?.grants, [{ uuid: 'n-0', memoryMiB: 12_000, compute: 50 }])
    const whole = gpuPod('b', [gpuContainer('main', { [GPU]: '1' })], {
      initContainers: [gpuContainer('init', { [GPU]: '1' })],
    })
    assert.deepEqual(devices(place(state, whole)), { main: ['n-1'], init: ['n-1'] })
  })

  it('are spread over the node when the pod says so', () => {
    const state = cluster(gpuNode('n', { gpus: 2 }))
    const quarter = { [GPU_MEMORY]: '4000' }
    const annotations = { 'centaurus.io/gpu-policy': 'spread' }
    const got = ['a', 'b', 'c'].map((name) => devices(place(state, gpuPod(name, quarter, { annotations }))))
    assert.deepEqual(got, [{ main: ['n-0'] }, { main: ['n-1'] }, { main: ['n-0'] }])
  })

  it('are near each other, and leave near ones to others', () => {
    const near = (i: number, j: number): number => (Math.floor(i / 2) === Math.floor(j / 2) ? 52 : 10)
    const links = [0, 1, 2, 3].map((i) => [0, 1, 2, 3].map((j) => near(i, j)))
    const state = cluster(gpuNode('n', { gpus: 4, links }))
    assert.deepEqual(devices(place(state, gpuPod('a', { [GPU]: '1' }))), { main: ['n-0'] })
    assert.deepEqual(devices(place(state, gpuPod('b', { [GPU]: '2' }))), { main: ['n-2', 'n-3'] })
    assert.deepEqual(devices(place(state, gpuPod('c', { [GPU]: '1' }))), { main: ['n-1'] })
  })

  it('are on a node with better links when that is what the pod asks for', () => {
    const full = [0, 1].map(() => [60, 60])
    const state = cluster(gpuNode('slow', { gpus: 2 }), gpuNode('fast', { gpus: 2, links: full }))
    const annotations = { 'centaurus.io/gpu-policy': 'topology' }
    assert.equal((place(state, gpuPod('a', { [GPU]: '2' }, { annotations })) as { node: string }).node, 'fast')
  })
})

describe('why a node has no devices for a pod', () => {
  it('is said in words', () => {
    const ask = (input: Parameters<typeof gpuNode>[1], annotations: Record<string, string>, limits = half) =>
      place(cluster(gpuNode('n', input)), gpuPod('a', limits, { annotations }))
    assert.equal(
      ask({ gpus: 2 }, { 'centaurus.io/gpu-models': 'H100' }),
      message('1 node(s) had no GPU of a model that the pod allows'),
    )
    assert.equal(
      ask({ gpus: 2 }, { 'centaurus.io/gpu-uuids': 'GPU-x' }),
      message('1 node(s) had no GPU with a UUID that the pod allows'),
    )
    assert.equal(ask({ gpus: 2, memoryMiB: 4_000 }, {}), message('1 node(s) had GPUs with too little memory'))
    assert.equal(ask({ gpus: 1, devices: [{ healthy: false }] }, {}), message('1 node(s) had unhealthy GPUs'))
    const picky = ask({ gpus: 2, devices: [{ model: 'Tesla T4' }] }, { 'centaurus.io/gpu-models-excluded': 'A100' })
    assert.deepEqual(devices(picky), { main: ['n-0'] })
    assert.equal(place(cluster(node('plain')), gpuPod('a', half)), message(unsaid))
    const annotations = { 'centaurus.io/gpu-models': 'A100' }
    const stock = node('stock', { allocatable: { [GPU]: '2' } })
    assert.equal(place(cluster(stock), gpuPod('a', { [GPU]: '1' }, { annotations })), message(unsaid))
    const broken = gpuNode('n', { gpus: 1 })
    broken.metadata.annotations = { 'centaurus.io/gpu-devices': '{' }
    assert.equal(
      place(cluster(broken), gpuPod('a', half)),
      message('1 node(s) had an inventory of GPUs that cannot be read'),
    )
    const wrong = place(cluster(gpuNode('n', { gpus: 1 })), gpuPod('a', { [GPU]: '0', ...half }))
    assert.match(wrong as string, /1 pod asked for GPUs in a way that means nothing: spec\.containers\[0\]/)
  })

  it('may be that pods use some of which nobody knows which they are', () => {
    const state = cluster(gpuNode('n', { gpus: 2 }))
    const stranger = gpuPod('a', { [GPU]: '1' })
    const { footprint } = compile(state, stranger)
    state.putPod('pod-a', footprint, 'n', gpuUseOfPod(stranger, footprint))
    assert.equal(place(state, gpuPod('b', half)), message('1 node(s) had GPUs used by pods that do not say which ones'))
    state.removePod('pod-a')
    assert.deepEqual(devices(place(state, gpuPod('b', half))), { main: ['n-0'] })
  })
})

describe('devices that pods of other partitions use', () => {
  const use = (...grants: GpuGrant[]) => ({ requests: { cpu: 1_000, pods: 1, ...deviceAmounts(grants) } })

  it('are not given, as long as they use them', () => {
    const state = cluster(gpuNode('n', { gpus: 2 }))
    state.setForeignUse('n', use({ uuid: 'n-0' }, { uuid: 'n-1', memoryMiB: 10_000 }))
    assert.equal(place(state, gpuPod('a', half)), message('1 Insufficient GPU memory on any one device'))
    assert.deepEqual(devices(place(state, gpuPod('b', { [GPU_MEMORY]: '6000' }))), { main: ['n-1'] })
    state.setForeignUse('n', use({ uuid: 'n-0', memoryMiB: 1 }))
    assert.deepEqual(devices(place(state, gpuPod('a', half))), { main: ['n-1'] })
    state.setForeignUse('n', { requests: {} })
    assert.deepEqual([...state.nodes.gpus.at(0)!.freeMemory], [16_000, 2_000])
  })

  it('block what nobody is known to use when it is not said which they are', () => {
    const state = cluster(gpuNode('n', { gpus: 2 }))
    state.setForeignUse('n', { requests: { pods: 1, [GPU]: 1 } })
    assert.equal(place(state, gpuPod('a', half)), message('1 node(s) had GPUs used by pods that do not say which ones'))
  })

  it('may be taken for a more important pod', () => {
    const state = new ClusterState({ maxPriorityOf: () => 100 })
    state.putNode(gpuNode('n', { gpus: 2 }))
    state.setForeignUse('n', use({ uuid: 'n-0' }, { uuid: 'n-1' }))
    const vip = compile(state, gpuPod('vip', { [GPU]: '1' }, { priority: 7 }))
    const plan = planPreemption(state, vip, { slots: [0], isProtected: () => false })
    assert.equal(plan?.foreignVictims, 1)
    assert.deepEqual(plan?.gpus?.allocation, { main: [{ uuid: 'n-0' }] })
    assert.equal(place(state, gpuPod('x', { [GPU]: '1' })), message('1 Insufficient free GPUs'))
  })
})

describe('nodes without an inventory', () => {
  it('serve whole GPUs, which are counted', () => {
    const state = cluster(node('n', { allocatable: { [GPU]: '2' } }))
    assert.deepEqual(place(state, gpuPod('a', { [GPU]: '2' })), { node: 'n', gpus: undefined })
    assert.equal(place(state, gpuPod('b', { [GPU]: '1' })), message('1 Insufficient nvidia.com/gpu'))
  })

  it('get one when their plugin starts, in which pods that were there already are counted', () => {
    const state = cluster(node('n', { allocatable: { [GPU]: '2' } }))
    const bound = gpuPod('a', half, {
      annotations: { 'centaurus.io/gpu-allocation': '{"main":[{"uuid":"n-1","memoryMiB":8000,"compute":50}]}' },
    })
    const { footprint } = compile(state, bound)
    state.putPod('pod-a', footprint, 'n', gpuUseOfPod(bound, footprint))
    state.putNode(gpuNode('n', { gpus: 2 }))
    assert.deepEqual(
      devices(place(state, gpuPod('b', half))),
      { main: ['n-1'] },
      'the one that is in use is filled first',
    )
    assert.deepEqual(devices(place(state, gpuPod('c', { [GPU]: '1' }))), { main: ['n-0'] })
    state.putNode(gpuNode('n', { gpus: 3 }))
    assert.deepEqual(devices(place(state, gpuPod('d', { [GPU]: '1' }))), { main: ['n-2'] })
  })
})

describe('the node of a pod', () => {
  it('is the fullest of those that are alike, and never by chance', () => {
    const state = cluster(...['a', 'b', 'c'].map((name) => gpuNode(name, { gpus: 4 })))
    const names = Array.from(
      { length: 8 },
      (_, i) => (place(state, gpuPod(`p${i}`, { [GPU]: '1' })) as { node: string }).node,
    )
    assert.deepEqual(names, [...'aaaabbbb'])
  })

  it('is one without GPUs for a pod that asks for none, as long as there is room', () => {
    const state = cluster(gpuNode('gpu', { gpus: 4 }), node('plain', { allocatable: { cpu: '2' } }))
    const names = ['a', 'b', 'c'].map((name) => (place(state, pod(name, { cpu: '1' })) as { node: string }).node)
    assert.deepEqual(names, ['plain', 'plain', 'gpu'])
  })

  it('leaves processors where GPUs need them', () => {
    const state = cluster(gpuNode('tight', { gpus: 8 }), gpuNode('roomy', { gpus: 2 }))
    for (let i = 0; i < 10; i++)
      state.observe(compile(state, gpuPod(`seen${i}`, { [GPU]: '1' }, { cpu: '11' })).footprint)
    assert.equal((place(state, pod('cpu', { cpu: '30' })) as { node: string }).node, 'roomy')
  })
})

describe('preemption for GPUs', () => {
  const prepare = () => {
    const state = cluster(gpuNode('a', { gpus: 2 }), gpuNode('b', { gpus: 2 }))
    place(state, gpuPod('low', { [GPU]: '1' }, { priority: 1 }))
    place(state, gpuPod('mid', { ...half }, { priority: 5 }))
    place(state, gpuPod('high', { [GPU]: '2' }, { priority: 9 }))
    return state
  }

  it('removes those whose devices help, and says which will be free', () => {
    const state = prepare()
    const before = ['pod-low', 'pod-mid'].map((uid) => state.gpuUse(uid))
    const vip = compile(state, gpuPod('vip', { [GPU]: '1' }, { priority: 7 }))
    const plan = planPreemption(state, vip, { slots: [0, 1], isProtected: () => false })
    assert.deepEqual(
      plan?.victims.map(({ uid }) => uid),
      ['pod-low'],
    )
    assert.deepEqual(plan?.gpus?.allocation, { main: [{ uuid: 'a-0' }] })
    assert.deepEqual(
      ['pod-low', 'pod-mid'].map((uid) => state.gpuUse(uid)),
      before,
      'the state is as it was',
    )
    assert.equal(
      place(state, gpuPod('x', { [GPU]: '1' })),
      message('1 Insufficient free GPUs, 1 Insufficient nvidia.com/gpu', 2),
    )
  })

  it('does not remove pods whose devices do not help', () => {
    const state = cluster(gpuNode('a', { gpus: 2, devices: [{ model: 'Tesla T4' }] }))
    place(state, gpuPod('t4', { [GPU]: '1' }, { priority: 1, annotations: { 'centaurus.io/gpu-models': 'T4' } }))
    place(state, gpuPod('a100', { [GPU]: '1' }, { priority: 5 }))
    const annotations = { 'centaurus.io/gpu-models': 'A100' }
    const vip = compile(state, gpuPod('vip', { [GPU]: '1' }, { priority: 7, annotations }))
    const plan = planPreemption(state, vip, { slots: [0], isProtected: () => false })
    assert.deepEqual(
      plan?.victims.map(({ uid }) => uid),
      ['pod-a100'],
    )
  })
})

describe('a gang that asks for GPUs', () => {
  const decideFor = (state: ClusterState, count: number, priority = 0) => {
    const members = Array.from({ length: count }, (_, i) => ({
      uid: `g${i}`,
      requirements: compile(state, gpuPod(`g${i}`, half, { priority })),
    }))
    return decideGang(state, members, {
      minCount: count,
      scheduled: 0,
      startSlot: 0,
      tieBreak: () => 0,
      isProtected: () => false,
      preempts: true,
    })
  }

  it('gets devices for all of it, or none', () => {
    const state = cluster(gpuNode('a', { gpus: 1 }), gpuNode('b', { gpus: 1 }))
    const four = decideFor(state, 4)
    assert.ok(four.type === 'place')
    const shares = [...four.gpus.values()].map(({ allocation }) => allocation['main']?.[0]?.uuid)
    assert.deepEqual(shares.toSorted(), ['a-0', 'a-0', 'b-0', 'b-0'])
    for (const uid of four.placed.keys()) state.removePod(uid)
    assert.equal(decideFor(state, 5).type, 'refuse')
    assert.deepEqual(devices(place(state, gpuPod('x', { [GPU]: '1' }))), { main: ['a-0'] }, 'nothing of it is left')
  })

  it('takes devices from others, which keep theirs until then', () => {
    const state = cluster(gpuNode('a', { gpus: 1 }))
    place(state, gpuPod('low', { [GPU]: '1' }))
    const decision = decideFor(state, 2, 5)
    assert.ok(decision.type === 'preempt')
    assert.deepEqual(state.gpuUse('pod-low')?.grants, [{ uuid: 'a-0' }])
  })
})

describe('devices of random pods', () => {
  const limits = fc.oneof(
    fc.record({ [GPU]: fc.integer({ min: 1, max: 3 }).map(String) }),
    fc.record(
      {
        [GPU]: fc.integer({ min: 1, max: 2 }).map(String),
        [GPU_MEMORY]: fc.integer({ min: 1, max: 16_000 }).map(String),
        [GPU_COMPUTE]: fc.integer({ min: 1, max: 100 }).map(String),
      },
      { requiredKeys: [GPU_MEMORY] },
    ),
    fc.record({ [GPU_COMPUTE]: fc.integer({ min: 1, max: 100 }).map(String) }),
  )
  const policies = fc.constantFrom('binpack', 'spread', 'topology')
  const podOf = (i: number, parts: readonly Record<string, string>[], policy: string): Stored<Pod> =>
    gpuPod(
      `p${i}`,
      parts.slice(1).map((each, at) => gpuContainer(`c${at}`, each)),
      { annotations: { 'centaurus.io/gpu-policy': policy }, initContainers: [gpuContainer('init', parts[0]!)] },
    )
  const pods = fc.array(fc.tuple(fc.array(limits, { minLength: 2, maxLength: 3 }), policies), { maxLength: 30 })

  it('are never given twice, and are free when the pods are gone', () => {
    fc.assert(
      fc.property(pods, fc.array(fc.nat(29)), (items, gone) => {
        const state = cluster(gpuNode('a', { gpus: 4 }), gpuNode('b', { gpus: 2, memoryMiB: 8_001 }))
        for (const [i, [parts, policy]] of items.entries()) {
          place(state, podOf(i, parts as Record<string, string>[], policy))
          if (i % 3 === 2) for (const each of gone.slice(i, i + 3)) state.removePod(`pod-p${each}`)
          for (let slot = 0; slot < 2; slot++) {
            const { freeMemory, freeCompute } = state.nodes.gpus.at(slot)!
            assert.ok([...freeMemory, ...freeCompute].every((left) => left >= 0))
          }
        }
        for (const i of items.keys()) state.removePod(`pod-p${i}`)
        for (let slot = 0; slot < 2; slot++) {
          const node0 = state.nodes.gpus.at(slot)!
          for (let i = 0; i < node0.count; i++) assert.ok(node0.isUntouched(i))
        }
      }),
      { numRuns: 200 },
    )
  })

  it('are those that one after the other would get, many at once', () => {
    const alike = Array.from({ length: 9 }, (_, i) => gpuPod(`p${i}`, half))
    const one = cluster(gpuNode('a', { gpus: 2 }), gpuNode('b', { gpus: 2 }))
    const each = alike.map((item) => place(one, item))
    const many = cluster(gpuNode('a', { gpus: 2 }), gpuNode('b', { gpus: 2 }))
    const uids = alike.map(({ metadata }) => metadata.uid)
    const batch = decideBatch(many, compile(many, alike[0]!), { uids, startSlot: 0, tieBreak: () => 0 })
    assert.equal(batch.nodeNames.length, 8)
    assert.equal(typeof each[8], 'string')
    assert.ok(batch.failure !== undefined)
    for (const [i, plan] of batch.gpus.entries())
      assert.deepEqual({ node: batch.nodeNames[i], gpus: plan?.allocation }, each[i])
  })
})
