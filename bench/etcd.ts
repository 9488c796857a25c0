/** Our etcd engine against a gRPC library that sends the same to the same etcd: what a call costs the process that makes it. */
import { createSeededRandom } from '@centaurus/base'
import { openEtcdStore, type Store } from '@centaurus/store'
import { benchResult, type Bench, type BenchContext, type BenchResult, type BenchTarget } from './harness/bench.ts'
import { startEtcd, type Etcd } from './harness/etcd.ts'
import { alternateFigures, operationsPerSecond } from './harness/measure.ts'
import { sampleProcess } from './harness/process.ts'

const KEYS = 5_000
const PREFIX = '/registry/pods/'
const DURATION_MS = 2_000
const RANGE_KEYS = 500
const WATCHED_WRITES = 20_000
const PEER = 'grpc-js'

const random = createSeededRandom(1)

export const bench: Bench = {
  summary: 'commits, reads and watch events of the etcd engine, and their CPU time, against grpc-js',
  async run(context) {
    const etcd = await startEtcd(context.directory)
    try {
      const store = await openEtcdStore({ endpoints: [etcd.url] })
      try {
        return await measure({ store, etcd, context })
      } finally {
        await store.close()
      }
    } finally {
      await etcd.close()
    }
  },
}

interface Peers {
  readonly store: Store
  readonly etcd: Etcd
  readonly context: BenchContext
}

/** What one kind of call did. */
interface Figures {
  /** Calls (or keys, or events) a second. */
  readonly rate: number
  /** Microseconds of CPU time of this process for each. */
  readonly clientMicros: number
  /** The same of etcd. */
  readonly serverMicros: number
}

async function measure(peers: Peers): Promise<BenchResult[]> {
  const { store, etcd, context } = peers
  const ours = createWriter((key, value, modRevision) => compareAndPut(store, key, value, modRevision))
  const theirs = createWriter((key, value, modRevision) => etcd.compareAndPut(key, value, modRevision))
  context.log(`writing ${KEYS} keys of 2 to 3 KB by each`)
  await ours.fill()
  await theirs.fill()
  const results: BenchResult[] = []
  for (const inFlight of [1, 64, 128]) {
    const targets = inFlight === 64 ? { rate: { ratioAtLeast: 1.1 }, cpu: { ratioAtMost: 0.7 } } : undefined
    results.push(
      ...(await compare(
        peers,
        { metric: `compare-and-put, ${inFlight} in flight`, unit: 'commits/s', targets },
        {
          ours: () => measureCalls(etcd, { inFlight, each: 1 }, ours.write),
          peer: () => measureCalls(etcd, { inFlight, each: 1 }, theirs.write),
        },
      )),
    )
  }
  results.push(
    ...(await compare(
      peers,
      { metric: 'get', unit: 'gets/s' },
      {
        ours: () => measureCalls(etcd, { inFlight: 64, each: 1 }, () => store.get(randomKey())),
        peer: () => measureCalls(etcd, { inFlight: 64, each: 1 }, () => etcd.get(randomKey())),
      },
    )),
    ...(await compare(
      peers,
      { metric: `range of ${RANGE_KEYS}`, unit: 'keys/s' },
      {
        ours: () =>
          measureCalls(etcd, { inFlight: 4, each: RANGE_KEYS }, () => store.range(PREFIX, { limit: RANGE_KEYS })),
        peer: () =>
          measureCalls(etcd, { inFlight: 4, each: RANGE_KEYS }, () => etcd.range(PREFIX, { limit: RANGE_KEYS })),
      },
    )),
    ...(await measurePast(peers, ours.write)),
  )
  return results
}

async function compare(
  { context }: Peers,
  figure: {
    readonly metric: string
    readonly unit: string
    readonly targets?: { readonly rate: BenchTarget; readonly cpu: BenchTarget } | undefined
  },
  candidates: { readonly ours: () => Promise<Figures>; readonly peer: () => Promise<Figures> },
): Promise<BenchResult[]> {
  const { metric, unit, targets } = figure
  context.log(metric)
  const { ours, peer } = await alternateFigures<'ours' | 'peer', Figures>(context.rounds, candidates)
  const one = unit.replace(/s\/s$/, '')
  const result = (name: string, field: keyof Figures, target?: BenchTarget): BenchResult =>
    benchResult({
      metric: `${metric}${name}`,
      unit: field === 'rate' ? unit : `µs/${one}`,
      value: ours[field],
      peer: { name: PEER, value: peer[field] },
      target,
    })
  return [
    result('', 'rate', targets?.rate),
    result(': CPU of the client', 'clientMicros', targets?.cpu),
    result(': CPU of etcd', 'serverMicros'),
  ]
}

/** The history of many commits, delivered to a watch that starts before them, as an API server that was away asks for it. */
async function measurePast({ store, etcd, context }: Peers, write: () => Promise<unknown>): Promise<BenchResult[]> {
  context.log(`watch of ${WATCHED_WRITES} past events`)
  const fromRevision = (await store.currentRevision()) + 1
  await inTurn(64, WATCHED_WRITES, write)
  const rounds: Figures[] = []
  for (let round = 0; round < context.rounds; round++) {
    rounds.push(
      await measureOnce(etcd, WATCHED_WRITES, () =>
        untilDelivered((onEvents, onEnd) =>
          store.watch(PREFIX, {
            fromRevision,
            omitPrevious: true,
            onEvents: (events) => onEvents(events.length),
            onEnd,
          }),
        ),
      ),
    )
  }
  const [median] = rounds.toSorted((x, y) => x.rate - y.rate).slice(Math.floor(rounds.length / 2))
  const metric = 'past events to one watch'
  return [
    benchResult({ metric, unit: 'events/s', value: median!.rate }),
    benchResult({ metric: `${metric}: CPU of the client`, unit: 'µs/event', value: median!.clientMicros }),
  ]
}

function untilDelivered(
  watch: (onEvents: (count: number) => void, onEnd: (error: Error | undefined) => void) => { close(): void },
): Promise<void> {
  return new Promise((resolve, reject) => {
    let left = WATCHED_WRITES
    const open = watch(
      (count) => {
        left -= count
        if (left <= 0) open.close()
      },
      (error) => (error === undefined ? resolve() : reject(error)),
    )
  })
}

async function measureCalls(
  etcd: Etcd,
  options: { readonly inFlight: number; readonly each: number },
  call: () => Promise<unknown>,
): Promise<Figures> {
  const before = sampleBoth(etcd)
  let calls = 0
  const rate = await operationsPerSecond({ inFlight: options.inFlight, durationMs: DURATION_MS }, async () => {
    await call()
    calls++
  })
  return { rate: rate * options.each, ...before.since(calls * options.each) }
}

async function measureOnce(etcd: Etcd, count: number, work: () => Promise<void>): Promise<Figures> {
  const before = sampleBoth(etcd)
  const start = performance.now()
  await work()
  return { rate: (count * 1000) / (performance.now() - start), ...before.since(count) }
}

/** CPU time from now on, divided among so many. */
function sampleBoth(etcd: Etcd): { since(count: number): Omit<Figures, 'rate'> } {
  const client = process.cpuUsage()
  const server = sampleProcess(etcd.pid).cpuMs
  return {
    since(count) {
      const { user, system } = process.cpuUsage(client)
      return {
        clientMicros: (user + system) / count,
        serverMicros: ((sampleProcess(etcd.pid).cpuMs - server) * 1000) / count,
      }
    },
  }
}

interface Writer {
  fill(): Promise<void>
  /** Puts a key that is as this writer left it. */
  write(): Promise<void>
}

/** Knows the revision of each key; the keys in use by a write under way are left alone. */
function createWriter(
  put: (key: string, value: Uint8Array, modRevision: number) => Promise<number | undefined>,
): Writer {
  const revisions = new Map<string, number>()
  const free: string[] = Array.from({ length: KEYS }, (_, i) => keyName(i))
  const write = async (): Promise<void> => {
    const at = random.integer(free.length)
    const key = free[at]!
    free[at] = free.at(-1)!
    free.pop()
    const revision = await put(key, newValue(), revisions.get(key) ?? 0)
    if (revision === undefined) throw new Error(`Cannot write ${key}: somebody else did`)
    revisions.set(key, revision)
    free.push(key)
  }
  return { write, fill: () => inTurn(64, KEYS, write) }
}

async function inTurn(inFlight: number, count: number, call: () => Promise<unknown>): Promise<void> {
  let left = count
  const worker = async (): Promise<void> => {
    while (left-- > 0) await call()
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
}

async function compareAndPut(
  store: Store,
  key: string,
  value: Uint8Array,
  modRevision: number,
): Promise<number | undefined> {
  const result = await store.commit({ compare: [{ key, modRevision }], changes: [{ type: 'put', key, value }] })
  return result.committed ? result.revision : undefined
}

function newValue(): Uint8Array {
  return new Uint8Array(2_000 + random.integer(1_000)).fill(random.integer(256))
}

function randomKey(): string {
  return keyName(random.integer(KEYS))
}

function keyName(number: number): string {
  return `${PREFIX}namespace-${number % 20}/pod-${String(number).padStart(6, '0')}`
}
