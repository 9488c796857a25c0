/**
 * Cases by combining what rules can have, dimension by dimension; what must be reachable says the oracle. The dimensions and their sizes are those of cyclonus,
 * a generator of NetworkPolicy tests. Source: kubernetes-sigs/network-policy-api cmd/policy-assistant/pkg/generator.
 */
import type { LabelSelector } from '@centaurus/api/meta/v1'
import type {
  NetworkPolicy,
  NetworkPolicyPeer,
  NetworkPolicyPort,
  NetworkPolicySpec,
} from '@centaurus/api/networking/v1'
import type { PolicyAction, PolicyCase } from './policy-case.ts'
import { egressOnly, ingressOnly, namespace, pod, policyIn, set } from './policy-parts.ts'

type Direction = 'ingress' | 'egress'

const DIRECTIONS: readonly Direction[] = ['ingress', 'egress']
const TCP_80: NetworkPolicyPort = { protocol: 'TCP', port: 80 }
const NAMED_IN = (key: string, values: string[]): LabelSelector => ({
  matchExpressions: [{ key, operator: 'In', values }],
})
/** Pods b and c of x and y may come in, a and b of y and z are gone out to, at TCP 80. */
const FROM: NetworkPolicyPeer = {
  namespaceSelector: NAMED_IN('ns', ['x', 'y']),
  podSelector: NAMED_IN('pod', ['b', 'c']),
}
const TO: NetworkPolicyPeer = {
  namespaceSelector: NAMED_IN('ns', ['y', 'z']),
  podSelector: NAMED_IN('pod', ['a', 'b']),
}

interface Variation {
  readonly target?: LabelSelector
  readonly peers?: readonly NetworkPolicyPeer[] | undefined
  readonly ports?: readonly NetworkPolicyPort[] | undefined
}

/** The policy that cases vary, in one direction; what is not varied is as above. */
function vary(direction: Direction, { target = pod('a'), ...rest }: Variation): NetworkPolicySpec {
  const peers = 'peers' in rest ? rest.peers : [direction === 'ingress' ? FROM : TO]
  const ports = 'ports' in rest ? rest.ports : [TCP_80]
  const shared = ports === undefined ? {} : { ports: [...ports] }
  const all = peers === undefined ? undefined : [...peers]
  return direction === 'ingress'
    ? ingressOnly(target, { ...(all === undefined ? {} : { from: all }), ...shared })
    : egressOnly(target, { ...(all === undefined ? {} : { to: all }), ...shared })
}

function one(title: string, ...policies: NetworkPolicy[]): PolicyCase {
  return { title, steps: [{ actions: policies.map((policy) => ({ type: 'set', policy })) }] }
}

const BASE: NetworkPolicySpec = {
  podSelector: pod('a'),
  policyTypes: ['Ingress', 'Egress'],
  ingress: [{ from: [FROM], ports: [TCP_80] }],
  egress: [{ to: [TO], ports: [TCP_80] }],
}

const TARGETS: readonly PolicyCase[] = [
  ...(
    [
      ['all pods', {}],
      ['pods by a label', pod('c')],
      ['pods by an expression', NAMED_IN('pod', ['a', 'b'])],
      ['pods without a label', { matchExpressions: [{ key: 'missing', operator: 'DoesNotExist' }] }],
      ['no pod', { matchExpressions: [{ key: 'missing', operator: 'Exists' }] }],
    ] as const
  ).map(([title, target]) =>
    one(`target: ${title}`, policyIn('x', 'p', { ...BASE, podSelector: target as LabelSelector })),
  ),
  one('target: in another namespace', policyIn('y', 'p', BASE)),
]

const RULES: readonly PolicyCase[] = DIRECTIONS.flatMap((direction) => {
  const types = direction === 'ingress' ? ingressOnly : egressOnly
  return [
    one(`rules: none, ${direction}`, policyIn('x', 'p', types(pod('a')))),
    one(`rules: one for everything, ${direction}`, policyIn('x', 'p', types(pod('a'), {}))),
  ]
})

const SINGLE_PEERS: readonly (readonly [string, NetworkPolicyPeer])[] = [
  ['all pods of the namespace', { podSelector: {} }],
  ['pods by a label', { podSelector: pod('b') }],
  ['all namespaces', { namespaceSelector: {} }],
  ['all pods of all namespaces', { namespaceSelector: {}, podSelector: {} }],
  ['pods by a label of all namespaces', { namespaceSelector: {}, podSelector: pod('b') }],
  ['a namespace', { namespaceSelector: namespace('y') }],
  ['all pods of a namespace', { namespaceSelector: namespace('y'), podSelector: {} }],
  ['pods by a label of a namespace', { namespaceSelector: namespace('y'), podSelector: pod('b') }],
  ['a block', { ipBlock: { cidr: '$(z/c)/24' } }],
  ['a block with an exception', { ipBlock: { cidr: '$(z/c)/24', except: ['$(z/c)/28'] } }],
]

const PEERS: readonly PolicyCase[] = DIRECTIONS.flatMap((direction) => [
  one(`peers: none, ${direction}`, policyIn('x', 'p', vary(direction, { peers: [] }))),
  ...SINGLE_PEERS.map(([title, peer]) =>
    one(`peers: ${title}, ${direction}`, policyIn('x', 'p', vary(direction, { peers: [peer] }))),
  ),
  ...SINGLE_PEERS.flatMap(([title, peer], i) =>
    SINGLE_PEERS.slice(i + 1).map(([other, second]) =>
      one(`peers: ${title}, or ${other}, ${direction}`, policyIn('x', 'p', vary(direction, { peers: [peer, second] }))),
    ),
  ),
])

const PROTOCOLS = [undefined, 'TCP', 'UDP', 'SCTP'] as const

const NUMBERED: readonly NetworkPolicyPort[] = PROTOCOLS.flatMap((protocol) =>
  [undefined, 80, 81].map((port) => ({
    ...(protocol === undefined ? {} : { protocol }),
    ...(port === undefined ? {} : { port }),
  })),
)
const NAMED: readonly NetworkPolicyPort[] = (['TCP', 'UDP', 'SCTP'] as const).flatMap((protocol) =>
  [80, 81].map((port) => ({ protocol, port: `serve-${port}-${protocol.toLowerCase()}` })),
)
const RANGES: readonly NetworkPolicyPort[] = (['TCP', 'UDP', 'SCTP'] as const).flatMap((protocol) => [
  { protocol, port: 79, endPort: 80 },
  { protocol, port: 80, endPort: 81 },
])
const ODD: readonly NetworkPolicyPort[] = [
  { protocol: 'UDP', port: 'serve-80-tcp' },
  { protocol: 'TCP', port: 'no-such-port' },
  { protocol: 'TCP', port: 82, endPort: 65_535 },
]
const PORT_PAIRS: readonly (readonly [NetworkPolicyPort, NetworkPolicyPort])[] = [
  [TCP_80, { protocol: 'TCP', port: 81 }],
  [TCP_80, { protocol: 'UDP', port: 80 }],
  [TCP_80, { protocol: 'TCP' }],
  [{ protocol: 'TCP' }, { protocol: 'UDP' }],
  [{ protocol: 'TCP', port: 'serve-80-tcp' }, TCP_80],
  [
    { protocol: 'TCP', port: 'serve-80-tcp' },
    { protocol: 'UDP', port: 'serve-81-udp' },
  ],
  [
    { protocol: 'SCTP', port: 80 },
    { protocol: 'TCP', port: 80, endPort: 81 },
  ],
]

const PORTS: readonly PolicyCase[] = DIRECTIONS.flatMap((direction) => [
  one(`ports: none, ${direction}`, policyIn('x', 'p', vary(direction, { ports: [] }))),
  ...[...NUMBERED, ...NAMED, ...RANGES, ...ODD].map((port) =>
    one(`ports: ${JSON.stringify(port)}, ${direction}`, policyIn('x', 'p', vary(direction, { ports: [port] }))),
  ),
  ...PORT_PAIRS.map((pair) =>
    one(`ports: ${JSON.stringify(pair)}, ${direction}`, policyIn('x', 'p', vary(direction, { ports: pair }))),
  ),
])

const EXAMPLE: PolicyCase = one(
  'example: a server that only its front end reaches, which may only go to it and to names',
  policyIn('x', 'server', ingressOnly(pod('a'), { from: [{ podSelector: pod('b') }], ports: [TCP_80] })),
  policyIn(
    'x',
    'front-end',
    egressOnly(
      pod('b'),
      { to: [{ podSelector: pod('a') }], ports: [TCP_80] },
      { to: [{ namespaceSelector: namespace('z') }], ports: [{ protocol: 'UDP', port: 81 }] },
    ),
  ),
)

function change(title: string, before: PolicyAction[], ...after: PolicyAction[]): PolicyCase {
  return { title, steps: [{ actions: before }, ...after.map((action) => ({ actions: [action] }))] }
}

const ACTIONS: readonly PolicyCase[] = [
  change('action: a policy comes and goes', [], set('p', BASE), { type: 'delete', namespace: 'x', name: 'p' }),
  change(
    'action: a policy gets another port',
    [set('p', BASE)],
    set('p', { ...BASE, ingress: [{ from: [FROM], ports: [{ protocol: 'TCP', port: 81 }] }] }),
  ),
  change('action: a policy gets another target', [set('p', BASE)], set('p', { ...BASE, podSelector: pod('b') })),
  change(
    'action: a namespace gets a label and loses it',
    [set('p', ingressOnly(pod('a'), { from: [{ namespaceSelector: { matchLabels: { team: 'red' } } }] }))],
    { type: 'label namespace', namespace: 'y', labels: { team: 'red' } },
    { type: 'label namespace', namespace: 'y', labels: { team: undefined } },
  ),
  change(
    'action: a client gets a label and loses it',
    [set('p', ingressOnly(pod('a'), { from: [{ podSelector: { matchLabels: { role: 'client' } } }] }))],
    { type: 'label pod', pod: 'x/c', labels: { role: 'client' } },
    { type: 'label pod', pod: 'x/c', labels: { role: undefined } },
  ),
  change(
    'action: a target gets a label and loses it',
    [set('p', { ...BASE, podSelector: { matchLabels: { role: 'server' } } })],
    { type: 'label pod', pod: 'x/b', labels: { role: 'server' } },
    { type: 'label pod', pod: 'x/b', labels: { role: undefined } },
  ),
]

/** Two policies for the same pods, of which one says more than the other. */
const CONFLICTS: readonly PolicyCase[] = DIRECTIONS.flatMap((direction) => {
  const rules = direction === 'ingress' ? ingressOnly : egressOnly
  const peers = (list: NetworkPolicyPeer[]): object => (direction === 'ingress' ? { from: list } : { to: list })
  const allBut = { ipBlock: { cidr: '$(z/c)/8', except: ['$(z/c)/32'] } }
  const pairs: readonly (readonly [string, NetworkPolicySpec, NetworkPolicySpec])[] = [
    ['none and all', rules(pod('a')), rules(pod('a'), {})],
    ['none for all pods, all for one', rules({}), rules(pod('a'), {})],
    [
      'one namespace and another',
      rules(pod('a'), peers([{ namespaceSelector: namespace('y') }])),
      rules(pod('a'), peers([{ namespaceSelector: namespace('z') }])),
    ],
    [
      'a pod, and its namespace',
      rules(pod('a'), peers([{ namespaceSelector: namespace('y'), podSelector: pod('b') }])),
      rules(pod('a'), peers([{ namespaceSelector: namespace('y') }])),
    ],
    [
      'a block with an exception, and what is excepted',
      rules(pod('a'), peers([allBut])),
      rules(pod('a'), peers([{ ipBlock: { cidr: '$(z/c)/32' } }])),
    ],
    [
      'a block with an exception, and its namespace',
      rules(pod('a'), peers([allBut])),
      rules(pod('a'), peers([{ namespaceSelector: namespace('z') }])),
    ],
    [
      'one port and another',
      vary(direction, { ports: [TCP_80] }),
      vary(direction, { ports: [{ protocol: 'TCP', port: 81 }] }),
    ],
    [
      'a port of all, all ports of one',
      rules(pod('a'), { ports: [TCP_80] }),
      rules(pod('a'), peers([{ namespaceSelector: namespace('y') }])),
    ],
  ]
  return pairs.map(([title, first, second]) =>
    one(`conflict: ${title}, ${direction}`, policyIn('x', 'first', first), policyIn('x', 'second', second)),
  )
})

const NAMESPACES: readonly PolicyCase[] = DIRECTIONS.map((direction) =>
  one(
    `namespace: by the label of its name, ${direction}`,
    policyIn(
      'x',
      'p',
      vary(direction, { peers: [{ namespaceSelector: NAMED_IN('kubernetes.io/metadata.name', ['y', 'missing']) }] }),
    ),
  ),
)

/** Of cyclonus' 230 all but its 13 of upstream's, which are among ours of upstream. */
export const COMBINED_CASES: readonly PolicyCase[] = [
  ...TARGETS,
  ...RULES,
  ...PEERS,
  ...PORTS,
  EXAMPLE,
  ...ACTIONS,
  ...CONFLICTS,
  ...NAMESPACES,
]
