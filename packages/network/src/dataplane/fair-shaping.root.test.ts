import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, it } from 'node:test'
import { createSeededRandom } from '@centaurus/base'
import { steady, windowed, type Sender } from '../testing/senders.ts'
import { fairShares, jainIndex, largestBurst, measure } from '../testing/shaping-reference.ts'
import { ShapedUplink } from '../testing/shaped-uplink.ts'
import { openTestDataplane, type TestDataplane } from '../testing/test-dataplane.ts'

const POD = 16
const FULL = 1514
const OVERHEAD = 24
const MS = 1e6
/** What may leave at once beyond the rate: a small packet of each flow that was silent, and the largest. */
const BURST_BYTES = 32 * 3028 + 66_000
const SEEDS = [1, 2, 3, 4, 5, 6]

describe('Shaping by the programs, in virtual time', () => {
  let host: TestDataplane
  let uplink: ShapedUplink
  before(async () => {
    host = await openTestDataplane()
  })
  beforeEach(() => {
    for (const table of ['level_clocks', 'shaper_clocks'])
      for (const [key, value] of host.map(table).entries()) host.map(table).set(key, Buffer.alloc(value.length))
    for (const { id } of host.tables.listShapers()) host.tables.removeShaper(id)
    host.tables.setShaping({ mode: 'edt', rates: [], overheadBytes: OVERHEAD })
    uplink = new ShapedUplink(host)
  })
  after(() => host.close())

  const flow = (index: number, more: Partial<Sender> = {}) => ({
    name: `flow ${index}`,
    bytes: FULL,
    shaper: POD,
    flow: index,
    ...more,
  })
  const since = (fromNs: number): ReturnType<typeof measure> => measure(uplink.passed, { fromNs, toNs: uplink.nowNs })
  const limit = (egressBandwidth: number): void => host.tables.setShaper({ id: POD, level: 7, egressBandwidth })

  for (const bandwidth of [1e6, 10e6, 100e6, 1e9, 10e9])
    for (const bytes of [64, 590, FULL, 65_000])
      it(`has a rate of ${bandwidth / 1e6} Mbit/s for packets of ${bytes} bytes to a hundredth`, () => {
        limit(bandwidth)
        const wire = bytes + Math.ceil(bytes / FULL) * OVERHEAD
        // at least 600 packets, and ten times what may wait
        const durationNs = Math.max((600 * wire * 8e9) / bandwidth, 0)
        const passed = uplink.run([steady({ ...flow(0), bytes, bandwidth: bandwidth * 1.5 })], durationNs)
        const { rates, total } = since(uplink.nowNs - durationNs * 0.6)
        assert.ok(Math.abs(total / bandwidth - 1) < 0.01, `${total / bandwidth}`)
        assert.equal(rates.size, 1)
        assert.ok(largestBurst(passed, bandwidth) <= BURST_BYTES)
      })

  it('divides a limit alike among flows that want more, whatever they are', () => {
    limit(100e6)
    const flows = [
      steady({ ...flow(0), bandwidth: 130e6 }),
      steady({ ...flow(1), bytes: 65_000, bandwidth: 60e6 }),
      steady({ ...flow(2), bytes: 300, bandwidth: 30e6 }),
      windowed({ ...flow(3), roundTripNs: 2 * MS }),
      windowed({ ...flow(4), roundTripNs: 6 * MS, startsSlowly: true }),
    ]
    uplink.run(flows, 1_800 * MS)
    const { rates, total } = since(uplink.nowNs - 1_000 * MS)
    assert.ok(total > 99e6 && total < 101e6, `${total}`)
    assert.ok(jainIndex([...rates.values()]) > 0.95, JSON.stringify([...rates]))
  })

  it('gives a flow that listens to marks its part beside floods that listen to nothing', () => {
    limit(100e6)
    const marked = windowed({ ...flow(2), roundTripNs: 6 * MS, canMark: true, startsSlowly: true })
    const floods = [0, 1].map((i) => steady({ ...flow(i), bandwidth: 130e6, phaseNs: i * 777 }))
    uplink.run([...floods, marked], 1_500 * MS)
    const { rates } = since(uplink.nowNs - 1_000 * MS)
    assert.ok(jainIndex([...rates.values()]) > 0.95, JSON.stringify([...rates]))
  })

  it('lets flows that want little go ahead of those that wait', () => {
    limit(100e6)
    const small = steady({ ...flow(3), bytes: 200, bandwidth: 1e6 })
    const passed = uplink.run(
      [...[0, 1].map((i) => steady({ ...flow(i), bandwidth: 200e6, phaseNs: i * 999 })), small],
      300 * MS,
    )
    const own = passed.filter(({ sender }) => sender === small.name)
    assert.ok(
      own.every(({ atNs, departureNs }) => departureNs !== undefined && departureNs - atNs <= 1),
      'none waits or is dropped',
    )
    const others = passed.filter(({ sender, departureNs }) => sender !== small.name && departureNs !== undefined)
    assert.ok(
      others.every(({ atNs, departureNs }) => departureNs! - atNs < 41 * MS),
      'none waits for ever',
    )
  })

  it('gives a flow what others leave at once', () => {
    limit(100e6)
    const flows = Array.from({ length: 4 }, (_, i) => steady({ ...flow(i), bandwidth: 100e6, phaseNs: i * 777 }))
    uplink.run(flows, 200 * MS)
    uplink.run(flows.slice(0, 1), 200 * MS)
    const { total } = since(uplink.nowNs - 200 * MS)
    assert.ok(total > 99e6, `${total}`)
  })

  it('divides a level alike among its pods, however many flows they have, and keeps other levels out of it', () => {
    const pods = [16, 17, 18]
    for (const id of pods) host.tables.setShaper({ id, level: 8 })
    host.tables.setShaper({ id: 19, level: 0 })
    host.tables.setShaping({
      mode: 'edt',
      rates: [50e6, ...Array.from({ length: 7 }, () => undefined), 100e6],
      overheadBytes: OVERHEAD,
    })
    const flows = pods.flatMap((shaper, i) =>
      Array.from({ length: [1, 6, 3][i]! }, (_, j) =>
        steady({ ...flow(j), name: `pod ${shaper}`, shaper, bandwidth: 60e6, phaseNs: (i * 10 + j) * 701 }),
      ),
    )
    const premium = steady({ ...flow(9), name: 'premium', shaper: 19, bandwidth: 40e6 })
    uplink.run([...flows, premium], 200 * MS)
    const passed = uplink.run([...flows, premium], 400 * MS)
    const { rates } = since(uplink.nowNs - 400 * MS)
    const ofPods = pods.map((id) => rates.get(`pod ${id}`)!)
    assert.ok(jainIndex(ofPods) > 0.95, JSON.stringify(ofPods))
    assert.ok(passed.every(({ sender, atNs, departureNs }) => sender !== 'premium' || departureNs! - atNs <= 1))
  })

  for (const seed of SEEDS)
    it(`is what a fair queue would do, to a tenth of each share (seed ${seed})`, () => {
      const random = createSeededRandom(seed)
      const bandwidth = [5e6, 50e6, 200e6][random.integer(3)]!
      limit(bandwidth)
      const wanted = Array.from({ length: 2 + random.integer(10) }, () => (0.02 + random.next()) * bandwidth * 0.6)
      const flows = wanted.map((want, i) =>
        steady({
          ...flow(i),
          bytes: [200, 600, FULL][random.integer(3)]!,
          bandwidth: want,
          phaseNs: random.integer(MS),
        }),
      )
      const durationNs = Math.min(8_000 * MS, (4_000 * FULL * 8e9) / bandwidth)
      uplink.run(flows, durationNs / 2)
      const passed = uplink.run(flows, durationNs)
      const { rates, total } = since(uplink.nowNs - durationNs)
      const offered = new Map(flows.map(({ name, bytes }, i) => [name, (wanted[i]! * (bytes + OVERHEAD)) / bytes]))
      const shares = fairShares(offered, bandwidth)
      const sum = [...shares.values()].reduce((a, b) => a + b, 0)
      assert.ok(total <= bandwidth * 1.01 && total >= sum * 0.99, `${total} of ${sum}`)
      for (const [name, share] of shares)
        assert.ok(
          Math.abs(rates.get(name)! - share) < share * 0.1 + bandwidth * 0.005,
          `${name}: ${rates.get(name)} for ${share}`,
        )
      assert.ok(largestBurst(passed, bandwidth) <= BURST_BYTES, `${largestBurst(passed, bandwidth)}`)
    })
})
