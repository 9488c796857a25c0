import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom, type Random } from '@centaurus/base'
import type { QueueNode } from './queue-node.ts'
import { Queues } from './queues.ts'
import { ReferenceQueues } from '../testing/reference.ts'
import { queue, workload } from '../testing/objects.ts'
import type { QueueSettings, Quota, Workload } from './types.ts'

const SEEDS = 150
const RESOURCES = ['gpu', 'cpu']

/** Two or three levels, some of whose queues limit what they borrow and lend. */
function randomQueues(random: Random, more: Partial<QueueSettings> = {}): QueueSettings[] {
  const limit = (of: number): number | undefined => (random.integer(3) === 0 ? random.integer(of + 1) : undefined)
  const quotas = (most: number): Record<string, Quota> =>
    Object.fromEntries(
      RESOURCES.filter(() => random.integer(4) > 0).map((resource) => {
        const nominal = random.integer(most)
        return [resource, { nominal, borrowingLimit: limit(6), lendingLimit: limit(nominal) }]
      }),
    )
  const settings = (name: string, parent: string | undefined, most: number): QueueSettings => {
    const strategy = random.integer(4) === 0 ? 'StrictFIFO' : 'BestEffortFIFO'
    const { quotas: _, ...rest } = more
    return queue(name, { parent, weight: 1 + random.integer(3), strategy, ...rest, quotas: quotas(most) })
  }
  const list = [settings('top', undefined, 6)]
  for (let i = 0; i < 2; i++) {
    list.push(settings(`mid${i}`, 'top', 6))
    for (let j = 0; j <= random.integer(3); j++) list.push(settings(`leaf${i}${j}`, `mid${i}`, 12))
  }
  list.push(settings('single', 'top', 8), settings('other', undefined, 10))
  return list
}

function leavesOf(settings: readonly QueueSettings[]): string[] {
  const parents = new Set(settings.map(({ parent }) => parent))
  return settings.filter(({ name }) => !parents.has(name)).map(({ name }) => name)
}

function randomWorkload(random: Random, id: string, queues: readonly string[], more: Partial<Workload> = {}): Workload {
  const count = 1 + random.integer(5)
  return workload(id, {
    queue: queues[random.integer(queues.length)]!,
    count,
    each: { gpu: random.integer(3), cpu: random.integer(4) },
    priority: random.integer(3),
    queuedAtMs: random.integer(40),
    preemptible: random.integer(5) > 0,
    ...more,
  })
}

/** usage = own + Σ max(0, child.usage − child.guaranteed), from what runs and what is kept. */
function checkSums(queues: Queues, seed: string): void {
  for (const { root, reservations } of queues.forest.trees) {
    const check = (node: QueueNode): void => {
      for (const child of node.children) check(child)
      for (const [resource, level] of node.levels) {
        const own = [...node.running].reduce((sum, { amounts }) => sum + (amounts.get(resource) ?? 0), 0)
        const kept = reservations
          .filter(({ shape }) => shape.leaf === node)
          .reduce((sum, { shape }) => sum + (shape.least.get(resource) ?? 0), 0)
        const passed = node.children.map((child) => {
          const { usage, guaranteed } = child.levels.get(resource)!
          return Math.max(0, usage - guaranteed)
        })
        const wanted = passed.reduce((sum, each) => sum + each, own + kept)
        assert.equal(level.usage, wanted, `${seed}: ${resource} of ${node.name}`)
      }
    }
    check(root)
  }
}

/** What runs, without what is kept, is nowhere above a limit. */
function checkLimits(queues: Queues, seed: string): void {
  for (const { root } of queues.forest.trees) {
    const usageOf = (node: QueueNode, resource: string): number => {
      const own = [...node.running].reduce((sum, { amounts }) => sum + (amounts.get(resource) ?? 0), 0)
      const passed = node.children.map((child) =>
        Math.max(0, usageOf(child, resource) - child.levels.get(resource)!.guaranteed),
      )
      const usage = passed.reduce((sum, each) => sum + each, own)
      assert.ok(usage <= node.levels.get(resource)!.limit, `${seed}: ${resource} of ${node.name} is above its limit`)
      return usage
    }
    for (const resource of root.levels.keys()) usageOf(root, resource)
  }
}

describe('queues, at random', () => {
  it('admit what adding everything up anew would admit', () => {
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = createSeededRandom(seed)
      const settings = randomQueues(random)
      const names = leavesOf(settings)
      const queues = new Queues()
      for (const each of settings) queues.putQueue(each)
      const reference = new ReferenceQueues(settings)
      for (let step = 0; step < 40; step++) {
        for (let i = random.integer(4); i > 0; i--) {
          const one = randomWorkload(random, `w${step}-${i}`, names)
          queues.put(one)
          reference.pending.set(one.id, one)
        }
        for (const id of [...reference.held.keys()].filter(() => random.integer(4) === 0)) {
          queues.remove(id)
          reference.held.delete(id)
        }
        const admitted = queues.plan(step).admit.map(({ id }) => id)
        assert.deepEqual(admitted.toSorted(), reference.plan().toSorted(), `seed ${seed}, step ${step}`)
      }
    }
  })

  it('never admit more than there is, nor a part of a gang, nor lose anybody, whatever gives way', () => {
    let evictions = 0
    let resizes = 0
    for (let seed = 0; seed < SEEDS; seed++) {
      const random = createSeededRandom(seed + 1_000)
      const settings = randomQueues(random, {
        withinQueue: random.integer(2) === 0 ? 'LowerPriority' : 'LowerOrNewerEqualPriority',
        reclaim: random.integer(3) === 0 ? 'LowerPriority' : 'Any',
        reserveAfterMs: 5,
        halfLifeMs: random.integer(2) * 20,
      })
      const names = leavesOf(settings)
      const queues = new Queues()
      for (const each of settings) queues.putQueue(each)
      const known = new Map<string, Workload>()
      const leaving = new Set<string>()
      const shrinking = new Map<string, readonly number[]>()
      for (let step = 0; step < 60; step++) {
        const where = `seed ${seed}, step ${step}`
        for (let i = random.integer(3); i > 0; i--) {
          const one = randomWorkload(random, `w${step}-${i}`, names)
          const [set] = one.podSets
          const isElastic = random.integer(2) === 0
          const made = isElastic ? { ...one, podSets: [{ ...set!, minCount: 1 + random.integer(set!.count) }] } : one
          known.set(made.id, made)
          queues.put(made)
        }
        for (const id of [...leaving].filter(() => random.integer(3) === 0)) {
          leaving.delete(id)
          shrinking.delete(id)
          queues.remove(id)
          queues.put({ ...known.get(id)!, queuedAtMs: 100 + step })
        }
        for (const [id, counts] of [...shrinking].filter(() => random.integer(2) === 0)) {
          shrinking.delete(id)
          queues.resized(id, counts)
        }
        for (const id of [...known.keys()].filter((each) => queues.isRunning(each) && random.integer(8) === 0)) {
          queues.remove(id)
          known.delete(id)
          leaving.delete(id)
          shrinking.delete(id)
        }
        const plan = queues.plan(step)
        for (const { id, counts } of plan.admit) {
          assert.ok(queues.isRunning(id), where)
          known.get(id)!.podSets.forEach(({ minCount, count }, i) => {
            assert.ok(counts[i]! >= minCount && counts[i]! <= count, `${where}: ${id} is admitted in part`)
          })
        }
        for (const { id } of plan.evict) {
          assert.ok(known.get(id)!.preemptible, `${where}: ${id} may not be evicted`)
          assert.ok(!leaving.has(id), `${where}: ${id} is evicted twice`)
          leaving.add(id)
          evictions++
        }
        for (const { id, counts } of plan.resize) {
          const running = queues.runningOf(id)!
          assert.ok(counts[0]! >= known.get(id)!.podSets[0]!.minCount, where)
          if (running.shrinksTo !== undefined) shrinking.set(id, counts)
          resizes++
        }
        checkSums(queues, where)
        checkLimits(queues, where)
        const waiting = new Set(queues.forest.pending().map(({ id }) => id))
        for (const id of known.keys()) assert.notEqual(waiting.has(id), queues.isRunning(id), `${where}: ${id}`)
      }
    }
    assert.ok(evictions > 500 && resizes > 100, `${evictions} evictions, ${resizes} resizes: the test shows little`)
  })

  it('let who was first wait no longer than is said, however many small ones come', () => {
    const [runtimeMs, reserveAfterMs] = [50, 30]
    for (let seed = 0; seed < 40; seed++) {
      const random = createSeededRandom(seed + 2_000)
      const names = ['a', 'b', 'c'].slice(0, 1 + random.integer(3))
      const quotas = { gpu: { nominal: 8 } }
      const queues = new Queues()
      queues.putQueue(queue('top'))
      for (const name of names) queues.putQueue(queue(name, { parent: 'top', quotas, reserveAfterMs }))
      const ends = new Map<string, number>()
      const first = new Map<string, { readonly id: string | undefined; readonly sinceMs: number }>()
      let longestMs = 0
      for (let nowMs = 0; nowMs < 1_500; nowMs++) {
        for (const [id, atMs] of ends) {
          if (atMs > nowMs) continue
          ends.delete(id)
          queues.remove(id)
        }
        for (const name of names) {
          const isLarge = random.integer(100) === 0
          const count = isLarge ? 8 : 1
          if (isLarge || random.integer(3) === 0)
            queues.put(
              workload(`${name}${nowMs}`, { queue: name, count, priority: isLarge ? 1 : 0, queuedAtMs: nowMs }),
            )
        }
        for (const { id } of queues.plan(nowMs).admit) ends.set(id, nowMs + 1 + random.integer(runtimeMs))
        for (const name of names) {
          const id = queues.forest.leaves.get(name)!.pending.first()?.workloads.peek()?.id
          if (first.get(name)?.id !== id) first.set(name, { id, sinceMs: nowMs })
          const waitedMs = id === undefined ? 0 : nowMs - first.get(name)!.sinceMs
          const most = reserveAfterMs + names.length * runtimeMs
          assert.ok(waitedMs <= most, `seed ${seed}: ${id} waits longer than ${most} ms`)
          longestMs = Math.max(longestMs, waitedMs)
        }
      }
      assert.ok(longestMs > reserveAfterMs, `seed ${seed}: nobody waited for room to be kept`)
    }
  })

  it('converge to the weights of queues that always want more', () => {
    for (let seed = 0; seed < 10; seed++) {
      const random = createSeededRandom(seed + 3_000)
      const weights = { a: 1 + random.integer(3), b: 1 + random.integer(3), c: 1 + random.integer(3) }
      const queues = new Queues()
      queues.putQueue(queue('top', { quotas: { gpu: { nominal: 60 } }, halfLifeMs: 200 }))
      for (const [name, weight] of Object.entries(weights)) queues.putQueue(queue(name, { parent: 'top', weight }))
      const ends = new Map<string, { readonly atMs: number; readonly name: string; readonly count: number }>()
      const used: Record<string, number> = { a: 0, b: 0, c: 0 }
      let made = 0
      for (let nowMs = 0; nowMs < 2_000; nowMs++) {
        for (const [id, { atMs }] of ends) {
          if (atMs > nowMs) continue
          ends.delete(id)
          queues.remove(id)
        }
        for (const name of Object.keys(weights)) {
          const pending = queues.forest.leaves.get(name)!.pending.size
          for (let i = pending; i < 20; i++)
            queues.put(workload(`${name}${made++}`, { queue: name, count: 1 + random.integer(4), queuedAtMs: nowMs }))
        }
        for (const { id, counts } of queues.plan(nowMs).admit)
          ends.set(id, { atMs: nowMs + 5 + random.integer(40), name: id[0]!, count: counts[0]! })
        if (nowMs > 500) for (const { name, count } of ends.values()) used[name]! += count
      }
      const sum = Object.values(used).reduce((total, each) => total + each, 0)
      const weightSum = Object.values(weights).reduce((total, each) => total + each, 0)
      for (const [name, weight] of Object.entries(weights)) {
        const error = Math.abs(used[name]! / sum - weight / weightSum)
        assert.ok(error < 0.02, `seed ${seed}: ${name} has ${used[name]! / sum} instead of ${weight / weightSum}`)
      }
    }
  })
})
