import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Service } from '@centaurus/api/core/v1'
import type { EndpointSlice } from '@centaurus/api/discovery/v1'
import { answerQuestion, type DnsAnswer, type DnsLookups } from './answer.ts'

const annotationsOf = (tenant: string, namespace: string): Record<string, string> => ({
  'centaurus.io/tenant': tenant,
  'centaurus.io/namespace': namespace,
})
const services: Record<string, Service> = {
  'default/web': {
    metadata: { namespace: 'default', name: 'web' },
    spec: { clusterIP: '10.96.0.7', ports: [{ name: 'http', port: 80, protocol: 'TCP' }] },
  },
  'default/store': { metadata: { namespace: 'default', name: 'store' }, spec: { clusterIP: 'None' } },
  'prod--acme/web': {
    metadata: { namespace: 'prod--acme', name: 'web', annotations: annotationsOf('acme', 'prod') },
    spec: { clusterIP: '10.96.0.8', ports: [{ name: 'http', port: 80, protocol: 'TCP' }] },
  },
  'default--acme/web': { metadata: { namespace: 'default--acme', name: 'web' }, spec: { clusterIP: '10.96.0.9' } },
  'prod--beta/web': { metadata: { namespace: 'prod--beta', name: 'web' }, spec: { clusterIP: '10.96.0.6' } },
  'prod/web': { metadata: { namespace: 'prod', name: 'web' }, spec: { clusterIP: '10.96.0.1' } },
  'default/out': {
    metadata: { namespace: 'default', name: 'out' },
    spec: { type: 'ExternalName', externalName: 'example.com' },
  },
}
const storeSlice: EndpointSlice = {
  metadata: { namespace: 'default', name: 's', labels: { 'kubernetes.io/service-name': 'store' } },
  addressType: 'IPv4',
  ports: [{ name: 'db', port: 5432, protocol: 'TCP' }],
  endpoints: [
    { addresses: ['10.244.0.5'], hostname: 'store-0' },
    { addresses: ['10.244.0.6'], hostname: 'store-1', conditions: { ready: false } },
  ],
}
const lookups: DnsLookups = {
  tenantOf: (namespace) => /--(acme|beta)$/.exec(namespace)?.[1],
  service: (namespace, name) => services[`${namespace}/${name}`],
  slices: (_, service) => (service === 'store' ? [storeSlice] : []),
  serviceByAddress: (address) => Object.values(services).find((service) => service.spec?.clusterIP === address),
  hostnameByAddress: (address) => (address === '10.244.0.5' ? { hostname: 'store-0', slice: storeSlice } : undefined),
}

const ask = (name: string, type: 'A' | 'AAAA' | 'SRV' | 'PTR' = 'A', tenant?: string): DnsAnswer =>
  answerQuestion({ name, type }, { domain: 'cluster.local', lookups, tenant })
const data = (answer: DnsAnswer): unknown =>
  answer.type === 'answer' ? answer.answers.map((record) => ('data' in record ? record.data : undefined)) : answer.type

describe('answerQuestion', () => {
  it('gives a service its ClusterIP, whatever the case', () => {
    assert.deepEqual(data(ask('web.default.svc.cluster.local')), ['10.96.0.7'])
    assert.deepEqual(data(ask('WEB.Default.svc.Cluster.Local.')), ['10.96.0.7'])
  })

  it('gives a headless service its ready pods, and each its own name', () => {
    assert.deepEqual(data(ask('store.default.svc.cluster.local')), ['10.244.0.5'])
    assert.deepEqual(data(ask('store-0.store.default.svc.cluster.local')), ['10.244.0.5'])
    assert.equal(data(ask('store-1.store.default.svc.cluster.local')), 'notFound')
  })

  it('answers SRV for named ports', () => {
    assert.deepEqual(data(ask('_db._tcp.store.default.svc.cluster.local', 'SRV')), [
      { priority: 0, weight: 100, port: 5432, target: 'store-0.store.default.svc.cluster.local' },
    ])
    assert.deepEqual(data(ask('_http._tcp.web.default.svc.cluster.local', 'SRV')), [
      { priority: 0, weight: 100, port: 80, target: 'web.default.svc.cluster.local' },
    ])
    assert.equal(data(ask('_nope._tcp.web.default.svc.cluster.local', 'SRV')), 'notFound')
  })

  it('follows external names, addresses in names, and addresses back', () => {
    assert.deepEqual(data(ask('out.default.svc.cluster.local')), ['example.com'])
    assert.deepEqual(data(ask('10-244-0-9.default.pod.cluster.local')), ['10.244.0.9'])
    assert.deepEqual(data(ask('7.0.96.10.in-addr.arpa', 'PTR')), ['web.default.svc.cluster.local'])
    assert.deepEqual(data(ask('5.0.244.10.in-addr.arpa', 'PTR')), ['store-0.store.default.svc.cluster.local'])
  })

  it('finds the namespaces of a tenant behind its pods’ search domain', () => {
    const from = (name: string, namespace = 'default--acme'): unknown =>
      data(ask(`${name}.${namespace}.svc.cluster.local`))
    assert.deepEqual(from('web'), ['10.96.0.9'])
    for (const name of ['web.prod', 'web.prod.svc', 'web.prod.svc.cluster.local']) {
      assert.deepEqual(from(name), ['10.96.0.8'], name)
    }
    assert.deepEqual(from('web.default'), ['10.96.0.9'])
    assert.equal(from('store.default'), 'notFound', 'the system tenant’s is not the tenant’s')
    assert.equal(from('web.prod.prod.svc'), 'notFound')
    assert.equal(from('web.prod', 'default'), 'notFound', 'the system tenant’s pods have the full search list')
  })

  it('finds for a tenant’s pod what its tenant has, by absolute names too, and nothing of others', () => {
    const from = (name: string, type?: 'SRV' | 'PTR'): unknown => data(ask(name, type, 'acme'))
    for (const name of ['web.prod', 'web.prod.default--acme', 'web.prod.svc.default--acme', 'web.prod--acme'])
      assert.deepEqual(from(`${name}.svc.cluster.local.`), ['10.96.0.8'], name)
    for (const name of [
      'store.default',
      'web.prod--beta',
      'web.prod.default--beta',
      'web.default--system',
      'out.default',
    ])
      assert.equal(from(`${name}.svc.cluster.local`), 'notFound', name)
    assert.deepEqual(from('8.0.96.10.in-addr.arpa', 'PTR'), ['web.prod.svc.cluster.local'])
    for (const address of ['7.0.96.10', '6.0.96.10', '5.0.244.10', '99.0.96.10'])
      assert.equal(from(`${address}.in-addr.arpa`, 'PTR'), 'forward', address)
    assert.deepEqual(from('_http._tcp.web.prod.svc.cluster.local', 'SRV'), [
      { priority: 0, weight: 100, port: 80, target: 'web.prod.svc.cluster.local' },
    ])
    assert.equal(from('kubernetes.io'), 'forward')
  })

  it('tells no such name, no such type and not ours apart', () => {
    assert.equal(data(ask('nope.default.svc.cluster.local')), 'notFound')
    assert.equal(data(ask('web.default.bogus.cluster.local')), 'notFound')
    assert.deepEqual(data(ask('web.default.svc.cluster.local', 'AAAA')), [])
    assert.equal(data(ask('kubernetes.io')), 'forward')
    assert.equal(data(ask('notcluster.local')), 'forward')
  })
})
