import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { Queues } from './queues.ts'
import { queue, workload } from '../testing/objects.ts'
import type { QueuePlan, QueueSettings } from './types.ts'

function start(...settings: QueueSettings[]): Queues {
  const queues = new Queues()
  for (const each of settings) queues.putQueue(each)
  return queues
}

const admitted = ({ admit }: QueuePlan): string[] => admit.map(({ id }) => id)
const evicted = ({ evict }: QueuePlan): string[] => evict.map(({ id, reason }) => `${id} ${reason}`)

describe('queues', () => {
  it('admit what fits, whole or not at all', () => {
    const queues = start(queue('a', { quotas: { gpu: { nominal: 8 } } }))
    queues.put(workload('big', { queue: 'a', count: 6 }))
    queues.put(workload('other', { queue: 'a', count: 3, queuedAtMs: 1 }))
    queues.put(workload('small', { queue: 'a', count: 2, queuedAtMs: 2 }))
    assert.deepEqual(admitted(queues.plan(0)), ['big', 'small'])
    queues.remove('big')
    assert.deepEqual(admitted(queues.plan(1)), ['other'])
  })

  it('keep those behind the first one waiting when they are strict', () => {
    const queues = start(queue('a', { strategy: 'StrictFIFO', quotas: { gpu: { nominal: 8 } } }))
    queues.put(workload('big', { queue: 'a', count: 6 }))
    queues.put(workload('other', { queue: 'a', count: 3, queuedAtMs: 1 }))
    queues.put(workload('small', { queue: 'a', count: 2, queuedAtMs: 2 }))
    assert.deepEqual(admitted(queues.plan(0)), ['big'])
    queues.put(workload('urgent', { queue: 'a', count: 2, queuedAtMs: 3, priority: 9 }))
    assert.deepEqual(admitted(queues.plan(1)), ['urgent'])
  })

  it('borrow up to the limit, and no more than others lend', () => {
    const limited = start(
      queue('top'),
      queue('a', { parent: 'top', quotas: { gpu: { nominal: 4, borrowingLimit: 2 } } }),
      queue('b', { parent: 'top', quotas: { gpu: { nominal: 8, lendingLimit: 5 } } }),
      queue('c', { parent: 'top' }),
    )
    for (let i = 0; i < 20; i++) limited.put(workload(`a${i}`, { queue: 'a' }))
    assert.equal(limited.plan(0).admit.length, 6)
    for (let i = 0; i < 20; i++) limited.put(workload(`c${i}`, { queue: 'c' }))
    assert.equal(limited.plan(1).admit.length, 3, 'b lends five, of which a has two')
    for (let i = 0; i < 20; i++) limited.put(workload(`b${i}`, { queue: 'b' }))
    assert.equal(limited.plan(2).admit.length, 3, 'what is lent is lent, what is not is there')
  })

  it('do not limit what no queue of the tree names', () => {
    const queues = start(queue('a', { quotas: { gpu: { nominal: 1 } } }))
    queues.put(workload('cpu', { queue: 'a', each: { cpu: 1e9 } }))
    assert.deepEqual(admitted(queues.plan(0)), ['cpu'])
  })

  it('share what is lent by weight', () => {
    const queues = start(
      queue('top', { quotas: { gpu: { nominal: 30 } } }),
      queue('a', { parent: 'top', weight: 2 }),
      queue('b', { parent: 'top' }),
    )
    for (let i = 0; i < 60; i++)
      for (const name of ['a', 'b']) queues.put(workload(`${name}${i}`, { queue: name, queuedAtMs: i }))
    const names = admitted(queues.plan(0))
    assert.deepEqual([names.filter((id) => id.startsWith('a')).length, names.length], [20, 30])
  })

  it('let who used much before wait for who did not', () => {
    const queues = start(
      queue('top', { quotas: { gpu: { nominal: 10 } }, halfLifeMs: 1_000 }),
      queue('a', { parent: 'top' }),
      queue('b', { parent: 'top' }),
    )
    for (let i = 0; i < 10; i++) queues.put(workload(`a${i}`, { queue: 'a' }))
    queues.plan(0)
    for (let i = 0; i < 10; i++) queues.put(workload(`more-a${i}`, { queue: 'a', queuedAtMs: 1 }))
    for (let i = 0; i < 10; i++) queues.put(workload(`b${i}`, { queue: 'b', queuedAtMs: 2 }))
    queues.plan(3_000)
    for (let i = 0; i < 10; i++) queues.remove(`a${i}`)
    const names = admitted(queues.plan(3_000))
    assert.equal(names.filter((id) => id.startsWith('b')).length, 10, 'a has had 8.75 in the mean')
  })

  it('evict lower priorities of the queue, and no more of them than needed', () => {
    const queues = start(queue('a', { withinQueue: 'LowerPriority', quotas: { gpu: { nominal: 8 } } }))
    queues.put(workload('old', { queue: 'a', count: 3 }))
    queues.put(workload('wide', { queue: 'a', count: 4, queuedAtMs: 1 }))
    queues.put(workload('fixed', { queue: 'a', preemptible: false, queuedAtMs: 2 }))
    queues.plan(0)
    queues.put(workload('urgent', { queue: 'a', count: 4, priority: 5, queuedAtMs: 3 }))
    assert.deepEqual(evicted(queues.plan(1)), ['wide Preempted'])
    queues.put(workload('thief', { queue: 'a', queuedAtMs: 4 }))
    assert.deepEqual(admitted(queues.plan(2)), [], 'the room is the urgent one’s')
    queues.remove('wide')
    assert.deepEqual(admitted(queues.plan(3)), ['urgent'])
  })

  it('reclaim what they lent, from who borrows most, and are not robbed back', () => {
    const quotas = { gpu: { nominal: 4 } }
    const queues = start(
      queue('top'),
      ...['a', 'b', 'c'].map((name) => queue(name, { parent: 'top', quotas, reclaim: 'Any' })),
    )
    for (let i = 0; i < 9; i++) queues.put(workload(`a${i}`, { queue: 'a', queuedAtMs: i }))
    for (let i = 0; i < 3; i++) queues.put(workload(`b${i}`, { queue: 'b', queuedAtMs: i }))
    queues.plan(0)
    queues.put(workload('c', { queue: 'c', count: 4, queuedAtMs: 50 }))
    const plan = queues.plan(1)
    assert.deepEqual(evicted(plan), ['a8 Reclaimed', 'a7 Reclaimed', 'a6 Reclaimed', 'a5 Reclaimed'])
    for (const { id } of plan.evict) queues.remove(id)
    for (const { id } of plan.evict) queues.put(workload(id, { queue: 'a', queuedAtMs: 60 }))
    const next = queues.plan(2)
    assert.deepEqual([admitted(next), evicted(next)], [['c'], []])
  })

  it('take pods from elastic workloads before they end any, and give them back', () => {
    const queues = start(
      queue('top'),
      queue('a', { parent: 'top', quotas: { gpu: { nominal: 2 } } }),
      queue('b', { parent: 'top', quotas: { gpu: { nominal: 6 } }, reclaim: 'Any' }),
    )
    queues.put(workload('elastic', { queue: 'a', count: 10, minCount: 2 }))
    assert.deepEqual(queues.plan(0).admit, [{ id: 'elastic', counts: [8] }])
    queues.put(workload('b', { queue: 'b', count: 5 }))
    const plan = queues.plan(1)
    assert.deepEqual([plan.evict, plan.resize], [[], [{ id: 'elastic', counts: [2] }]])
    queues.resized('elastic', [2])
    assert.deepEqual(admitted(queues.plan(2)), ['b'])
    assert.deepEqual(queues.plan(3).resize, [])
    queues.remove('b')
    assert.deepEqual(queues.plan(4).resize, [{ id: 'elastic', counts: [8] }])
  })

  it('keep room for who has waited too long, and let those pass who end in time', () => {
    const queues = start(queue('a', { quotas: { gpu: { nominal: 8 } }, reserveAfterMs: 100 }))
    queues.put(workload('running', { queue: 'a', count: 6, maxRuntimeMs: 1_000 }))
    queues.plan(0)
    queues.put(workload('gang', { queue: 'a', count: 8, queuedAtMs: 1 }))
    assert.equal(queues.plan(10).wakeAtMs, 110)
    queues.put(workload('before', { queue: 'a', queuedAtMs: 2, maxRuntimeMs: 5_000 }))
    assert.deepEqual(admitted(queues.plan(20)), ['before'], 'nothing is kept yet')
    queues.plan(110)
    queues.put(workload('forever', { queue: 'a', queuedAtMs: 3 }))
    queues.put(workload('long', { queue: 'a', queuedAtMs: 3, maxRuntimeMs: 5_000 }))
    queues.put(workload('short', { queue: 'a', queuedAtMs: 4, maxRuntimeMs: 800 }))
    assert.deepEqual(admitted(queues.plan(120)), ['short'])
    for (const id of ['running', 'before', 'short']) queues.remove(id)
    assert.deepEqual(admitted(queues.plan(1_000)), ['gang'])
  })

  it('stop and drain', () => {
    const settings = { quotas: { gpu: { nominal: 8 } } }
    const queues = start(queue('top'), queue('a', { parent: 'top', ...settings }))
    queues.put(workload('one', { queue: 'a' }))
    queues.plan(0)
    queues.putQueue(queue('top', { stopPolicy: 'Hold' }))
    queues.put(workload('two', { queue: 'a' }))
    assert.deepEqual(queues.plan(1), { admit: [], evict: [], resize: [] })
    queues.putQueue(queue('top', { stopPolicy: 'HoldAndDrain' }))
    assert.deepEqual(evicted(queues.plan(2)), ['one Drained'])
    assert.deepEqual(evicted(queues.plan(3)), [])
    queues.remove('one')
    queues.putQueue(queue('top'))
    assert.deepEqual(admitted(queues.plan(4)), ['two'])
  })

  it('keep what waits for a queue that is not there, or is in itself', () => {
    const queues = start(queue('a', { parent: 'b' }), queue('b', { parent: 'a' }))
    queues.put(workload('one', { queue: 'c' }))
    queues.put(workload('two', { queue: 'a' }))
    assert.deepEqual(admitted(queues.plan(0)), [])
    assert.match(queues.forest.problems.get('a') ?? '', /is in itself/)
    queues.putQueue(queue('c', { quotas: { gpu: { nominal: 1 } } }))
    queues.putQueue(queue('b', { quotas: { gpu: { nominal: 1 } } }))
    assert.deepEqual(admitted(queues.plan(1)).toSorted(), ['one', 'two'])
  })

  it('count what ran before a restart', () => {
    const queues = new Queues()
    queues.restore(workload('old', { queue: 'a', count: 3 }), { counts: [3], admittedAtMs: 0 })
    queues.putQueue(queue('a', { quotas: { gpu: { nominal: 4 } } }))
    queues.put(workload('new', { queue: 'a', count: 2 }))
    assert.deepEqual(admitted(queues.plan(1)), [])
    queues.remove('old')
    assert.deepEqual(admitted(queues.plan(2)), ['new'])
  })

  it('count pods of one that shrinks until they are gone, after a restart too', () => {
    const queues = start(queue('a', { quotas: { gpu: { nominal: 8 } } }))
    const elastic = workload('elastic', { queue: 'a', count: 8, minCount: 2 })
    queues.restore(elastic, { counts: [8], admittedAtMs: 0, shrinksTo: [2] })
    queues.put(workload('next', { queue: 'a', count: 6 }))
    assert.deepEqual(admitted(queues.plan(1)), [])
    queues.resized('elastic', [2])
    assert.deepEqual(admitted(queues.plan(2)), ['next'])
  })

  it('have nothing to wake up for when who waits can never fit', () => {
    const queues = start(queue('a', { quotas: { gpu: { nominal: 8 } }, reserveAfterMs: 10 }))
    queues.put(workload('huge', { queue: 'a', count: 9 }))
    assert.deepEqual(queues.plan(0), { admit: [], evict: [], resize: [] })
    queues.put(workload('runs', { queue: 'a', count: 8, priority: -1 }))
    assert.deepEqual(admitted(queues.plan(100)), ['runs'])
    assert.deepEqual(admitted(queues.plan(101)), [])
    assert.equal(queues.plan(102).wakeAtMs, undefined)
  })
})
