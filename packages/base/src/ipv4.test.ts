import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { doIpv4BlocksOverlap, formatIpv4, formatIpv4Block, parseIpv4, parseIpv4Block } from './ipv4.ts'

describe('IPv4 addresses as numbers', () => {
  it('reads canonical addresses and no others', () => {
    assert.equal(parseIpv4('10.0.0.1'), 167_772_161)
    assert.equal(parseIpv4('255.255.255.255'), 2 ** 32 - 1)
    for (const text of ['', '10.0.0', '10.0.0.1.2', '010.0.0.1', '256.0.0.1', '10.0.0.-1', ' 10.0.0.1', '::1'])
      assert.equal(parseIpv4(text), undefined, text)
  })

  it('writes what it read', () => {
    for (const text of ['0.0.0.0', '10.244.3.7', '255.255.255.255']) assert.equal(formatIpv4(parseIpv4(text)!), text)
  })

  it('reads blocks whose address is the first one', () => {
    assert.deepEqual(parseIpv4Block('10.244.3.0/24'), { first: parseIpv4('10.244.3.0')!, size: 256 })
    assert.deepEqual(parseIpv4Block('0.0.0.0/0'), { first: 0, size: 2 ** 32 })
    for (const text of ['10.244.3.1/24', '10.244.3.0', '10.244.3.0/33', '10.244.3.0/024', 'fd00::/8'])
      assert.equal(parseIpv4Block(text), undefined, text)
    for (const text of ['10.0.0.0/8', '10.244.3.0/24', '10.244.3.7/32'])
      assert.equal(formatIpv4Block(parseIpv4Block(text)!), text)
  })

  it('says which blocks have addresses in common', () => {
    const overlap = (a: string, b: string): boolean => doIpv4BlocksOverlap(parseIpv4Block(a)!, parseIpv4Block(b)!)
    assert.equal(overlap('10.0.0.0/8', '10.244.3.0/24'), true)
    assert.equal(overlap('10.244.3.0/24', '10.0.0.0/8'), true)
    assert.equal(overlap('10.244.3.0/24', '10.244.4.0/24'), false)
    assert.equal(overlap('10.244.3.0/24', '10.244.3.0/24'), true)
  })
})
