import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { explain, positionsOf, type PendingReason } from './explain.ts'
import { Queues } from './queues.ts'
import { queue, workload } from '../testing/objects.ts'
import type { QueueSettings } from './types.ts'

const OPTIONS = { format: (_: string, amount: number) => String(amount), nameOf: (id: string) => id }

function start(...settings: QueueSettings[]): Queues {
  const queues = new Queues()
  for (const each of settings) queues.putQueue(each)
  return queues
}

function why(queues: Queues, id: string): PendingReason {
  return explain(queues, id, OPTIONS)!
}

describe('why a workload waits', () => {
  it('is the queue up the tree that has too little, how much, and who would have to end', () => {
    const queues = start(
      queue('top', { quotas: { gpu: { nominal: 0 } } }),
      queue('a', { parent: 'top', quotas: { gpu: { nominal: 8 } } }),
      queue('b', { parent: 'top', quotas: { gpu: { nominal: 4 } } }),
    )
    for (const [i, count] of [2, 5, 3].entries()) queues.put(workload(`a${i}`, { queue: 'a', count, queuedAtMs: i }))
    queues.plan(0)
    queues.put(workload('late', { queue: 'b', count: 4, queuedAtMs: 9 }))
    queues.put(workload('later', { queue: 'b', count: 4, queuedAtMs: 10 }))
    queues.plan(1)
    assert.deepEqual(why(queues, 'late'), {
      reason: 'InsufficientQuota',
      message: 'Needs 4 gpu of queue "top", which has 2 of 12 left; there is room when "a0" ends',
      position: undefined,
      lacks: [{ resource: 'gpu', queue: 'top', needed: 4, available: 2, limit: 12 }],
      ends: ['a0'],
      isNext: false,
    })
    assert.deepEqual(
      [...positionsOf(queues.forest.leaves.get('b')!)],
      [
        ['late', 1],
        ['later', 2],
      ],
    )
    assert.equal(explain(queues, 'a0', OPTIONS), undefined)
  })

  it('is that it can never fit, or that its queue is stopped, missing, or has others in it', () => {
    const queues = start(
      queue('top', { stopPolicy: 'None' }),
      queue('a', { parent: 'top', quotas: { gpu: { nominal: 8, borrowingLimit: 0 } } }),
      queue('held', { stopPolicy: 'Hold' }),
      queue('held-below', { parent: 'held' }),
      queue('lost', { parent: 'nobody' }),
    )
    queues.put(workload('huge', { queue: 'a', count: 9 }))
    queues.put(workload('held', { queue: 'held-below' }))
    queues.put(workload('no-queue', { queue: 'c' }))
    queues.put(workload('inner', { queue: 'top' }))
    queues.put(workload('lost', { queue: 'lost' }))
    queues.plan(0)
    const told = ['huge', 'held', 'no-queue', 'inner', 'lost']
      .map((id) => why(queues, id))
      .map(({ reason, message }) => [reason, message])
    assert.deepEqual(told, [
      ['TooLarge', 'Asks for 9 gpu, and queue "a" can never have more than 8'],
      ['QueueStopped', 'Queue "held" is stopped (stopPolicy Hold)'],
      ['QueueNotFound', 'There is no queue "c"; it waits until there is'],
      ['QueueHasChildren', 'Queue "top" has other queues in it, which workloads must name instead: "a"'],
      ['QueueInvalid', 'Queue "lost" can admit nothing: there is no queue "nobody", which is the parent of "lost"'],
    ])
  })

  it('is who is before it, or for whom room is kept', () => {
    const quotas = { gpu: { nominal: 8 } }
    const queues = start(queue('a', { quotas, reserveAfterMs: 10 }), queue('s', { quotas, strategy: 'StrictFIFO' }))
    queues.put(workload('runs', { queue: 'a', count: 4 }))
    queues.put(workload('gang', { queue: 'a', count: 8, queuedAtMs: 1 }))
    queues.plan(0)
    queues.plan(10)
    queues.put(workload('small', { queue: 'a', queuedAtMs: 2 }))
    queues.put(workload('s0', { queue: 's', count: 5 }))
    queues.put(workload('s1', { queue: 's', count: 5, queuedAtMs: 1 }))
    queues.put(workload('s2', { queue: 's', queuedAtMs: 2 }))
    queues.plan(11)
    assert.deepEqual([why(queues, 'gang').reason, why(queues, 'gang').isNext], ['Kept', true])
    assert.match(why(queues, 'gang').message, /^Room is kept for it in queue "a"; there is room when "runs" ends/)
    assert.match(why(queues, 'small').message, /which has 0 of 8 left.*; room is kept for "gang"$/)
    assert.equal(why(queues, 's2').message, 'Queue "s" is strict, and "s1" is before it')
  })
})
