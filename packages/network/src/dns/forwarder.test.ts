import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { decode, encode, type Answer } from 'dns-packet'
import { createManualClock, createSeededRandom, type ManualClock } from '@centaurus/base'
import type { DnsUpstream } from './addresses.ts'
import { CACHE_LIMITS } from './answer-cache.ts'
import { createDnsCounters, type DnsCounters } from './counters.ts'
import { Forwarder, FORWARDS_OF_ONE_MAX } from './forwarder.ts'
import { parseForwarded, type ForwardedAnswer } from './forwarded.ts'
import type { DnsQuery } from './query.ts'
import { questionOf, rcodeOf } from './testing/messages.ts'

function query(name: string, type: 'A' | 'AAAA' = 'A', id = 1): DnsQuery {
  return questionOf(name, { type, id })
}

type Reply = (name: string) => { rcode?: number; answers?: Answer[]; authorities?: Answer[] } | undefined

/** An upstream that answers at once, with what a name server would send. */
function answerOf(message: Buffer, reply: ReturnType<Reply>): ForwardedAnswer | undefined {
  if (reply === undefined) return undefined
  const { id = 0, questions = [] } = decode(message)
  const { rcode = 0, answers = [], authorities = [] } = reply
  return parseForwarded(
    encode({ type: 'response', id, flags: 0x180 | rcode, questions, answers, authorities }),
    message,
  )
}

interface World {
  readonly clock: ManualClock
  readonly counters: DnsCounters
  readonly forwarder: Forwarder
  readonly asked: string[]
  readonly replies: Record<string, Reply>
}

function createWorld(cacheLimits = CACHE_LIMITS): World {
  const clock = createManualClock()
  const counters = createDnsCounters()
  const asked: string[] = []
  const replies: Record<string, Reply> = {}
  const forwarder = new Forwarder({
    clock,
    random: createSeededRandom(1),
    counters,
    cacheLimits,
    exchange: async (message, { host }: DnsUpstream) => {
      const { name = '' } = decode(message).questions?.[0] ?? {}
      asked.push(`${host} ${name}`)
      return answerOf(message, replies[host]?.(name))
    },
  })
  return { clock, counters, forwarder, asked, replies }
}

const servers = (...hosts: string[]): { owner: string; servers: DnsUpstream[] } => ({
  owner: '',
  servers: hosts.map((host) => ({ host, port: 53 })),
})
const address = (name: string, ttl: number): Answer => ({ type: 'A', name, ttl, data: '203.0.113.9' })
const one = { asker: '', limit: 512 }

describe('forwarding', () => {
  it('asks the next server when one is silent or fails, and that one last for a while', async () => {
    const { forwarder, replies, asked, counters, clock } = createWorld()
    replies['b'] = () => ({ rcode: 2 })
    replies['c'] = (name) => ({ answers: [address(name, 60)] })
    const choice = servers('a', 'b', 'c')
    const answer = await forwarder.resolve(query('x.example', 'A', 99), choice, one)
    assert.equal(decode(answer!).id, 99)
    assert.equal(decode(answer!).answers?.length, 1)
    assert.deepEqual(asked, ['a x.example', 'b x.example', 'c x.example'])
    await forwarder.resolve(query('y.example'), choice, one)
    assert.deepEqual(asked.slice(3), ['b y.example', 'c y.example'], 'a is asked last')
    await clock.advance(5_000)
    await forwarder.resolve(query('z.example'), choice, one)
    assert.equal(asked[5], 'a z.example')
    assert.deepEqual(counters.forwards, { answered: 3, failed: 0, retried: 5, overload: 0 })
  })

  it('gives the failure of the last server on, and nothing when all are silent', async () => {
    const { forwarder, replies } = createWorld()
    replies['b'] = () => ({ rcode: 5 })
    assert.equal(rcodeOf(decode((await forwarder.resolve(query('x.example'), servers('a', 'b'), one))!)), 'REFUSED')
    assert.equal(await forwarder.resolve(query('x.example'), servers('a'), one), undefined)
    assert.equal(await forwarder.resolve(query('x.example'), servers(), one), undefined)
  })

  it('remembers answers as long as they say, and counts their time down', async () => {
    const { forwarder, replies, asked, counters, clock } = createWorld()
    replies['a'] = (name) => ({ answers: [address(name, 60)] })
    const ttl = async (name: string): Promise<number | undefined> => {
      const first = decode((await forwarder.resolve(query(name), servers('a'), one))!).answers?.[0]
      return first?.type === 'A' ? first.ttl : undefined
    }
    assert.equal(await ttl('x.example'), 60)
    await clock.advance(20_000)
    assert.equal(await ttl('X.EXAMPLE'), 40)
    assert.equal(asked.length, 1)
    await clock.advance(40_000)
    assert.equal(await ttl('x.example'), 60)
    assert.deepEqual([asked.length, counters.cacheHits, counters.cacheMisses], [2, 1, 2])
    await forwarder.resolve(query('x.example', 'AAAA'), servers('a'), one)
    assert.equal(asked.length, 3, 'another type is another question')
  })

  it('remembers that something does not exist for a shorter time, and failures not at all', async () => {
    const { forwarder, replies, asked, clock } = createWorld()
    const data = { mname: 'ns.example', rname: 'x.example', minimum: 3_600 }
    replies['a'] = () => ({ rcode: 3, authorities: [{ type: 'SOA', name: 'example', ttl: 7_200, data }] })
    const ask = async (): Promise<void> => void (await forwarder.resolve(query('x.example'), servers('a'), one))
    await ask()
    await clock.advance(29_000)
    await ask()
    assert.equal(asked.length, 1)
    await clock.advance(1_000)
    await ask()
    assert.equal(asked.length, 2)
    replies['a'] = () => ({ rcode: 2 })
    await clock.advance(30_000)
    await ask()
    await ask()
    assert.equal(asked.length, 4)
  })

  it('keeps apart what the servers of different owners said, and forgets it when they change', async () => {
    const { forwarder, replies, asked } = createWorld()
    replies['a'] = (name) => ({ answers: [address(name, 60)] })
    replies['b'] = () => ({ rcode: 3 })
    const own = { ...servers('b'), owner: 'acme' }
    await forwarder.resolve(query('x.example'), servers('a'), one)
    assert.equal(rcodeOf(decode((await forwarder.resolve(query('x.example'), own, one))!)), 'NXDOMAIN')
    assert.equal(asked.length, 2)
    forwarder.forget('acme')
    await forwarder.resolve(query('x.example'), servers('a'), one)
    assert.equal(asked.length, 2)
    forwarder.forget('')
    await forwarder.resolve(query('x.example'), servers('a'), one)
    assert.equal(asked.length, 3)
  })

  it('asks each thing once at a time, and no more at once of one who asks than its share', async () => {
    const waiting: (() => void)[] = []
    const counters = createDnsCounters()
    const forwarder = new Forwarder({
      clock: createManualClock(),
      random: createSeededRandom(1),
      counters,
      exchange: async (message) => {
        await new Promise<void>((resolve) => void waiting.push(resolve))
        return answerOf(message, { answers: [] })
      },
    })
    const ask = (name: string, asker: string): Promise<Buffer | undefined> =>
      forwarder.resolve(query(name), servers('a'), { asker, limit: 512 })
    const same = [ask('same.example', 'acme'), ask('SAME.example', 'beta')]
    const many = Array.from({ length: FORWARDS_OF_ONE_MAX }, (_, i) => ask(`n${i}.example`, 'acme'))
    const other = ask('other.example', 'beta')
    assert.equal(await many.at(-1), undefined)
    assert.equal(counters.forwards.overload, 1)
    assert.equal(waiting.length, FORWARDS_OF_ONE_MAX + 1)
    for (const go of waiting) go()
    const answers = await Promise.all([...same, ...many.slice(0, -1), other])
    assert.ok(answers.every((answer) => answer !== undefined))
    assert.ok(!answers[0]!.equals(answers[1]!), 'each has its own letters')
  })

  it('keeps no more than its limits', async () => {
    const { forwarder, replies, asked } = createWorld({ ...CACHE_LIMITS, entriesMax: 2 })
    replies['a'] = (name) => ({ answers: [address(name, 60)] })
    for (const name of ['a', 'b', 'a', 'c', 'a', 'b']) await forwarder.resolve(query(name), servers('a'), one)
    assert.deepEqual(asked, ['a a', 'a b', 'a c', 'a b'], 'what was used least recently went')
  })
})

describe('answers of others', () => {
  it('are cut to what the client takes', async () => {
    const { forwarder, replies } = createWorld()
    replies['a'] = (name) => ({ answers: Array.from({ length: 60 }, () => address(name, 60)) })
    const cut = (await forwarder.resolve(query('x.example'), servers('a'), one))!
    assert.ok(cut.byteLength <= 512)
    assert.equal(decode(cut).flag_tc, true)
    const whole = (await forwarder.resolve(query('x.example'), servers('a'), { asker: '', limit: 65_535 }))!
    assert.equal(decode(whole).answers?.length, 60)
  })

  it('are believed only when they answer what was asked', () => {
    const sent = Buffer.concat([query('x.example').message, Buffer.from([0, 0, 41, 4, 208, 0, 0, 0, 0, 0, 0])])
    const answer = (id: number, name: string, flags = 0x8180): Buffer => {
      const bytes = encode({ type: 'response', id, questions: [{ type: 'A', name }], answers: [address(name, 60)] })
      bytes.writeUInt16BE(flags, 2)
      return bytes
    }
    assert.ok(parseForwarded(answer(1, 'x.example'), sent))
    assert.ok(parseForwarded(answer(1, 'X.Example'), sent))
    assert.equal(parseForwarded(answer(2, 'x.example'), sent), undefined)
    assert.equal(parseForwarded(answer(1, 'y.example'), sent), undefined)
    assert.equal(parseForwarded(answer(1, 'x.example', 0x180), sent), undefined)
    assert.equal(parseForwarded(answer(1, 'x.example').subarray(0, 40), sent), undefined)
  })

  it('may be any bytes', () => {
    const random = createSeededRandom(2)
    const sent = Buffer.concat([query('x.example').message, Buffer.alloc(11)])
    const whole = encode({
      type: 'response',
      id: 1,
      questions: [{ type: 'A', name: 'x.example' }],
      answers: [address('x.example', 60), address('x.example', 60)],
    })
    for (let i = 0; i < 20_000; i++) {
      const bytes = Buffer.from(whole)
      for (let j = random.integer(5); j >= 0; j--) {
        const at = random.integer(5) === 0 ? random.integer(12) : 27 + random.integer(bytes.byteLength - 27)
        bytes[at] = random.integer(256)
      }
      const parsed = parseForwarded(bytes.subarray(0, random.integer(bytes.byteLength) + 1), sent)
      for (const { ttlAt, end } of parsed?.records ?? []) assert.ok(ttlAt + 6 <= end && end <= bytes.byteLength)
    }
  })
})
