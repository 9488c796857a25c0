import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Node } from '@centaurus/api/core/v1'
import { planZones, RateLimit, zoneOf, type ZonePlan } from './zones.ts'

const RATES = {
  evictionsPerSecond: 0.1,
  secondaryEvictionsPerSecond: 0.01,
  largeZoneNodes: 50,
  unhealthyZoneThreshold: 0.55,
}

function nodesOf(zone: string, ready: number, notReady: number): Node[] {
  return Array.from({ length: ready + notReady }, (_, i) => ({
    metadata: { name: `${zone}${i}`, labels: { 'topology.kubernetes.io/zone': zone } },
    status: { conditions: [{ type: 'Ready', status: i < ready ? 'True' : 'Unknown' }] },
  }))
}

const zoneA = zoneOf(nodesOf('a', 1, 0)[0]!)

describe('planZones', () => {
  const rateOfA = (...nodes: Node[][]): [string | undefined, number | undefined] => {
    const plan: ZonePlan = planZones(nodes.flat(), RATES)
    return [plan.states.get(zoneA), plan.rates.get(zoneA)]
  }

  it('evicts at full rate where few nodes fail', () => {
    assert.deepEqual(rateOfA(nodesOf('a', 3, 0)), ['Normal', 0.1])
    assert.deepEqual(rateOfA(nodesOf('a', 1, 2)), ['Normal', 0.1])
  })

  it('slows down where many fail, and stops when the zone is small', () => {
    assert.deepEqual(rateOfA(nodesOf('a', 20, 40)), ['PartialDisruption', 0.01])
    assert.deepEqual(rateOfA(nodesOf('a', 2, 3)), ['PartialDisruption', 0])
  })

  it('evicts a zone that is down as long as another one lives, and nobody when all are down', () => {
    assert.deepEqual(rateOfA(nodesOf('a', 0, 5), nodesOf('b', 1, 0)), ['FullDisruption', 0.1])
    assert.deepEqual(rateOfA(nodesOf('a', 0, 5), nodesOf('b', 0, 2)), ['FullDisruption', 0])
    assert.equal(planZones(nodesOf('a', 0, 1), RATES).isAllDown, true)
    assert.equal(planZones([], RATES).isAllDown, false)
  })

  it('leaves out nodes that are excluded', () => {
    const excluded = nodesOf('a', 0, 3).map((node) => ({
      ...node,
      metadata: { ...node.metadata, labels: { ...node.metadata.labels, 'node.kubernetes.io/exclude-disruption': '' } },
    }))
    assert.deepEqual(rateOfA(nodesOf('a', 1, 0), excluded), ['Normal', 0.1])
  })
})

describe('RateLimit', () => {
  it('keeps its distance, also over a change of the rate', () => {
    const limit = new RateLimit(0.1)
    assert.equal(limit.tryTake(0), true)
    assert.equal(limit.tryTake(9_999), false)
    limit.set(0.01, 9_999)
    assert.equal(limit.tryTake(50_000), false)
    assert.equal(limit.tryTake(109_999), true)
    limit.set(0, 110_000)
    assert.equal(limit.tryTake(10_000_000), false)
  })
})
