import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock } from '@centaurus/base'
import { backoffMs, SchedulingQueue } from './scheduling-queue.ts'

const item = (uid: string, priority = 0): { uid: string; priority: number; createdMs: number } => ({
  uid,
  priority,
  createdMs: 0,
})

describe('the scheduling queue', () => {
  it('gives the most important first, then the oldest', async () => {
    const queue = new SchedulingQueue(createManualClock())
    for (const pod of [item('a'), item('b', 5), item('c'), item('d', 5)]) queue.add(pod)
    const order: (string | undefined)[] = []
    for (let i = 0; i < 4; i++) order.push((await queue.take())?.uid)
    assert.deepEqual(order, ['b', 'd', 'a', 'c'])
  })

  it('tries a failed pod again after its back-off', async () => {
    const clock = createManualClock()
    const queue = new SchedulingQueue(clock)
    queue.add(item('a'))
    await queue.take()
    queue.fail('a', { park: false })
    let taken: string | undefined
    const waiting = queue.take().then((pod) => (taken = pod?.uid))
    await clock.advance(999)
    assert.equal(taken, undefined)
    await clock.advance(1)
    await waiting
    assert.equal(taken, 'a')
  })

  it('parks an unschedulable pod until something changes', async () => {
    const clock = createManualClock()
    const queue = new SchedulingQueue(clock)
    queue.add(item('a'))
    await queue.take()
    queue.fail('a', { park: true })
    await clock.advance(60_000)
    queue.moveAll()
    assert.equal((await queue.take())?.uid, 'a')
  })

  it('does not park a pod when the cluster changed while it was tried', async () => {
    const clock = createManualClock()
    const queue = new SchedulingQueue(clock)
    queue.add(item('a'))
    await queue.take()
    queue.moveAll()
    queue.fail('a', { park: true })
    const next = queue.take()
    await clock.advance(1_000)
    assert.equal((await next)?.uid, 'a')
  })

  it('gives a parked pod another chance after five minutes', async () => {
    const clock = createManualClock()
    const queue = new SchedulingQueue(clock)
    queue.add(item('a'))
    await queue.take()
    queue.fail('a', { park: true })
    const next = queue.take()
    await clock.advance(5 * 60_000)
    assert.equal((await next)?.uid, 'a')
  })

  it('forgets a deleted pod, and ends when closed', async () => {
    const queue = new SchedulingQueue(createManualClock())
    queue.add(item('a'))
    queue.delete('a')
    const next = queue.take()
    queue.close()
    assert.equal(await next, undefined)
    assert.equal(queue.size, 0)
  })

  it('backs off from 1 s to 10 s', () => {
    assert.deepEqual([1, 2, 3, 4, 5, 20].map(backoffMs), [1000, 2000, 4000, 8000, 10_000, 10_000])
  })

  it('does not let a pod rest that a change could help when there is nothing else to do', async () => {
    const queue = new SchedulingQueue(createManualClock())
    for (const pod of [item('a'), item('b')]) queue.add(pod)
    await queue.take()
    queue.fail('a', { park: true, group: 'big' })
    queue.moveGroup('big')
    assert.equal(queue.takeReady()?.uid, 'b', 'one that need not rest comes first')
    assert.equal(queue.takeReady()?.uid, 'a')
    queue.fail('a', { park: false })
    assert.equal(queue.takeReady(), undefined, 'an error needs its rest')
  })

  it('moves one group, one pod, or takes one out', async () => {
    const queue = new SchedulingQueue(createManualClock())
    for (const uid of ['a', 'b', 'c', 'd']) {
      queue.add(item(uid))
      await queue.take()
      queue.fail(uid, { park: true, group: uid < 'c' ? 'x' : 'y' })
    }
    assert.equal(queue.hasReady, false)
    assert.deepEqual([...queue.parkedGroups], ['x', 'y'])
    assert.equal(queue.takeOne('a'), true)
    assert.equal(queue.takeOne('a'), false, 'it is taken already')
    queue.moveGroup('x')
    assert.equal(queue.takeReady()?.uid, 'b')
    queue.move('d')
    assert.equal(queue.takeReady()?.uid, 'd')
    assert.equal(queue.takeReady(), undefined)
    assert.deepEqual([...queue.parkedGroups], ['y'])
  })

  it('holds a pod without counting its try', async () => {
    const queue = new SchedulingQueue(createManualClock())
    queue.add(item('a'))
    await queue.take()
    queue.hold('a', 'gang')
    assert.equal(queue.hasReady, false)
    queue.moveGroup('gang')
    assert.equal(queue.takeReady()?.uid, 'a')
  })
})
