import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import type { DaemonSet, DaemonSetSpec } from '@centaurus/api/apps/v1'
import type { Node, Pod, Taint } from '@centaurus/api/core/v1'
import type { DaemonSetPlanInput } from './input.ts'
import { planDaemonSet, type DaemonSetPlan } from './plan.ts'
import { buildDaemonPod, targetNode } from './pod.ts'

const META = { resourceVersion: '1', creationTimestamp: '2026-01-01T00:00:00Z' }

function setOf(spec: Partial<DaemonSetSpec> = {}): Stored<DaemonSet> {
  return {
    apiVersion: 'apps/v1',
    kind: 'DaemonSet',
    metadata: { ...META, name: 'd', namespace: 'ns', uid: 'd', generation: 2 },
    spec: {
      selector: { matchLabels: { app: 'd' } },
      template: { metadata: { labels: { app: 'd' } }, spec: { containers: [] } },
      ...spec,
    },
  }
}

function nodeOf(
  name: string,
  { taints = [], labels = {} }: { taints?: Taint[]; labels?: Record<string, string> } = {},
): Stored<Node> {
  return { metadata: { ...META, name, uid: name, labels }, spec: { taints } }
}

function podOf(
  node: string,
  {
    hash = 'new',
    phase = 'Running',
    ready = true,
    name = `d-${node}-${hash}`,
  }: { hash?: string; phase?: string; ready?: boolean; name?: string } = {},
): Stored<Pod> {
  return {
    metadata: { ...META, name, namespace: 'ns', uid: name, labels: { 'controller-revision-hash': hash } },
    spec: { nodeName: node, containers: [] },
    status: {
      phase,
      conditions: [{ type: 'Ready', status: ready ? 'True' : 'False', lastTransitionTime: META.creationTimestamp }],
    },
  }
}

const plan = (
  nodes: readonly Stored<Node>[],
  pods: readonly Stored<Pod>[],
  spec: Partial<DaemonSetSpec> = {},
  backoffMs = 0,
  authority: Partial<Pick<DaemonSetPlanInput, 'isNodeListComplete' | 'isNodeKnown'>> = {},
): DaemonSetPlan =>
  planDaemonSet({
    daemonSet: setOf(spec),
    nodes,
    pods,
    hash: 'new',
    isNodeListComplete: true,
    isNodeKnown: () => true,
    ...authority,
    backoffMs: () => backoffMs,
    nowMs: Date.UTC(2026, 0, 2),
  })
const removed = ({ remove }: DaemonSetPlan): string[] => remove.map(({ pod }) => pod.metadata.name)

describe('planDaemonSet', () => {
  it('puts one pod on every node that fits, and counts', () => {
    const nodes = [
      nodeOf('free'),
      nodeOf('has'),
      nodeOf('cordoned', { taints: [{ key: 'node.kubernetes.io/unschedulable', effect: 'NoSchedule' }] }),
      nodeOf('tainted', { taints: [{ key: 'gpu', effect: 'NoSchedule' }] }),
    ]
    const { create, remove, status } = plan(nodes, [podOf('has')])
    assert.deepEqual(create, ['free', 'cordoned'])
    assert.deepEqual(remove, [])
    assert.deepEqual(
      [
        status.desiredNumberScheduled,
        status.currentNumberScheduled,
        status.numberReady,
        status.numberUnavailable,
        status.observedGeneration,
      ],
      [3, 1, 1, 2, 2],
    )
  })

  it('lets pods stay on a node that takes no new ones, and takes them off one that evicts', () => {
    const noSchedule = nodeOf('a', { taints: [{ key: 'x', effect: 'NoSchedule' }] })
    const noExecute = nodeOf('b', { taints: [{ key: 'x', effect: 'NoExecute' }] })
    const result = plan([noSchedule, noExecute], [podOf('a'), podOf('b')])
    assert.deepEqual(removed(result), ['d-b-new'])
    assert.equal(result.status.numberMisscheduled, 2)
  })

  it('takes no pod away on the word of a partition that cannot be asked', () => {
    const noExecute = nodeOf('b', { taints: [{ key: 'x', effect: 'NoExecute' }] })
    const waiting = { ...podOf(''), spec: buildDaemonPod(setOf(), { node: 'unknown', hash: 'new' }).spec! }
    assert.deepEqual(removed(plan([noExecute], [podOf('b'), waiting])), ['d-b-new', 'd--new'])
    const unsure = { isNodeListComplete: false, isNodeKnown: () => false }
    assert.deepEqual(removed(plan([noExecute], [podOf('b'), waiting], {}, 0, unsure)), [])
  })

  it('follows the node selector', () => {
    const template = { spec: { containers: [], nodeSelector: { disk: 'ssd' } } }
    assert.deepEqual(plan([nodeOf('a'), nodeOf('b', { labels: { disk: 'ssd' } })], [], { template }).create, ['b'])
  })

  it('replaces failed pods after their back-off, and surplus ones at once', () => {
    const failed = podOf('a', { phase: 'Failed' })
    assert.deepEqual(removed(plan([nodeOf('a')], [failed])), ['d-a-new'])
    assert.equal(plan([nodeOf('a')], [failed], {}, 4000).requeueAfterMs, 4000)
    assert.deepEqual(removed(plan([nodeOf('a')], [podOf('a', { name: '1' }), podOf('a', { name: '2' })])), ['2'])
  })

  it('updates at most maxUnavailable available pods at once, and unavailable ones at once', () => {
    const nodes = ['a', 'b', 'c', 'd'].map((name) => nodeOf(name))
    const old = nodes.map(({ metadata }) => podOf(metadata.name, { hash: 'old', ready: metadata.name !== 'd' }))
    assert.deepEqual(removed(plan(nodes, old, { updateStrategy: { rollingUpdate: { maxUnavailable: 1 } } })), [
      'd-d-old',
    ])
    assert.deepEqual(removed(plan(nodes, old, { updateStrategy: { rollingUpdate: { maxUnavailable: '50%' } } })), [
      'd-d-old',
      'd-a-old',
    ])
    assert.deepEqual(removed(plan(nodes, old, { updateStrategy: { type: 'OnDelete' } })), [])
  })

  it('surges: first a second pod, then the old one goes', () => {
    const updateStrategy = { rollingUpdate: { maxSurge: 1, maxUnavailable: 0 } }
    const nodes = [nodeOf('a'), nodeOf('b')]
    const old = [podOf('a', { hash: 'old' }), podOf('b', { hash: 'old' })]
    assert.deepEqual(plan(nodes, old, { updateStrategy }).create, ['a'])
    const unready = plan(nodes, [...old, podOf('a', { ready: false })], { updateStrategy })
    assert.deepEqual([unready.create, removed(unready)], [[], []])
    assert.deepEqual(removed(plan(nodes, [...old, podOf('a')], { updateStrategy })), ['d-a-old'])
  })

  it('makes pods that only their node can take', () => {
    const pod = buildDaemonPod(setOf(), { node: 'n1', hash: 'h' })
    assert.equal(targetNode(pod), 'n1')
    assert.equal(pod.metadata.labels?.['controller-revision-hash'], 'h')
    assert.equal(pod.spec?.tolerations?.length, 6)
  })
})
