import assert from 'node:assert/strict'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, beforeEach, describe, it } from 'node:test'
import { isInNamespaces, runInNamespaces } from '@centaurus/node/testing'
import type { BpfMap } from '../kernel/bpf-map.ts'
import { buildPrograms } from '../kernel/build-programs.ts'
import { readMapLayout } from '../kernel/map-layout.ts'
import { ctEntry, ctKey, endpoint, endpointKey, fragment, fragmentKey, hostState } from '../layouts/layouts.ts'
import { listStructs } from '../layouts/render.ts'
import { planKeys, planValues, sizeOf, type RecordLayout } from '../layouts/record-layout.ts'
import { serviceFlow, serviceFlowKey } from '../layouts/services.ts'
import { FlowCarry } from './carry-flows.ts'
import { openPrograms, type OpenPrograms } from './open-programs.ts'

const QUIET = { egressSet: 0, egressEpoch: 0, ingressSet: 0, ingressEpoch: 0, lowDevice: 0, highDevice: 0, identity: 0 }
const keyOf = (port: number): Buffer =>
  ctKey.encode({ vni: 1, low: '10.244.1.2', high: '10.244.1.3', lowPort: port, highPort: 80, protocol: 6 })
const entryOf = (seen: number): Buffer => ctEntry.encode({ ...QUIET, seen, flags: 0, state: 0 })

if (!isInNamespaces()) {
  describe('Flows that go to another version', () => {
    it('pass in namespaces of their own', () => runInNamespaces(import.meta.url))
  })
} else {
  describe('Flows that go to another version', () => {
    let versions: OpenPrograms[]
    let from: BpfMap
    let to: BpfMap
    let carry: FlowCarry

    before(async () => {
      const folder = await buildPrograms({ outDir: join(tmpdir(), 'centaurus-test-programs') })
      versions = [openPrograms({ folder }), openPrograms({ folder })]
      ;[from, to] = versions.map((programs) => programs.map('ct')) as [BpfMap, BpfMap]
    })

    beforeEach(() => {
      for (const map of [from, to]) map.deleteMany(map.keys())
      const layout = readMapLayout(from.fd)!
      const key = planKeys(layout.key, layout.key)!
      carry = new FlowCarry({ from, to, key, value: planValues(layout.value, layout.value)! })
    })

    after(() => versions.forEach((programs) => programs.close()))

    const seenOf = (map: BpfMap): Record<number, number> =>
      Object.fromEntries(map.entries().map(([key, value]) => [ctKey.decode(key).lowPort, ctEntry.decode(value).seen]))

    it('are brought up to date as often as asked before the switch', () => {
      from.setMany([1, 2, 3].map((port) => [keyOf(port), entryOf(10)] as const))
      assert.equal(carry.refresh(), 3)
      assert.equal(carry.refresh(), 0)
      from.set(keyOf(1), entryOf(20))
      from.set(keyOf(4), entryOf(20))
      from.delete(keyOf(2))
      assert.equal(carry.refresh(), 3)
      assert.deepEqual(seenOf(to), { 1: 20, 3: 10, 4: 20 })
    })

    it('come after the switch if the old programs wrote them last, or saw how they began', () => {
      from.setMany([1, 2, 3].map((port) => [keyOf(port), entryOf(10)] as const))
      carry.refresh()
      for (const port of [1, 2, 4, 5]) from.set(keyOf(port), entryOf(20))
      for (const port of [2, 3, 5]) to.set(keyOf(port), entryOf(30))
      assert.equal(carry.finish(), 3)
      assert.deepEqual(seenOf(to), { 1: 20, 2: 30, 3: 30, 4: 20, 5: 20 })
    })

    it('come once more when an earlier process did the switch, if nobody has them', () => {
      from.setMany([1, 2].map((port) => [keyOf(port), entryOf(10)] as const))
      to.set(keyOf(2), entryOf(30))
      assert.equal(carry.finish(), 1)
      assert.deepEqual(seenOf(to), { 1: 10, 2: 30 })
    })

    it('have records as the kernel says, which are those of our descriptions', () => {
      const [programs] = versions
      const described = (name: string): readonly (readonly [string, number, number])[] =>
        listStructs()
          .find((struct) => struct.name === name)!
          .fields.map(({ name: field, offset, kind }) => [
            field.replaceAll('IP', '_ip').replaceAll(/[A-Z]/g, (c) => `_${c.toLowerCase()}`),
            offset,
            kind.size,
          ])
      const seen = (layout: RecordLayout): readonly (readonly [string, number, number])[] =>
        layout.kind === 'record' ? layout.fields.map(({ name, offset, layout: of }) => [name, offset, sizeOf(of)]) : []
      for (const [table, key, value] of [
        ['ct', ctKey, ctEntry],
        ['fragments', fragmentKey, fragment],
        ['service_flows', serviceFlowKey, serviceFlow],
        ['endpoints', endpointKey, endpoint],
      ] as const) {
        const layout = readMapLayout(programs!.map(table).fd)!
        assert.deepEqual(seen(layout.key), described(key.name))
        assert.deepEqual(seen(layout.value), described(value.name))
      }
      const section = readMapLayout(programs!.map('.data.state').fd)!.value
      assert.ok(section.kind === 'record')
      assert.deepEqual(seen(section.fields[0]!.layout), described(hostState.name))
    })
  })
}
