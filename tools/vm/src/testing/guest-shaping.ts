/**
 * Classes and limits of pods with real streams and floods, on a kernel that has fq. Run by shaping.vm.test.ts, inside: the first argument is the folder of the compiled programs.
 *
 * A busy machine makes everything later, never earlier, so what is asserted is what stays true of a late one: nobody has more than their rate; and whoever may have a rate has all
 * of it in the best of some windows, by the shaper's own clock. Figures are printed.
 */
import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { writeFileSync } from 'node:fs'
import { after, afterEach, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import {
  DATAGRAM_BYTES,
  DEFAULT_SHAPER,
  LEVEL_DSCP,
  levelShaper,
  Loads,
  measureRoundTrips,
  percentile,
  pollSockets,
  Socket,
} from '@centaurus/network/testing'
import { countMarked, fairnessOf, readFq, ShapedHosts, until } from './shaped-hosts.ts'

const FAST_LINK = 1e9
const LINK = 5e6
/** Of a frame between hosts: the tunnel's headers, and 24 bytes that no device counts. */
const AROUND_BYTES = 14 + 58 + 24
const TCP_PAYLOAD_SHARE = (1442 - 52) / (1442 + AROUND_BYTES)
const UDP_PAYLOAD_SHARE = DATAGRAM_BYTES / (DATAGRAM_BYTES + 28 + AROUND_BYTES)
/** What may be ahead of its turn: a flow's first packets (bpf/shape.h, QUANTUM_BYTES), and one large one. */
const AHEAD_BYTES = 3028 + 65_536
/** Of a window: a packet may be in the clock at a look, and in the counters at the next. */
const LOOK_ERROR = 0.1
const WINDOWS = { count: 6, ms: 250 }
const PREMIUM = levelShaper(0)
const BEST_EFFORT = 7

const note = (text: string): void => void process.stdout.write(`# ${text}\n`)
const megabits = (bandwidth: number): string => `${(bandwidth / 1e6).toFixed(2)} Mbit/s`
const shown = (parts: readonly number[]): string =>
  `${parts[parts.length >> 1]!.toFixed(3)} (best ${parts[0]!.toFixed(3)})`

let hosts: ShapedHosts

describe('classes and limits on this kernel', () => {
  before(async () => {
    hosts = await ShapedHosts.create(process.argv[2]!)
    await hosts.share(FAST_LINK)
  })
  after(() => hosts?.close())

  describe('limits of what a pod sends', testEgress)
  describe('limits of what a pod gets', testIngress)
  describe('what others see', testHeaders)
  describe('classes on a link that is full', testClasses)
  describe('the queues of the uplink', testQueues)
})

function testEgress(): void {
  const streams = [5e6, 20e6, 50e6].flatMap((rate) =>
    ['cubic', 'bbr'].map((congestion) => ({ rate, name: `TCP ${congestion}`, options: { congestion } })),
  )
  const floods = [2e6, 5e6].map((rate) => ({
    rate,
    name: 'UDP',
    options: { protocol: 'UDP', bandwidth: 1.5 * rate } as const,
  }))
  const cases = [...streams, ...floods].map((each) => ({ ...each, name: `${each.name}, ${each.rate / 1e6} Mbit/s` }))
  let loads: Loads
  afterEach(() => loads.stopAll())
  before(async () => {
    loads = await Loads.open(cases.map(({ name, options }) => hosts.load(name, hosts.a, options)))
  })
  after(() => loads?.close())

  for (const { name, rate, options } of cases)
    it(`hold: ${name}`, async () => {
      const meter = hosts.meter('shaper', hosts.limit(hosts.a, { level: BEST_EFFORT, egressBandwidth: rate }))
      const share = 'protocol' in options ? UDP_PAYLOAD_SHARE : TCP_PAYLOAD_SHARE
      const first = performance.now()
      loads.start(name)
      const parts = await meter.measure(rate, WINDOWS)
      const { received, isBroken } = loads.counts(name)
      const seconds = (performance.now() - first) / 1000
      loads.stop(name)
      note(
        `${name}: ${megabits((received * 8) / seconds)} of payload since it was started; of the rate ${shown(parts)}`,
      )
      assert.ok(!isBroken)
      assert.ok(received * 8 <= (rate * seconds + AHEAD_BYTES * 8) * share, 'never more than the rate')
      // what a processor that is emulated and busy sends for sure; BBR sends less than it could while it looks for more
      if (rate <= 20e6) assert.ok(parts[0]! > (name.includes('bbr') ? 0.9 : 0.97), `${parts}`)
    })

  it('hold because fq keeps departure times, and drops nothing', () => {
    const fq = readFq(hosts.host)
    note(`fq: ${fq.throttled} times throttled, ${fq.drops} drops`)
    assert.ok(fq.throttled > 100)
    assert.equal(fq.drops, 0)
    for (const count of [fq.flows_plimit, fq.horizon_drops, fq.horizon_caps]) assert.equal(count ?? 0, 0)
  })

  it('change while a stream goes on', async () => {
    const name = cases[2]!.name
    const id = hosts.limit(hosts.a, { level: BEST_EFFORT, egressBandwidth: 20e6 })
    const meter = hosts.meter('shaper', id)
    loads.start(name)
    assert.ok((await meter.measure(20e6, WINDOWS))[0]! > 0.97)
    for (const rate of [5e6, 20e6]) {
      hosts.change(hosts.a, { id, level: BEST_EFFORT, egressBandwidth: rate })
      await sleep(1000)
      const parts = await meter.measure(rate, WINDOWS)
      note(`a stream whose limit became ${megabits(rate)}: of it ${shown(parts)}`)
      assert.ok(parts[0]! > 0.97 && parts[0]! < 1 + LOOK_ERROR, `${parts}`)
    }
    assert.ok(!loads.counts(name).isBroken)
  })
}

function testIngress(): void {
  const INGRESS = 5e6
  const BURST_BYTES = 2 ** 18
  let loads: Loads
  afterEach(() => loads.stopAll())
  before(async () => {
    hosts.use(hosts.a, DEFAULT_SHAPER)
    for (const { namespace } of [hosts.a, hosts.far])
      namespace.run(() => writeFileSync('/proc/sys/net/ipv4/tcp_ecn', '1'))
    hosts.limit(hosts.far, { level: BEST_EFFORT, ingressBandwidth: INGRESS })
    loads = await Loads.open([
      hosts.load('TCP', hosts.a),
      hosts.load('UDP', hosts.a, { protocol: 'UDP', bandwidth: 2 * INGRESS }),
    ])
  })
  after(async () => {
    await loads?.close()
    hosts.use(hosts.far, DEFAULT_SHAPER)
  })

  for (const name of ['TCP', 'UDP'])
    it(`hold: ${name}`, async () => {
      const marked = countMarked(hosts.far.namespace)
      const first = performance.now()
      loads.start(name)
      await sleep(2500)
      const { received } = loads.counts(name)
      const seconds = (performance.now() - first) / 1000
      loads.stop(name)
      const marks = countMarked(hosts.far.namespace) - marked
      const most = (INGRESS * seconds) / 8 + BURST_BYTES + 2 ** 17
      note(
        `in, ${name}, ${megabits(INGRESS)}: ${(received / most).toFixed(3)} of the limit and its burst; ${marks} marked`,
      )
      assert.ok(received <= most)
      assert.ok(received > most / 2)
      if (name === 'TCP') assert.ok(marks > 0)
    })
}

function testHeaders(): void {
  it('is the level of a pod, in the outer header', () => {
    for (let level = 0; level < 9; level++) {
      hosts.use(hosts.a, levelShaper(level))
      const wire = Socket.frames(hosts.cluster.wire, hosts.cluster.host(1).namespace.name)
      const tail = Buffer.from(`level ${level}`)
      const socket = Socket.udp(hosts.a.namespace)
      socket.sendTo(tail, { ip: hosts.far.endpoint.ip, port: 9 })
      let tos: number | undefined
      while (tos === undefined) {
        assert.equal(pollSockets([{ socket: wire, wants: 'read' }], 10_000).length, 1, 'it is sent')
        tos = wire.receiveAll().find(({ data }) => data.subarray(-tail.length).equals(tail))?.data[15]
      }
      assert.equal(tos, LEVEL_DSCP[level]! << 2)
      for (const each of [socket, wire]) each.close()
    }
  })

  it('is a full queue, told to whoever listens, through the tunnel', async () => {
    const meter = hosts.meter('shaper', hosts.limit(hosts.a, { level: 4, egressBandwidth: 3e6 }))
    const marked = countMarked(hosts.far.namespace)
    const loads = await Loads.open([hosts.load('UDP', hosts.a, { protocol: 'UDP', bandwidth: 5e6, canMark: true })])
    loads.start('UDP')
    await sleep(500)
    await loads.close()
    await until(() => countMarked(hosts.far.namespace) - marked >= meter.look().marks)
    const { marks } = meter.look()
    note(`${marks} packets were marked, and as many arrived so`)
    assert.ok(marks > 0)
    assert.equal(countMarked(hosts.far.namespace) - marked, marks)
  })
}

function testClasses(): void {
  let loads: Loads
  afterEach(() => loads.stopAll())
  const level = (index: number) => hosts.meter('level', index)
  const FLOWS = ['flow 1', 'flow 2', 'flow 3']
  before(async () => {
    // the narrow place between the hosts, with a queue of its own
    hosts.cluster.wire.exec('tc qdisc add dev host2 root netem rate 5mbit limit 50'.split(' '))
    hosts.use(hosts.a, PREMIUM)
    hosts.use(hosts.b, DEFAULT_SHAPER)
    await hosts.share(LINK)
    const udp = (bandwidth: number) => ({ protocol: 'UDP', bandwidth }) as const
    loads = await Loads.open([
      hosts.load('flood', hosts.b, udp(1.2 * LINK)),
      hosts.load('stream', hosts.b),
      hosts.load('part', hosts.a, udp(0.5 * LINK)),
      hosts.load('all', hosts.a, udp(1.2 * LINK)),
      hosts.load('one', hosts.a, udp(0.5 * LINK)),
      ...FLOWS.map((name, i) => hosts.load(name, hosts.b, udp((i < 2 ? 0.25 : 0.75) * LINK))),
    ])
  })
  after(async () => {
    await loads?.close()
    hosts.cluster.wire.exec('tc qdisc del dev host2 root'.split(' '))
  })

  const roundTrips = (samples: number): Promise<number[]> =>
    measureRoundTrips({
      client: hosts.a.namespace.name,
      server: hosts.far.namespace.name,
      ip: hosts.far.endpoint.ip,
      port: 4000,
      count: samples,
      gapMs: 5,
    })

  it('answers premium as fast as without a flood', async () => {
    const meter = level(0)
    const idle = await roundTrips(120)
    loads.start('flood', 'stream')
    await until(() => level(BEST_EFFORT).look().drops > 0)
    const from = meter.look()
    const flooded = await roundTrips(120)
    const to = meter.look()
    await hosts.keeper.close()
    await sleep(500)
    const unshaped = await roundTrips(10)
    await hosts.share(LINK)
    const show = (times: number[]): string =>
      `${percentile(times, 50).toFixed(2)} ms, p99 ${percentile(times, 99).toFixed(2)} ms`
    note(
      `premium idle ${show(idle)}; under a flood ${show(flooded)} (${(percentile(flooded, 99) / percentile(idle, 99)).toFixed(2)} x); without shaping ${show(unshaped)}`,
    )
    assert.deepEqual([to.drops - from.drops, to.marks - from.marks], [0, 0])
    assert.ok(percentile(flooded, 50) < percentile(unshaped, 50) / 2)
  })

  it('gives premium what it wants, and the rest to best-effort', async () => {
    loads.start('flood', 'part')
    const [premium, rest] = [level(0), level(BEST_EFFORT)]
    await sleep(1000)
    const from = [premium.look(), rest.look()] as const
    await sleep(2000)
    const to = [premium.look(), rest.look()] as const
    const [first, second] = [0, 1].map((i) => ((to[i]!.bytes - from[i]!.bytes) * 8e9) / (to[i]!.endNs - from[i]!.endNs))
    note(
      `premium that wants half: ${megabits(first!)}, best-effort that wants all: ${megabits(second!)} of ${megabits(LINK)}`,
    )
    assert.equal(to[0].drops - from[0].drops, 0)
    assert.ok(second! > 0.03 * LINK * 0.9)
    assert.ok(first! + second! < LINK * (1 + LOOK_ERROR))
  })

  it('gives premium all but a little when it wants all, and best-effort all once it wants nothing', async () => {
    const [premium, rest] = [level(0), level(BEST_EFFORT)]
    loads.start('flood', 'all')
    await until(() => hosts.keeper.state.rates[BEST_EFFORT]! < 0.1 * LINK)
    const [ofPremium, ofRest] = await Promise.all([premium.measure(LINK, WINDOWS), rest.measure(LINK, WINDOWS)])
    note(`premium that wants all: of the link ${shown(ofPremium)}, best-effort ${shown(ofRest)}`)
    assert.ok(ofPremium[0]! > 0.85, `${ofPremium}`)
    assert.ok(ofRest[0]! > 0.02, `${ofRest}`)
    loads.stop('all')
    const [before, at] = [hosts.published, performance.now()]
    await until(() => hosts.keeper.state.rates[BEST_EFFORT]! > 0.9 * LINK)
    const looks = hosts.published - before
    note(`best-effort had the link ${Math.round(performance.now() - at)} ms (${looks} looks) after premium ended`)
    assert.ok(looks <= 10, 'a second, of a machine that is not late')
    const parts = await rest.measure(LINK, WINDOWS)
    assert.ok(parts[0]! > 0.9 && parts[0]! < 1, `${parts}`)
  })

  it('is fair between pods, whatever they open, and between flows of a pod', async () => {
    const limits = { level: BEST_EFFORT, egressBandwidth: 8e6 }
    const [first, second] = [hosts.limit(hosts.a, limits), hosts.limit(hosts.b, limits)]
    const pods = [first, second].map((id) => hosts.meter('shaper', id))
    loads.start('one', ...FLOWS)
    await sleep(500)
    const shares = await countFor(2000, () => pods.map((pod) => pod.look().bytes))
    note(`a pod that sends half the link beside one with three floods: Jain ${fairnessOf(shares).toFixed(3)}`)
    assert.ok(fairnessOf(shares) > 0.9, `${shares}`)
    loads.stop('one')
    hosts.change(hosts.b, { id: second, level: BEST_EFFORT, egressBandwidth: 2e6 })
    await sleep(500)
    const flows = await countFor(2000, () => FLOWS.map((name) => loads.counts(name).received))
    const clocks = pods[1]!.countFlows()
    note(`flows of a pod that offer 1 : 1 : 3: Jain ${fairnessOf(flows).toFixed(3)}, on ${clocks} clocks`)
    // flows are told apart by 32 clocks: two that have one share what one would have
    if (clocks === FLOWS.length) assert.ok(fairnessOf(flows) > 0.9, `${flows}`)
  })
}

async function countFor(ms: number, read: () => number[]): Promise<number[]> {
  const before = read()
  await sleep(ms)
  return read().map((now, i) => now - before[i]!)
}

function testQueues(): void {
  const tc = (command: string): string => hosts.host.exec(['tc', ...command.split(' ')])

  it('are made right again when fq was taken away', async () => {
    tc('qdisc del dev eth0 root')
    await until(() => tc('qdisc show dev eth0').includes('qdisc fq '))
    assert.equal(hosts.keeper.state.mode, 'edt')
  })

  it('are left alone when somebody else set them up, and that is said', async () => {
    tc('qdisc replace dev eth0 root handle 1: pfifo')
    await until(() => hosts.keeper.state.problem?.reason === 'ForeignQdisc')
    assert.equal(hosts.keeper.state.mode, 'none')
    tc('qdisc del dev eth0 root')
    await until(() => hosts.keeper.state.mode === 'edt')
    assert.equal(hosts.keeper.state.problem, undefined)
    assert.equal(readFq(hosts.host).drops, 0)
  })
}

note(`kernel ${execFileSync('uname', ['-r']).toString().trim()}`)
