import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import * as fc from 'fast-check'

import type { Device } from './device-inventory.ts'
import { chooseNumaNodes, type NumaDemand } from './numa-affinity.ts'

const at = (...nodes: number[][]): Device[] =>
  nodes.map((numaNodes, i) => ({ id: `${numaNodes.join('+')}#${i}`, healthy: true, numaNodes }))
const choose = (...demands: Partial<NumaDemand>[]): number[] | undefined => {
  const set = chooseNumaNodes(demands.map((demand) => ({ required: 1, available: [], reusable: [], ...demand })))
  return set && [...set]
}

const demands = fc.array(
  fc.record({
    required: fc.integer({ min: 1, max: 3 }),
    available: fc.array(fc.uniqueArray(fc.nat(3), { maxLength: 2 }), { maxLength: 6 }).map((nodes) => at(...nodes)),
    reusable: fc.array(fc.uniqueArray(fc.nat(3), { maxLength: 2 }), { maxLength: 1 }).map((nodes) => at(...nodes)),
  }),
  { maxLength: 3 },
)

describe('NUMA nodes of a container', () => {
  it('are the fewest that have what is asked for', () => {
    const available = at([0], [1], [1], [2], [2], [2])
    assert.deepEqual(choose({ required: 1, available }), [0])
    assert.deepEqual(choose({ required: 2, available }), [1])
    assert.deepEqual(choose({ required: 3, available }), [2])
    assert.deepEqual(choose({ required: 4, available }), [0, 2])
    assert.equal(choose({ required: 7, available }), undefined)
  })

  it('are the same for all resources', () => {
    assert.deepEqual(choose({ available: at([0], [1], [1]) }, { available: at([1]) }), [1])
    assert.deepEqual(choose({ available: at([0]) }, { available: at([1]) }), [0, 1])
    assert.deepEqual(choose({ available: at([0], [1]) }, { available: at([], []) }), [0])
  })

  it('have the devices that the container gets in any case', () => {
    assert.deepEqual(choose({ required: 2, available: at([0], [0], [1]), reusable: at([1]) }), [1])
  })

  it('are unknown where no device says where it is, and on machines with too many', () => {
    assert.equal(choose({ available: at([], []) }), undefined)
    assert.equal(choose(), undefined)
    assert.equal(choose({ available: at(...Array.from({ length: 9 }, (_, i) => [i])) }), undefined)
  })

  it('do for every resource, and no fewer would', () => {
    fc.assert(
      fc.property(demands, (list) => {
        const suits = (set: ReadonlySet<number>): boolean => {
          const isNear = ({ numaNodes }: Device): boolean => numaNodes.some((node) => set.has(node))
          return list
            .filter(({ available, reusable }) => [...available, ...reusable].some((one) => one.numaNodes.length > 0))
            .every(
              ({ required, available, reusable }) =>
                available.filter(isNear).length + reusable.length >= required &&
                reusable.every((one) => one.numaNodes.length === 0 || isNear(one)),
            )
        }
        const all = [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15].map(
          (mask) => new Set([0, 1, 2, 3].filter((i) => (mask & (1 << i)) !== 0)),
        )
        const isPlaced = list.some(({ available, reusable }) =>
          [...available, ...reusable].some((one) => one.numaNodes.length > 0),
        )
        const chosen = chooseNumaNodes(list)
        if (chosen === undefined) assert.ok(!isPlaced || !all.some(suits))
        else {
          assert.ok(suits(chosen))
          assert.ok(!all.some((set) => set.size < chosen.size && suits(set)))
        }
      }),
    )
  })
})
