import assert from 'node:assert/strict'
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { describe, it } from 'node:test'
import { decode, encode } from 'dns-packet'
import { silentLogger } from '@centaurus/base'
import type { DnsLookups } from './answer.ts'
import { startDnsServer } from './dns-server.ts'

const many = Array.from({ length: 60 }, (_, i) => `10.244.1.${i}`)
const lookups: DnsLookups = {
  tenantOf: () => undefined,
  service: (_, name) =>
    name === 'many' ? { metadata: { namespace: 'd', name }, spec: { clusterIP: 'None' } } : undefined,
  slices: () => [{ metadata: {}, addressType: 'IPv4', endpoints: many.map((address) => ({ addresses: [address] })) }],
  serviceByAddress: () => undefined,
  hostnameByAddress: () => undefined,
}

describe('the DNS server', () => {
  it('answers a real resolver, over TCP when the answer is long, and forwards other names', async () => {
    const upstream = createSocket('udp4')
    upstream.on('message', (message, from) => {
      const query = decode(message)
      const answers = [{ type: 'A' as const, name: query.questions![0]!.name, ttl: 5, data: '203.0.113.9' }]
      upstream.send(
        encode({ type: 'response', id: query.id ?? 0, questions: query.questions ?? [], answers }),
        from.port,
        from.address,
      )
    })
    await new Promise<void>((resolve) => upstream.bind(0, '127.0.0.1', resolve))
    const upstreams = async (): Promise<string[]> => [`127.0.0.1:${upstream.address().port}`]
    let isKnown = true
    const server = await startDnsServer({
      address: '127.0.0.1',
      port: 0,
      domain: 'cluster.local',
      lookups,
      scopeOf: () => (isKnown ? { type: 'operator' } : { type: 'unknown' }),
      upstreams,
      logger: silentLogger,
    })
    const resolver = new Resolver()
    resolver.setServers([`127.0.0.1:${server.port}`])
    assert.deepEqual((await resolver.resolve4('many.d.svc.cluster.local')).sort(), many.toSorted())
    await assert.rejects(resolver.resolve4('none.d.svc.cluster.local'), { code: 'ENOTFOUND' })
    assert.deepEqual(await resolver.resolve4('elsewhere.example'), ['203.0.113.9'])
    isKnown = false
    await assert.rejects(resolver.resolve4('many.d.svc.cluster.local'), { code: 'ESERVFAIL' })
    await server.close()
    await new Promise<void>((resolve) => {
      upstream.close(() => resolve())
    })
  })

  it('ignores what is no DNS message', async () => {
    const server = await startDnsServer({
      address: '127.0.0.1',
      port: 0,
      domain: 'cluster.local',
      lookups,
      scopeOf: () => ({ type: 'operator' }),
      upstreams: async () => [],
      logger: silentLogger,
    })
    const client = createSocket('udp4')
    client.send(Buffer.from('hello'), server.port, '127.0.0.1')
    client.send(
      encode({ type: 'query', id: 7, questions: [{ type: 'A', name: 'lost.example' }] }),
      server.port,
      '127.0.0.1',
    )
    const answer = await new Promise<Buffer>((resolve) => client.once('message', resolve))
    assert.equal(decode(answer).id, 7, 'the first message got no answer')
    assert.equal(answer[3]! & 0x0f, 2, 'no upstream: SERVFAIL')
    client.close()
    await server.close()
  })
})
