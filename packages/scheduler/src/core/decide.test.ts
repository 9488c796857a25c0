import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Node, Pod } from '@centaurus/api/core/v1'
import type { Stored } from '@centaurus/api'
import { node, pod } from '../testing/objects.ts'
import { ClusterState } from './cluster-state.ts'
import { decide, feasibleNodesToFind, formatFitFailure } from './decide.ts'
import { compilePod, type PodRequirements } from './pod-requirements.ts'

const namespaceLabels = (name: string): Record<string, string> => ({ 'kubernetes.io/metadata.name': name })

function cluster(nodes: Stored<Node>[], placed: [Stored<Pod>, string][] = []): ClusterState {
  const state = new ClusterState()
  for (const item of nodes) state.putNode(item)
  for (const [item, nodeName] of placed) put(state, item, nodeName)
  return state
}

function compile(state: ClusterState, item: Stored<Pod>): PodRequirements {
  return compilePod(item, { index: state.resources, namespaceLabels })
}

function put(state: ClusterState, item: Stored<Pod>, nodeName: string): void {
  state.putPod(item.metadata.uid, compile(state, item).footprint, nodeName)
}

/** The node's name, or the message. */
function place(state: ClusterState, item: Stored<Pod>): string {
  const decision = decide(state, compile(state, item), { startSlot: 0, tieBreak: () => 0 })
  return decision.type === 'place' ? decision.nodeName : formatFitFailure(decision.failure)
}

describe('decide', () => {
  it('prefers the emptier node', () => {
    const state = cluster([node('a'), node('b')], [[pod('x', { cpu: '2' }), 'a']])
    assert.equal(place(state, pod('y', { cpu: '1' })), 'b')
  })

  it('counts nodes by reason when none fits', () => {
    const state = cluster([
      node('small', { allocatable: { cpu: '1' } }),
      node('cordoned', { unschedulable: true }),
      node('tainted', { taints: [{ key: 'dedicated', value: 'db', effect: 'NoSchedule' }] }),
    ])
    assert.equal(
      place(state, pod('big', { cpu: '3' })),
      '0/3 nodes are available: 1 Insufficient cpu, 1 node(s) had untolerated taint(s), 1 node(s) were unschedulable.',
    )
    assert.equal(place(cluster([]), pod('any')), 'no nodes available to schedule pods')
  })

  it('lets a toleration open a tainted or cordoned node', () => {
    const taints = [{ key: 'dedicated', value: 'db', effect: 'NoExecute' }]
    const state = cluster([node('a', { taints, unschedulable: true })])
    const tolerations = [
      { key: 'dedicated', operator: 'Equal', value: 'db' },
      { key: 'node.kubernetes.io/unschedulable', operator: 'Exists' },
    ]
    assert.equal(place(state, pod('x', { tolerations })), 'a')
    assert.match(place(state, pod('y', { tolerations: tolerations.slice(0, 1) })), /unschedulable/)
  })

  it('holds node selectors and required affinity together', () => {
    const state = cluster([
      node('a', { labels: { disk: 'ssd', zone: '1' } }),
      node('b', { labels: { disk: 'ssd', zone: '2' } }),
    ])
    const nodeAffinity = {
      requiredDuringSchedulingIgnoredDuringExecution: {
        nodeSelectorTerms: [{ matchExpressions: [{ key: 'zone', operator: 'Gt', values: ['1'] }] }],
      },
    }
    assert.equal(place(state, pod('x', { nodeSelector: { disk: 'ssd' }, affinity: { nodeAffinity } })), 'b')
    assert.match(
      place(state, pod('y', { nodeSelector: { disk: 'hdd' } })),
      /2 node\(s\) didn't match Pod's node affinity\/selector/,
    )
    const byName = { nodeSelectorTerms: [{ matchFields: [{ key: 'metadata.name', operator: 'In', values: ['a'] }] }] }
    const pinned = { nodeAffinity: { requiredDuringSchedulingIgnoredDuringExecution: byName } }
    assert.equal(place(state, pod('z', { affinity: pinned })), 'a')
  })

  it('never gives a host port twice, unless the addresses differ', () => {
    const withPort = (name: string, hostIP?: string): Stored<Pod> =>
      pod(name, {
        containers: [
          { name: 'c', ports: [{ containerPort: 80, hostPort: 80, protocol: 'TCP', ...(hostIP ? { hostIP } : {}) }] },
        ],
      })
    const state = cluster([node('a')], [[withPort('x', '10.0.0.1'), 'a']])
    assert.match(place(state, withPort('any')), /didn't have free ports/)
    assert.match(place(state, withPort('same', '10.0.0.1')), /didn't have free ports/)
    assert.equal(place(state, withPort('other', '10.0.0.2')), 'a')
    state.removePod('pod-x')
    assert.equal(place(state, withPort('any')), 'a')
  })

  it('counts pods, init containers and sidecars as a node would', () => {
    const state = cluster([node('a', { allocatable: { cpu: '2', pods: '1' } })])
    const container = (cpu: string, restartPolicy?: string) => ({
      name: `c${cpu}`,
      resources: { requests: { cpu } },
      ...(restartPolicy ? { restartPolicy } : {}),
    })
    const initContainers = [container('1', 'Always'), container('1500m')]
    assert.match(place(state, pod('peak', { initContainers, containers: [container('100m')] })), /Insufficient cpu/)
    assert.equal(place(state, pod('fits', { initContainers: [container('1500m')], containers: [container('2')] })), 'a')
    put(state, pod('one'), 'a')
    assert.match(place(state, pod('two')), /1 Too many pods/)
  })

  it('refuses what an extended resource cannot give', () => {
    const state = cluster([node('gpu', { allocatable: { 'nvidia.com/gpu': '1' } }), node('plain')])
    const asking = (name: string) =>
      pod(name, { containers: [{ name: 'c', resources: { requests: { 'nvidia.com/gpu': '1' } } }] })
    assert.equal(place(state, asking('x')), 'gpu')
    put(state, asking('x'), 'gpu')
    assert.equal(place(state, asking('y')), '0/2 nodes are available: 2 Insufficient nvidia.com/gpu.')
  })
})

describe('pods that want or shun each other', () => {
  const zone = (value: string): { labels: Record<string, string> } => ({ labels: { zone: value } })
  const term = (app: string, topologyKey: string) => ({ topologyKey, labelSelector: { matchLabels: { app } } })
  const near = (app: string) => ({
    podAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(app, 'zone')] },
  })
  const apart = (app: string) => ({
    podAntiAffinity: { requiredDuringSchedulingIgnoredDuringExecution: [term(app, 'zone')] },
  })

  it('goes to the zone of the pod it wants', () => {
    const state = cluster(
      [node('a', zone('1')), node('b', zone('2')), node('c', zone('2'))],
      [[pod('db', { labels: { app: 'db' } }), 'b']],
    )
    assert.match(place(state, pod('web', { affinity: near('db') })), /^[bc]$/)
    assert.match(place(state, pod('lost', { affinity: near('cache') })), /3 node\(s\) didn't match pod affinity rules/)
  })

  it('lets the first of a group that wants itself go anywhere', () => {
    const state = cluster([node('a', zone('1'))])
    assert.equal(place(state, pod('x', { labels: { app: 'x' }, affinity: near('x') })), 'a')
  })

  it('respects anti-affinity of both sides', () => {
    const guard = pod('guard', { labels: { app: 'guard' }, affinity: apart('web') })
    const state = cluster([node('a', zone('1')), node('b', zone('2'))], [[guard, 'a']])
    assert.equal(place(state, pod('web', { labels: { app: 'web' } })), 'b')
    assert.equal(place(state, pod('shy', { affinity: apart('guard') })), 'b')
    const stranger = pod('other', { labels: { app: 'web' }, namespace: 'elsewhere', nodeSelector: { zone: '1' } })
    assert.equal(place(state, stranger), 'a')
  })
})

describe('topology spread', () => {
  const spread = (maxSkew: number, whenUnsatisfiable = 'DoNotSchedule') => [
    { maxSkew, topologyKey: 'zone', whenUnsatisfiable, labelSelector: { matchLabels: { app: 'web' } } },
  ]
  const web = (name: string, maxSkew = 1): Stored<Pod> =>
    pod(name, { labels: { app: 'web' }, topologySpreadConstraints: spread(maxSkew) })

  it('keeps the skew', () => {
    const nodes = [
      node('a', { labels: { zone: '1' } }),
      node('b', { labels: { zone: '2' }, allocatable: { cpu: '100m' } }),
    ]
    const state = cluster(nodes, [[web('w1'), 'a']])
    assert.equal(place(state, web('w2')), 'b')
    const big = { ...web('w3'), spec: { ...web('w3').spec!, containers: pod('p', { cpu: '1' }).spec!.containers } }
    assert.match(place(state, big), /1 Insufficient cpu, 1 node\(s\) didn't match pod topology spread constraints/)
  })

  it('refuses nodes without the label', () => {
    const state = cluster([node('a')])
    assert.match(place(state, web('w')), /missing required label/)
  })
})

describe('decide against a dumb reference', () => {
  const milli = fc.integer({ min: 0, max: 4000 })

  it('places exactly when some node has room', () => {
    fc.assert(
      fc.property(
        fc.array(milli, { minLength: 1, maxLength: 8 }),
        fc.array(milli, { maxLength: 30 }),
        (capacities, asks) => {
          const state = cluster(capacities.map((cpu, i) => node(`n${i}`, { allocatable: { cpu: `${cpu}m` } })))
          const free = [...capacities]
          for (const [i, ask] of asks.entries()) {
            const item = pod(`p${i}`, { cpu: `${ask}m` })
            const decision = decide(state, compile(state, item), {
              startSlot: i % capacities.length,
              tieBreak: () => 0.5,
            })
            const possible = free.some((room) => room >= ask)
            assert.equal(decision.type === 'place', possible)
            if (decision.type !== 'place') continue
            const slot = Number(decision.nodeName.slice(1))
            assert.ok(free[slot]! >= ask, 'overcommitted')
            free[slot]! -= ask
            put(state, item, decision.nodeName)
          }
        },
      ),
    )
  })

  it('returns to the same counts when pods and nodes come and go', () => {
    const step = fc.record({
      pod: fc.integer({ min: 0, max: 9 }),
      node: fc.integer({ min: 0, max: 3 }),
      action: fc.constantFrom('put', 'remove', 'dropNode', 'addNode'),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const state = new ClusterState()
        const expected = new Map<string, string>()
        const present = new Set<string>()
        for (const { pod: i, node: n, action } of steps) {
          const name = `n${n}`
          switch (action) {
            case 'addNode':
              state.putNode(node(name))
              present.add(name)
              break
            case 'dropNode':
              state.removeNode(name)
              present.delete(name)
              break
            case 'put':
              put(state, pod(`p${i}`, { cpu: '10m' }), name)
              expected.set(`p${i}`, name)
              break
            default:
              state.removePod(`pod-p${i}`)
              expected.delete(`p${i}`)
          }
        }
        for (const name of present) {
          const count = [...expected.values()].filter((value) => value === name).length
          assert.equal(state.requested(state.slotOf(name)!, 0), count * 10)
        }
        assert.equal(state.nodeCount, present.size)
      }),
    )
  })
})

describe('feasibleNodesToFind', () => {
  it('looks at all of a small cluster and 5 % of a huge one', () => {
    assert.deepEqual([50, 100, 1000, 5000, 60_000].map(feasibleNodesToFind), [50, 100, 420, 500, 3000])
  })
})
