import assert from 'node:assert/strict'
import { after, before, it } from 'node:test'
import type { ServiceBackend, ServiceFrontend, ServiceProtocol } from '../services/service-tables.ts'
import { sendInBulk } from '../testing/bulk.ts'
import { type AttachMode, TestCluster, type TestHost, type TestPod } from '../testing/cluster.ts'
import { describeHosts } from '../testing/describe-hosts.ts'
import type { NetworkNamespace } from '../testing/network-namespace.ts'
import { EchoServer, findWrongProbes, type Probe, type ProbeResult, type ServedPort } from '../testing/reachability.ts'
import { Socket } from '../testing/sockets.ts'

const PORTS: readonly ServedPort[] = [
  { protocol: 'TCP', port: 8080 },
  { protocol: 'UDP', port: 8080 },
]
const SERVICE = '10.96.0.10'
const EMPTY = '10.96.0.11'
const NODE_PORT = 30_080
const LOCAL_NODE_PORT = 30_081
const BULK_NODE_PORT = 30_082
const BULK_PORT = 5000
const MEGABYTE = 2 ** 20
const WAIT_MS_MAX = 10_000
/** Source: errno(3). */
const ECONNRESET = 104

describeHosts({ title: 'services on two hosts', file: import.meta.url }, testServices)

function testServices(attach: AttachMode): void {
  let cluster: TestCluster
  let client: TestPod
  let near: TestPod
  let far: TestPod

  before(async () => {
    cluster = await TestCluster.create({ hosts: 2, attach })
    client = cluster.addPod({ name: 'client', host: 1, identity: 256, ports: PORTS })
    near = cluster.addPod({ name: 'near', host: 1, identity: 257, ports: PORTS })
    far = cluster.addPod({ name: 'far', host: 2, identity: 258, ports: PORTS })
  })
  after(() => cluster?.close())

  /** Backends as the planner of that host would list them. */
  const backendsOf = (host: TestHost, pods: readonly TestPod[], port = 8080): ServiceBackend[] =>
    pods.map((pod) => ({ ip: pod.endpoint.ip, port, isLocal: pod.host === host }))

  const serve = (frontends: (host: TestHost) => ServiceFrontend[]): void => {
    for (const host of cluster.hosts)
      cluster.on(host, (dataplane) => assert.deepEqual(dataplane.applyServices({ frontends: frontends(host) }), []))
  }
  const clusterIP = (host: TestHost, pods: readonly TestPod[], protocol: ServiceProtocol = 'TCP'): ServiceFrontend => ({
    ...BARE,
    protocol,
    backends: backendsOf(host, pods),
    name: `default/web:${protocol}`,
  })
  const nodePort = (
    host: TestHost,
    pods: readonly TestPod[],
    { isLocal = false, protocol = 'TCP' as ServiceProtocol } = {},
  ): ServiceFrontend => {
    const backends = backendsOf(host, pods)
    return {
      ...BARE,
      ip: undefined,
      scope: 'external',
      whenExternalEmpty: isLocal ? 'drop' : 'refuse',
      port: isLocal ? LOCAL_NODE_PORT : NODE_PORT,
      protocol,
      backends,
      externalBackends: isLocal ? backends.filter((backend) => backend.isLocal) : backends,
      keepsSource: isLocal,
      name: `default/${isLocal ? 'local' : 'web'}:${protocol}`,
    }
  }
  const expect = (
    from: NetworkNamespace,
    to: string,
    { port = 80, protocol = 'TCP' as 'TCP' | 'UDP', expected = 'open' as ProbeResult, name = '' } = {},
  ): Probe => ({
    from,
    to,
    protocol,
    port,
    expected,
    name: `${name} → ${to}:${port} ${protocol}`,
  })
  const wrong = (probes: readonly Probe[], more: readonly EchoServer[] = []): string[] =>
    findWrongProbes(probes, [...cluster.pods.map(({ server }) => server), ...more])
  const both = ['TCP', 'UDP'] as const

  it('lets pods and hosts reach a ClusterIP whose pod is here or there, or is the client itself', () => {
    for (const backend of [near, far, client]) {
      serve((host) => both.map((protocol) => clusterIP(host, [backend], protocol)))
      const asking = [
        ...cluster.pods.map(({ namespace, name }) => ({ namespace, name })),
        ...cluster.hosts.map(({ namespace, plan }) => ({ namespace, name: plan.name })),
      ]
      const probes = asking.flatMap(({ namespace, name }) =>
        both.map((protocol) => expect(namespace, SERVICE, { protocol, name: `${name} (${backend.name})` })),
      )
      assert.deepEqual(wrong(probes), [])
    }
  })

  it('refuses at once what nobody serves', () => {
    serve((host) => [
      clusterIP(host, [near]),
      ...both.map((protocol) => ({ ...clusterIP(host, [], protocol), ip: EMPTY, name: `default/empty:${protocol}` })),
    ])
    const from = [client.namespace, cluster.host(1).namespace]
    const probes = from.flatMap((namespace) => [
      ...both.map((protocol) => expect(namespace, EMPTY, { protocol, expected: 'refused' })),
      expect(namespace, SERVICE, { port: 81, expected: 'refused' }),
    ])
    assert.deepEqual(wrong(probes), [])
  })

  it('lets the world, pods and every host reach a node port at each host, whichever has the pod', () => {
    serve((host) => both.map((protocol) => nodePort(host, [far], { protocol })))
    const asking = [
      { namespace: cluster.wire, name: 'world' },
      ...cluster.pods.map(({ namespace, name }) => ({ namespace, name })),
      ...cluster.hosts.map(({ namespace, plan }) => ({ namespace, name: plan.name })),
    ]
    const probes = asking.flatMap(({ namespace, name }) =>
      cluster.hosts.flatMap(({ plan }) =>
        both.map((protocol) => expect(namespace, plan.address, { port: NODE_PORT, protocol, name })),
      ),
    )
    assert.deepEqual(wrong(probes), [])
  })

  it('lets the world reach a node port with externalTrafficPolicy Local only where the pod is', () => {
    serve((host) => [nodePort(host, [far], { isLocal: true })])
    const [here, there] = cluster.hosts.map(({ plan }) => plan.address)
    const probes = [
      expect(cluster.wire, there ?? '', { port: LOCAL_NODE_PORT }),
      expect(cluster.wire, here ?? '', { port: LOCAL_NODE_PORT, expected: 'closed' }),
      expect(client.namespace, here ?? '', { port: LOCAL_NODE_PORT }),
      expect(cluster.host(1).namespace, here ?? '', { port: LOCAL_NODE_PORT }),
    ]
    assert.deepEqual(wrong(probes), [])
  })

  it('lets pods, hosts and the world reach a process of a host by a service', () => {
    for (const target of cluster.hosts) {
      const server = new EchoServer(target.namespace, PORTS)
      const backends = (): ServiceBackend[] => [{ ip: target.plan.address, port: 8080, isLocal: false }]
      serve((host) => [
        { ...clusterIP(host, []), backends: backends() },
        { ...nodePort(host, []), backends: backends(), externalBackends: backends() },
      ])
      const probes = [client, far]
        .map(({ namespace, name }) => ({ namespace, name }))
        .concat(cluster.hosts.map(({ namespace, plan }) => ({ namespace, name: plan.name })))
        .flatMap(({ namespace, name }) => [
          expect(namespace, SERVICE, { name: `${name} (${target.plan.name})` }),
          ...cluster.hosts.map(({ plan }) => expect(namespace, plan.address, { port: NODE_PORT, name })),
        ])
      const world = cluster.hosts.map(({ plan }) =>
        expect(cluster.wire, plan.address, { port: NODE_PORT, name: 'world' }),
      )
      assert.deepEqual(wrong([...probes, ...world], [server]), [])
      server.close()
    }
  })

  it('refuses the world at a node port that nobody serves', () => {
    serve((host) => both.map((protocol) => nodePort(host, [], { protocol })))
    const { address } = cluster.host(1).plan
    const probes = both.map((protocol) =>
      expect(cluster.wire, address, { port: NODE_PORT, protocol, expected: 'refused' }),
    )
    assert.deepEqual(wrong(probes), [])
  })

  it('keeps a connection to a pod that ends, and resets it when the pod is gone', () => {
    const listener = Socket.tcp(near.namespace).bind({ ip: near.endpoint.ip, port: 8081 }).listen()
    const lead = (host: TestHost, more: Partial<ServiceFrontend>): ServiceFrontend[] => [
      { ...clusterIP(host, []), ...more },
    ]
    const [backend] = backendsOf(near.host, [near], 8081)
    serve((host) => lead(host, { backends: [backend!] }))
    const asking = Socket.tcp(client.namespace)
    asking.connect({ ip: SERVICE, port: 80 })
    const stream = waitFor(() => listener.accept())
    serve((host) => lead(host, { backends: backendsOf(host, [far]), draining: [{ ...backend!, isServing: false }] }))
    waitFor(() => asking.send(Buffer.from('still here')) === 10 || undefined)
    assert.equal(waitFor(() => stream.receive()).data.toString(), 'still here')
    serve((host) => lead(host, { backends: backendsOf(host, [far]) }))
    asking.send(Buffer.from('gone'))
    assert.equal(
      waitFor(() => asking.takeError() || undefined),
      ECONNRESET,
    )
    for (const socket of [asking, stream, listener]) socket.close()
  })

  it('sends a UDP flow on to another pod at once when its own serves no more', () => {
    const sockets = [near, far].map(({ namespace }) => Socket.udp(namespace).bind({ ip: '0.0.0.0', port: 8082 }))
    const lead = (pod: TestPod): void =>
      serve((host) => [{ ...clusterIP(host, [], 'UDP'), backends: backendsOf(host, [pod], 8082) }])
    const asking = Socket.udp(client.namespace)
    asking.connect({ ip: SERVICE, port: 80 })
    for (const [index, pod] of [near, far, near].entries()) {
      lead(pod)
      asking.send(Buffer.from(`question ${index}`))
      const { data, from } = waitFor(() => sockets[pod === near ? 0 : 1]?.receive())
      assert.equal(data.toString(), `question ${index}`)
      sockets[pod === near ? 0 : 1]?.sendTo(Buffer.from(`answer ${index}`), from)
      assert.equal(waitFor(() => asking.receive()).data.toString(), `answer ${index}`)
    }
    for (const socket of [asking, ...sockets]) socket.close()
  })

  it('carries datagrams in fragments both ways, and answers in fragments to the world', () => {
    const large = Buffer.alloc(4000, 'large')
    const sockets = [near, far].map(({ namespace }) =>
      Socket.udp(namespace).bind({ ip: '0.0.0.0', port: 8083 }).allowFragments(),
    )
    const exchange = (asking: Socket, { question, pod }: { question: Buffer; pod: TestPod }): void => {
      const server = sockets[pod === near ? 0 : 1]!
      asking.send(question)
      const { data, from } = waitFor(() => server.receive())
      assert.deepEqual(data, question)
      server.sendTo(large, from)
      assert.deepEqual(waitFor(() => asking.receive()).data, large)
      asking.close()
    }
    for (const pod of [near, far]) {
      serve((host) => {
        const backends = backendsOf(host, [pod], 8083)
        return [
          { ...clusterIP(host, [], 'UDP'), backends },
          { ...nodePort(host, [], { protocol: 'UDP' }), backends, externalBackends: backends },
        ]
      })
      const inside = Socket.udp(client.namespace).allowFragments()
      inside.connect({ ip: SERVICE, port: 80 })
      exchange(inside, { question: large, pod })
      const outside = Socket.udp(cluster.wire)
      outside.connect({ ip: cluster.host(1).plan.address, port: NODE_PORT })
      exchange(outside, { question: Buffer.from('small'), pod })
    }
    for (const socket of sockets) socket.close()
  })

  for (const [what, to] of [
    ['a pod on this host', 'near'],
    ['a pod on another host', 'far'],
  ] as const)
    it(`carries a stream through a service to ${what}, and through node ports, byte by byte`, () => {
      const server = cluster.pod(to)
      const backends = (host: TestHost): ServiceBackend[] => backendsOf(host, [server], BULK_PORT)
      serve((host) => [
        { ...clusterIP(host, []), backends: backends(host) },
        { ...nodePort(host, []), port: BULK_NODE_PORT, backends: backends(host), externalBackends: backends(host) },
      ])
      const whole = { received: 16 * MEGABYTE, isIntact: true }
      const ends = { server: server.namespace, listenPort: BULK_PORT, bytes: 16 * MEGABYTE }
      assert.deepEqual(sendInBulk({ ...ends, client: client.namespace, ip: SERVICE, port: 80 }), whole)
      assert.deepEqual(
        sendInBulk({ ...ends, client: cluster.wire, ip: cluster.host(1).plan.address, port: BULK_NODE_PORT }),
        whole,
      )
      assert.deepEqual(sendInBulk({ ...ends, client: cluster.host(1).namespace, ip: SERVICE, port: 80 }), whole)
    })
}

/** Asks until there is something. */
function waitFor<Result>(ask: () => Result | undefined): Result {
  const deadline = performance.now() + WAIT_MS_MAX
  for (;;) {
    const result = ask()
    if (result !== undefined) return result
    assert.ok(performance.now() < deadline, `Nothing came within ${WAIT_MS_MAX} ms`)
  }
}

const BARE: ServiceFrontend = {
  vni: 1,
  ip: SERVICE,
  scope: 'cluster',
  port: 80,
  protocol: 'TCP',
  backends: [],
  whenEmpty: 'refuse',
  externalBackends: [],
  whenExternalEmpty: 'drop',
  draining: [],
  keepsSource: false,
  sourceRanges: undefined,
  affinitySeconds: 0,
  name: 'default/web:http',
}
