/** Claims on nodes over the embedded store: what one costs a resource partition, by how many come in a request. */
import { execFileSync } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { ClaimBook, type ClaimItem } from '@centaurus/partition'
import { openEmbeddedStore, type Store } from '@centaurus/store'
import { benchResult, type Bench, type BenchContext, type BenchResult } from './harness/bench.ts'

const NODES = 5_000
const BATCH_ITEMS = [1, 32, 256]
const DURATION_MS = 2_000
/** Tenant partitions that claim at once, each one request at a time. */
const PARTITIONS = 4
/** A partition that holds so many releases as many as it claims, so that nodes stay half full. */
const HELD_MAX = 20_000
const MEMORY_NODES = 60_000
const MEMORY_CLAIMS = 300_000

export const bench: Bench = {
  summary: 'durable claims on nodes by request size: rate, CPU, commits, and memory at 60,000 nodes',
  async run(context) {
    const results: BenchResult[] = []
    for (const items of BATCH_ITEMS) results.push(...(await measureBatch(context, items)))
    return [...results, ...measureMemory(context)]
  },
}

interface Figures {
  readonly perSecond: number
  readonly cpuMicroseconds: number
  readonly commits: number
}

async function measureBatch(context: BenchContext, batchItems: number): Promise<BenchResult[]> {
  const figures: Figures[] = []
  for (let round = 0; round < context.rounds; round++) {
    context.log(`claims, ${batchItems} a request, round ${round + 1}`)
    const path = join(context.directory, `batch-${batchItems}-${round}`)
    mkdirSync(path)
    const store = await openEmbeddedStore({ path, automaticCompaction: { revisionsMax: 50_000 } })
    try {
      figures.push(await measureRound(store, batchItems))
    } finally {
      await store.close()
    }
  }
  const median = (pick: (figures: Figures) => number): number =>
    figures.map(pick).toSorted((a, b) => a - b)[Math.floor(figures.length / 2)]!
  const name = `claims, ${batchItems} a request`
  return [
    benchResult({ metric: name, value: median(({ perSecond }) => perSecond), unit: 'claims/s' }),
    benchResult({ metric: `${name}, CPU`, value: median(({ cpuMicroseconds }) => cpuMicroseconds), unit: 'µs/claim' }),
    benchResult({
      metric: `${name}, commits (fsyncs at most)`,
      value: median(({ commits }) => commits),
      unit: 'commits/claim',
    }),
  ]
}

/** Releases that keep the nodes from filling up are not counted as claims, but their cost is. */
async function measureRound(store: Store, batchItems: number): Promise<Figures> {
  const book = new ClaimBook({ store, clock: systemClock, logger: silentLogger })
  for (let i = 0; i < NODES; i++)
    book.ledger.setCapacity(`node-${i}`, { cpu: 64_000, memory: 256 * 2 ** 30, pods: 110 })
  await book.start()
  const firstRevision = await store.currentRevision()
  const cpu = process.cpuUsage()
  const startMs = performance.now()
  const endMs = startMs + DURATION_MS
  const counts = await Promise.all(
    Array.from({ length: PARTITIONS }, (_, i) => claimUntil(book, { partition: `tp${i}`, seed: i, batchItems, endMs })),
  )
  const seconds = (performance.now() - startMs) / 1000
  const used = process.cpuUsage(cpu)
  const claims = counts.reduce((sum, count) => sum + count, 0)
  const commits = (await store.currentRevision()) - firstRevision
  await book.close()
  return { perSecond: claims / seconds, cpuMicroseconds: (used.user + used.system) / claims, commits: commits / claims }
}

async function claimUntil(
  book: ClaimBook,
  { partition, seed, batchItems, endMs }: { partition: string; seed: number; batchItems: number; endMs: number },
): Promise<number> {
  const random = createSeededRandom(seed)
  const held: string[] = []
  let made = 0
  let accepted = 0
  for (let sequence = 1; performance.now() < endMs; sequence++) {
    const items: ClaimItem[] = []
    for (let i = 0; i < batchItems; i++) {
      if (held.length > HELD_MAX) items.push({ op: 'release', uid: held.shift()! })
      items.push(newClaim(partition, { number: made++, node: random.integer(NODES) }))
    }
    const answers = await book.submit({ partition, epoch: 1, sequence, items })
    for (const { uid, result } of answers.items) {
      if (result !== 'accepted') continue
      accepted++
      held.push(uid)
    }
  }
  return accepted
}

function newClaim(partition: string, { number, node }: { readonly number: number; readonly node: number }): ClaimItem {
  const suffix = String(number).padStart(8, '0')
  return {
    op: 'claim',
    uid: `${partition}-6f1c-4c8e-9a55-0242ac${suffix}-uid`,
    tenant: 'acme',
    namespace: `namespace-${number % 50}`,
    name: `deployment-7d9c6b5f4-${suffix}`,
    node: `node-${node}`,
    requests: { cpu: 100, memory: 128 * 2 ** 20, pods: 1 },
  }
}

function measureMemory({ directory, log }: BenchContext): BenchResult[] {
  log(`memory of ${MEMORY_CLAIMS} claims on ${MEMORY_NODES} nodes`)
  const script = fileURLToPath(new URL('./harness/claims-memory.ts', import.meta.url))
  const args = ['--expose-gc', script, join(directory, 'memory'), String(MEMORY_NODES), String(MEMORY_CLAIMS)]
  const output = execFileSync(process.execPath, args, { encoding: 'utf8' })
  const { ledgerBytes, nodeBytes, valueBytes } = JSON.parse(output) as Record<string, number>
  const target = { atMost: 250 }
  return [
    benchResult({ metric: 'memory of a claim in the ledger', value: ledgerBytes!, unit: 'bytes', target }),
    benchResult({ metric: 'memory of a node in the ledger', value: nodeBytes!, unit: 'bytes' }),
    benchResult({ metric: 'a claim in the store', value: valueBytes!, unit: 'bytes' }),
  ]
}
