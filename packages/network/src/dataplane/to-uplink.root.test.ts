import assert from 'node:assert/strict'
import { after, beforeEach, before, describe, it } from 'node:test'
import { DEFAULT_SHAPER, LEVEL_DSCP, levelShaper } from '../qos/levels.ts'
import { createSeededRandom } from '@centaurus/base'
import { mutate } from '../testing/frame-fuzz.ts'
import { frameSeeds } from '../testing/frame-seeds.ts'
import { checksum, ethernet, ipv4 } from '../testing/frames.ts'
import {
  openTestDataplane,
  type TestDataplane,
  type TestRunOptions,
  type TestVerdict,
} from '../testing/test-dataplane.ts'
import {
  addOtherHost,
  fromPod,
  podOf,
  policySetOf,
  tcpPacket,
  throughTunnel,
  udpPacket,
} from '../testing/test-world.ts'

const A = '10.244.1.2'
const REMOTE = '10.244.2.9'
const NOW = 5_000_000_000n
const OVERHEAD = 24
const UNLIMITED = { mode: 'edt', rates: [], overheadBytes: OVERHEAD } as const
const POD = 20
const frame = fromPod(udpPacket({ source: A, destination: REMOTE, payload: Buffer.alloc(972) }))
const BYTES = frame.length + OVERHEAD

describe('What leaves by an uplink', () => {
  let host: TestDataplane
  const run = (options: TestRunOptions = {}, packet = frame): TestVerdict =>
    host.run('to_uplink', packet, { nowNs: NOW, ...options })
  const clear = (table: string): void => {
    for (const [key, value] of host.map(table).entries()) host.map(table).set(key, Buffer.alloc(value.length))
  }

  before(async () => {
    host = await openTestDataplane()
  })
  beforeEach(() => {
    for (const table of ['level_clocks', 'shaper_clocks', 'level_counters', 'shaper_counters']) clear(table)
    host.tables.setShaping(UNLIMITED)
    host.tables.setShaper({ id: POD, level: 4, egressBandwidth: 1e9 })
  })
  after(() => host.close())

  it('is named by its pod on the way', () => {
    const policySet = host.tables.addPolicySet(policySetOf('open'))
    addOtherHost(host.tables)
    host.tables.setEndpoint(podOf(2, { policySet, shaper: POD }))
    host.tables.setEndpoint(podOf(3, { policySet }))
    const send = (number: number, destination: string, tos: number): TestVerdict =>
      host.run('from_pod', fromPod(udpPacket({ source: `10.244.1.${number}`, destination, tos })), {
        ifindex: 10 + number,
      })
    for (const destination of [REMOTE, '8.8.8.8']) {
      assert.equal(send(2, destination, 0).shaper, POD)
      assert.equal(send(3, destination, 0).shaper, DEFAULT_SHAPER)
    }
    // the tunnel says the level, and the mark of congestion alone is the pod's
    assert.equal(send(2, REMOTE, 0xb8 | 2).frame[15], (LEVEL_DSCP[4]! << 2) | 2)
    assert.equal(send(3, REMOTE, 0xb8 | 1).frame[15], 1)
    host.tables.removeEndpoint(podOf(2))
    host.tables.removeEndpoint(podOf(3))
  })

  it('keeps its time when nothing is limited', () => {
    for (const shaper of [undefined, DEFAULT_SHAPER]) {
      const who = shaper === undefined ? {} : { shaper }
      assert.equal(run(who).departureNs, 0n)
      assert.equal(run({ ...who, askedNs: NOW + 5_000n }).departureNs, NOW + 5_000n)
    }
  })

  it('is spaced by the limit of its pod', () => {
    const departures = Array.from({ length: 4 }, () => run({ shaper: POD }).departureNs)
    const gap = BigInt(BYTES * 8)
    assert.deepEqual(departures, [0n, NOW + gap, NOW + 2n * gap, NOW + 3n * gap])
    assert.deepEqual(
      host.tables.readShapers().map(({ id, packets, bytes }) => [id, packets, bytes]),
      [[POD, 4, 4 * BYTES]],
    )
    const levels = host.tables.readLevels().filter(({ packets }) => packets > 0)
    assert.deepEqual(
      levels.map(({ level, packets, bytes, drops }) => [level, packets, bytes, drops]),
      [[4, 4, 4 * BYTES, 0]],
    )
  })

  it('takes what time the kernel has made of a large packet, and more for each segment', () => {
    run({ shaper: POD, wireBytes: 65_000, segments: 43, segmentBytes: 1448 })
    assert.equal(run({ shaper: POD }).departureNs, NOW + BigInt((65_000 + 43 * OVERHEAD) * 8))
  })

  it('is as long as its segments when it is large and in the tunnel, of which the kernel knows less', () => {
    const payload = Buffer.alloc(2 * 1390 + 1)
    const inner = tcpPacket({ source: A, destination: REMOTE, payload })
    const large = throughTunnel(inner)
    run({ shaper: POD, segmentBytes: 1390 }, large)
    const headers = large.length - payload.length
    const [{ bytes } = { bytes: 0 }] = host.tables.readShapers()
    assert.equal(bytes, payload.length + 3 * (headers + OVERHEAD))
  })

  it('departs when its socket asks, if that is later and not out of reach', () => {
    run({ shaper: POD })
    assert.equal(run({ shaper: POD, askedNs: NOW + 50_000_000n }).departureNs, NOW + 50_000_000n)
    assert.equal(run({ shaper: POD, askedNs: NOW + 1n }).departureNs, NOW + BigInt(2 * BYTES * 8))
    for (const askedNs of [NOW + 3_000_000_000n, 1_796_000_000_000_000_000n])
      assert.equal(run({ shaper: DEFAULT_SHAPER, askedNs }).departureNs, NOW + 200_000_000n)
    assert.equal(run({ askedNs: NOW + 3_000_000_000n }).departureNs, NOW + 3_000_000_000n, "the host's own")
  })

  it('changes pace with the next packet when the limit changes', () => {
    run({ shaper: POD })
    const second = run({ shaper: POD }).departureNs
    host.tables.setShaper({ id: POD, level: 4, egressBandwidth: 1e8 })
    const third = run({ shaper: POD }).departureNs
    const fourth = run({ shaper: POD }).departureNs
    assert.equal(third - second, BigInt(BYTES * 8), 'what was charged stays charged')
    assert.equal(fourth - third, BigInt(BYTES * 80))
    host.tables.setShaper({ id: POD, level: 4 })
    assert.equal(run({ shaper: POD }).departureNs, 0n)
  })

  it('waits for its level, whoever else is in it, and for no other', () => {
    host.tables.setShaper({ id: POD + 1, level: 4 })
    host.tables.setShaping({ ...UNLIMITED, rates: [undefined, undefined, undefined, 1e6, 1e8] })
    for (let i = 0; i < 40; i++) run({ shaper: POD + 1 })
    const waiting = run({ shaper: POD + 1 }).departureNs
    assert.ok(waiting > NOW + 1_000_000n)
    assert.equal(run({ shaper: POD }).departureNs, 0n, 'a pod of the level that has sent nothing goes ahead')
    for (const shaper of [DEFAULT_SHAPER, levelShaper(0)]) assert.equal(run({ shaper }).departureNs, 0n)
    assert.equal(run({}).departureNs, 0n)
  })

  it('waits for its level no longer than somebody watches how levels share the link', () => {
    const soonMs = 1_000
    host.tables.setShaping({
      ...UNLIMITED,
      rates: [undefined, undefined, undefined, undefined, 1e6],
      ratesHoldMs: soonMs,
    })
    const now = process.hrtime.bigint()
    const waits = (nowNs: bigint): bigint => {
      for (let i = 0; i < 5; i++) run({ shaper: levelShaper(4), nowNs })
      return run({ shaper: levelShaper(4), nowNs }).departureNs
    }
    assert.ok(waits(now) > now)
    assert.equal(waits(now + BigInt(soonMs * 2e6)), 0n)
  })

  it('waits for its level so short that a level which may go faster soon does', () => {
    const shareOf = (rate: number): void =>
      host.tables.setShaping({ ...UNLIMITED, rates: [undefined, undefined, undefined, undefined, rate] })
    shareOf(3e5)
    const sent = Array.from({ length: 200 }, () => run({ shaper: levelShaper(4) }))
    const latest = Math.max(...sent.map(({ departureNs }) => Number(departureNs - NOW)))
    assert.ok(sent.some(({ verdict }) => verdict === 'drop'))
    assert.ok(latest > 50e6 && latest <= 200e6, `${latest}`)
    shareOf(1e9)
    const nowNs = NOW + 250_000_000n
    assert.equal(run({ shaper: levelShaper(4), nowNs }).verdict, 'pass')
    assert.ok(run({ shaper: levelShaper(4), nowNs }).departureNs < nowNs + 1_000_000n)
  })

  it("is dropped when too much waits, and is then no part of its level's use", () => {
    host.tables.setShaping({ ...UNLIMITED, rates: [undefined, undefined, undefined, undefined, 5e8] })
    let last = run({ shaper: POD })
    for (let i = 0; i < 5_000 && last.verdict === 'pass'; i++) last = run({ shaper: POD })
    assert.deepEqual([last.verdict, last.reason], ['drop', 'UplinkFull'])
    const [level] = host.tables.readLevels().filter(({ packets }) => packets > 0)
    assert.deepEqual([level?.drops, level?.dropBytes], [1, BYTES])
    host.tables.setShaping(UNLIMITED)
    clear('shaper_clocks')
    const waits: bigint[] = []
    for (let i = 0; i < 5_000; i++) {
      last = run({ shaper: POD })
      if (last.verdict === 'drop') break
      waits.push(last.departureNs)
    }
    assert.equal(last.reason, 'EgressBandwidth')
    const longest = Number(waits.at(-1)! - NOW)
    assert.ok(longest > 19e6 && longest < 21e6, `${longest}`)
    const [drop] = host.readDrops().slice(-1)
    assert.deepEqual([drop?.source, drop?.destination, drop?.direction], [A, REMOTE, 'egress'])
  })

  it('departs within two seconds or never', () => {
    host.tables.setShaper({ id: POD, level: 4, egressBandwidth: 8_000 })
    const waits = Array.from({ length: 20 }, () => run({ shaper: POD })).filter(({ verdict }) => verdict === 'pass')
    assert.ok(waits.length >= 2 && waits.every(({ departureNs }) => departureNs <= NOW + 2_000_000_000n))
    assert.equal(run({ shaper: POD }).reason, 'EgressBandwidth')
  })

  it('tells whoever understands it of a queue, before anything is dropped', () => {
    for (const ecn of [0, 1, 2, 3]) {
      clear('shaper_clocks')
      const packet = fromPod(udpPacket({ source: A, destination: REMOTE, payload: Buffer.alloc(972), tos: 0xb8 | ecn }))
      const seen: number[] = []
      for (let i = 0; i < 1_000; i++) {
        const { frame: after } = run({ shaper: POD }, packet)
        assert.equal(after[15]! >> 2, LEVEL_DSCP[4])
        assert.equal(checksum(after.subarray(14, 34)), 0)
        seen.push(after[15]! & 3)
      }
      const first = seen.findIndex((bits) => bits === 3)
      if (ecn === 0) assert.equal(first, -1)
      else if (ecn === 3) assert.equal(first, 0)
      else assert.ok(first > 500 && first < 700 && seen.slice(first).every((bits) => bits === 3), `${first}`)
    }
  })

  it('is named by class and level in the header that the network sees, and in the queues of the host', () => {
    for (let level = 0; level < 9; level++) {
      const { frame: after, priority } = run({ shaper: levelShaper(level) })
      assert.equal(after[15], LEVEL_DSCP[level]! << 2)
      assert.equal(checksum(after.subarray(14, 34)), 0)
      assert.deepEqual(after.subarray(34), frame.subarray(34))
      assert.equal(priority, [6, 4, 2][Math.floor(level / 3)])
    }
    host.tables.setShaping({ ...UNLIMITED, mode: 'htb' })
    assert.equal(run({ shaper: levelShaper(3) }).priority, 0xce000004)
    assert.deepEqual([run({ shaper: POD }).priority, run({ shaper: POD }).departureNs], [0xce000100 + POD, 0n])
    assert.equal(run({}).priority, 0xce00000a)
    host.tables.setShaping({ ...UNLIMITED, mode: 'none' })
    assert.deepEqual(
      [run({ shaper: POD, priority: 7 }).priority, run({ shaper: POD }).frame[15]],
      [7, LEVEL_DSCP[4]! << 2],
    )
  })

  it('is untouched when it is no pod’s', () => {
    host.tables.setShaping({ ...UNLIMITED, rates: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(() => 1e6) })
    const mac = { source: '02:77:00:00:00:01', destination: '02:77:00:00:00:02' }
    const frames = [
      ethernet({ ...mac, type: 0x0806 }, Buffer.alloc(28)),
      ethernet({ ...mac, type: 0x88cc }, Buffer.alloc(60)),
      ethernet({ ...mac, type: 0x86dd }, Buffer.concat([Buffer.from('60000000000a3a40', 'hex'), Buffer.alloc(42)])),
      ethernet(
        mac,
        ipv4({ source: '192.168.77.1', destination: '192.168.77.9', protocol: 89, tos: 0xc0 }, Buffer.alloc(64)),
      ),
    ]
    for (const packet of frames) {
      const { verdict, frame: after, priority } = run({ priority: 7 }, packet)
      assert.deepEqual([verdict, after, priority], ['pass', packet, 7])
    }
    const { packets } = host.tables.readLevels()[9]!
    assert.equal(packets, 2, 'what is not IP is not counted either')
  })

  it("waits for the host's own level when that has a limit", () => {
    host.tables.setShaping({
      ...UNLIMITED,
      rates: Array.from({ length: 10 }, (_, level) => (level === 9 ? 1e9 : undefined)),
    })
    run({})
    assert.equal(run({}).departureNs, NOW + BigInt(BYTES * 8))
    assert.equal(run({ shaper: DEFAULT_SHAPER }).departureNs, 0n)
  })

  it('costs no look-up', () => {
    host.tables.setShaping({ ...UNLIMITED, rates: Array.from({ length: 10 }, () => 1e9) })
    for (let i = 0; i < 50; i++) assert.equal(run({ shaper: POD }).lookups, 0)
  })

  it('is changed nowhere but where its level and congestion are said, whatever it is', () => {
    const random = createSeededRandom(7)
    host.tables.setShaping({ ...UNLIMITED, rates: Array.from({ length: 10 }, () => 1e8) })
    const seeds = [...frameSeeds('uplink'), ...frameSeeds('pod'), frame]
    for (let i = 0; i < 5_000; i++) {
      const mutated = mutate(seeds[random.integer(seeds.length)]!, random)
      const isPods = random.integer(2) === 0
      const {
        verdict,
        reason,
        frame: after,
      } = run({ ...(isPods ? { shaper: random.integer(5_000) } : {}), nowNs: NOW + BigInt(i) * 20_000n }, mutated)
      if (verdict === 'drop') assert.ok(reason === 'EgressBandwidth' || reason === 'UplinkFull')
      else if (checksum(mutated.subarray(14, 34)) === 0 && mutated.readUInt16BE(12) === 0x0800 && mutated[14] === 0x45)
        assert.equal(checksum(after.subarray(14, 34)), 0)
      const before = Buffer.from(mutated)
      for (const at of [15, 24, 25]) before[at] = after[at]!
      assert.deepEqual(after, before)
    }
  })

  it('finds nothing of the pod that had its number before', () => {
    for (let i = 0; i < 20; i++) run({ shaper: POD })
    assert.ok(run({ shaper: POD }).departureNs > NOW)
    host.tables.removeShaper(POD)
    host.tables.setShaper({ id: POD, level: 4, egressBandwidth: 1e9 })
    assert.equal(host.tables.readShapers().find(({ id }) => id === POD)?.packets, 0)
    assert.ok(run({ shaper: POD }).departureNs <= NOW)
  })

  it('is best-effort medium when its shaper is gone', () => {
    host.tables.removeShaper(POD)
    const { frame: after, priority } = run({ shaper: POD })
    assert.deepEqual([after[15], priority], [0, 2])
  })
})
