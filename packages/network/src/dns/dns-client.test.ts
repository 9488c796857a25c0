import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createManualClock } from '@centaurus/base'
import { createDnsScopes, type DnsClient } from './dns-client.ts'

const pods: Record<string, DnsClient> = {
  '10.244.0.2': { tenant: 'system', namespace: 'default' },
  '10.244.0.3': { tenant: 'acme', namespace: 'default' },
}

describe('who asks', () => {
  it('is known by the address of the pod, or is the host, or nobody', () => {
    const scopeOf = createDnsScopes({
      clock: createManualClock(),
      clientAt: (address) => pods[address],
      hostAddresses: () => ['127.0.0.1', '10.96.0.10', '192.0.2.1'],
    })
    assert.deepEqual(scopeOf('10.244.0.2'), { type: 'operator' })
    assert.deepEqual(scopeOf('10.244.0.3'), { type: 'tenant', tenant: 'acme' })
    for (const address of ['10.96.0.10', '127.0.0.1', '192.0.2.1'])
      assert.deepEqual(scopeOf(address), { type: 'operator' }, address)
    for (const address of ['10.244.0.99', '10.244.1.3', '192.0.2.2', '203.0.113.9'])
      assert.deepEqual(scopeOf(address), { type: 'unknown' }, address)
  })

  it('finds an address that the host got later, and reads them at most once a second', async () => {
    const clock = createManualClock()
    let reads = 0
    const addresses = ['127.0.0.1']
    const scopeOf = createDnsScopes({
      clock,
      clientAt: () => undefined,
      hostAddresses: () => {
        reads++
        return addresses
      },
    })
    addresses.push('192.0.2.1')
    for (let i = 0; i < 100; i++) assert.equal(scopeOf('192.0.2.1').type, 'unknown')
    assert.equal(reads, 1)
    await clock.advance(1_000)
    assert.equal(scopeOf('192.0.2.1').type, 'operator')
    assert.equal(reads, 2)
  })
})
