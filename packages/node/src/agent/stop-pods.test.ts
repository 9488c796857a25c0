import assert from 'node:assert/strict'
import { describe, it } from 'node:test'

import { createManualClock } from '@centaurus/base'

import type { ContainerSummary, SandboxSummary } from '../runtime/container-runtime.ts'
import { ANNOTATION_POD_PRIORITY } from '../runtime/labels.ts'
import { createGrace } from './grace.ts'
import { groupByPriority } from './stop-pods.ts'

function sandbox(id: string, priority: string | undefined, ready: boolean): SandboxSummary {
  const annotations: Record<string, string> = priority === undefined ? {} : { [ANNOTATION_POD_PRIORITY]: priority }
  return { id, podUid: id, podName: id, podNamespace: 'ns', attempt: 0, ready, createdAtMs: 0, labels: {}, annotations }
}

describe('the order in which pods are stopped without the API', () => {
  it('takes the least important first, and skips what is stopped', () => {
    const left = { sandboxId: 'left' } as ContainerSummary
    const sandboxes = [
      sandbox('critical', '2000000000', true),
      sandbox('plain', undefined, true),
      sandbox('over', '5', false),
      sandbox('left', '-1', false),
      sandbox('zero', '0', true),
    ]
    const groups = groupByPriority(sandboxes, [left]).map((group) => group.map((pod) => pod.sandbox.id))
    assert.deepEqual(groups, [['left'], ['plain', 'zero'], ['critical']])
  })
})

describe('a grace', () => {
  it('becomes shorter, never longer', async () => {
    const clock = createManualClock()
    const grace = createGrace(clock, 30)
    let told = 0
    const end = grace.onShortened(() => (told += 1))
    let over = false
    void grace.whenOver(new AbortController().signal).then(() => (over = true))
    await clock.advance(10_000)
    grace.shorten(40)
    assert.deepEqual([grace.remainingMs(), told], [20_000, 0])
    grace.shorten(2)
    end()
    grace.shorten(1)
    assert.deepEqual([grace.remainingMs(), told, over], [1_000, 1, false])
    await clock.advance(1_000)
    assert.deepEqual([grace.remainingMs(), over], [0, true])
  })

  it('is not waited for any longer once it does not matter', async () => {
    const done = new AbortController()
    const over = createGrace(createManualClock(), 30).whenOver(done.signal)
    done.abort()
    await over
  })
})
