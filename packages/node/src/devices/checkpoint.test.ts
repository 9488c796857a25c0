import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import * as fc from 'fast-check'

import type { Allocation } from './allocation-ledger.ts'
import { formatCheckpoint, parseCheckpoint } from './checkpoint.ts'
import type { ContainerResponse } from './protocol/messages.ts'

const words = fc.stringMatching(/^[a-zA-Z0-9:._/-]{1,12}$/)
const responses: fc.Arbitrary<ContainerResponse> = fc.record({
  envs: fc.dictionary(words, fc.string(), { noNullPrototype: true }),
  mounts: fc.array(fc.record({ containerPath: words, hostPath: words, readOnly: fc.boolean() })),
  devices: fc.array(
    fc.record({ containerPath: words, hostPath: words, permissions: fc.constantFrom('r', 'rw', 'mrw') }),
  ),
  annotations: fc.dictionary(words, fc.string(), { noNullPrototype: true }),
  cdiDevices: fc.array(fc.record({ name: words })),
})
const allocations: fc.Arbitrary<Allocation> = fc.record({
  podUid: fc.uuid(),
  container: words,
  resource: words,
  devices: fc.uniqueArray(fc.record({ id: words, numaNodes: fc.uniqueArray(fc.nat(3), { maxLength: 2 }) }), {
    minLength: 1,
    maxLength: 4,
    selector: ({ id }) => id,
  }),
  response: responses,
})

/** Order of devices and of their nodes is nobody's business. */
function normalize(allocation: Allocation): unknown {
  const devices = allocation.devices.map(({ id, numaNodes }) => `${id} ${numaNodes.toSorted().join()}`).toSorted()
  return { ...allocation, devices, response: JSON.parse(JSON.stringify(allocation.response)) as unknown }
}

describe('checkpoint of devices', () => {
  it('says after a restart what it said before', () => {
    fc.assert(
      fc.property(fc.array(allocations, { maxLength: 4 }), fc.dictionary(words, fc.array(words)), (list, names) => {
        const registered = new Map(Object.entries(names))
        const read = parseCheckpoint(formatCheckpoint({ allocations: list, registered }))
        assert.deepEqual(read.allocations.map(normalize), list.map(normalize))
        assert.deepEqual(read.registered, registered)
      }),
    )
  })

  it('has the shape of the kubelet’s', () => {
    const response = { envs: { A: 'b' }, mounts: [], devices: [], annotations: {}, cdiDevices: [] }
    const devices = [
      { id: 'one', numaNodes: [] },
      { id: 'two', numaNodes: [0, 1] },
    ]
    const allocation = { podUid: 'uid', container: 'main', resource: 'example.com/thing', devices, response }
    const text = formatCheckpoint({ allocations: [allocation], registered: new Map([['example.com/thing', ['two']]]) })
    assert.deepEqual((JSON.parse(text) as { Data: unknown }).Data, {
      PodDeviceEntries: [
        {
          PodUID: 'uid',
          ContainerName: 'main',
          ResourceName: 'example.com/thing',
          DeviceIDs: { '-1': ['one'], '0': ['two'], '1': ['two'] },
          AllocResp: Buffer.from('\n\x06\n\x01A\x12\x01b').toString('base64'),
        },
      ],
      RegisteredDevices: { 'example.com/thing': ['two'] },
    })
  })

  it('is refused when it is damaged', () => {
    const text = formatCheckpoint({ allocations: [], registered: new Map([['example.com/thing', ['a']]]) })
    for (const damaged of ['', '{', '{}', text.slice(0, -2), text.replace('["a"]', '["b"]')])
      assert.throws(() => parseCheckpoint(damaged), SyntaxError, damaged)
  })
})
