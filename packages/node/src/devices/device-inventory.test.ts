import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { DeviceInventory, PLUGIN_GRACE_MS, type Device } from './device-inventory.ts'

const THING = 'example.com/thing'
const device = (id: string, healthy = true): Device => ({ id, healthy, numaNodes: [] })

function counts(
  inventory: DeviceInventory,
  nowMs = 0,
): [capacity: number | undefined, allocatable: number | undefined] {
  const { capacity, allocatable } = inventory.count(nowMs)
  return [capacity.get(THING), allocatable.get(THING)]
}

describe('inventory of devices', () => {
  it('counts what plugins tell of, and what of it is healthy', () => {
    const inventory = new DeviceInventory()
    assert.deepEqual(counts(inventory), [undefined, undefined])
    inventory.connect(THING)
    assert.deepEqual(counts(inventory), [0, 0])
    assert.deepEqual(inventory.report(THING, [device('a'), device('b')]), ['a', 'b'])
    assert.deepEqual(counts(inventory), [2, 2])
    assert.deepEqual(inventory.report(THING, [device('a'), device('b', false)]), ['b'])
    assert.deepEqual(counts(inventory), [2, 1])
    assert.deepEqual(inventory.report(THING, [device('b', false)]), ['a'])
    assert.deepEqual(counts(inventory), [1, 0])
    assert.deepEqual(inventory.report(THING, [device('b', false)]), [])
  })

  it('keeps capacity for five minutes without the plugin, and the name for good', () => {
    const inventory = new DeviceInventory()
    inventory.report(THING, [device('a'), device('b')])
    assert.deepEqual(inventory.lose(THING, 1_000), ['a', 'b'])
    assert.deepEqual(counts(inventory, 1_000 + PLUGIN_GRACE_MS), [2, 0])
    assert.deepEqual([...inventory.registered(1_000 + PLUGIN_GRACE_MS)], [[THING, []]])
    assert.equal(inventory.find(THING, 'a'), undefined)
    assert.deepEqual(counts(inventory, 1_001 + PLUGIN_GRACE_MS), [0, 0])
    assert.deepEqual([...inventory.registered(1_001 + PLUGIN_GRACE_MS)], [])
    inventory.connect(THING)
    assert.deepEqual(counts(inventory, 2_000 + PLUGIN_GRACE_MS), [2, 0])
    assert.deepEqual(inventory.report(THING, [device('a')]), ['a', 'b'])
    assert.deepEqual(counts(inventory, 2_000 + PLUGIN_GRACE_MS), [1, 1])
  })

  it('expects what an agent before it had, without any devices', () => {
    const inventory = new DeviceInventory()
    inventory.expect(THING, 0)
    assert.equal(inventory.isExpected(THING), true)
    assert.deepEqual(counts(inventory), [0, 0])
    inventory.report(THING, [device('a')])
    assert.equal(inventory.isExpected(THING), false)
    assert.equal(inventory.find(THING, 'a')?.healthy, true)
  })
})
