import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { createSeededRandom } from '@centaurus/base'
import { RCODE, TYPE } from './protocol.ts'
import { parseQuery, udpLimit, type DnsQuery } from './query.ts'
import { questionBytes } from './testing/messages.ts'

function queryOf(bytes: Buffer): DnsQuery {
  const parsed = parseQuery(bytes)
  assert.equal(parsed.type, 'query')
  return (parsed as Extract<typeof parsed, { type: 'query' }>).query
}

function refusalOf(bytes: Buffer): number | string {
  const parsed = parseQuery(bytes)
  return parsed.type === 'refused' ? parsed.rcode : parsed.type
}

const plain = questionBytes('WeB.Default.svc', { id: 7 })

describe('parseQuery', () => {
  it('reads a question, whatever the case', () => {
    const { id, name, type, edns, questionEnd } = queryOf(plain)
    assert.deepEqual({ id, name, type, edns }, { id: 7, name: 'web.default.svc', type: TYPE.A, edns: undefined })
    assert.equal(questionEnd, plain.byteLength)
  })

  it('reads how much a client takes, within limits', () => {
    assert.equal(udpLimit(queryOf(plain)), 512)
    for (const [size, limit] of [
      [100, 512],
      [900, 900],
      [4096, 1232],
    ] as const)
      assert.equal(udpLimit(queryOf(questionBytes('a.b', { udpBytes: size }))), limit)
  })

  it('tells names apart that differ in a dot within a label, or in letters beyond ASCII', () => {
    const name = (labels: string[]): string => {
      const parts = labels.map((label) => Buffer.concat([Buffer.from([label.length]), Buffer.from(label, 'latin1')]))
      return queryOf(Buffer.concat([plain.subarray(0, 12), ...parts, Buffer.from([0, 0, 1, 0, 1])])).name
    }
    assert.equal(name(['a', 'b']), 'a.b')
    assert.equal(name(['a.b']), 'a\\046b')
    assert.notEqual(name(['\u00c0']), name(['\u00e0']))
    assert.equal(name(['*', 'x']), '\\042.x')
  })

  it('refuses what is no question that is answered here', () => {
    const changed = (at: number, value: number): Buffer => {
      const bytes = Buffer.from(plain)
      bytes.writeUInt16BE(value, at)
      return bytes
    }
    assert.equal(refusalOf(changed(2, 0x8000)), 'ignored', 'an answer')
    assert.equal(refusalOf(Buffer.from('hello')), 'ignored')
    assert.equal(refusalOf(changed(2, 0x2800)), RCODE.NOTIMP, 'an update')
    assert.equal(refusalOf(changed(4, 0)), RCODE.FORMERR, 'no question')
    assert.equal(refusalOf(changed(4, 2)), RCODE.FORMERR, 'two questions')
    assert.equal(refusalOf(changed(6, 1)), RCODE.FORMERR, 'with answers')
    assert.equal(refusalOf(changed(10, 1)), RCODE.FORMERR, 'a record that is not there')
    assert.equal(refusalOf(changed(plain.byteLength - 2, 3)), RCODE.REFUSED, 'another class')
    assert.equal(refusalOf(plain.subarray(0, 20)), RCODE.FORMERR, 'cut')
    assert.equal(refusalOf(changed(12, 0xc00c)), RCODE.FORMERR, 'a name that points to itself')
    assert.equal(refusalOf(questionBytes('a.b', { udpBytes: 512, ednsVersion: 1 })), RCODE.BADVERS)
  })

  it('takes any bytes', () => {
    const random = createSeededRandom(1)
    for (let i = 0; i < 20_000; i++) {
      const bytes = Buffer.from(i % 2 === 0 ? questionBytes('a.b', { udpBytes: 512 }) : plain)
      for (let j = random.integer(6); j >= 0; j--) bytes[random.integer(bytes.byteLength)] = random.integer(256)
      const cut = bytes.subarray(0, random.integer(bytes.byteLength + 1))
      const parsed = parseQuery(cut)
      if (parsed.type === 'query') assert.ok(parsed.query.questionEnd <= cut.byteLength)
    }
  })
})
