import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { NetworkPolicy } from '@centaurus/api/networking/v1'
import { compileWorld } from '../testing/policy-cells.ts'
import { generateWorld, listTraffic } from '../testing/policy-generator.ts'
import { askOracle, type Judgement, type Party, type Traffic } from '../testing/policy-oracle.ts'
import { describeCell } from '../testing/policy-shrink.ts'
import { explainVerdict, type ExplainedVerdict } from './explain-verdict.ts'
import { PolicyWorld, type PodFacts } from './policy-world.ts'
import { RuleBook } from './rule-book.ts'

const WORLDS = 30
const STRIDE = 37

function isAgreed({ allowed, rule }: ExplainedVerdict, expected: Judgement): boolean {
  if (allowed !== expected.allowed) return false
  if (rule === undefined) return expected.by.length === 0
  return expected.by.some(
    (one) =>
      one.kind === rule.kind && one.namespace === rule.namespace && one.name === rule.name && one.index === rule.index,
  )
}

function questionOf({ protocol, port }: Traffic): {
  packet: { protocol: 'TCP' | 'UDP' | 'SCTP' | 'other'; port: number }
} {
  return { packet: { protocol: protocol === 'ICMP' ? 'other' : protocol, port } }
}

function peerOf(party: Party): PodFacts | { address: string } {
  return 'pod' in party ? party.pod : { address: party.address }
}

describe('an explained verdict', () => {
  it('says of any packet what the specifications say, by the same rule', () => {
    let cells = 0
    for (let seed = 1; seed <= WORLDS; seed++) {
      const oracle = generateWorld(seed)
      const { world } = compileWorld(oracle)
      for (const [i, traffic] of listTraffic(oracle).entries()) {
        if (i % STRIDE !== seed % STRIDE) continue
        const { source, destination } = traffic
        const { egress, ingress } = askOracle(oracle, traffic)
        const names = { podName: 'one', peerName: 'other' }
        if (egress !== undefined && 'pod' in source) {
          const said = explainVerdict(world, {
            direction: 'egress',
            pod: source.pod,
            peer: peerOf(destination),
            ...questionOf(traffic),
            ...names,
          })
          assert.ok(isAgreed(said, egress), `seed ${seed}: ${said.reason}; ${describeCell(oracle, traffic)}`)
          cells++
        }
        if (ingress !== undefined && 'pod' in destination) {
          const said = explainVerdict(world, {
            direction: 'ingress',
            pod: destination.pod,
            peer: peerOf(source),
            ...questionOf(traffic),
            ...names,
          })
          assert.ok(isAgreed(said, ingress), `seed ${seed}: ${said.reason}; ${describeCell(oracle, traffic)}`)
          cells++
        }
      }
    }
    assert.ok(cells > 8_000, `${cells} cells`)
  })

  const web: PodFacts = { namespace: 'default', labels: { app: 'web' }, ip: '10.244.1.2', namedPorts: [] }
  const client: PodFacts = { namespace: 'shop', labels: { app: 'client' }, ip: '10.244.2.2', namedPorts: [] }
  const packet = { protocol: 'TCP', port: 8080 } as const
  const names = { podName: 'default/web', peerName: 'shop/client' }

  function explain(
    world: PolicyWorld,
    direction: 'ingress' | 'egress' = 'ingress',
    peer: PodFacts | { address: string } = client,
  ): ExplainedVerdict {
    return explainVerdict(world, { direction, pod: web, peer, packet, ...names })
  }

  function worldOf(...policies: NetworkPolicy[]): PolicyWorld {
    const world = new PolicyWorld({ tenant: 't', rules: new RuleBook() })
    for (const policy of policies) world.setNetworkPolicy(policy)
    return world
  }

  const closed: NetworkPolicy = { metadata: { namespace: 'default', name: 'deny-all' }, spec: {} }
  const open: NetworkPolicy = {
    metadata: { namespace: 'default', name: 'web' },
    spec: { ingress: [{ from: [{ namespaceSelector: {} }], ports: [{ port: 80 }] }] },
  }

  it('names every policy that isolates when none allows', () => {
    const said = explain(worldOf(open, closed))
    assert.equal(said.reason, 'no ingress rule of default/deny-all, default/web allows TCP 8080 from shop/client')
    assert.deepEqual([said.isolated, said.policies], [true, ['default/deny-all', 'default/web']])
  })

  it('names the rule that allows', () => {
    const port: NetworkPolicy = { ...open, spec: { ingress: [{}, ...(open.spec?.ingress ?? [])] } }
    assert.equal(
      explain(worldOf(closed, port)).reason,
      'ingress rule 0 of NetworkPolicy default/web allows TCP 8080 from shop/client',
    )
  })

  it('says when no policy is about it', () => {
    assert.equal(explain(worldOf(open), 'egress').reason, 'no policy is for egress of default/web')
    const world = worldOf()
    const deny = { action: 'Deny' as const, from: [{ namespaces: { matchLabels: { team: 'a' } } }] }
    const spec = { tier: 'Admin' as const, priority: 1, subject: { namespaces: {} }, ingress: [deny] }
    world.setNamespace('shop', {})
    world.setClusterNetworkPolicy({ metadata: { name: 'quarantine' }, spec })
    assert.equal(explain(world).reason, 'no ingress rule of quarantine is about TCP 8080 from shop/client')
  })

  it('names rules of ClusterNetworkPolicies by their names too', () => {
    const world = worldOf(open)
    const rule = {
      name: 'no clients',
      action: 'Deny' as const,
      from: [{ pods: { podSelector: { matchLabels: { app: 'client' } } } }],
    }
    world.setClusterNetworkPolicy({
      metadata: { name: 'quarantine' },
      spec: { tier: 'Admin', priority: 1, subject: { namespaces: {} }, ingress: [rule] },
    })
    assert.equal(
      explain(world).reason,
      'ingress rule 0 (no clients) of ClusterNetworkPolicy quarantine denies TCP 8080 from shop/client',
    )
  })

  it('knows nodes and the DNS by what they are', () => {
    const world = worldOf()
    world.setNode('n1', { zone: 'a' }, ['192.0.2.1'])
    world.setDnsAddresses(['169.254.20.10'])
    const to = [
      { nodes: { matchLabels: { zone: 'a' } } },
      { pods: { podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } } } },
    ]
    world.setClusterNetworkPolicy({
      metadata: { name: 'c' },
      spec: { tier: 'Admin', priority: 1, subject: { namespaces: {} }, egress: [{ action: 'Deny', to }] },
    })
    const allowed = ['192.0.2.1', '169.254.20.10', '192.0.2.2'].map(
      (address) => explain(world, 'egress', { address }).allowed,
    )
    assert.deepEqual(allowed, [false, false, true])
  })
})
