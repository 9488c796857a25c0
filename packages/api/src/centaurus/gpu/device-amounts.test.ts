import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deviceAmounts, deviceCapacity, describeDeviceAmount, splitDeviceAmounts } from './device-amounts.ts'

const sum = (...all: Record<string, number>[]): Record<string, number> => {
  const total: Record<string, number> = {}
  for (const each of all) for (const name in each) total[name] = (total[name] ?? 0) + each[name]!
  return total
}
const device = (uuid: string, healthy = true) => ({ uuid, index: 0, model: 'A', memoryMiB: 16_000, healthy })

describe('devices as amounts', () => {
  const share = { uuid: 'GPU-1', memoryMiB: 8_000, compute: 50 }
  const capacity = deviceCapacity({ devices: [device('GPU-1'), device('GPU-2'), device('GPU-3', false)] })
  const fits = (amounts: Record<string, number>): boolean =>
    Object.entries(amounts).every(([name, amount]) => amount <= (capacity[name] ?? 0))

  it('add up to what fits, in both dimensions, and a whole one is nobody else’s', () => {
    const half = deviceAmounts([share])
    assert.ok(fits(sum(half, half)))
    assert.ok(!fits(sum(half, half, half)))
    assert.ok(fits(deviceAmounts([{ uuid: 'GPU-2' }])))
    assert.ok(!fits(sum(deviceAmounts([{ uuid: 'GPU-2' }]), deviceAmounts([{ uuid: 'GPU-2', memoryMiB: 1 }]))))
    assert.ok(!fits(deviceAmounts([{ uuid: 'GPU-3' }])), 'not healthy')
    assert.ok(!fits(deviceAmounts([{ uuid: 'GPU-4', memoryMiB: 1 }])), 'not there')
  })

  it('can be told apart again', () => {
    const amounts = sum(
      { cpu: 1_000, 'nvidia.com/gpu': 3 },
      deviceAmounts([share, { uuid: 'GPU-2' }]),
      deviceAmounts([{ uuid: 'GPU-1', memoryMiB: 10 }]),
    )
    assert.deepEqual(splitDeviceAmounts(amounts), {
      others: { cpu: 1_000, 'nvidia.com/gpu': 3 },
      grants: [{ uuid: 'GPU-1', memoryMiB: 8_010, compute: 50 }, { uuid: 'GPU-2' }],
      unknown: 2,
    })
    assert.deepEqual(splitDeviceAmounts({ cpu: 1 }), { others: { cpu: 1 }, grants: [], unknown: 0 })
  })

  it('have names for people', () => {
    assert.equal(describeDeviceAmount('cpu', capacity), undefined)
    assert.equal(describeDeviceAmount('gpu-memory/GPU-1', capacity), 'memory of GPU GPU-1')
    assert.match(describeDeviceAmount('gpu-users/GPU-1', capacity)!, /of which others have a part/)
    assert.match(
      describeDeviceAmount('gpu-compute/GPU-9', capacity)!,
      /which the node does not have or which is not healthy/,
    )
  })
})
