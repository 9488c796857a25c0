import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, it } from 'node:test'
import { cidrKey, ctKey, endpoint, endpointKey, fragmentKey, hostState, list, type EndpointRecord } from './layouts.ts'
import { listStructs, renderLayouts } from './render.ts'
import { address, padding, struct, u16, u32, u8 } from './struct.ts'

const GENERATED = join(import.meta.dirname, '../../../../bpf/generated/layouts.h')

describe('Layouts shared with the kernel', () => {
  it('are what bpf/generated/layouts.h says', () => {
    assert.equal(readFileSync(GENERATED, 'utf8'), renderLayouts(), 'run: node packages/network/src/layouts/write.ts')
  })

  it('have the sizes and offsets that C asserts', () => {
    const sizes = Object.fromEntries(listStructs().map((item) => [item.name, item.size]))
    assert.equal(sizes['endpoint_key'], 20)
    assert.equal(sizes['endpoint'], 64)
    assert.equal(sizes['segment'], 12)
    assert.equal(sizes['list'], 4 + 64 * 12)
    assert.equal(sizes['ct_key'], 16)
    assert.equal(sizes['ct_entry'], 32)
    assert.equal(sizes['cidr_key'], 28)
    const offsetOf = (name: string): number | undefined => endpoint.fields.find((field) => field.name === name)?.offset
    assert.deepEqual([offsetOf('hostIP'), offsetOf('vni'), offsetOf('mac'), offsetOf('blockPrefix')], [16, 32, 52, 58])
    assert.equal(hostState.size % 4, 0)
  })

  it('write an IPv4 address as 16 bytes that IPv6 would also use', () => {
    const bytes = endpointKey.encode({ vni: 7, ip: '10.244.3.9' })
    assert.equal(bytes.toString('hex'), '0700000000000000000000000000ffff0af40309')
    assert.deepEqual(endpointKey.decode(bytes), { vni: 7, ip: '10.244.3.9' })
  })

  it('write what programs write for each flow as few words', () => {
    const key = { vni: 0x010203, protocol: 6, low: '10.0.0.1', high: '10.0.0.2', lowPort: 0x0405, highPort: 0x0607 }
    assert.equal(ctKey.encode(key).toString('hex'), '030201060a0000010a00000205040706')
    assert.throws(() => ctKey.encode({ ...key, vni: 2 ** 24 }), /of 24 bits must be an integer from 0 to 16777215/)
    assert.throws(() => ctKey.encode({ ...key, low: '::1' }), /must look like 10.244.3.7/)
  })

  it('come back as they went', () => {
    const value: EndpointRecord = {
      ip: '10.244.3.9',
      hostIP: '100.64.0.9',
      vni: 0xffffff,
      ifindex: 12,
      identity: 0xffffffff,
      policySet: 4095,
      routeDomain: 3,
      mac: '0a:ce:0a:f4:03:09',
      blockPrefix: 24,
      flags: 1,
      shaper: 4111,
    }
    assert.deepEqual(endpoint.decode(endpoint.encode(value)), value)
    const key = { vni: 0xfedcba, low: '10.0.0.1', high: '10.0.0.2', lowPort: 80, highPort: 65535, protocol: 132 }
    assert.deepEqual(ctKey.decode(ctKey.encode(key)), key)
    const segments = [{ start: 0, rule: 9, precedence: 65535, verdict: 1 }]
    const decoded = list.decode(list.encode({ count: 1, segments }))
    assert.equal(decoded.count, 1)
    assert.deepEqual(decoded.segments[0], segments[0])
  })

  it('leave padding zero, because it is part of a key', () => {
    const key = { prefixLength: 120, set: 1, direction: 0, ip: '10.0.0.0' }
    assert.equal(cidrKey.encode(key).length, 28)
    const bytes = fragmentKey.encode({ vni: 1, source: '1.1.1.1', destination: '2.2.2.2', id: 1, protocol: 17 })
    assert.equal(bytes.subarray(14).toString('hex'), '0000')
  })

  it('refuse what does not fit', () => {
    const small = struct('small', { a: u8, pad: padding(1), b: u16 })
    assert.throws(() => small.encode({ a: 256, b: 0 }), /must be an integer from 0 to 255: 256/)
    assert.throws(() => small.encode({ a: 1.5, b: 0 }), RangeError)
    assert.throws(() => small.decode(Buffer.alloc(3)), /struct small has 4 bytes, not 3/)
    assert.throws(() => struct('bad', { a: u8, b: u32 }), /padding must be named before b/)
    assert.throws(() => struct('bad', { b: u32, a: u8 }), /padding must be named at the end/)
    assert.throws(() => struct('one', { ip: address }).encode({ ip: '10.0.0.256' }), SyntaxError)
    assert.throws(() => endpointKey.encode({ vni: 1, ip: '::1' }), /must look like 10.244.3.7/)
  })
})
