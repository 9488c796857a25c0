import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatTime, type Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import { choosePodsToDelete, planReplicas, planReplicaStatus } from './plan.ts'

const NOW_MS = Date.UTC(2026, 0, 2)

interface PodInit {
  readonly node?: string
  readonly phase?: string
  readonly readyForSeconds?: number
  readonly restarts?: number
  readonly cost?: string
  readonly labels?: Record<string, string>
}

function podOf(
  name: string,
  { node, phase = 'Running', readyForSeconds, restarts = 0, cost, labels = {} }: PodInit = {},
): Stored<Pod> {
  const ready = {
    type: 'Ready',
    status: readyForSeconds === undefined ? 'False' : 'True',
    lastTransitionTime: formatTime(NOW_MS - (readyForSeconds ?? 0) * 1000),
  }
  return {
    metadata: {
      name,
      uid: name,
      namespace: 'ns',
      resourceVersion: '1',
      creationTimestamp: formatTime(NOW_MS - 86_400_000),
      labels,
      ...(cost === undefined ? {} : { annotations: { 'controller.kubernetes.io/pod-deletion-cost': cost } }),
    },
    spec: { containers: [], nodeName: node },
    status: { phase, conditions: [ready], containerStatuses: [{ name: 'c', restartCount: restarts } as never] },
  }
}

describe('planReplicas', () => {
  it('creates what is missing, at most a burst', () => {
    assert.equal(planReplicas({ replicas: 3, activePods: [podOf('a')], relatedPods: [], nowMs: NOW_MS }).create, 2)
    assert.equal(planReplicas({ replicas: 9000, activePods: [], relatedPods: [], nowMs: NOW_MS }).create, 500)
  })

  const cases: [why: string, loses: PodInit, stays: PodInit][] = [
    ['is not scheduled', {}, { node: 'n' }],
    ['is pending', { node: 'n', phase: 'Pending' }, { node: 'n' }],
    ['is not ready', { node: 'n' }, { node: 'n', readyForSeconds: 1 }],
    ['costs less', { node: 'n', readyForSeconds: 9, cost: '-1' }, { node: 'n', readyForSeconds: 1 }],
    ['was ready for much less long', { node: 'n', readyForSeconds: 1 }, { node: 'n', readyForSeconds: 1000 }],
    ['restarted more often', { node: 'n', readyForSeconds: 9, restarts: 3 }, { node: 'n', readyForSeconds: 9 }],
  ]
  for (const [why, loses, stays] of cases) {
    it(`deletes the pod that ${why}`, () => {
      const plan = planReplicas({
        replicas: 1,
        activePods: [podOf('stays', stays), podOf('loses', loses)],
        relatedPods: [],
        nowMs: NOW_MS,
      })
      assert.deepEqual(
        plan.remove.map((pod) => pod.metadata.name),
        ['loses'],
      )
    })
  }

  it('prefers the node where most of the related pods are', () => {
    const pods = [
      podOf('alone', { node: 'a', readyForSeconds: 5 }),
      podOf('crowded', { node: 'b', readyForSeconds: 5 }),
    ]
    const related = [...pods, podOf('old', { node: 'b' })]
    assert.equal(
      choosePodsToDelete(pods, { relatedPods: related, count: 1, nowMs: NOW_MS })[0]?.metadata.name,
      'crowded',
    )
  })
})

describe('planReplicaStatus', () => {
  const input = {
    old: { replicas: 0 },
    replicas: 2,
    minReadySeconds: 10,
    template: { metadata: { labels: { app: 'a' } } },
    generation: 4,
    terminatingPods: 1,
    failure: undefined,
    nowMs: NOW_MS,
  }

  it('counts labelled, ready and available pods', () => {
    const activePods = [podOf('a', { readyForSeconds: 20, labels: { app: 'a' } }), podOf('b', { readyForSeconds: 5 })]
    assert.deepEqual(planReplicaStatus({ ...input, activePods }), {
      replicas: 2,
      fullyLabeledReplicas: 1,
      readyReplicas: 2,
      availableReplicas: 1,
      terminatingReplicas: 1,
      observedGeneration: 4,
    })
  })

  it('tells of a failure once, and forgets it when all is well', () => {
    const failed = planReplicaStatus({ ...input, activePods: [], failure: 'no quota' })
    assert.equal(failed.conditions?.[0]?.reason, 'FailedCreate')
    const again = planReplicaStatus({ ...input, activePods: [], old: failed, failure: 'another text' })
    assert.equal(again.conditions?.[0]?.message, 'no quota')
    assert.equal(planReplicaStatus({ ...input, activePods: [], old: failed }).conditions, undefined)
  })
})
