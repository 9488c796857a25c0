import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { ANY_GPU, type GpuRequest } from '@centaurus/api/gpu'
import { fragmentation, freeGpus } from './fragmentation.ts'
import { GpuDemand } from './gpu-demand.ts'
import { DeviceKinds, NodeGpus } from './node-gpus.ts'
import { chooseNear } from './topology.ts'
import { MixOfPods, TypicalPods } from './typical-pods.ts'

const MEMORY_MIB = 1_000
const GIB = 2 ** 30
const demandOf = (request: GpuRequest): GpuDemand =>
  new GpuDemand([{ container: 'main', role: 'main', request }], ANY_GPU)

function nodeOf(free: readonly number[]): NodeGpus {
  const devices = free.map((_, index) => ({
    uuid: `d${index}`,
    index,
    model: 'A',
    memoryMiB: MEMORY_MIB,
    healthy: true,
  }))
  const node = new NodeGpus({ devices }, new DeviceKinds())
  for (const [i, percent] of free.entries())
    if (percent < 100) node.use({ uuid: `d${i}`, memoryMiB: (100 - percent) * 10, compute: 100 - percent }, 1)
  return node
}

/** Kinds of pods, as likely as each other: cpu in milli-cores, and what they ask for. */
function mixOf(...pods: (readonly [cpu: number, request: GpuRequest])[]): MixOfPods {
  const weight = 1 / pods.length
  return new MixOfPods(
    1,
    pods.map(([cpuMillicores, request]) => ({ cpuMillicores, memoryBytes: GIB, demand: demandOf(request), weight })),
  )
}

function wasted(free: readonly number[], cpuMillicores: number, mix: MixOfPods): number {
  const node = nodeOf(free)
  const devices = { memory: node.freeMemory, compute: node.freeCompute }
  return fragmentation(node, { devices, cpuMillicores, memoryBytes: 1_000 * GIB }, mix)
}

const near = (a: number, b: number): void => assert.ok(Math.abs(a - b) < 1e-9, `${a} is not ${b}`)

describe('what free GPUs are of no use', () => {
  const whole = mixOf([1_000, { count: 1 }])
  const half = { count: 1, memoryPercent: 50, compute: 50 }

  it('is all that is left of devices on which no pod that comes fits', () => {
    assert.equal(wasted([100, 100], 8_000, whole), 0)
    near(wasted([100, 40], 8_000, whole), 0.4)
    near(wasted([100, 40], 500, whole), 1.4) // no processors for any
    assert.equal(wasted([100, 100, 100], 8_000, mixOf([1_000, { count: 4 }])), 3, 'too few for one')
    assert.equal(wasted([], 8_000, whole), 0)
  })

  it('is what there are no processors for', () => {
    assert.equal(wasted([100, 100, 100, 100], 2_000, whole), 2)
  })

  it('is of what a pod leaves as much as is of no use to others', () => {
    near(wasted([70], 8_000, mixOf([1_000, half])), 0.2)
    near(wasted([70], 8_000, mixOf([1_000, half], [1_000, { count: 1, memoryPercent: 20, compute: 20 }])), 0.05)
  })

  it('is no more than what is free, and none where all is used', () => {
    const percents = fc.integer({ min: 0, max: 10 }).map((tenth) => tenth * 10)
    const pods = fc.tuple(fc.nat(20_000), fc.integer({ min: 1, max: 100 }))
    fc.assert(
      fc.property(
        fc.array(percents, { maxLength: 8 }),
        fc.array(pods, { minLength: 1, maxLength: 5 }),
        (free, kinds) => {
          const mix = mixOf(
            ...kinds.map(([cpu, percent]) => [cpu, { count: 1, memoryPercent: percent, compute: percent }] as const),
          )
          const value = wasted(free, 10_000, mix)
          const node = nodeOf(free)
          const all = freeGpus(node, { memory: node.freeMemory, compute: node.freeCompute })
          assert.ok(value >= 0 && value <= all + 1e-9)
        },
      ),
    )
  })
})

describe('the pods that come', () => {
  const requests = [4_000, GIB, 0, 1]
  const half = demandOf({ count: 1, memoryPercent: 50, compute: 50 })
  const whole = demandOf({ count: 1 })

  it('are learnt from those that came', () => {
    const typical = new TypicalPods()
    assert.equal(typical.mix.size, 0)
    for (let i = 0; i < 30; i++) typical.observe(i % 3 === 0 ? whole : half, requests)
    const { mix } = typical
    assert.deepEqual(
      [...mix.weights].map((weight) => weight.toFixed(2)),
      ['0.67', '0.33'],
    )
    assert.equal(mix, typical.mix, 'it stays as it is until much more was seen')
    assert.equal(mix.cpuMillicores[0], 4_000)
    const { chances } = mix.needsOf({ model: 'A', memoryMiB: MEMORY_MIB })
    assert.deepEqual([chances[49], chances[50]?.toFixed(2), chances[100]], [0, '0.67', 1])
  })

  it('change with those that come', () => {
    const typical = new TypicalPods()
    for (let i = 0; i < 1_000; i++) typical.observe(half, requests)
    for (let i = 0; i < 60_000; i++) typical.observe(whole, requests)
    assert.deepEqual([...typical.mix.weights], [1], 'what does not come any more is forgotten')
  })

  it('are kept within bounds, the frequent ones', () => {
    const typical = new TypicalPods()
    for (let i = 0; i < 5_000; i++) {
      typical.observe(half, requests)
      typical.observe(half, [i, GIB, 0, 1])
    }
    assert.ok(typical.mix.size <= 64)
    assert.equal(typical.mix.cpuMillicores[0], 4_000)
  })
})

describe('devices that are near each other', () => {
  it('are found in two islands, whichever devices are free', () => {
    const links = Array.from({ length: 8 }, (_, i) =>
      Array.from({ length: 8 }, (__, j) => (i >> 2 === j >> 2 ? 50 : 10)),
    )
    const devices = links.map((_, index) => ({ uuid: `d${index}`, index, model: 'A', memoryMiB: 1, healthy: true }))
    const node = new NodeGpus({ devices, links }, new DeviceKinds())
    const free = fc.uniqueArray(fc.nat(7), { minLength: 2, maxLength: 8 }).map((list) => list.toSorted((a, b) => a - b))
    fc.assert(
      fc.property(free, fc.integer({ min: 1, max: 4 }), (candidates, wanted) => {
        const count = Math.min(wanted, candidates.length)
        const chosen = chooseNear(node, candidates, { count })
        assert.equal(new Set(chosen).size, count)
        assert.ok(chosen.every((i) => candidates.includes(i)))
        const islands = [0, 1].map((island) => candidates.filter((i) => i >> 2 === island).length)
        if (Math.max(...islands) < count) return
        assert.equal(new Set(chosen.map((i) => i >> 2)).size, 1)
        const smallest = Math.min(...islands.filter((size) => size >= count))
        if (count < 4) assert.equal(islands[chosen[0]! >> 2], smallest, 'the island that it breaks least')
      }),
    )
  })
})
