import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import * as fc from 'fast-check'
import { formatGpuAllocation, parseGpuAllocation } from './allocation.ts'
import { formatGpuDeviceId, GPU_MEMORY_MIB_MAX, isWholeGpu, parseGpuDeviceId, type GpuGrant } from './device-id.ts'
import { formatGpuInventory, parseGpuInventory, type GpuInventory } from './inventory.ts'

const uuids = fc.stringMatching(/^GPU-[a-zA-Z0-9._/-]{0,20}$/)
const grants: fc.Arbitrary<GpuGrant> = fc.record(
  {
    uuid: uuids,
    memoryMiB: fc.integer({ min: 1, max: GPU_MEMORY_MIB_MAX }),
    compute: fc.integer({ min: 1, max: 100 }),
  },
  { requiredKeys: ['uuid'], noNullPrototype: true },
)
const devices = fc.record(
  {
    uuid: uuids,
    index: fc.nat(100),
    model: fc.stringMatching(/^[A-Z](?:[A-Za-z0-9 -]{0,30}[a-z])?$/),
    memoryMiB: fc.integer({ min: 1, max: GPU_MEMORY_MIB_MAX }),
    multiprocessors: fc.nat(200),
    numa: fc.nat(7),
    healthy: fc.boolean(),
  },
  { requiredKeys: ['uuid', 'index', 'model', 'memoryMiB', 'healthy'], noNullPrototype: true },
)
const inventories: fc.Arbitrary<GpuInventory> = fc
  .tuple(
    fc.uniqueArray(devices, { maxLength: 8, selector: ({ uuid }) => uuid }),
    fc.array(fc.nat(100), { minLength: 64, maxLength: 64 }),
    fc.boolean(),
  )
  .map(([list, numbers, hasLinks]) => ({
    devices: list.map((device, index) => ({ ...device, index })),
    ...(hasLinks
      ? { links: list.map((_, i) => list.map((__, j) => numbers[Math.min(i, j) * 8 + Math.max(i, j)]!)) }
      : {}),
  }))
const garbage = fc.oneof(fc.string(), fc.json(), fc.constantFrom('null', '[]', '{"devices":{}}', '{"a":[{}]}'))

describe('ids of devices', () => {
  it('are read as they were written', () => {
    assert.equal(formatGpuDeviceId({ uuid: 'GPU-1' }), 'GPU-1')
    assert.equal(formatGpuDeviceId({ uuid: 'GPU-1', memoryMiB: 10_240, compute: 40 }), 'GPU-1::10240::40')
    assert.equal(formatGpuDeviceId({ uuid: 'GPU-1', memoryMiB: 10_240 }), 'GPU-1::10240::')
    assert.deepEqual(parseGpuDeviceId('GPU-1::::40'), { uuid: 'GPU-1', compute: 40 })
    fc.assert(fc.property(grants, (grant) => assert.deepEqual(parseGpuDeviceId(formatGpuDeviceId(grant)), grant)))
    assert.ok(isWholeGpu(parseGpuDeviceId('MIG-GPU-1/2/0')))
  })

  it('are nothing else', () => {
    for (const id of [
      '',
      '::',
      'GPU-1::',
      'GPU-1::::',
      'GPU-1::0::1',
      'GPU-1::1::101',
      'GPU-1::a::1',
      'a b',
      'GPU-1::1::1::1',
      'GPU-1::01::',
    ])
      assert.throws(() => parseGpuDeviceId(id), SyntaxError, id)
    fc.assert(
      fc.property(fc.string(), (id) => {
        try {
          assert.equal(formatGpuDeviceId(parseGpuDeviceId(id)), id)
        } catch (error) {
          assert.ok(error instanceof SyntaxError)
        }
      }),
    )
  })
})

describe('the inventory of a node', () => {
  it('is read as it was written', () => {
    fc.assert(
      fc.property(inventories, (inventory) => {
        assert.deepEqual(parseGpuInventory(formatGpuInventory(inventory)), inventory)
      }),
    )
  })

  it('is refused with what is wrong', () => {
    const good = { uuid: 'GPU-1', index: 0, model: 'A', memoryMiB: 1, healthy: true }
    const write = (devices: unknown[], links?: unknown): string => JSON.stringify({ devices, links })
    for (const [text, why] of [
      ['{', /must be JSON/],
      ['[]', /must be an object with a list `devices`/],
      [write([{ ...good, uuid: 'a b' }]), /inventory of GPUs: devices\[0\].uuid must be/],
      [
        write([good, { ...good, uuid: 'GPU-2', index: 1, memoryMiB: 0 }]),
        /devices\[1\].memoryMiB must be a number from 1/,
      ],
      [write([good, { ...good, index: 1 }]), /two devices of the same uuid/],
      [write([good, { ...good, uuid: 'GPU-2' }]), /two devices of the same index/],
      [write([good], []), /links must be 1 lists of 1 numbers/],
      [
        write(
          [good, { ...good, uuid: 'GPU-2', index: 1 }],
          [
            [0, 1],
            [2, 0],
          ],
        ),
        /links\[i\]\[j\] must be links\[j\]\[i\]/,
      ],
      [write(Array.from({ length: 65 }, () => good)), /65 devices; 64 are the most/],
    ] as const)
      assert.throws(() => parseGpuInventory(text), { name: 'SyntaxError', message: why })
    assert.deepEqual(
      parseGpuInventory(write([{ ...good, more: 1 }])),
      { devices: [good] },
      'what it does not know is left out',
    )
  })

  it('is an inventory or a SyntaxError, whatever is written', () => {
    fc.assert(fc.property(garbage, (text) => isReadable(() => parseGpuInventory(text))))
  })
})

describe('the allocation of a pod', () => {
  it('is read as it was written', () => {
    const lists = fc.uniqueArray(grants, { minLength: 1, maxLength: 4, selector: ({ uuid }) => uuid })
    fc.assert(
      fc.property(fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), lists), (allocation) => {
        assert.deepEqual({ ...parseGpuAllocation(formatGpuAllocation(allocation)) }, { ...allocation })
      }),
    )
  })

  it('is refused with what is wrong', () => {
    for (const [text, why] of [
      ['{"a":[{"uuid":"GPU-1"},{"uuid":"GPU-1"}]}', /names a device twice for container "a"/],
      ['{"a":[]}', /list of 1 to 64 devices for container "a"/],
      ['{"a":[{"uuid":"GPU-1","compute":0}]}', /wrong compute for container "a"/],
      ['{"a":["GPU-1"]}', /must have objects as devices/],
      ['3', /must be an object by container name/],
    ] as const)
      assert.throws(() => parseGpuAllocation(text), { name: 'SyntaxError', message: why })
    fc.assert(fc.property(garbage, (text) => isReadable(() => parseGpuAllocation(text))))
  })
})

function isReadable(parse: () => unknown): boolean {
  try {
    return parse() !== undefined
  } catch (error) {
    return error instanceof SyntaxError
  }
}
