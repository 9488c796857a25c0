import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import { identityContentOf, identityNameOf, UsedLabelKeys, type Stored } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import type { NetworkPolicy } from '@centaurus/api/networking/v1'
import { IdentityLedger } from './ledger.ts'

function podOf(name: string, labels: Record<string, string>, phase = 'Running'): Stored<Pod> {
  const metadata = { name, namespace: 'web', labels, uid: name, resourceVersion: '1', creationTimestamp: '' }
  return { metadata, spec: { containers: [] }, status: { phase } }
}

function asking(keys: readonly string[]): NetworkPolicy {
  const matchExpressions = keys.map((key) => ({ key, operator: 'Exists' }))
  return { metadata: { name: 'p', namespace: 'web' }, spec: { podSelector: { matchExpressions } } }
}

function identity(name: string) {
  return { name, tenant: 'system', vpc: 'default' }
}

describe('the ledger of identities', () => {
  it('has one identity for pods that are alike, and asks for it once', () => {
    const asked: string[] = []
    const ledger = new IdentityLedger({
      used: new UsedLabelKeys(),
      nowMs: () => 0,
      onMissing: (vpc) => asked.push(vpc),
      onUnused: () => {},
    })
    for (let i = 0; i < 100; i++) ledger.putPod(podOf(`p${i}`, { hash: `${i}` }))
    const { some, total } = ledger.missingOf('default', 10)
    assert.equal(total, 1)
    assert.deepEqual(asked, ['default'])
    ledger.putIdentity(some[0]!)
    assert.equal(ledger.missingOf('default', 10).total, 0)
    ledger.removeIdentity(some[0]!)
    assert.equal(ledger.missingOf('default', 10).total, 1, 'somebody deleted it')
  })

  it('knows since when nobody would get an identity', () => {
    let nowMs = 10
    const ledger = new IdentityLedger({
      used: new UsedLabelKeys(),
      nowMs: () => nowMs,
      onMissing: () => {},
      onUnused: () => {},
    })
    ledger.putIdentity(identity('id-old'))
    const pod = podOf('a', {})
    ledger.putPod(pod)
    const [wanted] = ledger.missingOf('default', 1).some
    ledger.putIdentity(wanted!)
    nowMs = 20
    ledger.putPod(podOf('a', {}, 'Succeeded'))
    assert.deepEqual(ledger.unusedOf('default', 15), { names: ['id-old'], nextMs: 20 })
    assert.deepEqual(ledger.unusedOf('default', 20), { names: ['id-old', wanted!.name], nextMs: undefined })
    ledger.putPod(podOf('b', {}))
    assert.deepEqual(ledger.unusedOf('default', 20), { names: ['id-old'], nextMs: undefined })
    assert.equal(ledger.isUnused(wanted!.name), false)
  })

  it('says what a look at all pods would say, whatever came before', () => {
    const name = fc.constantFrom('a', 'b', 'c', 'd')
    const labels = fc.dictionary(fc.constantFrom('app', 'role'), fc.constantFrom('x', 'y'))
    const step = fc.oneof(
      fc.record({ type: fc.constant('put' as const), name, labels, phase: fc.constantFrom('Running', 'Failed') }),
      fc.record({ type: fc.constant('remove' as const), name }),
      fc.record({ type: fc.constant('keys' as const), keys: fc.subarray(['app', 'role']) }),
      fc.record({ type: fc.constant('make' as const) }),
      fc.record({ type: fc.constant('delete' as const) }),
    )
    fc.assert(
      fc.property(fc.array(step, { maxLength: 60 }), (steps) => {
        const used = new UsedLabelKeys()
        const ledger = new IdentityLedger({ used, nowMs: () => 0, onMissing: () => {}, onUnused: () => {} })
        const there = new Map<string, Stored<Pod>>()
        const existing = new Set<string>()
        for (const each of steps) {
          if (each.type === 'put') {
            const pod = podOf(each.name, each.labels, each.phase)
            there.set(each.name, pod)
            ledger.putPod(pod)
          } else if (each.type === 'remove') {
            const pod = there.get(each.name)
            if (pod === undefined) continue
            there.delete(each.name)
            ledger.removePod(pod)
          } else if (each.type === 'keys') {
            used.putPolicy(asking(each.keys))
            for (const pod of there.values()) ledger.putPod(pod)
          } else if (each.type === 'make') {
            for (const wanted of ledger.missingOf('default', 1).some) {
              existing.add(wanted.name)
              ledger.putIdentity(wanted)
            }
          } else {
            const [first] = existing
            if (first === undefined) continue
            existing.delete(first)
            ledger.removeIdentity(identity(first))
          }
          const wanted = new Set(
            [...there.values()]
              .filter(({ status }) => status?.phase === 'Running')
              .map((pod) => identityNameOf(identityContentOf(pod, used.of('system', 'web')))),
          )
          const missing = ledger.missingOf('default', 100).some.map((one) => one.name)
          assert.deepEqual(missing.toSorted(), [...wanted].filter((one) => !existing.has(one)).toSorted())
          const unused = ledger.unusedOf('default', 0).names
          assert.deepEqual([...unused].toSorted(), [...existing].filter((one) => !wanted.has(one)).toSorted())
          assert.equal(ledger.countOf('system'), existing.size)
        }
      }),
    )
  })
})
