import assert from 'node:assert/strict'
import { spawn, type StdioOptions } from 'node:child_process'
import { createSocket } from 'node:dgram'
import { Resolver } from 'node:dns/promises'
import { once } from 'node:events'
import { closeSync } from 'node:fs'
import { connect, createServer } from 'node:net'
import { describe, it, type TestContext } from 'node:test'
import { decode, encode } from 'dns-packet'
import { silentLogger } from '@centaurus/base'
import { holdSockets } from '../kernel/held-sockets.ts'
import { startDnsServer, type DnsServer } from './dns-server.ts'
import { questionBytes } from './testing/messages.ts'
import { createTestResponder, type TestResponder, type TestResponderOptions } from './testing/responder.ts'
import { exampleZone, slice } from './testing/zone.ts'

const MANY = Array.from({ length: 100 }, (_, i) => `10.244.1.${i}`)

async function startServer(
  t: TestContext,
  options: TestResponderOptions = {},
): Promise<TestResponder & { server: DnsServer }> {
  const zone = exampleZone()
  zone.slices.push(slice('testns', 'hdlsempty', MANY))
  const made = createTestResponder({ zone, ...options })
  const { responder, counters } = made
  const server = await startDnsServer({ address: '127.0.0.1', port: 0, responder, counters, logger: silentLogger })
  t.after(() => server.close())
  return { ...made, server }
}

/** A server of its own on one port of UDP and TCP, whose answers over UDP are cut. */
async function startUpstream(t: TestContext): Promise<number> {
  const answer = (message: Buffer, count: number): Buffer => {
    const { id = 0, questions = [] } = decode(message)
    const answers = MANY.slice(0, count).map((data) => ({
      type: 'A' as const,
      name: questions[0]?.name ?? '',
      ttl: 5,
      data,
    }))
    return encode({ type: 'response', id, flags: count < MANY.length ? 0x380 : 0x180, questions, answers })
  }
  const tcp = createServer((socket) => {
    socket.on('data', (chunk) => {
      const bytes = answer(chunk.subarray(2), MANY.length)
      const length = Buffer.alloc(2)
      length.writeUInt16BE(bytes.byteLength)
      socket.write(length) // in pieces, as a network may bring them
      setImmediate(() => socket.end(bytes))
    })
  })
  await new Promise<void>((resolve) => tcp.listen(0, '127.0.0.1', resolve))
  const { port } = tcp.address() as { port: number }
  const udp = createSocket('udp4')
  udp.on('message', (message, from) => {
    udp.send(Buffer.from('a guess'), from.port, from.address)
    udp.send(answer(message, 1), from.port, from.address)
  })
  await new Promise<void>((resolve) => udp.bind(port, '127.0.0.1', resolve))
  t.after(async () => {
    udp.close()
    await new Promise<void>((resolve) => {
      tcp.close(() => resolve())
    })
  })
  return port
}

describe('the DNS server', () => {
  it('answers a real resolver over UDP, and over TCP when the answer is long', async (t) => {
    const { server } = await startServer(t)
    const resolver = new Resolver()
    resolver.setServers([`127.0.0.1:${server.port}`])
    assert.deepEqual(await resolver.resolve4('svc1.testns.svc.cluster.local'), ['10.96.0.7'])
    assert.deepEqual((await resolver.resolve4('hdlsempty.testns.svc.cluster.local')).sort(), MANY.toSorted())
    assert.deepEqual(await resolver.resolveSrv('_http._tcp.svc1.testns.svc.cluster.local'), [
      { name: 'svc1.testns.svc.cluster.local', port: 80, priority: 0, type: 'SRV', weight: 100 },
    ])
    assert.deepEqual(await resolver.reverse('10.96.0.7'), ['svc1.testns.svc.cluster.local'])
    assert.deepEqual(await resolver.resolveTxt('dns-version.cluster.local'), [['1.1.0']])
    await assert.rejects(resolver.resolve4('svc0.testns.svc.cluster.local'), { code: 'ENOTFOUND' })
    await assert.rejects(resolver.resolve6('svc1.testns.svc.cluster.local'), { code: 'ENODATA' })
  })

  it('forwards other names, and fetches over TCP what is cut over UDP', async (t) => {
    const port = await startUpstream(t)
    const { server, counters } = await startServer(t, { upstreams: [{ host: '127.0.0.1', port }] })
    const resolver = new Resolver()
    resolver.setServers([`127.0.0.1:${server.port}`])
    assert.deepEqual((await resolver.resolve4('elsewhere.example')).sort(), MANY.toSorted())
    assert.equal(counters.cacheHits, 1, 'the client asked again over TCP, the server did not')
  })

  it('ignores what is no DNS message', async (t) => {
    const { server, counters } = await startServer(t)
    const client = createSocket('udp4')
    client.send(Buffer.from('hello'), server.port, '127.0.0.1')
    client.send(questionBytes('lost.example', { id: 7 }), server.port, '127.0.0.1')
    const answer = await new Promise<Buffer>((resolve) => client.once('message', resolve))
    assert.equal(decode(answer).id, 7, 'the first message got no answer')
    assert.equal(answer[3]! & 0x0f, 2, 'no upstream: SERVFAIL')
    assert.equal(counters.ignored, 1)
    client.close()
  })

  it('answers many questions of one connection, in whatever pieces they come, and closes with it open', async (t) => {
    const { server } = await startServer(t)
    const socket = connect({ port: server.port, host: '127.0.0.1' })
    const name = 'svc1.testns.svc.cluster.local'
    const messages = Array.from({ length: 200 }, (_, id) => {
      const message = questionBytes(name, { id })
      return Buffer.concat([Buffer.from([0, message.byteLength]), message])
    })
    const bytes = Buffer.concat(messages)
    for (let at = 0; at < bytes.byteLength; at += 1_000) socket.write(bytes.subarray(at, at + 1_000))
    const ids = new Set<number>()
    let received = Buffer.alloc(0)
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      received = Buffer.concat([received, chunk])
      while (received.byteLength >= 2 && received.byteLength >= 2 + received.readUInt16BE(0)) {
        const end = 2 + received.readUInt16BE(0)
        ids.add(decode(received.subarray(2, end)).id ?? -1)
        received = received.subarray(end)
      }
      if (ids.size === messages.length) break
    }
    assert.equal(ids.size, messages.length)
    const idle = connect({ port: server.port, host: '127.0.0.1' })
    await new Promise((resolve) => idle.once('connect', resolve))
    // the server is closed with it open
  })

  it('takes only so many connections of one address', async (t) => {
    const { server, counters } = await startServer(t)
    const sockets = Array.from({ length: 51 }, () => connect({ port: server.port, host: '127.0.0.1' }))
    await Promise.race(sockets.map((socket) => new Promise((resolve) => socket.once('close', resolve))))
    assert.equal(counters.connectionsRefused, 1)
    for (const socket of sockets) socket.destroy()
  })
})

describe('sockets that somebody holds', () => {
  const NAME = 'svc1.testns.svc.cluster.local'
  const PORT = 45_353
  const SERVER = new URL('testing/held-server.ts', import.meta.url).pathname

  function askUdp(t: TestContext): Promise<unknown> {
    const socket = createSocket('udp4')
    t.after(() => socket.close())
    socket.send(questionBytes(NAME), PORT, '127.0.0.1')
    return once(socket, 'message').then(([message]) => decode(message as Buffer).answers?.length)
  }

  function askTcp(t: TestContext): Promise<unknown> {
    const socket = connect(PORT, '127.0.0.1')
    t.after(() => socket.destroy())
    const question = questionBytes(NAME)
    socket.write(Buffer.concat([Buffer.of(0, question.byteLength), question]))
    return once(socket, 'data').then(([data]) => decode((data as Buffer).subarray(2)).answers?.length)
  }

  it('keep questions while nobody reads them, also of a server that was killed, and the next one answers', async (t) => {
    const held = holdSockets('127.0.0.1', PORT)
    t.after(() => Object.values(held).forEach((fd) => closeSync(fd)))
    assert.throws(() => holdSockets('127.0.0.1', PORT), /Cannot bind port 45353 of 127.0.0.1/)
    for (const _ of ['first', 'second']) {
      const asked = [askUdp(t), askTcp(t)]
      const stdio: StdioOptions = ['ignore', 'pipe', 'inherit', held.udp, held.tcp]
      const server = spawn(process.execPath, [SERVER], { stdio })
      assert.deepEqual(await Promise.all(asked), [1, 1])
      server.kill('SIGKILL')
      await once(server, 'close')
    }
  })

  it('may be of an address that is not there yet', () => {
    for (const fd of Object.values(holdSockets('192.0.2.53', PORT))) closeSync(fd)
  })
})
