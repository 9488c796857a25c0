import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { blocksFor, planSubnets, subnetNameOf, type KnownSubnet, type SubnetFacts } from './plan.ts'

const IDLE_MS = 100

function subnet(cidr: string, node: string, released?: boolean): KnownSubnet {
  return {
    name: subnetNameOf('blue', cidr),
    spec: { vpc: 'blue', cidr, node, ...(released === undefined ? {} : { released }) },
  }
}

function plan(facts: Partial<SubnetFacts>) {
  const defaults = {
    cidr: '10.0.0.0/24',
    pods: new Map<string, number>(),
    subnets: [],
    idleMsOf: () => 0,
    idleMs: IDLE_MS,
  }
  const { create, mark, remove, without } = planSubnets({ ...defaults, ...facts })
  return {
    create: create.map(({ cidr, node }) => `${cidr} ${node}`),
    mark: mark.map(({ subnet: { spec }, released }) => `${spec.cidr} ${released}`),
    remove: remove.map(({ spec }) => spec.cidr),
    without,
  }
}

const NOTHING = { create: [], mark: [], remove: [], without: [] }

describe('blocks of a network', () => {
  it('are named by network and address', () => {
    assert.equal(subnetNameOf('blue', '10.20.3.64/26'), 'blue-10-20-3-64')
  })

  it('are as many as pods need, with some to spare', () => {
    assert.deepEqual([0, 1, 48, 49, 112, 113].map(blocksFor), [0, 1, 1, 2, 2, 3])
  })

  it('are given to nodes with pods, the lowest first', () => {
    const pods = new Map([
      ['n1', 1],
      ['n2', 60],
    ])
    assert.deepEqual(plan({ pods }).create, ['10.0.0.0/26 n1', '10.0.0.64/26 n2', '10.0.0.128/26 n2'])
    const subnets = [subnet('10.0.0.64/26', 'n1'), subnet('10.0.0.0/26', 'n3')]
    assert.deepEqual(plan({ pods, subnets }).create, ['10.0.0.128/26 n2', '10.0.0.192/26 n2'])
  })

  it('end', () => {
    const pods = new Map([
      ['n1', 1],
      ['n2', 1],
    ])
    const { create, without } = plan({ cidr: '10.0.0.64/26', pods })
    assert.deepEqual([create, without], [['10.0.0.64/26 n1'], ['n2']])
  })

  it('stay with a node that has pods, however few', () => {
    const subnets = [subnet('10.0.0.0/26', 'n1'), subnet('10.0.0.64/26', 'n1')]
    assert.deepEqual(plan({ pods: new Map([['n1', 1]]), subnets, idleMsOf: () => 1_000 }), NOTHING)
  })

  it('go from a node without pods when it was told long before', () => {
    const subnets = [subnet('10.0.0.0/26', 'n1')]
    const told = [subnet('10.0.0.0/26', 'n1', true)]
    const after = (ms: number, of: KnownSubnet[]) => plan({ subnets: of, idleMsOf: () => ms })
    assert.deepEqual(after(99, subnets), NOTHING)
    assert.deepEqual(after(100, subnets), { ...NOTHING, mark: ['10.0.0.0/26 true'] })
    assert.deepEqual(after(199, told), NOTHING)
    assert.deepEqual(after(200, told), { ...NOTHING, remove: ['10.0.0.0/26'] })
    assert.deepEqual(after(200, subnets), { ...NOTHING, mark: ['10.0.0.0/26 true'] })
    assert.deepEqual(plan({ pods: new Map([['n1', 1]]), subnets: told }), { ...NOTHING, mark: ['10.0.0.0/26 false'] })
  })

  it('never belong to two nodes', () => {
    const counts = fc.dictionary(fc.constantFrom('n1', 'n2', 'n3'), fc.integer({ min: 0, max: 200 }))
    const steps = fc.array(fc.record({ counts, ms: fc.integer({ min: 0, max: 150 }) }), { maxLength: 30 })
    fc.assert(
      fc.property(steps, (all) => {
        let subnets: KnownSubnet[] = []
        const idleSince = new Map<string, number>()
        let nowMs = 0
        for (const step of all) {
          nowMs += step.ms
          const pods = new Map(Object.entries(step.counts).filter(([, count]) => count > 0))
          for (const node of ['n1', 'n2', 'n3']) {
            if (pods.has(node)) idleSince.delete(node)
            else if (!idleSince.has(node)) idleSince.set(node, nowMs)
          }
          const idleMsOf = (node: string): number => nowMs - idleSince.get(node)!
          const next = planSubnets({ cidr: '10.0.0.0/22', pods, subnets, idleMsOf, idleMs: IDLE_MS })
          subnets = subnets
            .filter((each) => !next.remove.includes(each))
            .map((each) => {
              const mark = next.mark.find((one) => one.subnet === each)
              return mark === undefined ? each : subnet(each.spec.cidr, each.spec.node, mark.released)
            })
          subnets.push(...next.create.map(({ cidr, node }) => subnet(cidr, node)))
          assert.equal(new Set(subnets.map(({ name }) => name)).size, subnets.length)
          for (const [node, count] of pods) {
            const usable = subnets.filter(({ spec }) => spec.node === node && spec.released !== true)
            assert.ok(usable.length >= blocksFor(count) || next.without.includes(node))
          }
        }
      }),
    )
  })
})
