import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import type { Endpoint, EndpointSlice } from '@centaurus/api/discovery/v1'
import { array, assert as assertProperty, property, uniqueArray, integer } from 'fast-check'
import { endpointKey, packSlices, portsKey, type SliceChanges } from './pack.ts'

const MAX = 5
const PORTS = [{ name: 'http', port: 80, protocol: 'TCP' }]

const endpointOf = (id: number): Endpoint => ({ addresses: [`10.0.0.${id}`], conditions: { ready: true } })

function pack(existing: readonly Stored<EndpointSlice>[], ids: readonly number[]): SliceChanges {
  const endpoints = new Map(ids.map((id) => [endpointKey(endpointOf(id)), endpointOf(id)]))
  const desired = ids.length === 0 ? new Map() : new Map([[portsKey(PORTS), { ports: PORTS, endpoints }]])
  const build = (): EndpointSlice => ({
    metadata: { generateName: 's-' },
    addressType: 'IPv4',
    endpoints: [],
    ports: PORTS,
  })
  return packSlices({ existing, desired, endpointsPerSliceMax: MAX, build })
}

let next = 0
function apply(existing: readonly Stored<EndpointSlice>[], changes: SliceChanges): Stored<EndpointSlice>[] {
  const updated = new Map(changes.update.map(({ from, to }) => [from, to as Stored<EndpointSlice>]))
  const kept = existing.filter((slice) => !changes.remove.includes(slice)).map((slice) => updated.get(slice) ?? slice)
  return [
    ...kept,
    ...changes.create.map(
      (slice) => ({ ...slice, metadata: { name: `s-${next++}`, uid: 'u' } }) as Stored<EndpointSlice>,
    ),
  ]
}

const addresses = (slices: readonly EndpointSlice[]): string[] =>
  slices.flatMap((slice) => slice.endpoints!.map(({ addresses }) => addresses[0]!)).toSorted()

describe('packSlices', () => {
  it('shows exactly the desired endpoints after any history, within the slices’ size, and then changes nothing', () => {
    const sets = uniqueArray(integer({ min: 0, max: 40 }), { maxLength: 30 })
    assertProperty(
      property(array(sets, { maxLength: 6 }), (history) => {
        let slices: Stored<EndpointSlice>[] = []
        for (const ids of history) {
          slices = apply(slices, pack(slices, ids))
          assert.deepEqual(addresses(slices), ids.map((id) => `10.0.0.${id}`).toSorted())
          assert.ok(slices.every((slice) => slice.endpoints!.length <= MAX && slice.endpoints!.length > 0))
          assert.deepEqual(pack(slices, ids), { create: [], update: [], remove: [] })
        }
      }),
    )
  })

  it('writes one slice when one endpoint comes', () => {
    const slices = apply([], pack([], [1, 2, 3, 4, 5, 6]))
    const changes = pack(slices, [1, 2, 3, 4, 5, 6, 7])
    assert.equal(changes.create.length, 0)
    assert.equal(changes.update.length, 1)
    assert.equal(changes.update[0]?.to.endpoints?.length, 2)
  })
})
