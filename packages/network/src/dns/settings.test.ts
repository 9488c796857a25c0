import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatUpstream, isPublic, listOf, parseUpstream } from './addresses.ts'
import { chooseUpstreams, type UpstreamSources } from './choose-upstreams.ts'
import { parseSettings, type ParsedSettings } from './settings.ts'

const cluster = { domain: 'cluster.local', address: '10.96.0.10' }
const byOperators = (data: Record<string, string>): ParsedSettings =>
  parseSettings(data, { ...cluster, tenantNetworks: undefined })
const byTenant = (data: Record<string, string>, networks: string[] = []): ParsedSettings =>
  parseSettings(data, { ...cluster, tenantNetworks: listOf(networks) })
const shown = ({ settings }: ParsedSettings): unknown => ({
  stubs: Object.fromEntries(settings.stubDomains.map(({ domain, servers }) => [domain, servers.map(formatUpstream)])),
  upstreams: settings.upstreams?.map(formatUpstream),
})

describe('the ConfigMap centaurus-dns', () => {
  it('is read as kube-dns’ was', () => {
    const parsed = byOperators({
      stubDomains: '{"Corp.Example.": ["10.0.0.1", "[fd00::1]:5353"], "0.10.in-addr.arpa": ["10.0.0.1"]}',
      upstreamNameservers: '["9.9.9.9", "8.8.8.8:5353"]',
      tenantNetworks: '["10.20.0.0/16", "fd00::/8"]',
    })
    assert.deepEqual(parsed.problems, [])
    assert.deepEqual(shown(parsed), {
      stubs: { 'corp.example': ['10.0.0.1:53', '[fd00::1]:5353'], '0.10.in-addr.arpa': ['10.0.0.1:53'] },
      upstreams: ['9.9.9.9:53', '8.8.8.8:5353'],
    })
    assert.ok(parsed.settings.tenantNetworks.check('10.20.3.4'))
    assert.deepEqual(byOperators({}).problems, [])
  })

  it('is used without what is wrong in it, which is told', () => {
    const parsed = byOperators({
      stubDomains: JSON.stringify({
        'good.example': ['192.0.2.1', 'nonsense', '192.0.2.2:99999'],
        'bad..example': ['192.0.2.1'],
        'x.cluster.local': ['192.0.2.1'],
        'list.example': '192.0.2.1',
        'none.example': ['ns.example'],
      }),
      upstreamNameservers: '["10.96.0.10", "9.9.9.9", "1.1.1.1", "8.8.8.8"]',
      tenantNetworks: '["10.20.0.0/33", "10.21.0.0/16"]',
      upstreamNameserver: '[]',
    })
    assert.deepEqual(shown(parsed), {
      stubs: { 'good.example': ['192.0.2.1:53'] },
      upstreams: ['9.9.9.9:53', '1.1.1.1:53'],
    })
    assert.deepEqual(parsed.problems, [
      'upstreamNameserver is not used here: the keys are stubDomains, upstreamNameservers, tenantNetworks',
      'stubDomains["good.example"]: "nonsense" must be an IP address, with a port if need be, such as 192.0.2.53 or 192.0.2.53:5353',
      'stubDomains["good.example"]: "192.0.2.2:99999" must be an IP address, with a port if need be, such as 192.0.2.53 or 192.0.2.53:5353',
      'stubDomains: "bad..example" must be a domain name, such as corp.example',
      'stubDomains: "x.cluster.local" must not be within cluster.local, which the cluster answers itself',
      'stubDomains["list.example"] must be a list of addresses, such as ["192.0.2.53"]',
      'stubDomains["none.example"]: "ns.example" must be an IP address, with a port if need be, such as 192.0.2.53 or 192.0.2.53:5353',
      'upstreamNameservers must have at most 3 servers: only the first ones are used',
      "upstreamNameservers: 10.96.0.10:53 must not be the cluster's own resolver, which would ask itself",
      'tenantNetworks: "10.20.0.0/33" must be a network such as 10.1.0.0/16',
    ])
  })

  it('is no reason to fail, whatever it holds', () => {
    for (const text of ['', ' ', '{', 'null', '3', '[]', '{}', '[1]', '"x"', '{"a":{}}', '{"":[]}']) {
      for (const key of ['stubDomains', 'upstreamNameservers', 'tenantNetworks']) {
        const { settings } = byOperators({ [key]: text })
        assert.deepEqual([settings.stubDomains, settings.upstreams], [[], undefined], `${key} ${text}`)
      }
    }
    assert.match(byOperators({ stubDomains: '{' }).problems[0] ?? '', /^stubDomains must be JSON: /)
  })

  it('leads tenants to the internet, and to what operators opened', () => {
    const upstreamNameservers = '["10.20.0.1", "127.0.0.1", "9.9.9.9"]'
    assert.deepEqual(shown(byTenant({ upstreamNameservers })), { stubs: {}, upstreams: ['9.9.9.9:53'] })
    assert.deepEqual(byTenant({ upstreamNameservers }).problems, [
      'upstreamNameservers: 10.20.0.1:53 must be an address of the internet, or in a network that operators opened',
      'upstreamNameservers: 127.0.0.1:53 must be an address of the internet, or in a network that operators opened',
    ])
    assert.deepEqual(shown(byTenant({ upstreamNameservers }, ['10.20.0.0/16'])), {
      stubs: {},
      upstreams: ['10.20.0.1:53', '9.9.9.9:53'],
    })
    assert.deepEqual(byTenant({ tenantNetworks: '["0.0.0.0/0"]' }).problems, [
      'tenantNetworks is not used here: the keys are stubDomains, upstreamNameservers',
    ])
    for (const address of ['10.0.0.1', '169.254.169.254', '::1', '::ffff:9.9.9.9', 'fd00::1', '2002:a00::1', 'x'])
      assert.equal(isPublic(address), false, address)
    for (const address of ['9.9.9.9', '2620:fe::fe']) assert.equal(isPublic(address), true, address)
  })

  it('names servers by address', () => {
    for (const text of ['', 'x', '1.2.3', '1.2.3.4:', '1.2.3.4:0', '1.2.3.4:65536', '[1.2.3.4', 'fd00::1:53:x'])
      assert.equal(parseUpstream(text), undefined, text)
    assert.deepEqual(parseUpstream('[fd00::1]'), { host: 'fd00::1', port: 53 })
  })
})

describe('chooseUpstreams', () => {
  const operators = byOperators({
    stubDomains: '{"corp.example": ["10.0.0.1"], "deep.shared.example": ["10.0.0.2"]}',
    upstreamNameservers: '["10.0.0.3"]',
  }).settings
  const acme = byTenant({
    stubDomains: '{"corp.example": ["9.9.9.1"], "shared.example": ["9.9.9.2"]}',
    upstreamNameservers: '["9.9.9.3"]',
  }).settings
  const sources = (clusterSettings = true): UpstreamSources => ({
    settingsOf: (tenant) => (tenant === 'acme' ? acme : undefined),
    clusterSettings: () => (clusterSettings ? operators : undefined),
    hostUpstreams: () => [{ host: '192.0.2.53', port: 53 }],
  })
  const chosen = (name: string, tenant?: string, isSet?: boolean): string => {
    const { owner, servers } = chooseUpstreams(name, tenant, sources(isSet))
    return `${owner}:${servers.map(({ host }) => host).join()}`
  }

  it('takes the longest stub domain, a tenant’s before the cluster’s, then upstream servers', () => {
    assert.equal(chosen('a.corp.example', 'acme'), 'acme:9.9.9.1')
    assert.equal(chosen('corp.example', 'beta'), ':10.0.0.1')
    assert.equal(chosen('corp.example'), ':10.0.0.1')
    assert.equal(chosen('a.shared.example', 'acme'), 'acme:9.9.9.2')
    assert.equal(chosen('a.deep.shared.example', 'acme'), ':10.0.0.2')
    assert.equal(chosen('notcorp.example', 'acme'), 'acme:9.9.9.3')
    assert.equal(chosen('x.example', 'beta'), ':10.0.0.3')
    assert.equal(chosen('x.example', 'beta', false), ':192.0.2.53')
    assert.equal(chosen('x.example', undefined, false), ':192.0.2.53')
  })
})
