import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Service, ServiceSpec } from '@centaurus/api/core/v1'
import type { Endpoint, EndpointSlice } from '@centaurus/api/discovery/v1'
import { planServices, type ServiceInputs, type ServicePlan } from './plan.ts'
import type { ServiceFrontend } from './service-tables.ts'

const HERE = 'node-a'
const PORT = { name: 'http', port: 80, targetPort: 'web', protocol: 'TCP' }

function service(spec: Partial<ServiceSpec> = {}, name = 'web', status: Service['status'] = undefined): Service {
  return {
    metadata: { namespace: 'default', name },
    spec: { type: 'ClusterIP', clusterIP: '10.96.0.10', ports: [PORT], ...spec },
    status,
  }
}

function endpoint(address: string, more: Partial<Endpoint> = {}): Endpoint {
  return {
    addresses: [address],
    nodeName: 'node-b',
    conditions: { ready: true, serving: true, terminating: false },
    ...more,
  }
}

function slice(endpoints: Endpoint[], more: Partial<EndpointSlice> = {}, of = 'web'): EndpointSlice {
  return {
    metadata: { namespace: 'default', name: `${of}-1`, labels: { 'kubernetes.io/service-name': of } },
    addressType: 'IPv4',
    ports: [{ name: 'http', port: 8080, protocol: 'TCP' }],
    endpoints,
    ...more,
  }
}

function plan(services: Service[], slices: EndpointSlice[], more: Partial<ServiceInputs> = {}): ServicePlan {
  return planServices({ services, slices, nodeName: HERE, zone: 'zone-1', networksOf: () => [7], ...more })
}

function only(services: Service[], slices: EndpointSlice[], more: Partial<ServiceInputs> = {}): ServiceFrontend {
  const { tables, skipped } = plan(services, slices, more)
  assert.equal(tables.frontends.length, 1, JSON.stringify(skipped))
  return tables.frontends[0] as ServiceFrontend
}

const ips = (list: readonly { ip: string }[]): string[] => list.map(({ ip }) => ip)
const LOCAL = { nodeName: HERE }
const ENDING = { conditions: { ready: false, serving: true, terminating: true } }
const GONE = { conditions: { ready: false, serving: false, terminating: true } }

describe('planServices', () => {
  it('serves a ClusterIP with the ready endpoints of its named port', () => {
    const frontend = only([service()], [slice([endpoint('10.244.2.2'), endpoint('10.244.1.9', LOCAL)])])
    assert.deepEqual(frontend, {
      vni: 7,
      ip: '10.96.0.10',
      scope: 'cluster',
      port: 80,
      protocol: 'TCP',
      backends: [
        { ip: '10.244.1.9', port: 8080, isLocal: true },
        { ip: '10.244.2.2', port: 8080, isLocal: false },
      ],
      whenEmpty: 'refuse',
      externalBackends: [],
      whenExternalEmpty: 'drop',
      draining: [],
      keepsSource: false,
      sourceRanges: undefined,
      affinitySeconds: 0,
      name: 'default/web:http',
    })
  })

  it('has nothing for headless Services, ExternalName, and those without an address yet', () => {
    const services = [
      service({ clusterIP: 'None' }, 'a'),
      service({ type: 'ExternalName', externalName: 'example.com', clusterIP: undefined }, 'b'),
      service({ clusterIP: '' }, 'c'),
    ]
    assert.deepEqual(plan(services, []), { tables: { frontends: [] }, healthChecks: [], skipped: [] })
  })

  it('serves node ports, external addresses and those of load balancers, except ones that are only proxied to', () => {
    const spec = { type: 'LoadBalancer', ports: [{ ...PORT, nodePort: 30_080 }], externalIPs: ['192.0.2.1'] }
    const ingress = [{ ip: '198.51.100.1' }, { ip: '198.51.100.2', ipMode: 'Proxy' }, { hostname: 'lb.example' }]
    const { tables } = plan([service(spec, 'web', { loadBalancer: { ingress } })], [slice([endpoint('10.244.2.2')])])
    assert.deepEqual(
      tables.frontends.map(({ ip, port, scope }) => [ip, port, scope]),
      [
        [undefined, 30_080, 'external'],
        ['10.96.0.10', 80, 'cluster'],
        ['192.0.2.1', 80, 'external'],
        ['198.51.100.1', 80, 'external'],
      ],
    )
  })

  it('keeps the source and uses only own pods with externalTrafficPolicy Local, but lets pods and the host reach all', () => {
    const spec = { type: 'NodePort', externalTrafficPolicy: 'Local', ports: [{ ...PORT, nodePort: 30_080 }] }
    const endpoints = [endpoint('10.244.1.9', LOCAL), endpoint('10.244.2.2')]
    const [nodePort] = plan([service(spec)], [slice(endpoints)]).tables.frontends
    assert.deepEqual(
      [nodePort?.keepsSource, ips(nodePort?.externalBackends ?? []), ips(nodePort?.backends ?? [])],
      [true, ['10.244.1.9'], ['10.244.1.9', '10.244.2.2']],
    )
  })

  it('drops what asks for local endpoints where others have some, and refuses when nobody has', () => {
    const spec = {
      type: 'NodePort',
      externalTrafficPolicy: 'Local',
      internalTrafficPolicy: 'Local',
      ports: [{ ...PORT, nodePort: 30_080 }],
    }
    const answers = (endpoints: Endpoint[]): unknown[] =>
      plan([service(spec)], [slice(endpoints)]).tables.frontends.map((frontend) => [
        frontend.scope,
        frontend.whenEmpty,
        frontend.whenExternalEmpty,
      ])
    assert.deepEqual(answers([endpoint('10.244.2.2')]), [
      ['external', 'refuse', 'drop'],
      ['cluster', 'drop', 'drop'],
    ])
    assert.deepEqual(answers([]), [
      ['external', 'refuse', 'refuse'],
      ['cluster', 'refuse', 'drop'],
    ])
  })

  it('takes endpoints that end but still serve only while none is ready, here and everywhere each for itself', () => {
    const spec = { internalTrafficPolicy: 'Local' }
    const mixed = [slice([endpoint('10.244.1.9', { ...LOCAL, ...ENDING }), endpoint('10.244.2.2')])]
    const everywhere = only([service()], mixed)
    assert.deepEqual([ips(everywhere.backends), ips(everywhere.draining)], [['10.244.2.2'], []])
    assert.deepEqual(ips(only([service(spec)], mixed).backends), ['10.244.1.9'])
    const ending = [slice([endpoint('10.244.1.9', ENDING), endpoint('10.244.2.2', GONE)])]
    const last = only([service()], ending)
    assert.deepEqual(
      [ips(last.backends), last.draining],
      [['10.244.1.9'], [{ ip: '10.244.2.2', port: 8080, isLocal: false, isServing: false }]],
    )
  })

  it('uses what slices call ready, though it does not serve (publishNotReadyAddresses)', () => {
    const notReady = endpoint('10.244.2.2', { conditions: { ready: true, serving: false, terminating: true } })
    assert.deepEqual(ips(only([service({ publishNotReadyAddresses: true })], [slice([notReady])]).backends), [
      '10.244.2.2',
    ])
    assert.deepEqual(ips(only([service()], [slice([endpoint('10.244.2.3', { conditions: {} })])]).backends), [
      '10.244.2.3',
    ])
  })

  it('has affinity for the stated time, three hours by default', () => {
    const seconds = (spec: Partial<ServiceSpec>): number => only([service(spec)], []).affinitySeconds
    const sessionAffinityConfig = { clientIP: { timeoutSeconds: 60 } }
    assert.equal(seconds({ sessionAffinity: 'ClientIP', sessionAffinityConfig }), 60)
    assert.equal(seconds({ sessionAffinity: 'ClientIP' }), 10_800)
    assert.equal(seconds({ sessionAffinity: 'None', sessionAffinityConfig }), 0)
  })

  it('sends to hosts as well as to pods, as for the API server', () => {
    const ports = [{ name: 'https', port: 443, protocol: 'TCP' }]
    const slices = [
      slice([endpoint('192.0.2.50', { nodeName: undefined })], {
        ports: [{ name: 'https', port: 6443, protocol: 'TCP' }],
      }),
    ]
    assert.deepEqual(only([service({ ports })], slices).backends, [{ ip: '192.0.2.50', port: 6443, isLocal: false }])
  })

  it('counts an endpoint once that is in two slices, in its better state', () => {
    const slices = [slice([endpoint('10.244.2.2', GONE)]), slice([endpoint('10.244.2.2')])]
    const { backends, draining } = only([service()], slices)
    assert.deepEqual([ips(backends), draining], [['10.244.2.2'], []])
  })

  it('asks a port by name and protocol', () => {
    const ports = [
      { name: 'http', port: 8080, protocol: 'TCP' },
      { name: 'http', port: 8081, protocol: 'UDP' },
      { name: 'metrics', port: 9090, protocol: 'TCP' },
    ]
    assert.deepEqual(
      only([service()], [slice([endpoint('10.244.2.2')], { ports })]).backends.map(({ port }) => port),
      [8080],
    )
  })

  it('limits load balancers to the stated source ranges, and lets nobody in when none can be read', () => {
    const ranges = (loadBalancerSourceRanges: string[]): [unknown, string[]] => {
      const status = { loadBalancer: { ingress: [{ ip: '198.51.100.1' }] } }
      const { tables, skipped } = plan([service({ type: 'LoadBalancer', loadBalancerSourceRanges }, 'web', status)], [])
      assert.equal(tables.frontends[0]?.sourceRanges, undefined)
      return [tables.frontends[1]?.sourceRanges, skipped.map(({ reason }) => reason)]
    }
    assert.deepEqual(ranges([' 192.0.2.77/24 ', '203.0.113.0/25']), [['192.0.2.0/24', '203.0.113.0/25'], []])
    assert.deepEqual(ranges(['everybody']), [[], ['spec.loadBalancerSourceRanges: "everybody" must be an IPv4 block']])
    assert.deepEqual(ranges([]), [undefined, []])
  })

  it('leaves out bad values with a reason and serves the rest', () => {
    const ports = [PORT, { name: 'odd', port: 81, protocol: 'DCCP' }]
    const spec = { ports, externalIPs: ['127.0.0.1', 'fd00::1', '192.0.2.1'] }
    const endpoints = [endpoint('224.0.0.5'), endpoint('10.244.2.2'), { addresses: [] }]
    const { tables, skipped } = plan([service(spec)], [slice(endpoints)])
    assert.deepEqual(ips(tables.frontends.map(({ ip = '' }) => ({ ip }))), ['10.96.0.10', '192.0.2.1'])
    assert.deepEqual(ips(tables.frontends[0]?.backends ?? []), ['10.244.2.2'])
    assert.deepEqual(skipped, [
      { service: 'default/web', reason: 'spec.externalIPs: "127.0.0.1" must be the IPv4 address of a host' },
      { service: 'default/web', reason: 'EndpointSlice web-1: "224.0.0.5" must be the IPv4 address of a host' },
      { service: 'default/web', reason: 'EndpointSlice web-1: "" must be the IPv4 address of a host' },
      { service: 'default/web', reason: 'Port 81: protocol "DCCP" must be TCP, UDP or SCTP' },
    ])
  })

  it('says why no network reaches a Service', () => {
    const { tables, skipped } = plan([service()], [], { networksOf: () => 'There is no Vpc "lab" in its tenant' })
    assert.deepEqual(
      [tables.frontends, skipped],
      [[], [{ service: 'default/web', reason: 'There is no Vpc "lab" in its tenant' }]],
    )
  })

  it('leaves out endpoints that are of no network of the Service, and says so once', () => {
    const strangersOf = () => (ip: string) => (ip === '10.244.2.3' ? `${ip} is a stranger` : undefined)
    const named = { ports: [...(service().spec!.ports ?? []), { name: 'more', port: 81, targetPort: 8081 }] }
    const all = [slice([endpoint('10.244.2.2'), endpoint('10.244.2.3')])]
    const { tables, skipped } = plan([service(named)], all, { strangersOf })
    assert.deepEqual(ips(tables.frontends[0]!.backends), ['10.244.2.2'])
    assert.deepEqual(tables.frontends[0]!.draining, [])
    assert.deepEqual(skipped, [{ service: 'default/web', reason: '10.244.2.3 is a stranger' }])
  })

  it('gives a contested address to the ClusterIP, then to the first by name', () => {
    const services = [
      service({ clusterIP: '10.96.0.10' }, 'a-victim'),
      service({ clusterIP: '10.96.0.11', externalIPs: ['10.96.0.10', '192.0.2.1'] }, 'a-thief'),
      service({ clusterIP: '10.96.0.12', externalIPs: ['192.0.2.1'] }, 'b-late'),
    ]
    const { tables, skipped } = plan(services, [], {
      networksOf: ({ metadata }) => [metadata.name === 'b-late' ? 9 : 7],
    })
    assert.deepEqual(
      tables.frontends.map(({ ip, vni, name }) => `${vni} ${ip} ${name}`),
      [
        '7 10.96.0.10 default/a-victim:http',
        '7 10.96.0.11 default/a-thief:http',
        '7 192.0.2.1 default/a-thief:http',
        '9 10.96.0.12 default/b-late:http',
      ],
    )
    assert.deepEqual(skipped, [
      { service: 'default/a-thief', reason: '10.96.0.10 TCP 80 is already served for default/a-victim:http' },
      { service: 'default/b-late', reason: '192.0.2.1 TCP 80 is already served for default/a-thief:http' },
    ])
  })

  it('lets tenants have equal ClusterIPs', () => {
    const { tables, skipped } = plan([service({}, 'a'), service({}, 'b')], [], {
      networksOf: ({ metadata }) => [metadata.name === 'a' ? 7 : 8],
    })
    assert.deepEqual([tables.frontends.map(({ vni }) => vni), skipped], [[7, 8], []])
  })

  it('serves a Service of several networks in each, at node ports once', () => {
    const web = service({ type: 'NodePort', ports: [{ ...PORT, nodePort: 30_080 }] })
    const { tables, skipped } = plan([web], [slice([endpoint('192.0.2.7')])], { networksOf: () => [9, 7] })
    assert.deepEqual(
      tables.frontends.map(({ vni, ip, port, backends }) => [vni, ip, port, ips(backends)]),
      [
        [7, '10.96.0.10', 80, ['192.0.2.7']],
        [9, undefined, 30_080, ['192.0.2.7']],
        [9, '10.96.0.10', 80, ['192.0.2.7']],
      ],
    )
    assert.deepEqual(skipped, [])
  })

  it('does not depend on the order of what it is given', () => {
    const services = [service({}, 'web'), service({ clusterIP: '10.96.0.11' }, 'db')]
    const slices = [slice([endpoint('10.244.2.2'), endpoint('10.244.2.3')]), slice([endpoint('10.244.3.2')], {}, 'db')]
    assert.deepEqual(plan(services, slices), plan(services.toReversed(), slices.toReversed()))
  })
})

describe('planServices with topology hints', () => {
  const zone = (name: string) => ({ hints: { forZones: [{ name }] } })
  const node = (name: string) => ({ hints: { forZones: [{ name: 'zone-1' }], forNodes: [{ name }] } })
  const near = (endpoints: Endpoint[], more: Partial<ServiceInputs> = {}): string[] =>
    ips(only([service()], [slice(endpoints)], more).backends)

  it('stays in the zone when every ready endpoint has a hint and one is for this zone', () => {
    assert.deepEqual(near([endpoint('10.244.1.1', zone('zone-1')), endpoint('10.244.2.1', zone('zone-2'))]), [
      '10.244.1.1',
    ])
  })

  it('goes everywhere when a hint is missing, none is for this zone, or the zone is not known', () => {
    const both = ['10.244.1.1', '10.244.2.1']
    assert.deepEqual(near([endpoint('10.244.1.1', zone('zone-1')), endpoint('10.244.2.1')]), both)
    assert.deepEqual(near([endpoint('10.244.1.1', zone('zone-2')), endpoint('10.244.2.1', zone('zone-2'))]), both)
    const hinted = [endpoint('10.244.1.1', zone('zone-1')), endpoint('10.244.2.1', zone('zone-2'))]
    assert.deepEqual(near(hinted, { zone: undefined }), both)
  })

  it('does not ask endpoints that are not ready for hints', () => {
    const endpoints = [
      endpoint('10.244.1.1', zone('zone-1')),
      endpoint('10.244.2.1', zone('zone-2')),
      endpoint('10.244.3.1', GONE),
    ]
    assert.deepEqual(near(endpoints), ['10.244.1.1'])
  })

  it('stays on the node with PreferSameNode, then in the zone', () => {
    assert.deepEqual(near([endpoint('10.244.1.1', node(HERE)), endpoint('10.244.2.1', node('node-b'))]), ['10.244.1.1'])
    assert.deepEqual(near([endpoint('10.244.1.1', node('node-c')), endpoint('10.244.2.1', zone('zone-2'))]), [
      '10.244.1.1',
    ])
  })
})

describe('planServices with health-check node ports', () => {
  const spec = { type: 'LoadBalancer', externalTrafficPolicy: 'Local', healthCheckNodePort: 32_000 }

  it('counts the ready endpoints of this host, each address once', () => {
    const ports = [PORT, { ...PORT, name: 'https', port: 443 }]
    const slices = [
      slice([endpoint('10.244.1.1', LOCAL), endpoint('10.244.1.2', { ...LOCAL, ...ENDING }), endpoint('10.244.2.1')], {
        ports: [
          { name: 'http', port: 8080, protocol: 'TCP' },
          { name: 'https', port: 8443, protocol: 'TCP' },
        ],
      }),
    ]
    assert.deepEqual(plan([service({ ...spec, ports })], slices).healthChecks, [
      { namespace: 'default', name: 'web', port: 32_000, localEndpoints: 1 },
    ])
  })

  it('has one only for load balancers with externalTrafficPolicy Local', () => {
    for (const other of [
      { type: 'NodePort' },
      { externalTrafficPolicy: 'Cluster' },
      { healthCheckNodePort: undefined },
    ])
      assert.deepEqual(plan([service({ ...spec, ...other })], []).healthChecks, [])
  })
})
