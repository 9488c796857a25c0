import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { computeUsage } from './compute-usage.ts'
import { readSummary, type NodeReading } from './read-summary.ts'

interface Told {
  readonly at?: number
  readonly nanos?: number
  readonly rate?: number
  readonly memory?: number | string
  readonly started?: string
}

function entry({ at = 0, nanos, rate, memory = 1024, started = 'first' }: Told): object {
  const cpu = { time: new Date(at * 1_000).toISOString(), usageCoreNanoSeconds: nanos, usageNanoCores: rate }
  return { startTime: started, cpu, memory: { workingSetBytes: memory } }
}

function summary(node: Told, containers: Readonly<Record<string, Told>> = {}): NodeReading {
  const pod = {
    podRef: { uid: 'u' },
    containers: Object.entries(containers).map(([name, told]) => ({ name, ...entry(told) })),
  }
  return readSummary(JSON.stringify({ node: entry(node), pods: [pod, { podRef: 7 }, null] }))
}

describe('use of cpu', () => {
  it('is what counters rose between two readings', () => {
    const before = summary({ at: 10, nanos: 5e9 }, { c: { at: 10, nanos: 1e9 } })
    const now = summary({ at: 14, nanos: 11e9 }, { c: { at: 12, nanos: 2e9 } })
    assert.equal(computeUsage(before, undefined).isComplete, false)
    const { usage, isComplete } = computeUsage(now, before)
    assert.equal(isComplete, true)
    assert.deepEqual(usage.node, { atMs: 14_000, windowMs: 4_000, cpuNanoCores: 1.5e9, memoryBytes: 1024 })
    assert.deepEqual(usage.pods.get('u')?.get('c'), {
      atMs: 12_000,
      windowMs: 2_000,
      cpuNanoCores: 5e8,
      memoryBytes: 1024,
    })
  })

  it('is what the runtime says, when it does', () => {
    const { usage, isComplete } = computeUsage(summary({ rate: 7 }, { c: { rate: 0, nanos: 4 } }), undefined)
    assert.deepEqual([isComplete, usage.node?.cpuNanoCores, usage.pods.get('u')?.get('c')?.cpuNanoCores], [true, 7, 0])
  })

  it('is unknown of a container that started again, and of its pod', () => {
    const before = summary({ rate: 1 }, { a: { nanos: 9 }, b: { nanos: 9 } })
    const now = summary({ rate: 1 }, { a: { at: 1, nanos: 10, started: 'again' }, b: { at: 1, nanos: 10 } })
    const { usage, isComplete } = computeUsage(now, before)
    assert.deepEqual([isComplete, usage.pods.size], [false, 0])
  })

  it('is unknown when nothing was measured between, and when counters fell', () => {
    for (const now of [summary({ nanos: 9 }), summary({ at: 1, nanos: 3 })]) {
      const { usage, isComplete } = computeUsage(now, summary({ nanos: 9 }))
      assert.deepEqual([isComplete, usage.node], [false, undefined])
    }
  })

  it('is not asked for again of what tells no numbers', () => {
    const { usage, isComplete } = computeUsage(summary({ nanos: 1, memory: 'much' }), undefined)
    assert.deepEqual([isComplete, usage.node], [true, undefined])
  })
})

it('a summary must be an object', () => {
  for (const text of ['', '[]x', 'null', '7']) assert.throws(() => readSummary(text), SyntaxError)
  assert.equal(readSummary('{"node":[],"pods":{}}').pods.size, 0)
})
