import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Node } from '@centaurus/api/core/v1'
import { graceMs, needsEviction, planTaints, planUnknownConditions } from './plan.ts'
import { Zones } from './zones.ts'

const NOW = '2026-01-01T00:10:00Z'
type Taints = NonNullable<NonNullable<Node['spec']>['taints']>

function node(
  ready: 'True' | 'False' | 'Unknown' | undefined,
  taints: Taints = [],
  more: Partial<Node['spec']> = {},
): Node {
  return {
    metadata: { name: 'n', creationTimestamp: '2026-01-01T00:00:00Z' },
    spec: { taints, ...more },
    status: { conditions: ready === undefined ? [] : [{ type: 'Ready', status: ready, reason: 'KubeletReady' }] },
  }
}
const keys = (taints: Taints | undefined): string[] | undefined =>
  taints?.map(({ key, effect }) => `${key.split('/').at(-1)}:${effect}`)

describe('planTaints', () => {
  it('frees a node that became ready, and leaves the taints of others', () => {
    const taints = [
      { key: 'node.kubernetes.io/not-ready', effect: 'NoSchedule' },
      { key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' },
      { key: 'dedicated', value: 'db', effect: 'NoSchedule' },
    ]
    assert.deepEqual(keys(planTaints(node('True', taints), 'allow', NOW)), ['dedicated:NoSchedule'])
    assert.equal(planTaints(node('True'), 'allow', NOW), undefined, 'nothing to do')
  })

  it('taints a silent node twice, and with the time', () => {
    const planned = planTaints(node('Unknown'), 'allow', NOW)
    assert.deepEqual(keys(planned), ['unreachable:NoSchedule', 'unreachable:NoExecute'])
    assert.equal(planned?.[1]?.timeAdded, NOW)
  })

  it('keeps pods off a new node that has said nothing, without evicting', () => {
    assert.deepEqual(keys(planTaints(node(undefined), 'allow', NOW)), ['not-ready:NoSchedule'])
  })

  it('adds no evicting taint while the zone waits, and takes all away when nothing answers', () => {
    assert.deepEqual(keys(planTaints(node('Unknown'), 'wait', NOW)), ['unreachable:NoSchedule'])
    const evicting = [{ key: 'node.kubernetes.io/unreachable', effect: 'NoExecute' }]
    assert.deepEqual(keys(planTaints(node('Unknown', evicting), 'never', NOW)), ['unreachable:NoSchedule'])
    assert.deepEqual(keys(planTaints(node('False', evicting), 'wait', NOW)), [
      'not-ready:NoSchedule',
      'not-ready:NoExecute',
    ])
    assert.equal(needsEviction(node('Unknown', evicting)), false)
    assert.equal(needsEviction(node('Unknown')), true)
  })

  it('follows cordoning and pressure', () => {
    const pressed: Node = { ...node('True', [], { unschedulable: true }) }
    pressed.status!.conditions!.push({ type: 'MemoryPressure', status: 'True' })
    assert.deepEqual(keys(planTaints(pressed, 'allow', NOW)), [
      'memory-pressure:NoSchedule',
      'unschedulable:NoSchedule',
    ])
  })
})

describe('planUnknownConditions', () => {
  it('turns what the node reported into unknown, once', () => {
    const planned = planUnknownConditions(node('True'), NOW)
    assert.deepEqual(
      planned.map(({ type, reason }) => `${type} ${reason}`),
      [
        'Ready NodeStatusUnknown',
        'MemoryPressure NodeStatusNeverUpdated',
        'DiskPressure NodeStatusNeverUpdated',
        'PIDPressure NodeStatusNeverUpdated',
      ],
    )
    const after: Node = { ...node('True'), status: { conditions: planned } }
    assert.deepEqual(planUnknownConditions(after, NOW), [])
  })

  it('gives a node that never reported more time', () => {
    assert.equal(graceMs(node(undefined)), 60_000)
    assert.equal(graceMs(node('True')), 50_000)
  })
})

describe('Zones', () => {
  const fill = (ready: number, notReady: number): Zones => {
    const zones = new Zones()
    for (let i = 0; i < ready + notReady; i++) zones.put(`n${i}`, 'z', { isReady: i < ready })
    return zones
  }

  it('tells normal, partial and full disruption', () => {
    assert.equal(fill(9, 1).state('z'), 'normal')
    assert.equal(fill(1, 2).state('z'), 'normal', 'two nodes are no disruption')
    assert.equal(fill(4, 6).state('z'), 'partialDisruption')
    assert.equal(fill(0, 3).state('z'), 'fullDisruption')
    assert.equal(fill(0, 3).isEverythingDown, true)
    assert.equal(fill(1, 9).isEverythingDown, false)
  })

  it('evicts one node in ten seconds, and none in a small zone that is half gone', () => {
    const zones = fill(9, 1)
    assert.deepEqual(zones.takePermit('z', 0), { granted: true })
    assert.deepEqual(zones.takePermit('z', 4_000), { granted: false, retryAfterMs: 6_000 })
    assert.deepEqual(zones.takePermit('z', 10_000), { granted: true })
    assert.equal(fill(4, 6).takePermit('z', 0).granted, false)
    assert.equal(fill(40, 60).takePermit('z', 0).granted, true, 'a large zone goes on slowly')
  })

  it('keeps its counts right when nodes change, move and leave', () => {
    const zones = fill(1, 1)
    zones.put('n1', 'z', { isReady: true })
    assert.equal(zones.state('z'), 'normal')
    zones.put('n0', 'other', { isReady: false })
    assert.equal(zones.state('other'), 'fullDisruption')
    zones.remove('n0')
    assert.equal(zones.state('other'), 'normal')
  })
})
