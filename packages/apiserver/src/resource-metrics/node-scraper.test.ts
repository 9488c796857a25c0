import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock, silentLogger, type ManualClock } from '@centaurus/base'
import { NodeScraper } from './node-scraper.ts'

const STEP_MS = 250

/** A node that has used half a core since the clock began. */
function burning(clock: ManualClock, startMs: number): string {
  const time = new Date(clock.now()).toISOString()
  const cpu = { time, usageCoreNanoSeconds: (clock.now() - startMs) * 500_000 }
  return JSON.stringify({ node: { cpu, memory: { workingSetBytes: 1 } }, pods: [] })
}

function setUp(answer: (node: string, signal: AbortSignal) => Promise<string> | undefined = () => undefined) {
  const clock = createManualClock()
  const startMs = clock.now()
  const asked: string[] = []
  const scraper = new NodeScraper({
    clock,
    logger: silentLogger,
    async fetch(node, signal) {
      asked.push(node)
      return answer(node, signal) ?? burning(clock, startMs)
    },
  })
  /** Time goes on in steps, so that what waits for one timer can set the next. */
  const after = async <T>(result: Promise<T>, waitMs: number): Promise<T> => {
    for (let leftMs = waitMs; leftMs >= 0; leftMs -= STEP_MS) await clock.advance(leftMs === waitMs ? 0 : STEP_MS)
    return result
  }
  const use = async (names: readonly string[], waitMs: number): Promise<unknown[]> => {
    const found = await after(scraper.usageOf(names), waitMs)
    return names.map((name) => found.get(name)?.node?.cpuNanoCores)
  }
  return { after, clock, asked, scraper, use }
}

describe('nodes', () => {
  it('are read twice at first, and once when they are asked again later; not at all in between', async () => {
    const { clock, asked, use } = setUp()
    assert.deepEqual(await use(['a'], 1_000), [5e8])
    assert.equal(asked.length, 2)
    assert.deepEqual(await use(['a'], 0), [5e8])
    assert.equal(asked.length, 2)
    await clock.advance(15_000)
    assert.deepEqual(await use(['a'], 0), [5e8])
    assert.equal(asked.length, 3)
  })

  it('are asked once for all who wait', async () => {
    const { after, asked, scraper } = setUp()
    const both = Promise.all([scraper.usageOf(['a']), scraper.usageOf(['a', 'b'])])
    const [first, second] = await after(both, 1_000)
    assert.deepEqual([[...first.keys()], [...second.keys()].toSorted()], [['a'], ['a', 'b']])
    assert.equal(asked.length, 4)
  })

  it('that fail or stay silent are left out, and not asked again at once', async () => {
    const { asked, use } = setUp((node, signal) => {
      if (node === 'broken') throw new Error('refused')
      if (node !== 'silent') return undefined
      return new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    })
    assert.deepEqual(await use(['a', 'broken', 'silent'], 5_000), [5e8, undefined, undefined])
    assert.deepEqual(await use(['broken', 'silent'], 0), [undefined, undefined])
    assert.deepEqual(asked, ['a', 'broken', 'silent', 'a'])
  })

  it('that are asked last do not wait for many that are silent, of which some never have a turn', async () => {
    const { after, asked, scraper, use } = setUp((node, signal) => {
      if (!node.startsWith('silent')) return undefined
      return new Promise<string>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    })
    const silent = Array.from({ length: 1_000 }, (_, i) => `silent${i}`)
    const many = scraper.usageOf(silent)
    assert.deepEqual(await use(['last'], 11_000), [5e8])
    assert.equal((await after(many, 10_000)).size, 0)
    await after(Promise.resolve(), 60_000)
    const turns = asked.filter((name) => name !== 'last').length
    assert.ok(turns >= 4 * 64 && turns <= 5 * 64, `${turns} were asked`)
    assert.deepEqual(await use(['last'], 0), [5e8])
  })

  it('that have no turn in time are told as they were, for a while', async () => {
    let isSilent = false
    const { after, scraper, use } = setUp((_, signal) => {
      if (!isSilent) return undefined
      return new Promise<string>((_, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    })
    assert.deepEqual(await use(['early'], 1_000), [5e8])
    await after(Promise.resolve(), 11_000)
    isSilent = true
    const early = scraper.usageOf(Array.from({ length: 64 }, (_, i) => `busy${i}`))
    const waiting = scraper.usageOf(['early'])
    const more = Array.from({ length: 320 }, (_, i) => scraper.usageOf([`more${i}`]))
    const found = await after(waiting, 30_000)
    assert.equal(found.get('early')?.node?.cpuNanoCores, 5e8)
    await Promise.all([early, ...more])
  })
})
