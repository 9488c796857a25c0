import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { NetworkPolicy } from '@centaurus/api/networking/v1'
import { LocalSets, type SetChanges } from './local-sets.ts'
import { selectorTests } from './pod-selector.ts'
import { PolicyWorld } from './policy-world.ts'
import { ruleLooks } from './program.ts'
import { RuleBook } from './rule-book.ts'

const NAMESPACES = 20
const APPS = 50
const IDENTITIES = NAMESPACES * APPS
const PODS = 40

/** Half of the policies restrict egress too. */
function createPolicy(namespace: number, app: number, port: number): NetworkPolicy {
  const peer = (offset: number): object => ({ podSelector: { matchLabels: { app: `app-${(app + offset) % APPS}` } } })
  const egress = [{ to: [peer(2)], ports: [{ port }] }]
  return {
    metadata: { namespace: `ns-${namespace}`, name: `app-${app}` },
    spec: {
      podSelector: { matchLabels: { app: `app-${app}` } },
      policyTypes: app % 2 === 0 ? ['Ingress'] : ['Ingress', 'Egress'],
      ingress: [
        {
          from: [
            peer(1),
            {
              namespaceSelector: { matchLabels: { team: `t${app % 5}` } },
              podSelector: { matchLabels: { tier: 'front' } },
            },
          ],
        },
      ],
      ...(app % 2 === 0 ? {} : { egress }),
    },
  }
}

function createHost(): { world: PolicyWorld; local: LocalSets } {
  const world = new PolicyWorld({ tenant: 't', rules: new RuleBook() })
  const local = new LocalSets(world)
  for (let n = 0; n < NAMESPACES; n++) {
    world.setNamespace(`ns-${n}`, { team: `t${n % 5}` })
    for (let app = 0; app < APPS; app++) {
      const labels = { app: `app-${app}`, tier: app % 3 === 0 ? 'front' : 'back' }
      world.addIdentity({ id: 256 + n * APPS + app, namespace: `ns-${n}`, labels, keys: ['app', 'tier'] })
      world.setNetworkPolicy(createPolicy(n, app, 80))
    }
  }
  for (let p = 0; p < PODS; p++) {
    const labels = { app: `app-${p}`, tier: p % 3 === 0 ? 'front' : 'back' }
    local.setPod(`pod-${p}`, { namespace: `ns-${p % 2}`, labels, ip: `10.244.0.${p + 1}`, namedPorts: [] })
  }
  return { world, local }
}

function count(work: () => SetChanges): { tests: number; changes: SetChanges } {
  const before = selectorTests.count
  const changes = work()
  return { tests: selectorTests.count - before, changes }
}

describe('selectors asked', () => {
  const { world, local } = createHost()

  it(`are few at the start: far from ${IDENTITIES} identities times as many policies`, () => {
    const { tests, changes } = count(() => local.takeChanges())
    assert.equal(changes.pods.size, PODS)
    assert.ok(tests < IDENTITIES * 60, `${tests} selectors were asked`)
  })

  it('are those of the namespace and the peers when one policy changes, and only its pods have another set', () => {
    const { tests, changes } = count(() => {
      world.setNetworkPolicy(createPolicy(0, 2, 81))
      world.setNetworkPolicy(createPolicy(0, 4, 81))
      return local.takeChanges()
    })
    assert.equal(changes.pods.size, 0, 'rules without ports of their own say the same')
    assert.ok(tests <= 2 * (APPS + PODS + 10), `${tests} selectors were asked`)
    const edited = count(() => {
      const policy = createPolicy(0, 2, 81)
      world.setNetworkPolicy({ ...policy, spec: { ...policy.spec, ingress: [] } })
      return local.takeChanges()
    })
    assert.deepEqual([...edited.changes.pods.keys()], ['pod-2'])
    assert.ok(edited.tests <= APPS + PODS + 10, `${edited.tests} selectors were asked`)
  })

  it('are those of whom it selects when an egress policy changes; sets of others stay, with a new list for the peer', () => {
    const { tests, changes } = count(() => {
      world.setNetworkPolicy(createPolicy(1, 3, 81))
      return local.takeChanges()
    })
    // Only the policy's own pods are asked about its ports; the peer's isolation is said by the same rule as before.
    assert.deepEqual([...changes.pods.keys()], ['pod-3'])
    assert.deepEqual(
      [...changes.sets.values()].map(({ peers }) => [...peers.egressOfPeers.keys()]),
      [[256 + APPS + 3]],
    )
    assert.ok(tests <= 2 * (APPS + PODS), `${tests} selectors were asked`)
  })

  it('are those of rules for local pods when an identity comes', () => {
    const { tests, changes } = count(() => {
      world.addIdentity({ id: 9999, namespace: 'ns-1', labels: { app: 'app-2', tier: 'front' }, keys: ['app', 'tier'] })
      return local.takeChanges()
    })
    assert.equal(changes.pods.size, 0)
    assert.ok(changes.sets.size > 0)
    assert.ok(tests <= PODS * 8, `${tests} selectors were asked`)
  })

  it('are none when nothing changed', () => {
    const { tests, changes } = count(() => {
      world.setNetworkPolicy(createPolicy(1, 3, 81))
      world.setNamespace('ns-1', { team: 't1' })
      return local.takeChanges()
    })
    assert.equal(tests, 0)
    assert.deepEqual(changes, { sets: new Map(), pods: new Map(), unused: [] })
  })
})

describe('a policy that changes', () => {
  /** A pod that so many policies are for, each allowing another peer, beside as many policies for others. */
  function createWorld(policies: number): { world: PolicyWorld; local: LocalSets } {
    const world = new PolicyWorld({ tenant: 't', rules: new RuleBook() })
    const local = new LocalSets(world)
    for (let each = 0; each < policies; each++) {
      for (const app of ['web', `other-${each}`]) world.setNetworkPolicy(allow(each, { app, port: 80 }))
      const labels = { app: `peer-${each}` }
      world.addIdentity({ id: 256 + each, namespace: 'shop', labels, keys: ['app'] })
    }
    local.setPod('web', { namespace: 'shop', labels: { app: 'web' }, ip: '10.244.0.2', namedPorts: [] })
    local.takeChanges()
    return { world, local }
  }
  const allow = (index: number, { app, port }: { app: string; port: number }): NetworkPolicy => ({
    metadata: { namespace: 'shop', name: `${app}-${index}` },
    spec: {
      podSelector: { matchLabels: { app } },
      ingress: [{ from: [{ podSelector: { matchLabels: { app: `peer-${index}` } } }], ports: [{ port }] }],
    },
  })

  it('asks as many selectors and rules with a thousand policies for others as with ten', () => {
    const asked = [10, 1_000].map((policies) => {
      const { world, local } = createWorld(1)
      for (let each = 0; each < policies; each++)
        world.setNetworkPolicy(allow(each, { app: `another-${each}`, port: 80 }))
      local.takeChanges()
      const rules = ruleLooks.count
      const { tests, changes } = count(() => {
        world.setNetworkPolicy(allow(0, { app: 'web', port: 81 }))
        return local.takeChanges()
      })
      assert.equal(changes.pods.size, 1)
      return [tests, ruleLooks.count - rules]
    })
    assert.deepEqual(asked[1], asked[0])
  })

  it('looks at rules in proportion to those for the pod, not to their product with its peers', () => {
    const looks = [50, 500].map((policies) => {
      const { world, local } = createWorld(policies)
      const before = ruleLooks.count
      world.setNetworkPolicy(allow(0, { app: 'web', port: 81 }))
      assert.equal(local.takeChanges().pods.size, 1)
      return ruleLooks.count - before
    })
    assert.ok(looks[1]! <= 11 * looks[0]!, `${looks[1]} looks beside ${looks[0]}`)
  })
})
