import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decode, encode, type Answer, type DecodedPacket } from 'dns-packet'
import { createSeededRandom } from '@centaurus/base'
import { parseForwarded } from './forwarded.ts'
import type { ForwarderOptions } from './forwarder.ts'
import { questionBytes, rcodeOf, type QuestionOptions } from './testing/messages.ts'
import { createTestResponder, type TestResponder } from './testing/responder.ts'
import { exampleZone, external, slice } from './testing/zone.ts'

const HOST = '127.0.0.1'
const POD_OF_ACME = '10.244.0.2'

interface Ask extends QuestionOptions {
  readonly from?: string
  readonly over?: 'udp' | 'tcp'
}

async function ask({ responder }: TestResponder, name: string, options: Ask = {}): Promise<DecodedPacket> {
  const { from = HOST, over = 'udp', ...question } = options
  const answer = await responder.respond(questionBytes(name, question), { from, over })
  return decode(answer!)
}

const dataOf = ({ answers = [] }: DecodedPacket): unknown[] =>
  answers.map((answer) => ('data' in answer ? answer.data : undefined))

/** A server that knows these names. */
function serverOf(answers: Record<string, Answer[]>): NonNullable<ForwarderOptions['exchange']> {
  return async (message) => {
    const { id = 0, questions = [] } = decode(message)
    const found = answers[questions[0]?.name ?? '']
    const flags = 0x180 | (found === undefined ? 3 : 0)
    return parseForwarded(encode({ type: 'response', id, flags, questions, answers: found ?? [] }), message)
  }
}

describe('the responder', () => {
  it('says with the zone’s SOA what does not exist and what has no such records', async () => {
    const world = createTestResponder()
    const nothing = await ask(world, 'svc0.testns.svc.cluster.local')
    const noData = await ask(world, 'svc1.testns.svc.cluster.local', { type: 'AAAA' })
    assert.deepEqual([rcodeOf(nothing), rcodeOf(noData)], ['NXDOMAIN', 'NOERROR'])
    for (const packet of [nothing, noData]) {
      const [soa] = packet.authorities ?? []
      assert.ok(soa?.type === 'SOA')
      assert.deepEqual([soa.name, soa.ttl, soa.data.minimum, packet.flag_aa], ['cluster.local', 30, 30, true])
    }
    assert.deepEqual(world.counters.queries.cluster, { NXDOMAIN: 1, NOERROR: 1 })
  })

  it('answers from what it knows, and denies nothing, before all was listed', async () => {
    const world = createTestResponder({ zone: { ...exampleZone(), isSynced: false } })
    assert.deepEqual(dataOf(await ask(world, 'svc1.testns.svc.cluster.local')), ['10.96.0.7'])
    assert.equal(rcodeOf(await ask(world, 'svc0.testns.svc.cluster.local')), 'SERVFAIL')
    assert.equal(rcodeOf(await ask(world, '99.0.96.10.in-addr.arpa', { type: 'PTR' })), 'SERVFAIL')
  })

  it('tells tenants of theirs, and those that it does not know of nothing', async () => {
    const world = createTestResponder({ exchange: async () => assert.fail('forwarded') })
    assert.deepEqual(dataOf(await ask(world, 'web.prod.svc.cluster.local', { from: POD_OF_ACME })), ['10.96.0.8'])
    assert.deepEqual(dataOf(await ask(world, 'web.prod.svc.cluster.local')), ['10.96.0.1'])
    for (const name of ['web.prod.svc.cluster.local', 'elsewhere.example'])
      assert.equal(rcodeOf(await ask(world, name, { from: '10.244.9.9' })), 'SERVFAIL')
    assert.deepEqual(world.counters.queries.refused, { SERVFAIL: 2 })
  })

  it('begins with another address each time', async () => {
    const world = createTestResponder()
    const firsts = new Set<unknown>()
    for (let i = 0; i < 4; i++) firsts.add(dataOf(await ask(world, 'hdls1.testns.svc.cluster.local'))[0])
    assert.deepEqual([...firsts].sort(), ['172.16.0.2', '172.16.0.3', '172.16.0.4', '172.16.0.5'])
  })

  it('cuts what does not fit over UDP, as much as the client takes, and gives the whole over TCP', async () => {
    const zone = exampleZone()
    zone.slices.push(
      slice(
        'testns',
        'hdls1',
        Array.from({ length: 200 }, (_, i) => `10.244.1.${i}`),
      ),
    )
    const world = createTestResponder({ zone })
    const name = 'hdls1.testns.svc.cluster.local'
    const sizes = [await ask(world, name), await ask(world, name, { udpBytes: 4_096 })].map((packet) => {
      assert.equal(packet.flag_tc, true)
      return packet.answers?.length
    })
    assert.deepEqual(sizes, [29, 73])
    const whole = await ask(world, name, { over: 'tcp' })
    assert.deepEqual([whole.flag_tc, whole.answers?.length], [false, 204])
    assert.equal(world.counters.truncated, 2)
  })

  it('adds what upstream says of an external name, for any type', async () => {
    const exchange = serverOf({
      'ext.interwebs.test': [
        { type: 'CNAME', name: 'ext.interwebs.test', ttl: 9, data: 'b.interwebs.test' },
        { type: 'A', name: 'b.interwebs.test', ttl: 8, data: '203.0.113.9' },
      ],
    })
    const world = createTestResponder({ exchange, upstreams: [{ host: '192.0.2.53', port: 53 }] })
    const answer = await ask(world, 'external.testns.svc.cluster.local')
    assert.deepEqual(dataOf(answer), ['ext.interwebs.test', 'b.interwebs.test', '203.0.113.9'])
    assert.equal(answer.answers?.[0]?.name, 'external.testns.svc.cluster.local')
    world.zone.services.push(external('testns', 'gone', 'gone.interwebs.test'))
    const gone = await ask(world, 'gone.testns.svc.cluster.local')
    assert.deepEqual([rcodeOf(gone), dataOf(gone)], ['NOERROR', ['gone.interwebs.test']])
  })

  it('fails rather than give half of what an external name leads to', async () => {
    const world = createTestResponder({
      exchange: async () => undefined,
      upstreams: [{ host: '192.0.2.53', port: 53 }],
    })
    world.zone.services.push(external('testns', 'long', `${'x'.repeat(64)}.example`))
    for (const name of ['external', 'long'])
      assert.equal(rcodeOf(await ask(world, `${name}.testns.svc.cluster.local`)), 'SERVFAIL', name)
  })

  it('fetches nothing for who does not want recursion, and says when no server answers', async () => {
    const world = createTestResponder({
      exchange: async () => undefined,
      upstreams: [{ host: '192.0.2.53', port: 53 }],
    })
    assert.equal(rcodeOf(await ask(world, 'x.example', { flags: 0 })), 'REFUSED')
    assert.equal(rcodeOf(await ask(world, 'x.example')), 'SERVFAIL')
    assert.deepEqual(world.counters.queries.forwarded, { REFUSED: 1, SERVFAIL: 1 })
  })

  it('answers any bytes with nothing or with a message that is not too long', async () => {
    const { responder } = createTestResponder({ exchange: async () => undefined })
    const random = createSeededRandom(3)
    const names = [
      'hdls1.testns.svc.cluster.local',
      '7.0.96.10.in-addr.arpa',
      'x.example',
      'external.testns.svc.cluster.local',
    ]
    for (let i = 0; i < 20_000; i++) {
      const name = names[i % names.length]!
      const bytes = questionBytes(name, { id: i })
      for (let j = random.integer(5); j > 0; j--) bytes[random.integer(bytes.byteLength)] = random.integer(256)
      const message = bytes.subarray(0, bytes.byteLength - (i % 3 === 0 ? random.integer(bytes.byteLength) : 0))
      const answer = await responder.respond(message, { from: i % 2 === 0 ? HOST : POD_OF_ACME, over: 'udp' })
      if (answer === undefined) continue
      assert.ok(answer.byteLength <= 1_232)
      assert.equal(answer.readUInt16BE(0), message.readUInt16BE(0))
      assert.equal(answer[2]! >> 7, 1)
    }
  })
})
