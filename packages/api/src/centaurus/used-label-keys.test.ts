import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import fc from 'fast-check'
import type { NetworkPolicy } from '../generated/types/networking/v1.ts'
import type { ClusterNetworkPolicy } from '../policy-networking/v1alpha2.ts'
import { keysAskedByClusterPolicy, keysAskedByPolicy, UsedLabelKeys, type KeysChange } from './used-label-keys.ts'

function policy(name: string, { namespace = 'web', tenant = 'acme', own = '', everywhere = '' }): NetworkPolicy {
  const peers = [...everywhere].map((key) => ({ namespaceSelector: {}, podSelector: { matchLabels: { [key]: 'x' } } }))
  return {
    metadata: { name, namespace, annotations: { 'centaurus.io/tenant': tenant } },
    spec: {
      podSelector: { matchLabels: Object.fromEntries([...own].map((key) => [key, 'x'])) },
      ingress: [{ from: peers }],
    },
  }
}

describe('label keys that a policy asks for', () => {
  it('are those of pods, and only of its own namespace unless a peer selects namespaces', () => {
    const { inNamespace, everywhere } = keysAskedByPolicy({
      metadata: { name: 'a', namespace: 'x' },
      spec: {
        podSelector: { matchLabels: { app: 'web' } },
        ingress: [
          { from: [{ podSelector: { matchExpressions: [{ key: 'role', operator: 'Exists' }] } }] },
          { from: [{ namespaceSelector: { matchLabels: { team: 'a' } } }, { ipBlock: { cidr: '10.0.0.0/8' } }] },
        ],
        egress: [{ to: [{ namespaceSelector: {}, podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } }] }],
      },
    })
    assert.deepEqual([[...inNamespace].toSorted(), [...everywhere]], [['app', 'role'], ['k8s-app']])
    assert.equal(keysAskedByPolicy({ metadata: { name: 'b', namespace: 'x' } }).inNamespace.size, 0)
  })

  it('are of pods everywhere when the policy is for many namespaces, and none of nodes', () => {
    const cluster: ClusterNetworkPolicy = {
      metadata: { name: 'c' },
      spec: {
        tier: 'Admin',
        priority: 1,
        subject: {
          pods: { namespaceSelector: { matchLabels: { zone: 'a' } }, podSelector: { matchLabels: { tier: 'db' } } },
        },
        ingress: [{ action: 'Deny', from: [{ pods: { podSelector: { matchLabels: { from: 'x' } } } }] }],
        egress: [
          {
            action: 'Pass',
            to: [{ nodes: { matchLabels: { os: 'linux' } } }, { namespaces: { matchLabels: { a: 'b' } } }],
          },
        ],
      },
    }
    assert.deepEqual([...keysAskedByClusterPolicy(cluster).everywhere], ['tier', 'from'])
  })
})

describe('used label keys', () => {
  it('tell which pods are concerned by a change', () => {
    const used = new UsedLabelKeys()
    assert.deepEqual(used.putPolicy(policy('a', { own: 'k' })), [{ tenant: 'acme', namespace: 'web' }])
    assert.deepEqual(used.putPolicy(policy('b', { own: 'k' })), [])
    assert.deepEqual(used.putPolicy(policy('b', { own: 'k', everywhere: 'm' })), [{ tenant: 'acme' }])
    assert.deepEqual(used.of('acme', 'web'), ['k', 'm'])
    assert.deepEqual(used.of('acme', 'api'), ['m'])
    assert.deepEqual(used.of('beta', 'web'), [])
    assert.equal(used.of('acme', 'web'), used.of('acme', 'web'))
    assert.deepEqual(used.remove(policy('a', {})), [])
    assert.deepEqual(used.remove(policy('b', {})), [{ tenant: 'acme' }])
    assert.deepEqual(used.of('acme', 'web'), [])
  })

  it('are what the policies that are there ask, whatever came before', () => {
    const keys = fc.stringMatching(/^[abc]{0,3}$/)
    const step = fc.record({
      name: fc.constantFrom('p', 'q', 'r'),
      namespace: fc.constantFrom('web', 'api'),
      tenant: fc.constantFrom('acme', 'beta'),
      own: keys,
      everywhere: keys,
      isGone: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const used = new UsedLabelKeys()
        const there = new Map<string, NetworkPolicy>()
        for (const { name, isGone, ...rest } of steps) {
          const one = policy(name, rest)
          const before = tellAll(used)
          const changes = isGone ? used.remove(one) : used.putPolicy(one)
          const id = `${rest.tenant}/${rest.namespace}/${name}`
          if (isGone) there.delete(id)
          else there.set(id, one)
          const now = tellAll(used)
          assert.deepEqual(now, tellAll(from(there.values())))
          for (const place of PLACES) {
            if (now.get(place)!.join() !== before.get(place)!.join()) assert.ok(concerns(changes, place), place)
          }
        }
      }),
    )
  })
})

const PLACES = ['acme/web', 'acme/api', 'beta/web', 'beta/api']

function tellAll(used: UsedLabelKeys): Map<string, readonly string[]> {
  return new Map(PLACES.map((place) => [place, used.of(place.split('/')[0]!, place.split('/')[1]!)]))
}

function from(policies: Iterable<NetworkPolicy>): UsedLabelKeys {
  const used = new UsedLabelKeys()
  for (const one of policies) used.putPolicy(one)
  return used
}

function concerns(changes: readonly KeysChange[], place: string): boolean {
  return changes.some(
    ({ tenant, namespace }) =>
      place === `${tenant}/${namespace}` || (namespace === undefined && place.startsWith(`${tenant}/`)),
  )
}
