import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatTime, type Stored } from '@centaurus/api'
import type { Node, Pod } from '@centaurus/api/core/v1'
import { planDisruptedStatus } from '../frame/disruption.ts'
import { isAbandoned, planTerminatedPods } from './plan.ts'

const NOW_MS = Date.UTC(2026, 0, 1)

function podOf(
  name: string,
  { ageHours = 0, ...init }: Partial<Pod['status']> & { ageHours?: number } = {},
): Stored<Pod> {
  const creationTimestamp = formatTime(NOW_MS - ageHours * 3_600_000)
  const metadata = { name, namespace: 'ns', uid: name, resourceVersion: '1', creationTimestamp, generation: 3 }
  return { metadata, spec: { containers: [] }, status: { phase: 'Running', ...init } }
}

function deleted(pod: Stored<Pod>, nodeName = ''): Stored<Pod> {
  const metadata = { ...pod.metadata, deletionTimestamp: formatTime(NOW_MS) }
  return { ...pod, metadata, spec: { containers: [], nodeName } }
}

function nodeOf(ready: string, key = 'node.kubernetes.io/out-of-service'): Node {
  return {
    metadata: { name: 'n' },
    spec: { taints: [{ key, effect: 'NoExecute' }] },
    status: { conditions: [{ type: 'Ready', status: ready }] },
  }
}

describe('isAbandoned', () => {
  it('means pods in deletion that never had a node, or whose node is out of service and not ready', () => {
    assert.equal(isAbandoned(podOf('p'), undefined), false)
    assert.equal(isAbandoned(deleted(podOf('p')), undefined), true)
    assert.equal(isAbandoned(deleted(podOf('p'), 'n'), undefined), false)
    assert.equal(isAbandoned(deleted(podOf('p'), 'n'), nodeOf('True')), false)
    assert.equal(isAbandoned(deleted(podOf('p'), 'n'), nodeOf('Unknown', 'other')), false)
    assert.equal(isAbandoned(deleted(podOf('p'), 'n'), nodeOf('Unknown')), true)
  })
})

describe('planTerminatedPods', () => {
  it('chooses evicted pods first, then the oldest', () => {
    const list = [
      podOf('young', { phase: 'Succeeded', ageHours: 1 }),
      podOf('evicted', { phase: 'Failed', reason: 'Evicted' }),
      podOf('old', { phase: 'Failed', ageHours: 2 }),
    ]
    const names = (threshold: number): string[] =>
      planTerminatedPods(list, threshold).map(({ metadata }) => metadata.name)
    assert.deepEqual(names(3), [])
    assert.deepEqual(names(1), ['evicted', 'old'])
  })
})

describe('planDisruptedStatus', () => {
  const target = { reason: 'R', message: 'M' }

  it('fails a lost pod and says why', () => {
    assert.deepEqual(planDisruptedStatus(podOf('p'), { target, isLost: true }, NOW_MS), {
      phase: 'Failed',
      observedGeneration: 3,
      conditions: [
        {
          type: 'DisruptionTarget',
          status: 'True',
          lastTransitionTime: formatTime(NOW_MS),
          ...target,
          observedGeneration: 3,
        },
      ],
    })
    assert.equal(planDisruptedStatus(podOf('p', { phase: 'Succeeded' }), { target, isLost: true }, NOW_MS), undefined)
  })

  it('says it once', () => {
    const conditions = [{ type: 'DisruptionTarget', status: 'True', ...target }]
    assert.equal(planDisruptedStatus(podOf('p', { conditions }), { target, isLost: false }, NOW_MS), undefined)
  })
})
