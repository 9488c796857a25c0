import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { NetworkPolicy } from '@centaurus/api/networking/v1'
import { judgeEgressOutside, judgeEgressToPod, judgeIngress } from './evaluate.ts'
import { DNS_IDENTITY, HOST_IDENTITY, WORLD_IDENTITY } from './identity-table.ts'
import { compilePolicySet } from './local-sets.ts'
import type { ClusterNetworkPolicy } from '@centaurus/api/policy-networking/v1alpha2'
import type { PolicySet, VerdictList } from './policy-set.ts'
import { PolicyWorld, type PodFacts } from './policy-world.ts'
import { RuleBook } from './rule-book.ts'

const pod: PodFacts = {
  namespace: 'x',
  labels: { app: 'web' },
  ip: '10.244.0.1',
  namedPorts: [{ name: 'http', protocol: 'TCP', port: 8080 }],
}

function createWorld(): PolicyWorld {
  const world = new PolicyWorld({ tenant: 't', rules: new RuleBook() })
  world.addIdentity({ id: 256, namespace: 'x', labels: { app: 'db' }, keys: ['app'] })
  world.addIdentity({ id: 257, namespace: 'y', labels: { app: 'db' }, keys: ['app'] })
  return world
}

function compile(
  objects: { policies?: NetworkPolicy[]; cluster?: ClusterNetworkPolicy[] },
  world = createWorld(),
): PolicySet {
  for (const policy of objects.policies ?? []) world.setNetworkPolicy(policy)
  for (const policy of objects.cluster ?? []) world.setClusterNetworkPolicy(policy)
  return compilePolicySet(pod, world)
}

function policy(spec: NetworkPolicy['spec'], namespace = 'x'): NetworkPolicy {
  return { metadata: { namespace, name: 'np' }, spec }
}

function cluster(direction: 'ingress' | 'egress', ...rules: readonly object[]): ClusterNetworkPolicy {
  return {
    metadata: { name: 'cnp' },
    spec: { tier: 'Admin', priority: 1, subject: { namespaces: {} }, [direction]: rules },
  }
}

/** `TCP 0-65535 allow` and so on. */
function text(list: VerdictList): string[] {
  return list.map(
    ({ protocol, firstPort, lastPort, allow }) => `${protocol} ${firstPort}-${lastPort} ${allow ? 'allow' : 'deny'}`,
  )
}

const ALLOW_ALL = ['TCP 0-65535 allow', 'UDP 0-65535 allow', 'SCTP 0-65535 allow', 'other 0-65535 allow']
const DENY_ALL = ALLOW_ALL.map((line) => line.replace('allow', 'deny'))
const OPEN_FLOW = { protocol: 'TCP', port: 80 } as const

describe('a policy set', () => {
  it('without policies allows everything in four segments, to and from anybody', () => {
    const set = compile({})
    assert.deepEqual(text(set.ingress.others), ALLOW_ALL)
    assert.deepEqual(text(set.egress.toPods), ALLOW_ALL)
    assert.deepEqual(text(set.egress.outside.others), ALLOW_ALL)
    assert.deepEqual([set.ingress.byIdentity.size, set.egressOfPeers.size, set.egress.isolated], [0, 0, false])
    assert.deepEqual(
      set.ingress.others.map(({ rule }) => rule),
      [0, 0, 0, 0],
    )
  })

  it('joins ports that touch and splits where rules do', () => {
    const ports = [{ port: 80 }, { port: 81, endPort: 90 }, { port: 'http' }, { protocol: 'UDP' }]
    const { ingress } = compile({ policies: [policy({ ingress: [{ ports }] })] })
    assert.deepEqual(text(ingress.others), [
      'TCP 0-79 deny',
      'TCP 80-90 allow',
      'TCP 91-8079 deny',
      'TCP 8080-8080 allow',
      'TCP 8081-65535 deny',
      'UDP 0-65535 allow',
      'SCTP 0-65535 deny',
      'other 0-65535 deny',
    ])
  })

  it('has an entry only for identities of which it says something else than of others', () => {
    const from = [{ podSelector: { matchLabels: { app: 'db' } } }]
    const { ingress } = compile({ policies: [policy({ ingress: [{ from }] })] })
    assert.deepEqual([...ingress.byIdentity.keys()], [256])
    assert.deepEqual(text(ingress.byIdentity.get(256)!), ALLOW_ALL)
    assert.deepEqual(text(ingress.others), DENY_ALL)
  })

  it('is closed to identities that nobody knows when a Deny might mean them, not to hosts and the world', () => {
    const set = compile({
      cluster: [cluster('ingress', { action: 'Deny', from: [{ namespaces: { matchLabels: { team: 'a' } } }] })],
    })
    assert.deepEqual(text(set.ingress.others), DENY_ALL)
    for (const identity of [HOST_IDENTITY, WORLD_IDENTITY]) {
      assert.equal(judgeIngress(set, { ...OPEN_FLOW, identity, source: '192.0.2.1' }).allow, true)
    }
  })

  it('lets the cluster DNS match the labels that it has everywhere, as source and destination', () => {
    const world = createWorld()
    world.setDnsAddresses(['169.254.20.10'])
    const peer = {
      namespaceSelector: { matchLabels: { 'kubernetes.io/metadata.name': 'kube-system' } },
      podSelector: { matchLabels: { 'k8s-app': 'kube-dns' } },
    }
    const ports = [{ protocol: 'UDP', port: 'dns' }]
    const set = compile(
      {
        policies: [
          policy({ policyTypes: ['Ingress', 'Egress'], ingress: [{ from: [peer] }], egress: [{ to: [peer], ports }] }),
        ],
      },
      world,
    )
    assert.deepEqual([...set.ingress.byIdentity.keys()], [DNS_IDENTITY])
    const ask = (protocol: 'UDP' | 'TCP', port: number, destination: string): boolean =>
      judgeEgressOutside(set, { protocol, port, destination }).allow
    assert.equal(ask('UDP', 53, '169.254.20.10'), true)
    assert.equal(ask('TCP', 53, '169.254.20.10'), false)
    assert.equal(ask('UDP', 53, '169.254.20.11'), false)
  })

  it('lists blocks with what shorter ones say, and leaves out those that say the same', () => {
    const rule = (cidr: string, port: number, except: string[] = []): object => ({
      to: [{ ipBlock: { cidr, except } }],
      ports: [{ port }],
    })
    const egress = [
      rule('10.0.0.0/8', 80, ['10.1.0.0/16']),
      rule('10.1.2.0/24', 81),
      rule('10.0.0.0/8', 82, ['10.9.0.0/16']),
      rule('10.8.0.0/16', 82),
    ]
    const set = compile({ policies: [policy({ egress, policyTypes: ['Egress'] })] })
    const open = set.egress.outside.cidrs.map(({ cidr, list }) => [
      cidr,
      list.filter(({ allow }) => allow).map(({ firstPort }) => firstPort),
    ])
    assert.deepEqual(open, [
      ['10.0.0.0/8', [80, 82]],
      ['10.1.0.0/16', [82]],
      ['10.9.0.0/16', [80]],
      ['10.1.2.0/24', [81, 82]],
    ])
    assert.deepEqual(text(set.egress.outside.others), DENY_ALL)
  })

  it('drops at the sender only what no pod could be allowed', () => {
    const egress = [
      {
        to: [{ podSelector: { matchLabels: { app: 'db' } } }],
        ports: [{ port: 5432 }, { port: 'admin', protocol: 'UDP' }],
      },
    ]
    const set = compile({ policies: [policy({ egress, policyTypes: ['Egress'] })] })
    assert.equal(set.egress.isolated, true)
    assert.equal(judgeEgressToPod(set, { protocol: 'TCP', port: 5432 }).allow, true)
    assert.equal(judgeEgressToPod(set, { protocol: 'UDP', port: 1 }).allow, true)
    assert.equal(judgeEgressToPod(set, { protocol: 'TCP', port: 80 }).allow, false)
    assert.equal(judgeEgressToPod(set, { protocol: 'other', port: 0 }).allow, false)
  })

  it('is isolated for receivers only by what restricts packets to pods', () => {
    const deny = (to: object[]): boolean =>
      compile({ cluster: [cluster('egress', { action: 'Deny', to })] }).egress.isolated
    assert.equal(deny([{ nodes: {} }]), false)
    assert.equal(deny([{ pods: { podSelector: { matchLabels: { app: 'db' } } } }]), true)
    assert.equal(deny([{ networks: ['192.0.2.0/24'] }]), true)
    const all = policy({ policyTypes: ['Egress'], egress: [{}] })
    assert.equal(compile({ policies: [all] }).egress.isolated, false)
  })

  it('knows nodes by their labels and addresses', () => {
    const world = createWorld()
    world.setNode('n1', { zone: 'a' }, ['10.0.0.1'])
    world.setNode('n2', { zone: 'b' }, ['10.0.0.2'])
    const set = compile(
      { cluster: [cluster('egress', { action: 'Deny', to: [{ nodes: { matchLabels: { zone: 'a' } } }] })] },
      world,
    )
    assert.deepEqual(
      set.egress.outside.cidrs.map(({ cidr }) => cidr),
      ['10.0.0.1/32'],
    )
    assert.deepEqual(text(set.egress.outside.cidrs[0]!.list), DENY_ALL)
  })
})

describe('a policy that is too much for a host', () => {
  it('allows its lower ports and none beyond, and says so', () => {
    const ports = Array.from({ length: 5000 }, (_, i) => ({ port: 1 + i * 2 }))
    const world = createWorld()
    const set = compile({ policies: [policy({ ingress: [{ ports }] })] }, world)
    assert.equal(set.ingress.others.length, 4096)
    const allows = (port: number, protocol: 'TCP' | 'UDP' = 'TCP'): boolean =>
      judgeIngress(set, { protocol, port, identity: 256, source: '10.244.0.2' }).allow
    assert.deepEqual(
      [allows(1), allows(2), allows(4001), allows(4002), allows(9999), allows(1, 'UDP')],
      [true, false, true, false, false, false],
    )
    assert.match(world.problemsOf('x', 'np')[0] ?? '', /^Its 5000 ingress ports may be more than a host can tell apart/)
  })

  it('is compiled when it has as many rules and ports as an object can hold', () => {
    const ingress = Array.from({ length: 30_000 }, (_, i) => ({ ports: [{ port: 1 + i, endPort: 40_000 }] }))
    const set = compile({ policies: [policy({ ingress })] })
    assert.deepEqual(text(set.ingress.others).slice(0, 1), ['TCP 0-0 deny'])
    assert.equal(judgeIngress(set, { protocol: 'TCP', port: 40_000, identity: 256, source: '10.244.0.2' }).allow, true)
    assert.equal(judgeIngress(set, { protocol: 'TCP', port: 40_001, identity: 256, source: '10.244.0.2' }).allow, false)
    assert.equal(set.ingress.others.length, 6)
  })
})

describe('a rule that is not understood', () => {
  const unknown: [string, object][] = [
    ['domainNames', { action: 'Accept', to: [{ namespaces: {} }, { domainNames: ['example.com'] }] }],
    ['a peer of a newer API', { action: 'Accept', to: [{ services: {} } as object] }],
    ['two fields in one peer', { action: 'Accept', to: [{ namespaces: {}, networks: ['10.0.0.0/8'] }] }],
    ['no field in a peer', { action: 'Accept', to: [{}] }],
    ['no peers', { action: 'Accept' }],
    ['a network that is none', { action: 'Accept', to: [{ networks: ['10.0.0.0'] }] }],
    ['a protocol of a newer API', { action: 'Accept', to: [{ namespaces: {} }], protocols: [{ icmp: {} } as object] }],
    [
      'ports of a newer API',
      { action: 'Accept', to: [{ namespaces: {} }], protocols: [{ tcp: { sourcePort: {} } as object }] },
    ],
  ]

  for (const [name, rule] of unknown) {
    it(`matches nothing with Accept and denies everything with Deny and Pass: ${name}`, () => {
      const toPods = (action: string): string[] =>
        text(
          compile({
            cluster: [
              cluster(
                'egress',
                { ...rule, action },
                { action: 'Deny', to: [{ namespaces: {} }], protocols: [{ udp: {} }] },
              ),
            ],
          }).egress.toPods,
        )
      assert.deepEqual(toPods('Accept'), [
        'TCP 0-65535 allow',
        'UDP 0-65535 deny',
        'SCTP 0-65535 allow',
        'other 0-65535 allow',
      ])
      assert.deepEqual(toPods('Deny'), DENY_ALL)
      assert.deepEqual(toPods('Pass'), DENY_ALL)
    })
  }

  it('denies everything when the action is unknown', () => {
    const set = compile({ cluster: [cluster('ingress', { action: 'Log', from: [{ namespaces: {} }] })] })
    assert.deepEqual(text(set.ingress.others), DENY_ALL)
  })

  it('is told of by its policy', () => {
    const world = createWorld()
    compile(
      {
        cluster: [cluster('egress', { action: 'Accept', to: [{ domainNames: ['example.com'] }] })],
        policies: [policy({ ingress: [{ from: [{}] }] })],
      },
      world,
    )
    assert.deepEqual(world.problemsOf('', 'cnp'), [
      'egress rule 0 matches nothing: domainNames are not supported; use networks',
    ])
    assert.deepEqual(world.problemsOf('x', 'np'), [
      'Peer {} matches nothing: it must have either selectors or an ipBlock',
    ])
  })

  it('of a NetworkPolicy allows nothing: an empty peer, a selector with an unknown operator, an unknown protocol', () => {
    for (const rule of [
      { from: [{}] },
      { from: [{ podSelector: { matchExpressions: [{ key: 'app', operator: 'Like', values: ['d'] }] } }] },
      { ports: [{ protocol: 'DCCP' }] },
      { from: [{ ipBlock: { cidr: '10.0.0.0' } }] },
    ]) {
      const set = compile({ policies: [policy({ ingress: [rule] })] })
      assert.deepEqual([text(set.ingress.others), set.ingress.cidrs, set.ingress.byIdentity.size], [DENY_ALL, [], 0])
    }
  })

  it('of which the subject is unknown denies to every pod and accepts for none', () => {
    const from = [{ namespaces: {} }]
    const { metadata, spec } = cluster('ingress', { action: 'Accept', from }, { action: 'Deny', from })
    const set = compile({ cluster: [{ metadata, spec: { ...spec, subject: {} } }] })
    assert.deepEqual(text(set.ingress.byIdentity.get(256) ?? set.ingress.others), DENY_ALL)
  })
})
