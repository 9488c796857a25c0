import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '@centaurus/base'
import type { NetworkPolicy } from '@centaurus/api/networking/v1'
import { compileWorld, type CompiledWorld } from '../testing/policy-cells.ts'
import { generateWorld, LABEL_VALUES, listTraffic } from '../testing/policy-generator.ts'
import { podKey } from '../testing/policy-identities.ts'
import { askOracle, type OraclePod, type Traffic } from '../testing/policy-oracle.ts'
import { describeCell } from '../testing/policy-shrink.ts'
import { judgeIngress, judgePeerEgress } from './evaluate.ts'
import { compilePolicySet } from './local-sets.ts'
import type { ClusterNetworkPolicy } from '@centaurus/api/policy-networking/v1alpha2'
import { PolicyWorld } from './policy-world.ts'
import { RuleBook } from './rule-book.ts'

const WORLDS = 60
const STRIDE = 41

/** The pod with each label that nobody knows as it might be. */
function completions(pod: OraclePod, keys: readonly string[]): OraclePod[] {
  const unknown = Object.keys(LABEL_VALUES).filter((key) => !keys.includes(key))
  return unknown.reduce<OraclePod[]>(
    (pods, key) =>
      pods.flatMap((one) => {
        const { [key]: _, ...labels } = one.labels
        return [
          { ...one, labels },
          ...LABEL_VALUES[key]!.map((value) => ({ ...one, labels: { ...labels, [key]: value } })),
        ]
      }),
    [pod],
  )
}

/** What the receiver's host says. */
function isAccepted({ sets, identities }: CompiledWorld, source: OraclePod, traffic: Traffic): boolean {
  const { destination, port } = traffic
  const set = 'pod' in destination ? sets.get(podKey(destination.pod))! : assert.fail()
  const protocol = traffic.protocol === 'ICMP' ? ('other' as const) : traffic.protocol
  const arrival = { protocol, port, identity: identities.get(podKey(source))!, source: source.ip }
  return judgeIngress(set, arrival).allow && (judgePeerEgress(set, arrival)?.allow ?? true)
}

describe('peers whose labels are known in part', () => {
  it('are allowed only what they are allowed whatever the other labels are', (t) => {
    const counts = { cells: 0, allowed: 0, open: 0 }
    for (let seed = 1; seed <= WORLDS; seed++) {
      const world = generateWorld(seed)
      const random = createSeededRandom(seed)
      const keys = Object.keys(LABEL_VALUES).filter(() => random.next() < 0.4)
      const compiled = compileWorld(world, () => keys)
      const traffic = listTraffic(world).filter(
        ({ source, destination }) => 'pod' in source && 'pod' in destination && source.pod !== destination.pod,
      )
      for (let i = seed % STRIDE; i < traffic.length; i += STRIDE) {
        const cell = traffic[i]!
        const source = 'pod' in cell.source ? cell.source.pod : assert.fail()
        const isOpen = completions(source, keys).every((pod) => askOracle(world, { ...cell, source: { pod } }).allowed)
        const isAllowed = isAccepted(compiled, source, cell)
        if (isAllowed && !isOpen) assert.fail(`seed ${seed}, keys ${keys.join()}: ${describeCell(world, cell)}`)
        counts.cells++
        if (isAllowed) counts.allowed++
        if (isOpen) counts.open++
      }
    }
    t.diagnostic(
      `${counts.cells} cells, ${counts.open} allowed whatever the labels, ${counts.allowed} of them by the tables`,
    )
    assert.ok(counts.allowed > counts.cells / 5)
    // What two selectors say of the same unknown label is taken as independent, so a little more is closed than must be.
    assert.ok(counts.allowed > counts.open * 0.97)
  })

  const pod: OraclePod = { namespace: 'x', name: 'a', labels: { app: 'web' }, ip: '10.244.0.1', namedPorts: [] }

  function judge(
    policies: readonly NetworkPolicy[],
    cluster: readonly ClusterNetworkPolicy[] = [],
  ): { ingress: boolean; egress: boolean } {
    const world = new PolicyWorld({ tenant: 't', rules: new RuleBook() })
    for (const policy of policies) world.setNetworkPolicy(policy)
    for (const policy of cluster) world.setClusterNetworkPolicy(policy)
    world.addIdentity({ id: 256, namespace: 'y', labels: { known: 'yes' }, keys: ['known'] })
    const set = compilePolicySet(pod, world)
    const arrival = { identity: 256, source: '10.244.1.1', protocol: 'TCP' as const, port: 80 }
    return { ingress: judgeIngress(set, arrival).allow, egress: judgePeerEgress(set, arrival)?.allow ?? true }
  }

  const egressOf = (name: string, podSelector: object, egress: object[]): NetworkPolicy => ({
    metadata: { namespace: 'y', name },
    spec: { podSelector, policyTypes: ['Egress'], egress },
  })
  const unknown = { matchLabels: { role: 'db' } }

  it('count as isolated by an egress policy that may be for them', () => {
    assert.deepEqual(judge([egressOf('maybe', unknown, [])]), { ingress: true, egress: false })
  })

  it('may send what every policy that may be for them allows', () => {
    const rules = [{ to: [{ namespaceSelector: {} }] }]
    assert.deepEqual(judge([egressOf('maybe', unknown, rules)]), { ingress: true, egress: true })
    assert.deepEqual(judge([egressOf('maybe', unknown, rules), egressOf('other', { matchLabels: { x: 'y' } }, [])]), {
      ingress: true,
      egress: false,
    })
  })

  it('are not helped by a policy that may be for them when another one certainly is', () => {
    const rules = [{ to: [{ namespaceSelector: {} }] }]
    assert.equal(judge([egressOf('certain', {}, []), egressOf('maybe', unknown, rules)]).egress, false)
    assert.equal(judge([egressOf('certain', {}, rules), egressOf('maybe', unknown, [])]).egress, true)
  })

  it('are not let in by a rule that may mean them, and are kept out by a Deny that may', () => {
    const from = [{ namespaceSelector: {}, podSelector: unknown }]
    assert.equal(judge([{ metadata: { namespace: 'x', name: 'np' }, spec: { ingress: [{ from }] } }]).ingress, false)
    const spec = { tier: 'Admin' as const, priority: 1, subject: { namespaces: {} } }
    const deny = { action: 'Deny' as const, from: [{ pods: { namespaceSelector: {}, podSelector: unknown } }] }
    assert.equal(judge([], [{ metadata: { name: 'cnp' }, spec: { ...spec, ingress: [deny] } }]).ingress, false)
  })

  it('are accepted after a Pass that may mean them only if the next tier accepts them too', () => {
    const pass = { action: 'Pass' as const, from: [{ pods: { podSelector: unknown } }] }
    const accept = { action: 'Accept' as const, from: [{ namespaces: {} }] }
    const cluster = {
      metadata: { name: 'cnp' },
      spec: { tier: 'Admin' as const, priority: 1, subject: { namespaces: {} }, ingress: [pass, accept] },
    }
    assert.equal(judge([], [cluster]).ingress, true)
    assert.equal(judge([{ metadata: { namespace: 'x', name: 'closed' }, spec: {} }], [cluster]).ingress, false)
  })
})
