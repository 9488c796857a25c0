import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import * as fc from 'fast-check'

import type { Device } from './device-inventory.ts'
import { finishPick, planPick, type PickInput } from './pick-devices.ts'

const device = (id: string, ...numaNodes: number[]): Device => ({ id, healthy: true, numaNodes })
const byId = (devices: readonly Device[]): ReadonlyMap<string, Device> => new Map(devices.map((one) => [one.id, one]))

function pick(
  input: Partial<PickInput> & Pick<PickInput, 'required' | 'healthy'>,
  preferred?: readonly string[],
): unknown {
  const plan = planPick({ inUse: new Set(), reusable: [], ...input })
  return plan.type === 'short' ? plan : finishPick(plan, preferred)
}

const inputs: fc.Arbitrary<PickInput> = fc
  .record({
    required: fc.integer({ min: 1, max: 6 }),
    devices: fc.uniqueArray(
      fc.record({
        id: fc.stringMatching(/^[a-z]{1,2}$/),
        numaNodes: fc.uniqueArray(fc.nat(2), { maxLength: 2 }),
        state: fc.constantFrom('free', 'free', 'used', 'reusable'),
      }),
      { maxLength: 9, selector: ({ id }) => id },
    ),
    affinity: fc.option(fc.uniqueArray(fc.nat(2)), { nil: undefined }),
  })
  .map(({ required, devices, affinity }) => ({
    required,
    healthy: byId(devices.map(({ id, numaNodes }) => device(id, ...numaNodes))),
    inUse: new Set(devices.filter(({ state }) => state !== 'free').map(({ id }) => id)),
    reusable: devices.filter(({ state }) => state === 'reusable').map(({ id }) => id),
    affinity: affinity && new Set(affinity),
  }))

describe('picking devices', () => {
  it('takes as many as are asked for, none that others have, those of init containers first', () => {
    fc.assert(
      fc.property(inputs, fc.array(fc.stringMatching(/^[a-z]{1,2}$/)), (input, preferred) => {
        const { required, healthy, inUse, reusable } = input
        const free = [...healthy.keys()].filter((id) => !inUse.has(id))
        const plan = planPick(input)
        if (plan.type === 'short') {
          assert.ok(free.length + reusable.length < required)
          return
        }
        const ids = finishPick(plan, preferred)
        assert.equal(new Set(ids).size, required)
        assert.ok(ids.every((id) => free.includes(id) || reusable.includes(id)))
        assert.equal(ids.filter((id) => reusable.includes(id)).length, Math.min(required, reusable.length))
      }),
    )
  })

  it('takes devices that are near while there are any, and what the plugin prefers among equals', () => {
    fc.assert(
      fc.property(inputs, (input) => {
        const { required, healthy, inUse, reusable, affinity } = input
        const plan = planPick(input)
        if (plan.type === 'short') return
        const isNear = (id: string): boolean => healthy.get(id)!.numaNodes.some((node) => affinity?.has(node))
        const free = [...healthy.keys()].filter((id) => !inUse.has(id))
        const needed = required - Math.min(required, reusable.length)
        for (const preferred of [[], free, free.toReversed()] as string[][]) {
          const fresh: string[] = finishPick(plan, preferred).filter((id) => !reusable.includes(id))
          assert.equal(fresh.filter(isNear).length, Math.min(needed, free.filter(isNear).length))
        }
      }),
    )
  })

  it('lets the plugin choose, and fills up what it leaves open', () => {
    const healthy = byId([device('a'), device('b'), device('c'), device('d')])
    assert.deepEqual(pick({ required: 2, healthy }), ['a', 'b'])
    assert.deepEqual(pick({ required: 2, healthy }, ['d', 'b', 'c']), ['d', 'b'])
    assert.deepEqual(pick({ required: 3, healthy }, ['d', 'unknown']), ['d', 'a', 'b'])
    assert.deepEqual(pick({ required: 2, healthy, inUse: new Set(['a', 'd']) }, ['d']), ['b', 'c'])
  })

  it('takes devices without a place last', () => {
    const healthy = byId([device('a'), device('b', 1), device('c', 0)])
    assert.deepEqual(pick({ required: 2, healthy, affinity: new Set([0]) }), ['c', 'b'])
    assert.deepEqual(pick({ required: 3, healthy, affinity: new Set([0]) }, ['a', 'b']), ['c', 'a', 'b'])
  })

  it('says what is missing', () => {
    const healthy = byId([device('a'), device('b')])
    assert.deepEqual(pick({ required: 3, healthy, inUse: new Set(['a']), reusable: ['a'] }), {
      type: 'short',
      requested: 2,
      available: 1,
    })
  })
})
