import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatTime, type Stored } from '@centaurus/api'
import type { ControllerRevision, StatefulSet, StatefulSetSpec } from '@centaurus/api/apps/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { planStatefulSet } from './plan.ts'

const NOW_MS = Date.UTC(2026, 0, 1)
const META = { namespace: 'ns', resourceVersion: '1', creationTimestamp: formatTime(NOW_MS) }
const revision = (name: string): ControllerRevision => ({
  metadata: { name },
  data: { spec: { template: { spec: { containers: [] } } } },
})

function podOf(ordinal: number, { of = 'new', ready = true, going = false, phase = 'Running' } = {}): Stored<Pod> {
  const deletion = going ? { deletionTimestamp: formatTime(NOW_MS) } : {}
  return {
    metadata: {
      ...META,
      name: `s-${ordinal}`,
      uid: `p${ordinal}`,
      labels: { 'controller-revision-hash': of },
      ...deletion,
    },
    status: { phase, conditions: [{ type: 'Ready', status: ready ? 'True' : 'False' }] },
  }
}

function plan(pods: readonly Stored<Pod>[], spec: Partial<StatefulSetSpec> = {}): string {
  const set = {
    metadata: { ...META, name: 's', uid: 's' },
    spec: { replicas: 3, selector: {}, template: {}, ...spec },
  } as Stored<StatefulSet>
  const { create, remove } = planStatefulSet({
    set,
    pods,
    currentRevision: revision('old'),
    updateRevision: revision('new'),
    collisionCount: 0,
    nowMs: NOW_MS,
  })
  return [
    ...create.map(({ ordinal, revision: of }) => `+${ordinal}${of === 'old' ? '(old)' : ''}`),
    ...remove.map(({ metadata }) => `-${metadata.name.slice(2)}`),
  ].join(' ')
}

describe('planStatefulSet', () => {
  const cases: [title: string, pods: Stored<Pod>[], spec: Partial<StatefulSetSpec>, expected: string][] = [
    ['starts with the first', [], {}, '+0'],
    ['waits for the one before', [podOf(0, { ready: false })], {}, ''],
    ['goes on when it is ready', [podOf(0)], {}, '+1'],
    ['starts at the given ordinal', [], { ordinals: { start: 5 } }, '+5'],
    ['creates all at once when parallel', [], { podManagementPolicy: 'Parallel' }, '+0 +1 +2'],
    ['replaces a pod that has ended', [podOf(0, { phase: 'Failed' }), podOf(1), podOf(2)], {}, '-0'],
    ['takes the last one too many', [podOf(0), podOf(1), podOf(2), podOf(3), podOf(4)], {}, '-4'],
    ['waits for one that goes', [podOf(0), podOf(1), podOf(2), podOf(3), podOf(4, { going: true })], {}, ''],
    ['updates the last first', [podOf(0, { of: 'old' }), podOf(1, { of: 'old' }), podOf(2, { of: 'old' })], {}, '-2'],
    [
      'updates none while one is unavailable',
      [podOf(0, { of: 'old' }), podOf(1, { of: 'old' }), podOf(2, { ready: false })],
      {},
      '',
    ],
    [
      'keeps those below the partition',
      [podOf(0, { of: 'old' }), podOf(1), podOf(2)],
      { updateStrategy: { rollingUpdate: { partition: 1 } } },
      '',
    ],
    [
      'makes pods below the partition of the old template',
      [podOf(1), podOf(2)],
      { updateStrategy: { rollingUpdate: { partition: 1 } } },
      '+0(old)',
    ],
    [
      'leaves updates to whoever deletes',
      [podOf(0, { of: 'old' }), podOf(1), podOf(2)],
      { updateStrategy: { type: 'OnDelete' } },
      '',
    ],
    [
      'updates several when allowed',
      [podOf(0, { of: 'old' }), podOf(1, { of: 'old' }), podOf(2, { of: 'old' })],
      { updateStrategy: { rollingUpdate: { maxUnavailable: 2 } } },
      '-2 -1',
    ],
  ]
  for (const [title, pods, spec, expected] of cases) it(title, () => assert.equal(plan(pods, spec), expected))
})
