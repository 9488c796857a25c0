import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { LedgerDraft } from './decide-claims.ts'
import { Ledger } from './ledger.ts'
import type { ClaimAnswer, ClaimItem, ClaimRoom, HostPort, ReleaseRoom } from './model.ts'
import { decodeNodeClaims, encodeNodeClaims, isNothing, TermsTable } from './node-claims.ts'

const ALLOCATABLE = { cpu: 1000, memory: 4096, pods: 3, 'example.com/gpu': 1 }

/** A ledger that takes over each decision at once, as if every commit succeeded. */
function setUp(nodes: Readonly<Record<string, Record<string, number>>> = { n1: ALLOCATABLE, n2: ALLOCATABLE }) {
  const ledger = new Ledger()
  const table = new TermsTable()
  let revision = 0
  for (const [name, amounts] of Object.entries(nodes)) ledger.setCapacity(name, amounts)
  const decide = (items: readonly ClaimItem[], { partition = 'tp', epoch = 1 } = {}): ClaimAnswer[] => {
    const draft = new LedgerDraft(ledger, table)
    const answers = draft.decide({ partition, epoch }, items)
    revision++
    for (const [node, content] of draft.changes) {
      ledger.put(node, isNothing(content) ? undefined : content, revision)
    }
    return answers
  }
  return { ledger, table, decide }
}

function claim(uid: string, node: string, more: Partial<ClaimRoom> = {}): ClaimRoom {
  return { op: 'claim', uid, node, tenant: 't', namespace: 'ns', name: uid, requests: { cpu: 400 }, ...more }
}

const port = (ip: string, number = 80, protocol = 'TCP'): HostPort => ({ ip, port: number, protocol })
const outcome = ({ result, reason }: ClaimAnswer): string => (reason === undefined ? result : `${result} ${reason}`)

describe('decideClaims', () => {
  it('gives room while there is some, and says what is left when there is not', () => {
    const { decide, ledger } = setUp()
    const answers = decide([claim('a', 'n1'), claim('b', 'n1'), claim('c', 'n1')])
    assert.deepEqual(answers.map(outcome), ['accepted', 'accepted', 'refused OutOfcpu'])
    assert.deepEqual(answers[2]!.free, { cpu: 200, memory: 4096, pods: 1, 'example.com/gpu': 1 })
    assert.deepEqual(ledger.claims('n1').used, { cpu: 800, pods: 2 })
  })

  it('counts pods, and resources that the node does not have as none', () => {
    const { decide } = setUp()
    const requests = {}
    const pods = ['a', 'b', 'c', 'd'].map((uid) => claim(uid, 'n1', { requests }))
    assert.deepEqual(decide(pods).map(outcome), ['accepted', 'accepted', 'accepted', 'refused OutOfpods'])
    assert.deepEqual(decide([claim('e', 'n2', { requests: { 'example.com/fpga': 1 } })]).map(outcome), [
      'refused OutOfexample.com/fpga',
    ])
    assert.deepEqual(decide([claim('f', 'nowhere')]).map(outcome), ['refused NodeNotFound'])
  })

  it('changes the room of a pod that was resized: to what fits, or to what its node gave it', () => {
    const { decide, ledger } = setUp()
    decide([claim('a', 'n1'), claim('b', 'n1')], { epoch: 3 })
    const resize = (cpu: number, given: number): string =>
      outcome(decide([claim('a', 'n1', { requests: { cpu }, given: { cpu: given } })], { epoch: 0 })[0]!)
    assert.equal(resize(600, 400), 'accepted')
    assert.deepEqual(ledger.claims('n1').used, { cpu: 1000, pods: 2 })
    assert.equal(resize(700, 400), 'refused OutOfcpu')
    assert.deepEqual(ledger.claims('n1').used, { cpu: 800, pods: 2 })
    assert.equal(resize(900, 650), 'refused OutOfcpu', 'and the node gave more than it had')
    assert.deepEqual(ledger.claims('n1').used, { cpu: 1050, pods: 2 })
    assert.equal(resize(100, 100), 'accepted')
    assert.deepEqual(ledger.claims('n1').used, { cpu: 500, pods: 2 })
    assert.equal(ledger.findClaim('a')?.claim.terms.epoch, 3, 'it stays its scheduler’s')
    const [unknown] = decide([claim('z', 'n1', { given: { cpu: 1 } })])
    assert.equal(outcome(unknown!), 'refused NotClaimed')
  })

  it('gives the same pod its room again, and tells where a pod has it', () => {
    const { decide, ledger } = setUp()
    decide([claim('a', 'n1')])
    const [again, elsewhere] = decide([claim('a', 'n1'), claim('a', 'n2')])
    assert.equal(outcome(again!), 'accepted')
    assert.equal(outcome(elsewhere!), 'refused ClaimedElsewhere')
    assert.match(elsewhere!.message!, /"n1"/)
    assert.deepEqual(ledger.claims('n1').used, { cpu: 400, pods: 1 })
    assert.deepEqual(decide([claim('a', 'n1')], { partition: 'other' }).map(outcome), ['refused ClaimedElsewhere'])
  })

  it('takes over a newer epoch and a new size of a pod', () => {
    const { decide, ledger } = setUp()
    decide([claim('a', 'n1')])
    decide([claim('a', 'n1', { requests: { cpu: 900 } })], { epoch: 2 })
    assert.equal(ledger.findClaim('a')?.claim.terms.epoch, 2)
    assert.deepEqual(ledger.claims('n1').used, { cpu: 900, pods: 1 })
    assert.deepEqual(decide([claim('a', 'n1', { requests: { cpu: 1001 } })]).map(outcome), ['refused OutOfcpu'])
    assert.deepEqual(ledger.claims('n1').used, { cpu: 900, pods: 1 })
  })

  it('drops nothing from a node that shrank or went, and gives nothing new there', () => {
    const { decide, ledger } = setUp()
    decide([claim('a', 'n1')])
    ledger.setCapacity('n1', { ...ALLOCATABLE, cpu: 100 })
    const answers = decide([claim('b', 'n1'), claim('a', 'n1')], { epoch: 2 })
    assert.deepEqual(answers.map(outcome), ['refused OutOfcpu', 'accepted'])
    assert.equal(answers[0]!.free!['cpu'], 0)
    ledger.setCapacity('n1', undefined)
    assert.deepEqual(decide([claim('b', 'n1'), claim('a', 'n1')], { epoch: 3 }).map(outcome), [
      'refused NodeNotFound',
      'accepted',
    ])
    ledger.setCapacity('n1', ALLOCATABLE)
    assert.deepEqual(ledger.claims('n1').used, { cpu: 400, pods: 1 })
  })

  it('gives each host port once', () => {
    const { decide } = setUp()
    const wants = (uid: string, ...ports: HostPort[]): ClaimRoom => claim(uid, 'n1', { ports, requests: {} })
    assert.deepEqual(
      decide([
        wants('a', port('10.0.0.1')),
        wants('b', port('0.0.0.0')),
        wants('c', port('10.0.0.2')),
        wants('d', port('10.0.0.1', 80, 'UDP')),
        wants('a', port('10.0.0.1'), port('10.0.0.1', 81)),
      ]).map(outcome),
      ['accepted', 'refused NodePorts', 'accepted', 'accepted', 'accepted'],
    )
  })

  it('releases what the caller holds, once, and only up to an epoch if told so', () => {
    const { decide, ledger } = setUp()
    decide([claim('a', 'n1'), claim('b', 'n1')], { epoch: 5 })
    decide([{ op: 'release', uid: 'a' }], { partition: 'other' })
    decide([{ op: 'release', uid: 'a', node: 'n2' }])
    decide([{ op: 'release', uid: 'a', epochMax: 4 }])
    assert.equal(ledger.claimCount, 2)
    const answers = decide([
      { op: 'release', uid: 'a', epochMax: 5 },
      { op: 'release', uid: 'a' },
      { op: 'release', uid: 'b', node: 'n1' },
    ])
    assert.deepEqual(answers.map(outcome), ['released', 'released', 'released'])
    assert.equal(ledger.claimCount, 0)
    assert.deepEqual(ledger.claimedNodes(), [])
  })

  it('keeps no zeros in sums, whatever came and went', () => {
    const { decide, ledger, table } = setUp()
    decide([claim('a', 'n1', { requests: { cpu: 0 } }), claim('b', 'n1'), { op: 'release', uid: 'b' }])
    assert.deepEqual(ledger.claims('n1').used, { pods: 1 })
    assert.deepEqual(decodeNodeClaims(encodeNodeClaims(ledger.claims('n1')), table).used, { pods: 1 })
  })

  it('never overcommits and keeps exact sums, as a slow reference agrees', () => {
    const item = fc.oneof(
      fc.record({
        op: fc.constant('claim' as const),
        uid: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f'),
        node: fc.constantFrom('n1', 'n2', 'n3'),
        tenant: fc.constant('t'),
        namespace: fc.constant('ns'),
        name: fc.constant('pod'),
        requests: fc.record(
          { cpu: fc.integer({ min: 0, max: 600 }), memory: fc.integer({ min: 0, max: 3000 }) },
          { requiredKeys: [] },
        ),
        ports: fc.array(fc.constantFrom(port('0.0.0.0'), port('10.0.0.1'), port('10.0.0.2', 81)), { maxLength: 1 }),
      }),
      fc.record({ op: fc.constant('release' as const), uid: fc.constantFrom('a', 'b', 'c', 'd', 'e', 'f') }),
    )
    fc.assert(
      fc.property(fc.array(fc.array(item, { maxLength: 8 }), { maxLength: 12 }), (batches) => {
        const { ledger, table, decide } = setUp()
        const reference = new Map<string, ClaimRoom>()
        for (const batch of batches) {
          const answers = decide(batch)
          for (const [i, entry] of batch.entries()) assert.equal(answers[i]!.result, refer(reference, entry))
          for (const node of ['n1', 'n2', 'n3']) checkSum(ledger, node, [...reference.values()])
          assert.equal(ledger.claimCount, reference.size)
        }
        for (const node of ledger.claimedNodes()) {
          const content = ledger.claims(node)
          const { claims, used } = decodeNodeClaims(encodeNodeClaims(content), table)
          assert.deepEqual(used, content.used)
          const byUid = (list: typeof claims) => list.toSorted((a, b) => (a.uid < b.uid ? -1 : 1))
          assert.deepEqual(byUid(claims), byUid(content.claims))
        }
      }),
      { numRuns: 2_000 },
    )
  })
})

/** What must happen, by looking at every claim anew. */
function refer(claims: Map<string, ClaimRoom>, item: ClaimRoom | ReleaseRoom): ClaimAnswer['result'] {
  if (item.op === 'release') {
    claims.delete(item.uid)
    return 'released'
  }
  const held = claims.get(item.uid)
  if (held !== undefined && held.node !== item.node) return 'refused'
  const others = [...claims.values()].filter(({ uid, node }) => uid !== item.uid && node === item.node)
  const capacity: Record<string, number> = item.node === 'n3' ? {} : ALLOCATABLE
  for (const [name, amount] of Object.entries({ ...item.requests, pods: 1 })) {
    const used = others.reduce((sum, { requests }) => sum + (name === 'pods' ? 1 : (requests[name] ?? 0)), 0)
    const grows = amount > (held === undefined ? 0 : name === 'pods' ? 1 : (held.requests[name] ?? 0))
    if (grows && used + amount > (capacity[name] ?? 0)) return 'refused'
  }
  const clash = (a: HostPort, b: HostPort): boolean =>
    a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || a.ip === '0.0.0.0' || b.ip === '0.0.0.0')
  if (others.some(({ ports = [] }) => ports.some((a) => (item.ports ?? []).some((b) => clash(a, b))))) return 'refused'
  claims.set(item.uid, item)
  return 'accepted'
}

function checkSum(ledger: Ledger, node: string, claims: readonly ClaimRoom[]): void {
  const used: Record<string, number> = {}
  for (const { node: at, requests } of claims) {
    if (at !== node) continue
    for (const [name, amount] of Object.entries({ ...requests, pods: 1 })) used[name] = (used[name] ?? 0) + amount
  }
  const positive = (amounts: Readonly<Record<string, number>>) =>
    Object.fromEntries(Object.entries(amounts).filter(([, amount]) => amount !== 0))
  assert.deepEqual(positive(ledger.claims(node).used), positive(used))
  for (const [name, amount] of Object.entries(used)) assert.ok(amount <= (ALLOCATABLE as Record<string, number>)[name]!)
}
