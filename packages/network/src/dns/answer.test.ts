import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { answerQuestion } from './answer.ts'
import type { DnsAnswer } from './dns-answer.ts'
import { TYPE } from './protocol.ts'
import { exampleZone, lookupsOf } from './testing/zone.ts'

type Type = keyof typeof TYPE

function answer(name: string, type: Type, tenant?: string): DnsAnswer {
  const context = { domain: 'cluster.local', address: '10.96.0.10', lookups: lookupsOf(exampleZone()), tenant }
  return answerQuestion({ name, type: TYPE[type] }, context)
}

/** Records as text, or what there is instead of records. */
function ask(name: string, type: Type = 'A', tenant?: string): string | string[] {
  const found = answer(name, type, tenant)
  if (found.type !== 'records') return found.type
  return [
    ...found.answers.map((record) => `${record.type} ${format('data' in record ? record.data : '')}`),
    ...(found.additionals ?? []).map((record) => `+${record.name} ${format('data' in record ? record.data : '')}`),
    ...(found.follow === undefined ? [] : [`-> ${found.follow}`]),
  ]
}

function format(data: unknown): string {
  return typeof data === 'string' ? data : Object.values(data as object).join(' ')
}

const SVC = 'testns.svc.cluster.local'
const SRV = 'testns.svc.cluster.local'

/** Source: CoreDNS plugin/kubernetes/handler_test.go, v1.15, with this zone's addresses, as far as it is IPv4. */
const CASES: readonly (readonly [name: string, type: Type, expected: string | readonly string[]])[] = [
  [`svc1.${SVC}`, 'A', ['A 10.96.0.7']],
  [`svc1.${SVC}`, 'AAAA', 'noData'],
  [`svc1.${SVC}`, 'TXT', 'noData'],
  [`svc1.${SVC}`, 'SOA', 'noData'],
  [`svc1.${SVC}`, 'CNAME', 'noData'],
  [`svc1.${SVC}`, 'SRV', [`SRV 0 100 80 svc1.${SRV}`, `+svc1.${SRV} 10.96.0.7`]],
  [`_http._tcp.svc1.${SVC}`, 'SRV', [`SRV 0 100 80 svc1.${SRV}`, `+svc1.${SRV} 10.96.0.7`]],
  [`_http._tcp.svc1.${SVC}`, 'A', ['A 10.96.0.7']],
  [`_http._udp.svc1.${SVC}`, 'SRV', 'notFound'],
  [`_https._tcp.svc1.${SVC}`, 'SRV', 'notFound'],
  [`ep1a.svc1.${SVC}`, 'A', ['A 172.16.0.1']],
  [`svc0.${SVC}`, 'A', 'notFound'],
  [`svc0.${SVC}`, 'AAAA', 'notFound'],
  [`svc0.${SVC}`, 'TXT', 'notFound'],
  ['svc0.svc-nons.svc.cluster.local', 'A', 'notFound'],
  [`hdls1.${SVC}`, 'A', ['A 172.16.0.2', 'A 172.16.0.3', 'A 172.16.0.4', 'A 172.16.0.5']],
  [`hdls1.${SVC}`, 'AAAA', 'noData'],
  [`172-16-0-2.hdls1.${SVC}`, 'A', ['A 172.16.0.2']],
  [`dup-name.hdls1.${SVC}`, 'A', ['A 172.16.0.4', 'A 172.16.0.5']],
  [`late.hdls1.${SVC}`, 'A', 'notFound'],
  [`bogusendpoint.hdls1.${SVC}`, 'A', 'notFound'],
  [`bogusendpoint.svc0.${SVC}`, 'A', 'notFound'],
  [
    `_http._tcp.hdls1.${SVC}`,
    'SRV',
    [
      `SRV 0 25 80 172-16-0-2.hdls1.${SRV}`,
      `SRV 0 25 80 172-16-0-3.hdls1.${SRV}`,
      `SRV 0 25 80 dup-name.hdls1.${SRV}`,
      `+172-16-0-2.hdls1.${SRV} 172.16.0.2`,
      `+172-16-0-3.hdls1.${SRV} 172.16.0.3`,
      `+dup-name.hdls1.${SRV} 172.16.0.4`,
      `+dup-name.hdls1.${SRV} 172.16.0.5`,
    ],
  ],
  [`hdlsprtls.${SVC}`, 'A', ['A 172.16.0.20']],
  [`172-16-0-20.hdlsprtls.${SVC}`, 'A', ['A 172.16.0.20']],
  [`hdlsprtls.${SVC}`, 'SRV', 'noData'],
  [`hdlsempty.${SVC}`, 'A', 'notFound'],
  [`external.${SVC}`, 'CNAME', ['CNAME ext.interwebs.test']],
  [`external.${SVC}`, 'A', ['CNAME ext.interwebs.test', '-> ext.interwebs.test']],
  [`external.${SVC}`, 'AAAA', ['CNAME ext.interwebs.test', '-> ext.interwebs.test']],
  [`external.${SVC}`, 'SRV', 'noData'],
  [`external-to-service.${SVC}`, 'A', [`CNAME svc1.${SVC}`, 'A 10.96.0.7']],
  [`external-to-service.${SVC}`, 'AAAA', 'noData'],
  [`external-to-nothing.${SVC}`, 'A', 'noData'],
  [`external-loop-a.${SVC}`, 'A', 'noData'],
  [`external-address.${SVC}`, 'A', 'notFound'],
  [`endpoint.external.${SVC}`, 'CNAME', 'notFound'],
  [`subdomain.subdomain.external.${SVC}`, 'CNAME', 'notFound'],
  [`_http._tcp.external.${SVC}`, 'SRV', 'notFound'],
  ['dns-version.cluster.local', 'TXT', ['TXT 1.1.0']],
  ['dns-version.cluster.local', 'A', 'noData'],
  ['x.dns-version.cluster.local', 'TXT', 'notFound'],
  ['svc.cluster.local', 'A', 'noData'],
  ['pod.cluster.local', 'A', 'noData'],
  [SVC, 'A', 'noData'],
  ['svc.cluster.local', 'NS', 'noData'],
  [SVC, 'NS', 'noData'],
  ['foo.cluster.local', 'NS', 'notFound'],
  ['foo.svc.cluster.local', 'NS', 'notFound'],
  ['cluster.local', 'A', 'noData'],
  ['cluster.local', 'AXFR', 'refused'],
  [
    'cluster.local',
    'NS',
    ['NS kube-dns.kube-system.svc.cluster.local', '+kube-dns.kube-system.svc.cluster.local 10.96.0.10'],
  ],
  ['cluster.local', 'SOA', ['SOA ns.dns.cluster.local hostmaster.cluster.local 1499347823 7200 1800 86400 30']],
  ['ns.dns.cluster.local', 'A', ['A 10.96.0.10']],
  ['10-240-0-1.testns.pod.cluster.local', 'A', ['A 10.240.0.1']],
  ['10-240-0-1.testns.pod.cluster.local', 'AAAA', 'noData'],
  ['10-240-0-1.pod-nons.pod.cluster.local', 'A', 'notFound'],
  ['10-240-0-256.testns.pod.cluster.local', 'A', 'notFound'],
  ['foo.testns.pod.cluster.local', 'A', 'notFound'],
  ['testns.pod.cluster.local', 'A', 'noData'],
  ['x.10-240-0-1.testns.pod.cluster.local', 'A', 'notFound'],
  ['7.0.96.10.in-addr.arpa', 'PTR', [`PTR svc1.${SVC}`]],
  ['4.0.16.172.in-addr.arpa', 'PTR', [`PTR dup-name.hdls1.${SVC}`]],
  ['2.0.16.172.in-addr.arpa', 'PTR', [`PTR 172-16-0-2.hdls1.${SVC}`]],
  ['6.0.16.172.in-addr.arpa', 'PTR', 'forward'],
  ['9.9.9.9.in-addr.arpa', 'PTR', 'forward'],
  ['96.10.in-addr.arpa', 'PTR', 'forward'],
  ['7.0.96.10.in-addr.arpa', 'A', 'forward'],
  // source: specification 1.1.0 has no wildcards, and CoreDNS none since 1.9
  [`*.${SVC}`, 'A', 'notFound'],
  ['svc1.*.svc.cluster.local', 'A', 'notFound'],
  [`*.svc1.${SVC}`, 'A', 'notFound'],
  [`*.*.svc1.${SVC}`, 'SRV', 'notFound'],
  ['kubernetes.io', 'A', 'forward'],
  ['notcluster.local', 'A', 'forward'],
  ['local', 'A', 'forward'],
  ['', 'A', 'forward'],
  [`a.b.c.svc1.${SVC}`, 'A', 'notFound'],
  // our own: there is something to say, so it is said
  [`svc1.${SVC}`, 'ANY', ['A 10.96.0.7']],
  ['7.0.96.10.in-addr.arpa', 'ANY', [`PTR svc1.${SVC}`]],
]

describe('answers about the cluster', () => {
  for (const [name, type, expected] of CASES) {
    it(`${type} ${name}`, () => {
      assert.deepEqual(ask(name, type), expected)
    })
  }

  it('knows the resolver by its usual name and address, whether or not there is a Service', () => {
    assert.deepEqual(ask('kube-dns.kube-system.svc.cluster.local'), ['A 10.96.0.10'])
    assert.deepEqual(ask('kube-dns.kube-system.svc.cluster.local', 'A', 'acme'), ['A 10.96.0.10'])
    assert.deepEqual(ask('10.0.96.10.in-addr.arpa', 'PTR'), ['PTR kube-dns.kube-system.svc.cluster.local'])
    assert.deepEqual(ask('10.0.96.10.in-addr.arpa', 'PTR', 'acme'), ['PTR kube-dns.kube-system.svc.cluster.local'])
    assert.equal(ask('kube-dns.default.svc.cluster.local'), 'notFound')
  })

  it('lets a name lead to itself no more than it leads to anything', () => {
    const zone = exampleZone()
    zone.services.push({
      metadata: { namespace: 'testns', name: 'self' },
      spec: { type: 'ExternalName', externalName: `self.${SVC}` },
    })
    const context = { domain: 'cluster.local', address: '10.96.0.10', lookups: lookupsOf(zone) }
    assert.equal(answerQuestion({ name: `self.${SVC}`, type: TYPE.A }, context).type, 'noData')
  })
})

describe('answers for tenants', () => {
  it('are about what the tenant has, by the names that it gave', () => {
    for (const name of ['web.prod', 'web.prod.default--acme', 'web.prod.svc.default--acme', 'web.prod--acme'])
      assert.deepEqual(ask(`${name}.svc.cluster.local`, 'A', 'acme'), ['A 10.96.0.8'], name)
    assert.deepEqual(ask('db-0.db.prod.svc.cluster.local', 'A', 'acme'), ['A 172.16.1.1'])
    assert.deepEqual(ask('_pg._tcp.db.prod.svc.cluster.local', 'SRV', 'acme'), [
      'SRV 0 50 5432 db-0.db.prod.svc.cluster.local',
      'SRV 0 50 5432 db-1.db.prod.svc.cluster.local',
      '+db-0.db.prod.svc.cluster.local 172.16.1.1',
      '+db-1.db.prod.svc.cluster.local 172.16.1.2',
    ])
    assert.deepEqual(ask('1.1.16.172.in-addr.arpa', 'PTR', 'acme'), ['PTR db-0.db.prod.svc.cluster.local'])
    assert.deepEqual(ask('8.0.96.10.in-addr.arpa', 'PTR', 'acme'), ['PTR web.prod.svc.cluster.local'])
    assert.deepEqual(ask('alias.prod.svc.cluster.local', 'A', 'acme'), [
      'CNAME web.default.svc.cluster.local',
      'A 10.96.0.9',
    ])
    assert.deepEqual(ask('10-1-2-3.prod.pod.cluster.local', 'A', 'acme'), ['A 10.1.2.3'])
    assert.equal(ask('prod.svc.cluster.local', 'A', 'acme'), 'noData')
  })

  it('tell nothing of others, not even that there is something', () => {
    for (const name of [
      'store.default',
      'web.prod--beta',
      'web.prod.default--beta',
      'web.default--system',
      'svc1.testns',
    ])
      assert.equal(ask(`${name}.svc.cluster.local`, 'A', 'acme'), 'notFound', name)
    for (const name of ['testns', 'prod--beta']) {
      assert.equal(ask(`${name}.svc.cluster.local`, 'A', 'acme'), 'notFound', name)
      assert.equal(ask(`10-1-2-3.${name}.pod.cluster.local`, 'A', 'acme'), 'notFound', name)
    }
    for (const address of ['7.0.96.10', '6.0.96.10', '1.0.16.172', '99.0.96.10'])
      assert.equal(ask(`${address}.in-addr.arpa`, 'PTR', 'acme'), 'forward', address)
    assert.equal(ask('1.1.16.172.in-addr.arpa', 'PTR', 'beta'), 'forward')
  })

  it('are found by operators with the tenant in the name', () => {
    const from = (name: string, namespace = 'default--acme'): unknown => ask(`${name}.${namespace}.svc.cluster.local`)
    assert.deepEqual(from('web'), ['A 10.96.0.9'])
    for (const name of ['web.prod', 'web.prod.svc', 'web.prod.svc.cluster.local'])
      assert.deepEqual(from(name), ['A 10.96.0.8'], name)
    assert.equal(from('store.default'), 'notFound', 'the system tenant’s is not the tenant’s')
    assert.equal(from('web.prod.prod.svc'), 'notFound')
    assert.equal(from('web.prod', 'default'), 'notFound')
    assert.deepEqual(ask('8.0.96.10.in-addr.arpa', 'PTR'), ['PTR web.prod--acme.svc.cluster.local'])
    assert.deepEqual(ask('alias.prod--acme.svc.cluster.local'), ['CNAME web.default.svc.cluster.local', 'A 10.96.0.9'])
  })
})
