import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { openTestDataplane, type TestDataplane } from '../testing/test-dataplane.ts'
import { podOf } from '../testing/test-world.ts'
import { costOf } from './shaping-tables.ts'

describe('Shapers', () => {
  let host: TestDataplane
  before(async () => {
    host = await openTestDataplane()
  })
  after(() => host.close())

  it('are kept as they were given', () => {
    const { tables } = host
    tables.setShaper({ id: 16, level: 0, egressBandwidth: 1e9, ingressBandwidth: 12_345_678 })
    tables.setShaper({ id: 4111, level: 8 })
    assert.deepEqual(tables.listShapers(), [
      { id: 16, level: 0, egressBandwidth: 1e9, ingressBandwidth: 12_345_678 },
      { id: 4111, level: 8 },
    ])
    tables.setShaper({ id: 16, level: 1 })
    tables.removeShaper(4111)
    assert.deepEqual(tables.listShapers(), [{ id: 16, level: 1 }])
    tables.removeShaper(16)
  })

  it('say what is wrong with them', () => {
    const { tables } = host
    assert.throws(() => tables.setShaper({ id: 15, level: 0 }), /have the numbers 16 to 4111, not 15/)
    assert.throws(() => tables.setShaper({ id: 16, level: 9 }), /levels of pods are 0 to 8/)
    assert.throws(() => tables.setShaper({ id: 16, level: 0, egressBandwidth: 10 }), /at least 1000 bits a second: 10/)
    assert.throws(() => tables.setShaper({ id: 16, level: 0, ingressBandwidth: Number.NaN }), /at least 1000/)
    assert.throws(() => tables.setShaping({ mode: 'edt', rates: [], overheadBytes: -1 }), /must be 0 to 256 bytes: -1/)
    assert.deepEqual(tables.listShapers(), [])
  })

  it('are there before a pod has them, and as long', () => {
    const { tables } = host
    assert.throws(() => tables.setEndpoint(podOf(2, { shaper: 17 })), /Cannot give pod 10.244.1.2 shaper 17/)
    assert.throws(() => tables.setEndpoint(podOf(2, { shaper: 0 })), /there is none/)
    tables.setShaper({ id: 17, level: 3, egressBandwidth: 1e6 })
    tables.setEndpoint(podOf(2, { shaper: 17 }))
    assert.equal(tables.listEndpoints()[0]?.shaper, 17)
    assert.throws(() => tables.removeShaper(17), /Cannot remove shaper 17: pod 10.244.1.2 has it/)
    tables.removeEndpoint(podOf(2))
    tables.removeShaper(17)
  })

  it('of levels have the rates that they were given', () => {
    const { tables } = host
    assert.deepEqual(
      [tables.readShaping().mode, tables.readShaping().rates.every((rate) => rate === undefined)],
      ['none', true],
    )
    const rates = [10e9, undefined, 5e9, undefined, undefined, undefined, undefined, 1e9, 1e6, undefined]
    tables.setShaping({ mode: 'edt', rates, overheadBytes: 24 })
    assert.deepEqual(tables.readShaping(), { mode: 'edt', rates, overheadBytes: 24 })
    // shares of a link are no whole numbers
    tables.setShaping({ mode: 'edt', rates: [1e9 / 3], overheadBytes: 24 })
    assert.equal(tables.readShaping().rates[0], 333_333_333)
    assert.deepEqual(
      tables
        .readLevels()
        .map(({ level, packets, backlogNs }) => [level, packets, backlogNs])
        .at(-1),
      [9, 0, 0],
    )
  })

  it('cost what a byte takes, to a millionth', () => {
    for (const bandwidth of [1e3, 8e3, 1e6, 1.5e6, 1e9, 10e9, 400e9]) {
      const nanoseconds = Number(costOf(bandwidth)) / 2 ** 24
      assert.ok(Math.abs((nanoseconds * bandwidth) / 8e9 - 1) < 2e-6, `${bandwidth}`)
    }
    assert.equal(costOf(undefined), 0n)
  })
})
