import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { Stored } from '@centaurus/api'
import type { Node, Pod, Taint } from '@centaurus/api/core/v1'
import * as oracle from '../testing/oracle.ts'
import { node, pod } from '../testing/objects.ts'
import { ClusterState } from './cluster-state.ts'
import { decide, decideBatch, prepareRefuse } from './decide.ts'
import { PodCompiler } from './pod-compiler.ts'
import { scoreNodes } from './scores.ts'

const ZONE = 'topology.kubernetes.io/zone'
const KEYS = ['kubernetes.io/hostname', ZONE, 'rack'] as const

const maybe = <T>(value: fc.Arbitrary<T>): fc.Arbitrary<T | undefined> => fc.option(value, { nil: undefined })
const rarely = <T>(value: T, otherwise: fc.Arbitrary<T>): fc.Arbitrary<T> =>
  fc.oneof({ weight: 1, arbitrary: fc.constant(value) }, { weight: 9, arbitrary: otherwise })
const app = fc.constantFrom('web', 'db')
const effect = fc.constantFrom('NoSchedule', 'PreferNoSchedule', 'NoExecute')
const image = fc.constantFrom('app', 'big:1')

const nodeShape = fc.record({
  zone: maybe(fc.constantFrom('1', '2')),
  rack: maybe(fc.constantFrom('r1', 'r2')),
  cpu: rarely('0m', fc.constantFrom('1500m', '4000m')),
  memory: rarely('0', fc.constantFrom(`${2 ** 31}`, `${2 ** 32}`)),
  device: maybe(fc.constantFrom('1')),
  pods: fc.integer({ min: 1, max: 12 }),
  taints: fc.oneof(
    { weight: 3, arbitrary: fc.constant<Taint[]>([]) },
    {
      weight: 1,
      arbitrary: fc.array(fc.record({ key: fc.constantFrom('t1', 't2'), value: fc.constantFrom('v', 'w'), effect })),
    },
  ),
  cordoned: rarely(true, fc.constant(false)),
  images: fc.uniqueArray(fc.constantFrom('app:latest', 'big:1'), { maxLength: 2 }),
})

type NodeShape = typeof nodeShape extends fc.Arbitrary<infer T> ? T : never

function nodeOf(name: string, shape: NodeShape): Stored<Node> {
  const { zone, rack, cpu, memory, device, pods, taints, cordoned, images } = shape
  const made = node(name, {
    labels: { ...(zone === undefined ? {} : { [ZONE]: zone }), ...(rack === undefined ? {} : { rack }) },
    taints,
    unschedulable: cordoned,
    allocatable: { cpu, memory, pods: `${pods}`, ...(device === undefined ? {} : { 'example.com/device': device }) },
  })
  const sizes = { 'app:latest': 200 * 2 ** 20, 'big:1': 3000 * 2 ** 20 }
  const listed = images.map((one) => ({ names: [one], sizeBytes: sizes[one] }))
  return { ...made, status: { ...made.status, images: listed } }
}

const selector = maybe(
  fc.oneof(
    app.map((value) => ({ matchLabels: { app: value } })),
    app.map((value) => ({ matchExpressions: [{ key: 'app', operator: 'NotIn', values: [value] }] })),
    fc.constant({}),
  ),
)
const term = fc
  .record({
    topologyKey: fc.constantFrom(...KEYS),
    labelSelector: selector,
    namespaces: maybe(fc.constantFrom<string[]>(['a'], ['a', 'b'])),
    namespaceSelector: maybe(fc.constantFrom({}, { matchLabels: { team: 'y' } })),
  })
  .map((value) => dropUndefined(value))
const weighted = fc.record({ weight: fc.integer({ min: 1, max: 100 }), podAffinityTerm: term })
const terms = fc.array(term, { maxLength: 2 })
const nodeTerm = fc.record({
  matchExpressions: fc.array(
    fc
      .record({ key: fc.constantFrom(ZONE, 'rack'), operator: fc.constantFrom('In', 'NotIn', 'Exists') })
      .map((value) => ({ ...value, ...(value.operator === 'Exists' ? {} : { values: ['1', 'r1'] }) })),
    { minLength: 1, maxLength: 2 },
  ),
})
const constraint = fc
  .record({
    maxSkew: fc.integer({ min: 1, max: 3 }),
    topologyKey: fc.constantFrom(...KEYS),
    whenUnsatisfiable: fc.constantFrom('DoNotSchedule', 'ScheduleAnyway'),
    labelSelector: selector,
    minDomains: maybe(fc.integer({ min: 1, max: 3 })),
    nodeAffinityPolicy: maybe(fc.constantFrom('Honor', 'Ignore')),
    nodeTaintsPolicy: maybe(fc.constantFrom('Honor', 'Ignore')),
  })
  .map((value) => dropUndefined(value))
const toleration = fc.oneof(
  fc.constant({ operator: 'Exists' }),
  fc.record({ key: fc.constantFrom('t1', 't2'), operator: fc.constant('Equal'), value: fc.constantFrom('v', 'w') }),
  fc.record({ key: fc.constantFrom('t1', 't2'), operator: fc.constant('Exists'), effect }),
)
const podShape = fc.record({
  namespace: fc.constantFrom('a', 'b'),
  app: maybe(app),
  tier: maybe(fc.constantFrom('front')),
  cpu: maybe(fc.constantFrom('0m', '100m', '700m')),
  memory: maybe(fc.constantFrom(`${2 ** 28}`, `${2 ** 29}`)),
  device: rarely(true, fc.constant(false)),
  port: maybe(fc.record({ hostPort: fc.constantFrom(80, 81), hostIP: maybe(fc.constantFrom('10.0.0.1', '10.0.0.2')) })),
  image,
  terminating: fc.boolean(),
  zone: maybe(fc.constantFrom('1', '2')),
  tolerations: fc.array(toleration, { maxLength: 2 }),
  required: maybe(fc.array(nodeTerm, { minLength: 1, maxLength: 2 })),
  preferred: fc.array(fc.record({ weight: fc.integer({ min: 1, max: 100 }), preference: nodeTerm }), { maxLength: 2 }),
  near: fc.record({ required: terms, preferred: fc.array(weighted, { maxLength: 2 }) }),
  far: fc.record({ required: terms, preferred: fc.array(weighted, { maxLength: 2 }) }),
  spread: fc.array(constraint, { maxLength: 2 }),
  /** Most pods are simple, or nothing would fit anywhere. */
  plain: fc.record({ nodes: fc.boolean(), pods: fc.boolean(), spread: fc.boolean() }),
})
type PodShape = typeof podShape extends fc.Arbitrary<infer T> ? T : never

function dropUndefined<T extends object>(value: T): T {
  return JSON.parse(JSON.stringify(value)) as T
}

function podOf(name: string, shape: PodShape): Stored<Pod> {
  const { required, preferred } = shape.plain.nodes ? { required: undefined, preferred: [] } : shape
  const requests = { cpu: shape.cpu, memory: shape.memory, 'example.com/device': shape.device ? '1' : undefined }
  const made = pod(name, {
    namespace: shape.namespace,
    labels: { app: shape.app, tier: shape.tier } as Record<string, string>,
    containers: [
      {
        name: 'c',
        image: shape.image,
        resources: { requests: requests as Record<string, string> },
        ...(shape.port === undefined ? {} : { ports: [{ containerPort: 1, ...shape.port }] }),
      },
    ],
    tolerations: shape.tolerations,
    ...(shape.zone === undefined || shape.plain.nodes ? {} : { nodeSelector: { [ZONE]: shape.zone } }),
    affinity: {
      nodeAffinity: {
        ...(required === undefined
          ? {}
          : { requiredDuringSchedulingIgnoredDuringExecution: { nodeSelectorTerms: required } }),
        preferredDuringSchedulingIgnoredDuringExecution: preferred,
      },
      podAffinity: affinityOf(shape.plain.pods ? undefined : shape.near),
      podAntiAffinity: affinityOf(shape.plain.pods ? undefined : shape.far),
    },
    topologySpreadConstraints: shape.plain.spread ? [] : shape.spread,
  })
  const metadata = { ...made.metadata, ...(shape.terminating ? { deletionTimestamp: '2026-01-01T00:00:00Z' } : {}) }
  return dropUndefined({ ...made, metadata })
}

function affinityOf(lists: PodShape['near'] | undefined) {
  return {
    requiredDuringSchedulingIgnoredDuringExecution: lists?.required ?? [],
    preferredDuringSchedulingIgnoredDuringExecution: lists?.preferred ?? [],
  }
}

const SHAPES = 5
const index = fc.integer({ min: 0, max: SHAPES - 1 })
const step = fc.oneof(
  { weight: 2, arbitrary: fc.record({ do: fc.constant('node' as const), node: index, shape: index }) },
  { weight: 1, arbitrary: fc.record({ do: fc.constant('dropNode' as const), node: index }) },
  {
    weight: 8,
    arbitrary: fc.record({ do: fc.constant('place' as const), pod: fc.nat(14), node: index, shape: index }),
  },
  { weight: 2, arbitrary: fc.record({ do: fc.constant('dropPod' as const), pod: fc.nat(14) }) },
  { weight: 8, arbitrary: fc.record({ do: fc.constant('ask' as const), shape: index }) },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant('relabel' as const),
      namespace: fc.constantFrom('a', 'b'),
      team: fc.constantFrom('x', 'y'),
    }),
  },
)
type Step = typeof step extends fc.Arbitrary<infer T> ? T : never

/** The core and the oracle's picture of the same cluster. */
class Pair {
  readonly #nodeShapes: readonly NodeShape[]
  readonly #podShapes: readonly PodShape[]
  readonly state = new ClusterState()
  readonly namespaces: Record<string, Record<string, string>> = { a: { team: 'x' }, b: { team: 'y' } }
  readonly compiler = new PodCompiler({
    index: this.state.resources,
    namespaceLabels: (name) => this.namespaces[name],
  })
  readonly nodes = new Map<string, Stored<Node>>()
  readonly placed = new Map<string, { pod: Stored<Pod>; nodeName: string }>()

  constructor(nodeShapes: readonly NodeShape[], podShapes: readonly PodShape[]) {
    this.#nodeShapes = nodeShapes
    this.#podShapes = podShapes
  }

  apply(change: Step): void {
    switch (change.do) {
      case 'node': {
        const made = nodeOf(`n${change.node}`, this.#nodeShapes[change.shape]!)
        this.nodes.set(made.metadata.name, made)
        this.state.putNode(made)
        break
      }
      case 'dropNode':
        this.nodes.delete(`n${change.node}`)
        this.state.removeNode(`n${change.node}`)
        break
      case 'place': {
        const item = podOf(`p${change.pod}`, this.#podShapes[change.shape]!)
        this.placed.set(item.metadata.uid, { pod: item, nodeName: `n${change.node}` })
        this.state.putPod(item.metadata.uid, this.compiler.footprint(item), `n${change.node}`)
        break
      }
      case 'dropPod':
        this.placed.delete(`pod-p${change.pod}`)
        this.state.removePod(`pod-p${change.pod}`)
        break
      case 'relabel':
        this.namespaces[change.namespace] = { team: change.team }
        this.state.namespacesChanged()
        break
      default:
        this.compare(podOf('asker', { ...this.#podShapes[change.shape]!, terminating: false }))
    }
  }

  get world(): oracle.World {
    const placed = [...this.placed.values()].filter(({ nodeName }) => this.nodes.has(nodeName))
    return { nodes: [...this.nodes.values()], placed, namespaces: this.namespaces }
  }

  compare(item: Stored<Pod>): void {
    const { state, world } = this
    const requirements = this.compiler.requirements(item)
    const refuse = prepareRefuse(state, requirements, undefined)
    const slots: number[] = []
    const feasible: Node[] = []
    for (const one of world.nodes) {
      const slot = state.slotOf(one.metadata.name!)!
      const expected = oracle.refuse(world, item, one)
      assert.deepEqual([...(refuse(slot)?.reasons ?? [])].sort(), expected.toSorted(), `on ${one.metadata.name}`)
      if (expected.length > 0) continue
      slots.push(slot)
      feasible.push(one)
    }
    const decision = decide(state, requirements, { startSlot: 0, tieBreak: () => 0.5 })
    assert.equal(decision.type, feasible.length > 0 ? 'place' : 'refuse')
    if (decision.type === 'refuse') return
    assert.equal(decision.feasibleNodes, feasible.length)
    const scores = oracle.score(world, item, feasible)
    const feasibleSlots = { slots: Int32Array.from(slots), count: slots.length }
    const fast = [...scoreNodes(state.classOf(requirements), feasibleSlots)].slice(0, slots.length)
    // Only differences count; what is the same for all nodes may be left out.
    const relative = (values: readonly number[]): number[] => values.map((value) => value - Math.max(...values))
    assert.deepEqual(relative(fast), relative(scores))
    const chosen = feasible.findIndex((one) => one.metadata.name === decision.nodeName)
    assert.equal(scores[chosen], Math.max(...scores))
  }
}

describe('the core against the oracle', () => {
  it('agrees on which nodes fit, why not, on the scores and on the choice, after any changes', () => {
    fc.assert(
      fc.property(
        fc.array(nodeShape, { minLength: SHAPES, maxLength: SHAPES }),
        fc.array(podShape, { minLength: SHAPES, maxLength: SHAPES }),
        fc.array(step, { minLength: 20, maxLength: 60 }),
        (nodeShapes, podShapes, steps) => {
          const pair = new Pair(nodeShapes, podShapes)
          for (let i = 0; i < SHAPES; i++) pair.apply({ do: 'node', node: i, shape: i })
          for (const change of steps) pair.apply(change)
          for (let i = 0; i < SHAPES; i++) pair.apply({ do: 'ask', shape: i })
        },
      ),
      { numRuns: 200 },
    )
  })

  it('places many alike in one pass as it would one by one', () => {
    const world = fc.tuple(
      fc.array(nodeShape, { minLength: SHAPES, maxLength: SHAPES }),
      fc.array(podShape, { minLength: SHAPES, maxLength: SHAPES }),
      fc.array(step, { maxLength: 15 }),
    )
    fc.assert(
      fc.property(world, index, fc.integer({ min: 1, max: 12 }), ([nodeShapes, podShapes, steps], shape, count) => {
        const pairs = [0, 1].map(() => {
          const pair = new Pair(nodeShapes, podShapes)
          for (let i = 0; i < SHAPES; i++) pair.apply({ do: 'node', node: i, shape: i })
          for (const change of steps) pair.apply(change)
          return pair
        })
        const [one, many] = [pairs[0]!, pairs[1]!]
        const item = podOf('alike', { ...podShapes[shape]!, terminating: false })
        const uids = Array.from({ length: count }, (_, i) => `alike-${i}`)
        const ties = [0.1, 0.9, 0.5]
        const drawFrom = (values: readonly number[]) => {
          let drawn = 0
          return () => values[drawn++ % values.length]!
        }
        const batch = decideBatch(many.state, many.compiler.requirements(item), {
          uids,
          startSlot: 0,
          tieBreak: drawFrom(ties),
        })
        const tieBreak = drawFrom(ties)
        const requirements = one.compiler.requirements(item)
        const expected: string[] = []
        let startSlot = 0
        for (const uid of uids) {
          const decision = decide(one.state, requirements, { startSlot, tieBreak })
          if (decision.type === 'refuse') {
            assert.deepEqual(batch.failure, decision.failure)
            break
          }
          startSlot = decision.nextSlot
          expected.push(decision.nodeName)
          one.state.putPod(uid, requirements.footprint, decision.nodeName)
        }
        assert.deepEqual(batch.nodeNames, expected)
        assert.equal(batch.failure === undefined, expected.length === count)
        assert.equal(batch.nextSlot, startSlot)
      }),
      { numRuns: 200 },
    )
  })
})
