import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatDemandName, formatLimits, hasLimits, isDemandNameOf } from './limits.ts'

describe('formatLimits', () => {
  it('writes a line a device, and no word for what is not limited', () => {
    const grants = [
      { uuid: 'GPU-a', memoryMiB: 10_240, compute: 40 },
      { uuid: 'GPU-b', memoryMiB: 512 },
      { uuid: 'GPU-c', compute: 7 },
      { uuid: 'GPU-d' },
    ]
    assert.equal(
      formatLimits({ grants, priority: 0 }),
      'GPU-a memoryMiB=10240 compute=40\nGPU-b memoryMiB=512\nGPU-c compute=7\nGPU-d\n',
    )
  })

  it('says the priority when it is low', () => {
    assert.equal(
      formatLimits({ grants: [{ uuid: 'GPU-a', memoryMiB: 1 }], priority: 1 }),
      'GPU-a memoryMiB=1 priority=1\n',
    )
  })
})

describe('hasLimits', () => {
  it('tells parts of GPUs from whole ones', () => {
    assert.equal(hasLimits({ grants: [{ uuid: 'a' }, { uuid: 'b' }] }), false)
    assert.equal(hasLimits({ grants: [{ uuid: 'a' }, { uuid: 'b', compute: 1 }] }), true)
  })
})

describe('formatDemandName', () => {
  it('says priority, compute and burst, and the same of a container always', () => {
    const name = formatDemandName({ uuid: 'a', memoryMiB: 5, compute: 40 }, { grants: [], priority: 1 }, 'uid-train')
    assert.match(name, /^1-40-40-[0-9a-f]{8}$/)
    const other = formatDemandName({ uuid: 'a', memoryMiB: 5 }, { grants: [], priority: 0 }, 'uid-train')
    assert.match(other, /^0-0-100-[0-9a-f]{8}$/)
    assert.ok(isDemandNameOf('uid-train', name) && isDemandNameOf('uid-train', other))
    assert.ok(!isDemandNameOf('uid-infer', name))
  })
})
