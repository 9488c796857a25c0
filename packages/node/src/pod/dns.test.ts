import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Pod } from '@centaurus/api/core/v1'
import { makePod } from '../testing/pods.ts'
import { chooseResolvConf, parseResolvConf, podDns, podHostname, type DnsContext } from './dns.ts'

const context: DnsContext = {
  clusterDns: ['10.96.0.10'],
  clusterDomain: 'cluster.local',
  host: { servers: ['1.1.1.1'], searches: ['lan'], options: ['timeout:2'] },
}
const CLUSTER = {
  servers: ['10.96.0.10'],
  searches: ['default.svc.cluster.local', 'svc.cluster.local', 'cluster.local', 'lan'],
  options: ['ndots:5'],
}

type Config = ReturnType<typeof podDns>['config']

function configOf(spec: Parameters<typeof makePod>[0], changes: Partial<DnsContext> = {}): Config {
  return podDns(makePod(spec), { ...context, ...changes }).config
}

function ofTenant(spec: Parameters<typeof makePod>[0] = {}): Pod {
  const pod = makePod(spec)
  pod.metadata.namespace = 'default--acme'
  pod.metadata.annotations = { 'centaurus.io/tenant': 'acme', 'centaurus.io/namespace': 'default' }
  return pod
}

/** Source of the cases: kubernetes pkg/kubelet/network/dns/dns_test.go, v1.37. */
describe('podDns', () => {
  it('follows the policy', () => {
    assert.deepEqual(configOf({}), CLUSTER)
    assert.deepEqual(configOf({ dnsPolicy: 'ClusterFirst' }), CLUSTER)
    assert.deepEqual(configOf({ dnsPolicy: 'ClusterFirstWithHostNet' }), CLUSTER)
    assert.deepEqual(configOf({ dnsPolicy: 'ClusterFirstWithHostNet', hostNetwork: true }), CLUSTER)
    assert.deepEqual(configOf({ dnsPolicy: 'Nonsense' }), CLUSTER)
    for (const spec of [
      { dnsPolicy: 'Default' },
      { dnsPolicy: 'Default', hostNetwork: true },
      { dnsPolicy: 'ClusterFirst', hostNetwork: true },
      { hostNetwork: true },
    ])
      assert.deepEqual(configOf(spec), context.host, JSON.stringify(spec))
    assert.deepEqual(configOf({ dnsPolicy: 'None' }), { servers: [], searches: [], options: [] })
  })

  it('adds the pod’s own configuration, whose options win', () => {
    const dnsConfig = {
      nameservers: ['9.9.9.9', '10.96.0.10'],
      searches: ['corp.example', 'lan'],
      options: [{ name: 'ndots', value: '1' }, { name: 'edns0' }, { name: 'rotate', value: '' }],
    }
    assert.deepEqual(configOf({ dnsConfig }), {
      servers: ['10.96.0.10', '9.9.9.9'],
      searches: [...CLUSTER.searches, 'corp.example'],
      options: ['ndots:1', 'edns0', 'rotate'],
    })
    assert.deepEqual(configOf({ dnsPolicy: 'None', dnsConfig }), {
      servers: ['9.9.9.9', '10.96.0.10'],
      searches: ['corp.example', 'lan'],
      options: ['ndots:1', 'edns0', 'rotate'],
    })
    assert.deepEqual(configOf({ dnsPolicy: 'Default', dnsConfig: { options: [{ name: 'debug' }] } }), {
      ...context.host,
      options: ['timeout:2', 'debug'],
    })
  })

  it('leaves the cluster’s domains out when it has none, and says when it has no resolver', () => {
    assert.deepEqual(configOf({}, { clusterDomain: '' }).searches, ['lan'])
    const { config, warnings } = podDns(makePod(), { ...context, clusterDns: [] })
    assert.deepEqual(config, context.host)
    assert.deepEqual(
      warnings.map(({ reason }) => reason),
      ['MissingClusterDNS'],
    )
    assert.deepEqual(podDns(makePod({ dnsPolicy: 'Default' }), { ...context, clusterDns: [] }).warnings, [])
  })

  it('gives at most three nameservers, and says so', () => {
    const nameservers = ['9.9.9.1', '9.9.9.2', '9.9.9.3']
    const { config, warnings } = podDns(makePod({ dnsConfig: { nameservers } }), context)
    assert.deepEqual(config.servers, ['10.96.0.10', '9.9.9.1', '9.9.9.2'])
    assert.deepEqual(warnings, [
      {
        reason: 'DNSConfigForming',
        message:
          'Nameserver limits were exceeded, some nameservers have been omitted, the applied nameserver line is: 10.96.0.10 9.9.9.1 9.9.9.2',
      },
    ])
    assert.deepEqual(podDns(makePod({ dnsPolicy: 'None', dnsConfig: { nameservers } }), context).warnings, [])
  })

  it('gives at most 32 search domains of at most 253 characters, and 2048 in all', () => {
    const none = (searches: string[]): ReturnType<typeof podDns> =>
      podDns(makePod({ dnsPolicy: 'None', dnsConfig: { searches } }), context)
    const numbers = Array.from({ length: 33 }, (_, i) => `d${i}`)
    assert.deepEqual(none(numbers.slice(0, 32)).warnings, [])
    assert.deepEqual(none(numbers).config.searches, numbers.slice(0, 32))
    // 2048 = 128 + 15 × 127 + 15
    const whole = ['a'.repeat(128), ...Array.from({ length: 15 }, (_, i) => `${i}`.padStart(127, 'b'))]
    assert.equal(whole.join(' ').length, 2_048)
    assert.deepEqual(none(whole), { config: { servers: [], searches: whole, options: [] }, warnings: [] })
    assert.deepEqual(none([...whole, 'c']).config.searches, whole)
    const long = none(['x', 'y'.repeat(254), 'z'])
    assert.deepEqual(long.config.searches, ['x', 'z'])
    assert.deepEqual(long.warnings, [
      {
        reason: 'DNSConfigForming',
        message:
          'Search Line limits were exceeded, some search paths have been omitted, the applied search line is: x z',
      },
    ])
  })

  it('lets a tenant’s pod search by the names that the tenant gave, and by qualified ones in the host’s network', () => {
    assert.deepEqual(podDns(ofTenant(), context).config, CLUSTER)
    const onHost = ofTenant({ hostNetwork: true, dnsPolicy: 'ClusterFirstWithHostNet' })
    assert.deepEqual(podDns(onHost, context).config.searches, ['default--acme.svc.cluster.local', 'lan'])
    assert.equal(podHostname(ofTenant({ subdomain: 'db' }), 'cluster.local').domain, 'db.default.svc.cluster.local')
  })
})

describe('resolv.conf', () => {
  /** Source: TestParseResolvConf. Where upstream refuses to start pods, what can be read is used. */
  it('is read line by line, the last one of a kind counts', () => {
    const empty = { servers: [], searches: [], options: [] }
    for (const text of [
      '',
      ' ',
      '\n',
      '\t\n\t',
      '#comment\n',
      ' #comment\n',
      '#comment\nnameserver',
      'search ',
      'options ',
    ])
      assert.deepEqual(parseResolvConf(text), empty, JSON.stringify(text))
    for (const text of [
      'nameserver 1.2.3.4',
      ' nameserver 1.2.3.4',
      'nameserver\t1.2.3.4',
      'nameserver 1.2.3.4 #comment',
    ])
      assert.deepEqual(parseResolvConf(text), { ...empty, servers: ['1.2.3.4'] }, JSON.stringify(text))
    assert.deepEqual(parseResolvConf('search foo. bar .\nsearch bar. .').searches, ['bar', '.'])
    assert.deepEqual(parseResolvConf('domain foo').searches, [])
    assert.deepEqual(
      parseResolvConf(
        'nameserver 1.2.3.4\nsearch foo\nnameserver 5.6.7.8\nsearch bar\noptions a\noptions ndots:5 attempts:4',
      ),
      { servers: ['1.2.3.4', '5.6.7.8'], searches: ['bar'], options: ['ndots:5', 'attempts:4'] },
    )
  })

  it('is the one behind a resolver on the loopback, which pods can’t ask', () => {
    const stub = { servers: ['127.0.0.53'], searches: ['lan'], options: [] }
    const behind = { servers: ['192.0.2.53'], searches: ['lan'], options: [] }
    assert.equal(chooseResolvConf(stub, behind), behind)
    assert.equal(chooseResolvConf(stub, undefined), stub)
    assert.equal(chooseResolvConf({ ...stub, servers: ['127.0.0.1', '192.0.2.1'] }, behind).servers[1], '192.0.2.1')
    assert.equal(chooseResolvConf({ ...stub, servers: [] }, behind).servers.length, 0)
  })
})
