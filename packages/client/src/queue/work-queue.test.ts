import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock, silentLogger } from '@centaurus/base'
import { runController, TerminalError } from './controller.ts'
import { createWorkQueue } from './work-queue.ts'

describe('WorkQueue', () => {
  it('hands out keys in order of arrival, each once', async () => {
    const queue = createWorkQueue({ clock: createManualClock() })
    for (const key of ['a', 'b', 'a']) queue.add(key)
    assert.equal(await queue.take(), 'a')
    assert.equal(await queue.take(), 'b')
    assert.equal(queue.length, 0)
  })

  it('keeps a key from a second worker, and hands it out again when it was added meanwhile', async () => {
    const queue = createWorkQueue({ clock: createManualClock() })
    queue.add('a')
    await queue.take()
    queue.add('a')
    assert.equal(queue.length, 0)
    queue.done('a')
    assert.equal(await queue.take(), 'a')
  })

  it('lets a key rest ten times as long as its work took', async () => {
    const clock = createManualClock()
    const queue = createWorkQueue({ clock })
    queue.add('slow')
    await queue.take()
    await clock.advance(5)
    queue.add('slow')
    queue.done('slow')
    queue.add('slow')
    queue.add('other')
    assert.equal(await queue.take(), 'other', 'others do not wait for it')
    queue.done('other')
    assert.equal(queue.isIdle({ withinMs: 50 }), false, 'it will be worked on')
    await clock.advance(49)
    assert.equal(queue.length, 0)
    await clock.advance(1)
    assert.equal(await queue.take(), 'slow')
    queue.done('slow')
    assert.equal(queue.isIdle(), true, 'all that came meanwhile was one piece of work')
  })

  it('doubles the back-off of a key until it is forgotten', async () => {
    const clock = createManualClock()
    const queue = createWorkQueue({ clock })
    for (const delayMs of [5, 10, 20]) {
      queue.addRateLimited('a')
      await clock.advance(delayMs - 1)
      assert.equal(queue.length, 0)
      await clock.advance(1)
      assert.equal(await queue.take(), 'a')
      queue.done('a')
    }
    queue.forget('a')
    queue.addRateLimited('a')
    await clock.advance(5)
    assert.equal(queue.length, 1)
  })

  it('honours the earliest of several delays', async () => {
    const clock = createManualClock()
    const queue = createWorkQueue({ clock })
    queue.addAfter('a', 100)
    queue.addAfter('a', 10)
    queue.addAfter('a', 50)
    await clock.advance(10)
    assert.equal(await queue.take(), 'a')
    queue.done('a')
    await clock.advance(200)
    assert.equal(queue.length, 0)
  })

  it('gives undefined to workers once shut down', async () => {
    const queue = createWorkQueue({ clock: createManualClock() })
    const waiting = queue.take()
    queue.add('x')
    assert.equal(await waiting, 'x')
    const second = queue.take()
    queue.shutDown()
    assert.equal(await second, undefined)
    assert.equal(await queue.take(), undefined)
  })
})

describe('runController', () => {
  it('knows three endings: done, again later, again after a failure; and gives up on a terminal error', async () => {
    const clock = createManualClock()
    const queue = createWorkQueue({ clock })
    const runs: string[] = []
    const controller = runController({
      name: 'test',
      queue,
      workers: 2,
      logger: silentLogger,
      async reconcile(key) {
        runs.push(key)
        if (key === 'later') return { requeueAfterMs: 1000 }
        if (key === 'broken') throw new Error('broken')
        if (key === 'hopeless') throw new TerminalError('hopeless')
        return undefined
      },
    })
    for (const key of ['fine', 'later', 'broken', 'hopeless']) queue.add(key)
    await clock.advance(0)
    await clock.advance(4)
    assert.deepEqual(runs, ['fine', 'later', 'broken', 'hopeless'])
    await clock.advance(1)
    assert.deepEqual(runs.slice(4), ['broken'])
    await clock.advance(995)
    assert.equal(runs.filter((key) => key === 'later').length, 2)
    await controller.close()
    const count = runs.length
    await clock.advance(10_000)
    assert.equal(runs.length, count)
  })
})
