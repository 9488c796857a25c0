/** The embedded store against Debian's etcd on the same disk. Ours is a library in the caller's process; etcd is called over gRPC. */
import { execFileSync } from 'node:child_process'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createSeededRandom, systemClock } from '@centaurus/base'
import { openEmbeddedStore, timedRevisions, type Store } from '@centaurus/store'
import { benchResult, type Bench, type BenchContext, type BenchResult, type BenchTarget } from './harness/bench.ts'
import { startEtcd, type Etcd } from './harness/etcd.ts'
import { alternate, operationsPerSecond } from './harness/measure.ts'

const KEYS = 5_000
const PREFIX = '/registry/pods/'
const DURATION_MS = 1_500
const RANGE_KEYS = 500
const WATCHERS = 10
const DRAIN_MS_MAX = 20_000
const MEMORY_KEYS = 50_000

const random = createSeededRandom(1)

export const bench: Bench = {
  summary: 'durable commits, reads, watch events and memory of the embedded store, against etcd',
  async run(context) {
    const store = await openEmbeddedStore({
      path: join(context.directory, 'ours'),
      automaticCompaction: { revisionsMax: 50_000 },
      revisions: timedRevisions(systemClock),
    })
    try {
      const etcd = await startEtcd(context.directory)
      try {
        return await measure({ store, etcd, context })
      } finally {
        await etcd.close()
      }
    } finally {
      await store.close()
    }
  },
}

interface Peers {
  readonly store: Store
  readonly etcd: Etcd
  readonly context: BenchContext
}

async function measure(peers: Peers): Promise<BenchResult[]> {
  const { store, etcd, context } = peers
  context.log(`writing ${KEYS} keys of 2 to 3 KB to each`)
  await eachKey(64, (key) => commit(store, key))
  await eachKey(64, (key) => etcd.put(key, newValue()))
  const results: BenchResult[] = []
  for (const inFlight of [1, 64, 256]) {
    const options = { inFlight, durationMs: DURATION_MS }
    const target = inFlight === 64 ? { ratioAtLeast: 2 } : undefined
    results.push(
      await compare(
        peers,
        { metric: `durable commits, ${inFlight} in flight`, unit: 'commits/s', target },
        {
          ours: () => operationsPerSecond(options, () => commit(store, randomKey())),
          peer: () => operationsPerSecond(options, () => etcd.put(randomKey(), newValue())),
        },
      ),
    )
  }
  const options = { inFlight: 64, durationMs: DURATION_MS }
  results.push(
    await compare(
      peers,
      { metric: 'get', unit: 'gets/s' },
      {
        ours: () => operationsPerSecond(options, () => store.get(randomKey())),
        peer: () => operationsPerSecond(options, () => etcd.get(randomKey())),
      },
    ),
    await compare(
      peers,
      { metric: `range of ${RANGE_KEYS}`, unit: 'keys/s' },
      {
        ours: () => keysPerSecond(async () => (await store.range(PREFIX, { limit: RANGE_KEYS })).entries.length),
        peer: () => keysPerSecond(async () => (await etcd.range(PREFIX, { limit: RANGE_KEYS })).length),
      },
    ),
    await compare(
      peers,
      { metric: `watch events, ${WATCHERS} watches, 64 commits in flight`, unit: 'events/s' },
      {
        ours: () => storeEventsPerSecond(store),
        peer: () => etcdEventsPerSecond(etcd),
      },
    ),
  )
  return [...results, ...measureMemory(context)]
}

async function compare(
  peers: Peers,
  figure: { readonly metric: string; readonly unit: string; readonly target?: BenchTarget | undefined },
  candidates: { readonly ours: () => Promise<number>; readonly peer: () => Promise<number> },
): Promise<BenchResult> {
  peers.context.log(figure.metric)
  const { ours, peer } = await alternate(peers.context.rounds, candidates)
  return benchResult({ ...figure, value: ours, peer: { name: 'etcd', value: peer } })
}

function storeEventsPerSecond(store: Store): Promise<number> {
  return eventsPerSecond(
    () => commit(store, randomKey()),
    async (onEvents) => {
      const onEnd = (): void => {}
      return store.watch(PREFIX, { onEvents: (events) => onEvents(events.length), onEnd })
    },
  )
}

function etcdEventsPerSecond(etcd: Etcd): Promise<number> {
  return eventsPerSecond(
    () => etcd.put(randomKey(), newValue()),
    (onEvents) => etcd.watch(PREFIX, onEvents),
  )
}

/** Writes with 64 in flight, and takes the time until every watch was given every event. */
async function eventsPerSecond(
  write: () => Promise<void>,
  watch: (onEvents: (count: number) => void) => Promise<{ close(): void }>,
): Promise<number> {
  let events = 0
  const onEvents = (count: number): void => void (events += count)
  const watches = await Promise.all(Array.from({ length: WATCHERS }, () => watch(onEvents)))
  const start = performance.now()
  let writes = 0
  await operationsPerSecond({ inFlight: 64, durationMs: DURATION_MS }, async () => {
    await write()
    writes++
  })
  const deadline = performance.now() + DRAIN_MS_MAX
  const isDone = (): boolean => events >= writes * WATCHERS || performance.now() > deadline
  while (!isDone()) await new Promise((resolve) => setTimeout(resolve, 5))
  const rate = (events * 1000) / (performance.now() - start)
  for (const open of watches) open.close()
  return rate
}

async function keysPerSecond(range: () => Promise<number>): Promise<number> {
  let keys = 0
  const options = { inFlight: 4, durationMs: DURATION_MS }
  const calls = await operationsPerSecond(options, async () => void (keys = await range()))
  return calls * keys
}

/** What a key of 3 KB costs the process that holds the store, values on disk. */
function measureMemory(context: BenchContext): BenchResult[] {
  context.log(`memory of ${MEMORY_KEYS} keys`)
  const script = fileURLToPath(new URL('harness/store-memory.ts', import.meta.url))
  const args = ['--expose-gc', script, join(context.directory, 'memory'), String(MEMORY_KEYS)]
  const report = JSON.parse(execFileSync(process.execPath, args, { encoding: 'utf8' })) as Record<string, number>
  return [
    benchResult({
      metric: 'objects in memory a key of 3 KB',
      value: report['objectBytes']!,
      unit: 'bytes',
      target: { atMost: 3_000 },
    }),
    benchResult({ metric: 'anonymous memory a key of 3 KB', value: report['anonymousBytes']!, unit: 'bytes' }),
    benchResult({
      metric: 'resident memory a key of 3 KB, mapped file included',
      value: report['residentBytes']!,
      unit: 'bytes',
    }),
  ]
}

async function eachKey(inFlight: number, write: (key: string) => Promise<void>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    while (next < KEYS) await write(keyName(next++))
  }
  await Promise.all(Array.from({ length: inFlight }, worker))
}

async function commit(store: Store, key: string): Promise<void> {
  await store.commit({ changes: [{ type: 'put', key, value: newValue() }] })
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
