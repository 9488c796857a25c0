import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decode, type Answer } from 'dns-packet'
import { RCODE } from './protocol.ts'
import type { DnsQuery } from './query.ts'
import { encodeRefusal, encodeResponse, type DnsResponse } from './response.ts'
import { questionOf } from './testing/messages.ts'

function query(name: string, { edns = false } = {}): DnsQuery {
  return questionOf(name, { id: 77, ...(edns ? { udpBytes: 1232, wantsDnssec: true } : {}) })
}

const ok = (answers: Answer[], more: Partial<DnsResponse> = {}): DnsResponse => ({
  rcode: RCODE.NOERROR,
  isAuthoritative: true,
  answers,
  ...more,
})
const name = 'web.default.svc.cluster.local'
const soa: Answer = {
  type: 'SOA',
  name: 'cluster.local',
  ttl: 30,
  data: {
    mname: 'ns.dns.cluster.local',
    rname: 'hostmaster.cluster.local',
    serial: 5,
    refresh: 7200,
    retry: 1800,
    expire: 86_400,
    minimum: 30,
  },
}

describe('encodeResponse', () => {
  it('writes every kind of record so that others read it', () => {
    const records: Answer[] = [
      { type: 'A', name, ttl: 30, data: '10.96.0.255' },
      { type: 'CNAME', name: 'alias.default.svc.cluster.local', ttl: 30, data: name },
      { type: 'PTR', name: '1.0.96.10.in-addr.arpa', ttl: 30, data: `x.${name}` },
      { type: 'NS', name: 'cluster.local', ttl: 30, data: 'kube-dns.kube-system.svc.cluster.local' },
      { type: 'SRV', name: `_h._tcp.${name}`, ttl: 30, data: { priority: 1, weight: 2, port: 65_535, target: name } },
      soa,
      { type: 'TXT', name: 'dns-version.cluster.local', ttl: 28_800, data: '1.1.0' },
      { type: 'AAAA', name: 'x.example', ttl: 7, data: '2001:db8::1' },
      { type: 'MX', name: 'x.example', ttl: 7, data: { preference: 10, exchange: 'mail.x.example' } },
    ]
    const bytes = encodeResponse(query(name), ok(records), 65_535)
    const read = decode(bytes)
    const plain = (list: readonly Answer[] | undefined): unknown =>
      list?.map((record) => ({
        type: record.type,
        name: record.name,
        data: 'data' in record ? record.data : undefined,
      }))
    const expected = structuredClone(records)
    ;(expected[6] as { data: unknown }).data = [Buffer.from('1.1.0')]
    assert.deepEqual(plain(read.answers), plain(expected))
    assert.equal(read.id, 77)
    assert.deepEqual(
      [read.flag_qr, read.flag_aa, read.flag_ra, read.flag_rd, read.flag_tc],
      [true, true, true, true, false],
    )
  })

  it('repeats the question letter by letter, and points to it', () => {
    const bytes = encodeResponse(
      query('wEb.DEFAULT.svc.cluster.LOCAL'),
      ok([{ type: 'A', name, ttl: 30, data: '10.0.0.1' }]),
      512,
    )
    const read = decode(bytes)
    assert.equal(read.questions?.[0]?.name, 'wEb.DEFAULT.svc.cluster.LOCAL')
    assert.equal(read.answers?.[0]?.name, 'wEb.DEFAULT.svc.cluster.LOCAL')
    assert.equal(bytes.byteLength, 12 + 31 + 4 + 16)
  })

  it('writes a domain once, however many names are in it', () => {
    const pointer = (i: number): Answer => ({
      type: 'PTR',
      name,
      ttl: 30,
      data: `pod-${i}.store.default.svc.cluster.local`,
    })
    const one = encodeResponse(query(name), ok([pointer(1)]), 65_535)
    const two = encodeResponse(query(name), ok([pointer(1), pointer(2)]), 65_535)
    assert.equal(two.byteLength - one.byteLength, 12 + 6 + 2)
    assert.equal(decode(two).answers?.[1]?.type === 'PTR' && decode(two).answers?.[1]?.name, name)
  })

  it('leaves out what does not fit and says so, but not for what may be missing', () => {
    const many = Array.from({ length: 100 }, (_, i): Answer => ({ type: 'A', name, ttl: 30, data: `10.244.1.${i}` }))
    for (const edns of [false, true]) {
      const cut = encodeResponse(query(name, { edns }), ok(many), 512)
      assert.ok(cut.byteLength <= 512)
      const read = decode(cut)
      assert.equal(read.flag_tc, true)
      assert.equal(read.answers?.length, edns ? 28 : 29)
    }
    assert.equal(decode(encodeResponse(query(name), ok(many), 65_535)).answers?.length, 100)
    const extra = decode(encodeResponse(query(name), ok([many[0]!], { additionals: many }), 512))
    assert.deepEqual([extra.flag_tc, extra.answers?.length, extra.additionals?.length], [false, 1, 28])
  })

  it('answers EDNS with EDNS, and codes beyond 15 in it', () => {
    const read = decode(encodeResponse(query(name, { edns: true }), ok([], { authorities: [soa] }), 512))
    const option = read.additionals?.[0]
    assert.ok(option?.type === 'OPT')
    assert.deepEqual([option.udpPayloadSize, option.flag_do, read.authorities?.length], [1232, true, 1])
    const bytes = encodeResponse(query(name, { edns: true }), ok([], { rcode: RCODE.BADVERS }), 512)
    const refused = decode(bytes).additionals?.[0]
    assert.deepEqual([bytes[3]! & 0xf, refused?.type === 'OPT' && refused.extendedRcode], [0, 1])
    assert.equal(decode(encodeResponse(query(name), ok([]), 512)).additionals?.length, 0)
  })

  it('throws for names that can’t be written', () => {
    for (const data of ['x'.repeat(64), 'a..b'])
      assert.throws(() => encodeResponse(query(name), ok([{ type: 'CNAME', name, ttl: 1, data }]), 512), RangeError)
  })

  it('refuses what it can’t read with the header alone', () => {
    const bytes = encodeRefusal(query(name).message, RCODE.FORMERR)
    assert.deepEqual([bytes.byteLength, bytes.readUInt16BE(0), bytes.readUInt16BE(2)], [12, 77, 0x8101])
  })
})
