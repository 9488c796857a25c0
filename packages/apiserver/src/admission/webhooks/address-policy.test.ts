import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createAddressPolicy } from './address-policy.ts'

describe('the addresses of tenants’ webhooks', () => {
  it('are public ones', () => {
    const { allows } = createAddressPolicy([])
    const judge = (addresses: string[]): boolean[] => addresses.map(allows)
    assert.deepEqual(judge(['8.8.8.8', '172.15.0.1', '172.32.0.1', '2a00:1450:4001::1']), [true, true, true, true])
    for (const address of [
      '0.0.0.0',
      '10.1.2.3',
      '100.64.0.1',
      '127.0.0.1',
      '169.254.169.254',
      '172.16.0.1',
      '172.31.255.255',
      '192.168.1.1',
      '224.0.0.1',
      '255.255.255.255',
      '::',
      '::1',
      '::ffff:127.0.0.1',
      '::ffff:7f00:1',
      '64:ff9b::7f00:1',
      '2001:db8::1',
      '2002:7f00:1::',
      'fd00::1',
      'fe80::1%eth0',
      'ff02::1',
      'metadata.internal',
      '',
    ]) {
      assert.equal(allows(address), false, address)
    }
  })

  it('and those of networks that the operator opens', () => {
    const { allows, opens } = createAddressPolicy(['10.1.0.0/16', 'fd00:1::/32'])
    assert.deepEqual(['10.1.2.3', '10.2.0.1', 'fd00:1::5', 'fd00:2::5', '8.8.8.8'].map(allows), [
      true,
      false,
      true,
      false,
      true,
    ])
    assert.equal(opens('8.8.8.8'), false)
    for (const network of ['10.1.0.0', '10.1.0.0/33', 'x/8', '::/129']) {
      assert.throws(() => createAddressPolicy([network]), /is no network/)
    }
  })
})
