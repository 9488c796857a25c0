/**
 * The situations of upstream's end-to-end tests of NetworkPolicy, each with what must be reachable, written by hand for all nine pods.
 * Source: kubernetes test/e2e/network/netpol/network_policy.go, v1.37.
 */
import type { PolicyAction, PolicyCase, PolicyStep } from './policy-case.ts'
import { egressOnly, ingressOnly, namespace, otherNamespacesThan, pod, policyIn, set } from './policy-parts.ts'

const ALL = {}
/** x/a is closed to everybody. */
const CLOSED_A = '* > x/a no'

function once(
  title: string,
  actions: PolicyAction | readonly PolicyAction[],
  expect: PolicyStep['expect'],
): PolicyCase {
  const list = 'type' in actions ? [actions] : actions
  return { title, steps: [{ actions: list, ...(expect === undefined ? {} : { expect }) }] }
}

/** The same with the protocol in place of TCP. */
function forProtocol(protocol: 'UDP' | 'SCTP'): PolicyCase[] {
  const fromY = { from: [{ namespaceSelector: namespace('y') }], ports: [{ protocol, port: 81 }] }
  const fromYA = { from: [{ namespaceSelector: namespace('y'), podSelector: pod('a') }] }
  return [
    once(`${protocol}: a namespace without any ingress`, set('closed', ingressOnly(ALL)), {
      [`${protocol} 80`]: ['* > x/* no'],
    }),
    once(`${protocol}: one port from one namespace`, set('port', ingressOnly(pod('a'), fromY)), {
      [`${protocol} 81`]: [CLOSED_A, 'y/* > x/a yes'],
      [`${protocol} 80`]: [CLOSED_A],
      'TCP 81': [CLOSED_A],
    }),
    once(`${protocol}: one pod of another namespace`, set('pod', ingressOnly(pod('a'), fromYA)), {
      [`${protocol} 80`]: [CLOSED_A, 'y/a > x/a yes'],
    }),
  ]
}

const DEFAULTS: readonly PolicyCase[] = [
  once('a namespace without any ingress', set('closed', ingressOnly(ALL)), { 'TCP 80': ['* > x/* no'] }),
  once(
    'a namespace without ingress and egress',
    set('closed', { podSelector: ALL, policyTypes: ['Ingress', 'Egress'], ingress: [], egress: [] }),
    { 'TCP 80': ['* > x/* no', 'x/* > * no'] },
  ),
  once('a policy that allows all', set('open', ingressOnly(ALL, {})), { 'TCP 80': [], 'TCP 81': [] }),
  once('no egress for one pod', set('mute', egressOnly(pod('a'))), { 'TCP 80': ['x/a > * no'] }),
  once('no egress for a namespace', set('mute', egressOnly(ALL)), { 'TCP 80': ['x/* > * no'] }),
  once(
    'all ingress for one pod of a closed namespace',
    [
      set('closed', ingressOnly(ALL)),
      set('open-a', ingressOnly(pod('a'), { from: [{ podSelector: ALL, namespaceSelector: ALL }] })),
    ],
    { 'TCP 80': ['* > x/b no', '* > x/c no'] },
  ),
]

const PEERS: readonly PolicyCase[] = [
  once('one pod of the own namespace', set('b', ingressOnly(pod('a'), { from: [{ podSelector: pod('b') }] })), {
    'TCP 80': [CLOSED_A, 'x/b > x/a yes'],
  }),
  once('all namespaces', set('all', ingressOnly(pod('a'), { from: [{ namespaceSelector: ALL }] })), { 'TCP 80': [] }),
  once('one other namespace', set('y', ingressOnly(pod('a'), { from: [{ namespaceSelector: namespace('y') }] })), {
    'TCP 80': [CLOSED_A, 'y/* > x/a yes'],
  }),
  once(
    'pods by an expression',
    set(
      'in',
      ingressOnly(pod('a'), {
        from: [{ podSelector: { matchExpressions: [{ key: 'pod', operator: 'In', values: ['b'] }] } }],
      }),
    ),
    { 'TCP 80': [CLOSED_A, 'x/b > x/a yes'] },
  ),
  once(
    'namespaces by an expression',
    set(
      'in',
      ingressOnly(pod('a'), {
        from: [
          {
            namespaceSelector: {
              matchExpressions: [{ key: 'kubernetes.io/metadata.name', operator: 'In', values: ['y'] }],
            },
          },
        ],
      }),
    ),
    { 'TCP 80': [CLOSED_A, 'y/* > x/a yes'] },
  ),
  once(
    'other namespaces, or a pod of the own',
    set(
      'or',
      ingressOnly(pod('a'), { from: [{ namespaceSelector: otherNamespacesThan('x') }, { podSelector: pod('b') }] }),
    ),
    { 'TCP 80': ['x/c > x/a no'] },
  ),
  once(
    'pods of one name in other namespaces',
    set(
      'and',
      ingressOnly(pod('a'), { from: [{ namespaceSelector: otherNamespacesThan('x'), podSelector: pod('b') }] }),
    ),
    { 'TCP 80': [CLOSED_A, 'y/b > x/a yes', 'z/b > x/a yes'] },
  ),
  once(
    'pods of two names in other namespaces',
    set(
      'and',
      ingressOnly(pod('a'), {
        from: [
          {
            namespaceSelector: otherNamespacesThan('x'),
            podSelector: { matchExpressions: [{ key: 'pod', operator: 'In', values: ['b', 'c'] }] },
          },
        ],
      }),
    ),
    { 'TCP 80': ['x/* > x/a no', '*/a > x/a no'] },
  ),
  once(
    'any of two pods',
    set('any', ingressOnly(pod('a'), { from: [{ podSelector: pod('b') }, { podSelector: pod('c') }] })),
    { 'TCP 80': [CLOSED_A, 'x/b > x/a yes', 'x/c > x/a yes'] },
  ),
  once(
    'one pod of another namespace',
    set('one', ingressOnly(pod('a'), { from: [{ namespaceSelector: namespace('y'), podSelector: pod('a') }] })),
    { 'TCP 80': [CLOSED_A, 'y/a > x/a yes'] },
  ),
  once('the own namespace alone', set('own', ingressOnly(ALL, { from: [{ podSelector: ALL }] })), {
    'TCP 80': ['y/* > x/* no', 'z/* > x/* no'],
  }),
  once(
    'egress to one pod of another namespace',
    set('one', egressOnly(pod('a'), { to: [{ namespaceSelector: namespace('y'), podSelector: pod('a') }] })),
    { 'TCP 80': ['x/a > * no', 'x/a > y/a yes'] },
  ),
  once(
    'the label of its name that each namespace has',
    set('name', ingressOnly(pod('a'), { from: [{ namespaceSelector: namespace('y') }] })),
    { 'TCP 80': ['x/* > x/a no', 'z/* > x/a no'] },
  ),
  once(
    'egress by an expression on that label',
    set('name', egressOnly(pod('a'), { to: [{ namespaceSelector: otherNamespacesThan('y') }] })),
    { 'TCP 80': ['x/a > y/* no'] },
  ),
]

const PORTS: readonly PolicyCase[] = [
  once(
    'one port from one namespace',
    set(
      'port',
      ingressOnly(pod('a'), { from: [{ namespaceSelector: namespace('y') }], ports: [{ protocol: 'TCP', port: 81 }] }),
    ),
    { 'TCP 81': [CLOSED_A, 'y/* > x/a yes'] },
  ),
  once('one named port', set('name', ingressOnly(ALL, { ports: [{ port: 'serve-81-tcp' }] })), {
    'TCP 81': [],
    'TCP 80': ['* > x/* no'],
  }),
  once(
    'one named port from one namespace',
    set(
      'name',
      ingressOnly(pod('a'), {
        from: [{ namespaceSelector: namespace('y') }],
        ports: [{ protocol: 'TCP', port: 'serve-80-tcp' }],
      }),
    ),
    { 'TCP 80': [CLOSED_A, 'y/* > x/a yes'], 'TCP 81': [CLOSED_A] },
  ),
  once('egress to one named port', set('name', egressOnly(ALL, { ports: [{ port: 'serve-80-tcp' }] })), {
    'TCP 80': [],
    'TCP 81': ['x/* > * no'],
  }),
  once('a protocol without ports', set('tcp', ingressOnly(pod('a'), { ports: [{ protocol: 'TCP' }] })), {
    'TCP 80': [],
    'TCP 81': [],
    'UDP 80': [CLOSED_A],
  }),
  once(
    'a rule for SCTP, in a closed namespace, is none for TCP',
    [set('closed', ingressOnly(ALL)), set('sctp', ingressOnly(pod('a'), { ports: [{ protocol: 'SCTP', port: 81 }] }))],
    { 'TCP 81': ['* > x/* no'] },
  ),
  once('a rule for SCTP isolates', set('sctp', ingressOnly(pod('a'), { ports: [{ protocol: 'SCTP', port: 80 }] })), {
    'TCP 81': [CLOSED_A],
  }),
  once(
    'a rule for UDP is none for TCP',
    set('udp', ingressOnly(pod('a'), { ports: [{ protocol: 'UDP', port: 81 }] })),
    { 'TCP 81': [CLOSED_A] },
  ),
]

const BOTH_DIRECTIONS: readonly PolicyCase[] = [
  once(
    'ingress and egress in one policy',
    set('both', {
      podSelector: pod('a'),
      policyTypes: ['Ingress', 'Egress'],
      ingress: [{ from: [{ podSelector: pod('b') }] }],
      egress: [{ ports: [{ port: 80 }] }],
    }),
    { 'TCP 80': [CLOSED_A, 'x/b > x/a yes'], 'TCP 81': [CLOSED_A, 'x/a > * no', 'x/b > x/a yes'] },
  ),
  once(
    'egress denied though the server allows it',
    [
      set('to-y-a', egressOnly(pod('a'), { to: [{ namespaceSelector: namespace('y'), podSelector: pod('a') }] })),
      ...['a', 'b'].map((name): PolicyAction => ({
        type: 'set',
        policy: policyIn(
          'y',
          `from-x-a-${name}`,
          ingressOnly(pod(name), { from: [{ namespaceSelector: namespace('x'), podSelector: pod('a') }] }),
        ),
      })),
    ],
    { 'TCP 80': ['x/a > * no', '* > y/a no', '* > y/b no', 'x/a > y/a yes'] },
  ),
  {
    title: 'ingress and egress of a pod do not depend on each other',
    steps: [
      { actions: [set('egress', egressOnly(pod('a'), {}))], expect: { 'TCP 80': [] } },
      { actions: [set('ingress', ingressOnly(pod('a')))], expect: { 'TCP 80': [CLOSED_A] } },
    ],
  },
]

const BLOCKS: readonly PolicyCase[] = [
  once(
    'egress to the address of a pod',
    set('block', egressOnly(pod('a'), { to: [{ ipBlock: { cidr: '$(y/b)/32' } }] })),
    {
      'TCP 80': ['x/a > * no', 'x/a > y/b yes'],
    },
  ),
  once(
    'egress to a block but for the address of a pod',
    set('block', egressOnly(pod('a'), { to: [{ ipBlock: { cidr: '$(x/b)/8', except: ['$(x/b)/32'] } }] })),
    { 'TCP 80': ['x/a > x/b no'] },
  ),
  {
    title: 'a block that was excepted is allowed by another policy',
    steps: [
      {
        actions: [
          set('block', egressOnly(pod('a'), { to: [{ ipBlock: { cidr: '$(x/b)/8', except: ['$(x/b)/32'] } }] })),
        ],
        expect: { 'TCP 80': ['x/a > x/b no'] },
      },
      {
        actions: [set('block', egressOnly(pod('a'), { to: [{ ipBlock: { cidr: '$(x/b)/32' } }] }))],
        expect: { 'TCP 80': ['x/a > * no', 'x/a > x/b yes'] },
      },
    ],
  },
]

const CHANGES: readonly PolicyCase[] = [
  {
    title: 'policies add up as they come',
    steps: [
      {
        actions: [
          set(
            '81',
            ingressOnly(pod('a'), {
              from: [{ namespaceSelector: namespace('y') }],
              ports: [{ protocol: 'TCP', port: 81 }],
            }),
          ),
        ],
        expect: { 'TCP 81': [CLOSED_A, 'y/* > x/a yes'], 'TCP 80': [CLOSED_A] },
      },
      {
        actions: [
          set(
            '80',
            ingressOnly(pod('a'), {
              from: [{ namespaceSelector: namespace('y') }],
              ports: [{ protocol: 'TCP', port: 80 }],
            }),
          ),
        ],
        expect: { 'TCP 80': [CLOSED_A, 'y/* > x/a yes'] },
      },
    ],
  },
  {
    title: 'a policy that is changed from open to closed',
    steps: [
      { actions: [set('p', ingressOnly(ALL, {}))], expect: { 'TCP 81': [] } },
      { actions: [set('p', ingressOnly(ALL))], expect: { 'TCP 81': ['* > x/* no'] } },
    ],
  },
  {
    title: 'a namespace that gets a label',
    steps: [
      {
        actions: [
          set('p', ingressOnly(pod('a'), { from: [{ namespaceSelector: { matchLabels: { ns2: 'updated' } } }] })),
        ],
        expect: { 'TCP 80': [CLOSED_A] },
      },
      {
        actions: [{ type: 'label namespace', namespace: 'y', labels: { ns2: 'updated' } }],
        expect: { 'TCP 80': [CLOSED_A, 'y/* > x/a yes'] },
      },
    ],
  },
  {
    title: 'a client that gets a label',
    steps: [
      {
        actions: [
          set('p', ingressOnly(pod('a'), { from: [{ podSelector: { matchLabels: { pod: 'b', pod2: 'updated' } } }] })),
        ],
        expect: { 'TCP 80': [CLOSED_A] },
      },
      {
        actions: [{ type: 'label pod', pod: 'x/b', labels: { pod2: 'updated' } }],
        expect: { 'TCP 80': [CLOSED_A, 'x/b > x/a yes'] },
      },
    ],
  },
  {
    title: 'a server that gets a label',
    steps: [
      { actions: [set('p', ingressOnly({ matchLabels: { target: 'isolated' } }))], expect: { 'TCP 80': [] } },
      {
        actions: [{ type: 'label pod', pod: 'x/a', labels: { target: 'isolated' } }],
        expect: { 'TCP 80': [CLOSED_A] },
      },
    ],
  },
  {
    title: 'ingress that one policy restricts and another opens',
    steps: [
      { actions: [set('80', ingressOnly(ALL, { ports: [{ port: 80 }] }))], expect: { 'TCP 81': ['* > x/* no'] } },
      { actions: [set('all', ingressOnly(ALL, {}))], expect: { 'TCP 81': [] } },
    ],
  },
  {
    title: 'egress that one policy restricts and another opens',
    steps: [
      { actions: [set('80', egressOnly(ALL, { ports: [{ port: 80 }] }))], expect: { 'TCP 81': ['x/* > * no'] } },
      { actions: [set('all', egressOnly(ALL, {}))], expect: { 'TCP 81': [] } },
    ],
  },
  {
    title: 'a policy that is deleted',
    steps: [
      {
        actions: [set('p', { podSelector: ALL, policyTypes: ['Ingress', 'Egress'], ingress: [], egress: [] })],
        expect: { 'TCP 80': ['* > x/* no', 'x/* > * no'] },
      },
      { actions: [{ type: 'delete', namespace: 'x', name: 'p' }], expect: { 'TCP 80': [] } },
    ],
  },
]

/** The 48 situations. */
export const UPSTREAM_CASES: readonly PolicyCase[] = [
  ...DEFAULTS,
  ...PEERS,
  ...PORTS,
  ...BOTH_DIRECTIONS,
  ...BLOCKS,
  ...CHANGES,
  ...forProtocol('UDP'),
  ...forProtocol('SCTP'),
]
