import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { outranks } from '@centaurus/api'
import { LedgerDraft } from './decide-claims.ts'
import { planVictims, type PreemptionRules } from './decide-preemption.ts'
import { foreignUse } from './allocation-stream.ts'
import { Ledger } from './ledger.ts'
import { NO_PORTS, type ClaimAnswer, type ClaimItem, type ClaimRoom, type PreemptRoom } from './model.ts'
import { decodeNodeClaims, encodeNodeClaims, isNothing, TermsTable, type Claim } from './node-claims.ts'

const CAPACITY = { cpu: 1000, pods: 10 }
const away = new Set<string>()
const rules: PreemptionRules = {
  maxPriorityOf: (tenant) => (tenant === 'gold' ? 100 : 0),
  canEvict: (partition) => !away.has(partition),
}

/** One node, whose ledger takes over each decision through the bytes that are stored. */
function setUp() {
  const ledger = new Ledger()
  const table = new TermsTable()
  let revision = 0
  for (const node of ['n1', 'n2']) ledger.setCapacity(node, CAPACITY)
  const decide = (partition: string, ...items: ClaimItem[]): ClaimAnswer[] => {
    const draft = new LedgerDraft(ledger, table, rules)
    const answers = draft.decide({ partition, epoch: 1 }, items)
    revision++
    for (const [node, content] of draft.changes) {
      const stored = decodeNodeClaims(encodeNodeClaims(content), table)
      ledger.put(node, isNothing(content) ? undefined : stored, revision)
    }
    return answers
  }
  const told = (partition: string, node = 'n1') => foreignUse(ledger.claims(node), partition, rules)
  return { ledger, decide, told }
}

const room = (uid: string) => ({
  uid,
  node: 'n1',
  tenant: 'acme',
  namespace: 'ns',
  name: uid,
  requests: { cpu: 400 },
})
const claim = (uid: string, more: Partial<ClaimRoom> = {}): ClaimRoom => ({ ...room(uid), ...more, op: 'claim' })
const preempt = (uid: string, more: Partial<PreemptRoom> = {}): PreemptRoom => ({
  ...room(uid),
  tenant: 'gold',
  priority: 50,
  leaving: [],
  ...more,
  op: 'preempt',
})
const outcome = ({ result, reason, victims }: ClaimAnswer): string => [result, reason ?? victims ?? ''].join(' ').trim()

describe('making room at the cost of other partitions', () => {
  it('has the least important leave, keeps the room, and gives it to nobody less important', () => {
    const { decide, told } = setUp()
    decide('tp1', claim('a'), claim('b', { tenant: 'gold', priority: 10 }))
    assert.deepEqual(told('tp2').priorities, [
      [0, { cpu: 400, pods: 1 }],
      [10, { cpu: 400, pods: 1 }],
    ])
    assert.deepEqual(decide('tp2', preempt('vip')).map(outcome), ['nominated 1'])
    assert.deepEqual(told('tp1').evict, ['a'])
    assert.deepEqual(told('tp1').requests, { cpu: 400, pods: 1 }, 'what is kept counts as used')
    assert.deepEqual(told('tp2').nominated, ['vip'])
    assert.deepEqual(decide('tp2', claim('vip', { tenant: 'gold', priority: 50 })).map(outcome), ['refused OutOfcpu'])
    decide('tp1', { op: 'release', uid: 'a' })
    assert.equal(told('tp1').evict, undefined)
    const thieves = [claim('c', { tenant: 'gold', priority: 49 }), claim('d', { priority: 1_000_000_000 })]
    assert.deepEqual(decide('tp3', ...thieves).map(outcome), ['refused OutOfcpu', 'refused OutOfcpu'])
    assert.deepEqual(decide('tp2', claim('vip', { tenant: 'gold', priority: 50 })).map(outcome), ['accepted'])
    assert.equal(told('tp2').nominated, undefined)
    assert.deepEqual(decide('tp3', claim('e', { requests: { cpu: 200 } })).map(outcome), ['accepted'])
  })

  it('takes nothing from who is not less important, or was granted more, or is not there', () => {
    const { decide, told } = setUp()
    decide('tp1', claim('a', { tenant: 'gold', priority: 50 }), claim('b', { tenant: 'system', priority: 60 }))
    assert.deepEqual(decide('tp2', preempt('x')).map(outcome), ['refused OutOfcpu'])
    const greedy = preempt('y', { tenant: 'beta', priority: 1_000_000_000 })
    assert.deepEqual(decide('tp2', greedy).map(outcome), ['refused OutOfcpu'])
    away.add('tp1')
    const critical = preempt('z', { tenant: 'system', priority: 2_000_000_000 })
    assert.deepEqual(decide('tp2', critical).map(outcome), ['refused OutOfcpu'])
    away.clear()
    assert.equal(told('tp1').evict, undefined)
    assert.deepEqual(decide('tp2', critical).map(outcome), ['nominated 1'])
  })

  it('asks for no more when it is asked again, or for another pod that fits into the same', () => {
    const { decide, told } = setUp()
    decide('tp1', claim('a', { requests: { cpu: 500 } }), claim('b', { requests: { cpu: 500 } }))
    decide('tp2', preempt('vip', { requests: { cpu: 200 } }))
    const first = told('tp1').evict
    assert.equal(first?.length, 1)
    decide('tp2', preempt('vip', { requests: { cpu: 200 } }), preempt('vip', { requests: { cpu: 200 } }))
    decide('tp2', preempt('second', { requests: { cpu: 200 } }))
    assert.deepEqual(told('tp1').evict, first)
    decide('tp2', preempt('third', { requests: { cpu: 200 } }))
    assert.equal(told('tp1').evict?.length, 2)
  })

  it('counts what the partition that asks lets go itself, and takes no other of its pods', () => {
    const { decide, told } = setUp()
    decide('tp2', claim('own', { requests: { cpu: 600 } }))
    decide('tp1', claim('a'))
    assert.deepEqual(decide('tp2', preempt('vip', { requests: { cpu: 700 } })).map(outcome), ['refused OutOfcpu'])
    const both = preempt('vip', { requests: { cpu: 700 }, leaving: ['own'] })
    assert.deepEqual(decide('tp2', both).map(outcome), ['nominated 2'])
    assert.deepEqual(told('tp1').evict, ['a'])
    assert.deepEqual(told('tp2').evict, ['own'], 'its next scheduler must know, too')
  })

  it('lets others have the room when it is given up, also for another node, or refused', () => {
    const { decide, told } = setUp()
    decide('tp1', claim('a', { requests: { cpu: 900 } }))
    decide('tp2', preempt('vip'))
    decide('tp2', { op: 'withdraw', uid: 'vip' })
    assert.equal(told('tp1').evict, undefined)
    decide('tp2', preempt('vip'))
    decide('tp1', { op: 'withdraw', uid: 'vip' })
    assert.deepEqual(told('tp1').evict, ['a'], 'it is not tp1 who asked')
    const elsewhere = preempt('vip', { node: 'n2' })
    assert.deepEqual(decide('tp2', elsewhere).map(outcome), ['refused NominatedElsewhere'])
    assert.deepEqual(told('tp1').evict, ['a'])
    assert.deepEqual(decide('tp2', { op: 'withdraw', uid: 'vip' }, elsewhere).map(outcome), [
      'withdrawn',
      'nominated 0',
    ])
    assert.equal(told('tp1').evict, undefined)
    assert.deepEqual(told('tp2', 'n2').nominated, ['vip'])
    const tooMuch = preempt('vip', { node: 'n2', requests: { cpu: 2000 } })
    assert.deepEqual(decide('tp2', tooMuch).map(outcome), ['refused OutOfcpu'])
    assert.equal(told('tp2', 'n2').nominated, undefined)
  })
})

describe('victims', () => {
  it('are enough, less important, and none in vain, whatever is on the node', () => {
    const table = new TermsTable()
    const placed = fc.record({
      cpu: fc.integer({ min: 0, max: 5 }),
      priority: fc.constantFrom(-5, 0, 20, 80, 1_000),
      tenant: fc.constantFrom('acme', 'gold', 'system'),
      partition: fc.constantFrom('tp1', 'tp2', 'tp3'),
      leaving: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(placed, { maxLength: 10 }), placed, (pods, asking) => {
        const toClaim = (pod: typeof asking, uid: string): Claim => {
          const { tenant, partition, priority, cpu } = pod
          const requests = { cpu, pods: 1 }
          const terms = table.share({
            tenant,
            partition,
            priority,
            requests,
            namespace: 'n',
            epoch: 1,
            ports: NO_PORTS,
          })
          return { uid, name: uid, terms }
        }
        const claims = pods.map((pod, i) => toClaim(pod, `p${i}`))
        const { uid, terms } = toClaim({ ...asking, partition: 'tp2' }, 'asking')
        const leaving = claims.filter((_, i) => pods[i]!.leaving).map((each) => each.uid)
        const capacity = { cpu: 10, pods: 8 }
        const only = { maxPriorityOf: rules.maxPriorityOf, canEvict: (partition: string) => partition !== 'tp3' }
        const found = planVictims({ capacity, claims, nominations: [] }, { uid, terms, leaving }, only)
        const isGone = (one: Claim): boolean => one.terms.partition === 'tp2' && leaving.includes(one.uid)
        const fitsWithout = (gone: readonly Claim[]): boolean => {
          const rest = claims.filter((one) => !isGone(one) && !gone.includes(one))
          const cpu = rest.reduce((sum, one) => sum + one.terms.requests['cpu']!, 0)
          return (
            (terms.requests['cpu'] === 0 || cpu + terms.requests['cpu']! <= capacity.cpu) &&
            rest.length + 1 <= capacity.pods
          )
        }
        const mayGo = claims.filter(
          (one) => one.terms.partition === 'tp1' && outranks(terms, one.terms, only.maxPriorityOf),
        )
        assert.equal(found !== undefined, fitsWithout(mayGo))
        if (found === undefined) return
        assert.ok(found.every((one) => mayGo.includes(one)))
        assert.ok(fitsWithout(found))
        for (const spared of found) assert.ok(!fitsWithout(found.filter((one) => one !== spared)), 'one was enough')
      }),
      { numRuns: 3_000 },
    )
  })
})
