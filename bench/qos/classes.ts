import {
  measure,
  type Passed,
  RateController,
  type Sender,
  ShapedUplink,
  steady,
  type TestDataplane,
} from '@centaurus/network/testing'
import { benchResult, type BenchResult } from '../harness/bench.ts'
import { percentile } from '../harness/measure.ts'
import { runPlainClock, serveLink } from './reference.ts'
import { FULL_BYTES, MS, OVERHEAD_BYTES, POD, shape } from './shape.ts'

const LINK = 100e6
/** As daemon/shaping-keeper.ts: between looks while something waits, and while the link has room. */
const BUSY_MS = 100
const IDLE_MS = 1_000
const STEP_MS = 10
const CLOCK_SHIFT = 5n
/** Premium starts and stops just after a look, which is the worst moment. */
const START_MS = 2_010
const STOP_MS = 4_010
const END_MS = 6_000
const SENT = { premium: 60e6, 'best-effort': 120e6 }
/** Of the link, when it is said to hold. */
const TOLERANCE = 0.05
const WINDOW_MS = 50

type ClassName = keyof typeof SENT

/** A packet as the link has it. */
export interface Sent {
  readonly sender: string
  readonly atNs: number
  readonly departureNs: number
  readonly bytes: number
}

export interface SharedLink {
  /** Through the link behind fq with bands (Linux 6.7), and behind one queue for all. */
  readonly banded: readonly Sent[]
  readonly single: readonly Sent[]
  readonly passed: readonly Passed[]
  readonly startNs: number
}

/** Best-effort floods a link of 100 Mbit/s; premium sends 60 of them for two seconds. The program and the controller are the real ones, the link behind them is a model. */
export function shareLink(host: TestDataplane): SharedLink {
  shape(host, {
    pods: [
      { id: POD, level: 1 },
      { id: POD + 1, level: 7 },
    ],
  })
  const uplink = new ShapedUplink(host)
  const look = startController(host)
  const startNs = uplink.nowNs
  const { premium, flood } = senders()
  let nextLook = 0
  for (let ms = 0; ms < END_MS; ms += STEP_MS) {
    if (ms >= nextLook) nextLook = ms + look(uplink.nowNs)
    const isOn = ms >= START_MS && ms < STOP_MS
    uplink.run(isOn ? [premium, flood] : [flood], STEP_MS * MS)
  }
  const { passed } = uplink
  return {
    passed,
    startNs,
    banded: throughLink(passed, { hasBands: true }),
    single: throughLink(passed, { hasBands: false }),
  }
}

export function measureClasses(host: TestDataplane): BenchResult[] {
  const { banded, single, passed, startNs } = shareLink(host)
  const used = (fromMs: number, toMs: number, sent: readonly Sent[] = banded) =>
    measure(
      sent.map((each) => ({ ...each, isMarked: false })),
      { fromNs: startNs + fromMs * MS, toNs: startNs + toMs * MS },
    )
  const share = (fromMs: number, toMs: number): number => (used(fromMs, toMs).total / LINK) * 100
  const offered = (SENT.premium * (FULL_BYTES + OVERHEAD_BYTES)) / FULL_BYTES
  const both = senders()
  const unshaped = measure(
    runPlainClock(
      { bandwidth: LINK, horizonNs: (1_000 * FULL_BYTES * 8e9) / LINK },
      [both.premium, both.flood],
      2_000 * MS,
    ),
    { fromNs: startNs + 1_000 * MS, toNs: startNs + 2_000 * MS },
  )
  const premiumOf = (rates: ReadonlyMap<string, number>): number => ((rates.get('premium') ?? 0) / offered) * 100
  const waits = (sent: readonly Sent[]): number[] =>
    sent.filter(({ sender }) => sender === 'premium').map(({ atNs, departureNs }) => (departureNs - atNs) / MS)
  const target = { atLeast: 97 }
  // what the levels let go; the link behind them has some left over from before
  const allowed = departed(passed)
  const settles = (name: ClassName, from: number, to: number): number =>
    settlesAfter(allowed, { name, startNs, from, to })
  return [
    figure('link used while one class is idle', '%', share(1_000, 2_000), target),
    figure('link used while both send', '%', share(START_MS, STOP_MS), target),
    figure('link used in the second after premium stopped', '%', share(STOP_MS, STOP_MS + 1_000)),
    benchResult({
      metric: 'classes, premium gets of what it sends under a flood',
      unit: '%',
      value: premiumOf(used(START_MS, STOP_MS).rates),
      peer: { name: 'a device’s queue (model)', value: premiumOf(unshaped.rates) },
      target: { atLeast: 99 },
    }),
    figure('premium starts: ms until it has its rate', 'ms', settles('premium', START_MS, STOP_MS), { atMost: 200 }),
    figure('premium starts: ms until best-effort has what is left', 'ms', settles('best-effort', START_MS, STOP_MS)),
    figure('premium stops: ms until best-effort has the link', 'ms', settles('best-effort', STOP_MS, END_MS - 100)),
    figure('premium’s wait p99, queues with bands (Linux 6.7)', 'ms', percentile(waits(banded), 0.99), { atMost: 1 }),
    figure('premium’s wait p99, one queue behind the levels', 'ms', percentile(waits(single), 0.99)),
    figure(
      'premium dropped',
      '%',
      (passed.filter(({ sender, departureNs }) => sender === 'premium' && departureNs === undefined).length /
        waits(banded).length) *
        100,
      { atMost: 0 },
    ),
  ]
}

/** A pod's limit is changed while it sends more. */
export function measureLimitChange(host: TestDataplane): BenchResult[] {
  return (
    [
      [100e6, 20e6],
      [20e6, 100e6],
    ] as const
  ).map(([before, after]) => {
    shape(host, { pods: [{ id: POD, level: 7, limit: before }] })
    const uplink = new ShapedUplink(host)
    const flow = steady({ name: 'flow', bytes: FULL_BYTES, shaper: POD, flow: 0, bandwidth: 130e6 })
    uplink.run([flow], 500 * MS)
    const changedNs = uplink.nowNs
    host.tables.setShaper({ id: POD, level: 7, egressBandwidth: after })
    uplink.run([flow], 500 * MS)
    const value = holdsAfter(departed(uplink.passed), { fromNs: changedNs, toNs: uplink.nowNs, wanted: after })
    return figure(`a pod’s limit from ${before / 1e6} to ${after / 1e6} Mbit/s: ms until it holds`, 'ms', value, {
      atMost: 50,
    })
  })
}

function figure(
  what: string,
  unit: string,
  value: number,
  target?: { atLeast: number } | { atMost: number },
): BenchResult {
  return benchResult({ metric: `classes, ${what}`, unit, value, target })
}

function senders(): { readonly premium: Sender; readonly flood: Sender } {
  const of = (name: ClassName, shaper: number) => ({
    name,
    shaper,
    bytes: FULL_BYTES,
    flow: shaper - POD,
    bandwidth: SENT[name],
  })
  return { premium: steady(of('premium', POD)), flood: steady(of('best-effort', POD + 1)) }
}

/** What the shaping keeper does, on a virtual clock: `look(nowNs)` gives the levels their rates, and says when to look again. */
function startController(host: TestDataplane): (nowNs: number) => number {
  const controller = new RateController()
  return (nowNs) => {
    const levels = host.tables.readLevels().map((counts) => {
      return { ...counts, backlogNs: backlogOf(host, { level: counts.level, nowNs }) }
    })
    const plan = controller.next(levels, { nowMs: nowNs / 1e6, bandwidth: LINK })
    if (plan === undefined) return BUSY_MS
    host.tables.setShaping({ mode: 'edt', rates: plan.rates, overheadBytes: OVERHEAD_BYTES })
    return plan.isBusy ? BUSY_MS : IDLE_MS
  }
}

/** The tables say it by the kernel's clock. */
function backlogOf(host: TestDataplane, { level, nowNs }: { readonly level: number; readonly nowNs: number }): number {
  const key = Buffer.alloc(4)
  key.writeUInt32LE(level)
  const next = host.map('level_clocks').get(key)!.readBigUInt64LE(0) >> CLOCK_SHIFT
  return Math.max(0, Number(next) - nowNs)
}

function throughLink(passed: readonly Passed[], { hasBands }: { readonly hasBands: boolean }): Sent[] {
  const left = passed.filter(({ departureNs }) => departureNs !== undefined)
  const packets = left.map(({ departureNs, bytes, sender }) => {
    return { atNs: departureNs!, bytes, band: hasBands && sender !== 'premium' ? 1 : 0 }
  })
  const times = serveLink(packets, LINK)
  return left.map(({ sender, atNs, bytes }, i) => ({ sender, atNs, bytes, departureNs: times[i]! }))
}

/** Milliseconds from a change until a class has, and keeps, what it has in the last half second before the next one. */
function settlesAfter(
  sent: readonly Sent[],
  {
    name,
    startNs,
    from,
    to,
  }: { readonly name: ClassName; readonly startNs: number; readonly from: number; readonly to: number },
): number {
  const own = sent.filter(({ sender }) => sender === name)
  const [fromNs, toNs] = [startNs + from * MS, startNs + to * MS]
  return holdsAfter(own, { fromNs, toNs, wanted: rateOf(own, toNs - 500 * MS, toNs) })
}

/** Milliseconds until all windows of 50 ms have the rate, to 5 %. */
function holdsAfter(
  sent: readonly Sent[],
  { fromNs, toNs, wanted }: { readonly fromNs: number; readonly toNs: number; readonly wanted: number },
): number {
  for (let at = toNs - WINDOW_MS * MS; at >= fromNs; at -= 5 * MS)
    if (Math.abs(rateOf(sent, at, at + WINDOW_MS * MS) / wanted - 1) > TOLERANCE) return (at + 5 * MS - fromNs) / MS
  return 0
}

function departed(passed: readonly Passed[]): Sent[] {
  return passed.flatMap((each) => (each.departureNs === undefined ? [] : [{ ...each, departureNs: each.departureNs }]))
}

/** Bits a second. */
export function rateOf(sent: readonly Sent[], fromNs: number, toNs: number): number {
  const bytes = sent.reduce(
    (sum, { departureNs, bytes: each }) => sum + (departureNs >= fromNs && departureNs < toNs ? each : 0),
    0,
  )
  return (bytes * 8e9) / (toNs - fromNs)
}
