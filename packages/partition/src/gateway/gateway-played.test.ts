import assert from 'node:assert/strict'
import { once } from 'node:events'
import { connect, createSecureServer, type ClientHttp2Session, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { tenants } from '@centaurus/api/centaurus/v1'
import type { Gateway } from './gateway.ts'
import { connectFront, type FrontClient } from './testing/front-client.ts'
import { adminOf, eventually, startWorld, type World } from './testing/world.ts'

const CHUNK = Buffer.alloc(64 * 1024, 'x')
const WHOLE_BYTES = 64 * 1024 * 1024
/** Both windows, what TLS and sockets hold, and then some. */
const HELD_BYTES_MAX = 8 * 1024 * 1024

/** A partition that behaves as no real one should, by the path that it is asked for. */
describe('the gateway, in front of a partition that misbehaves', () => {
  let world: World
  let gateway: Gateway
  let client: FrontClient
  const seen: string[] = []
  let sentBytes = 0
  let firstStream: ServerHttp2Stream | undefined
  const closes: (() => Promise<unknown>)[] = []

  const behave = (stream: ServerHttp2Stream, method: string, path: string): void => {
    seen.push(`${method} ${path}`)
    firstStream ??= stream
    stream.on('error', () => {})
    if (path === '/die') return stream.session?.destroy()
    if (path === '/moved') return stream.respond({ ':status': 421 }, { endStream: true })
    if (path === '/hold') return void stream.pause()
    if (path === '/flood') return flood(stream)
    stream.respond({ ':status': 200, 'x-seen': String(seen.length) })
    if (path !== '/half') return void stream.end('well')
    stream.write('half of wh', () => stream.session?.destroy())
  }
  const flood = (stream: ServerHttp2Stream): void => {
    stream.respond({ ':status': 200 })
    const pour = (): void => {
      while (sentBytes < WHOLE_BYTES) {
        sentBytes += CHUNK.length
        if (!stream.write(CHUNK)) return void stream.once('drain', pour)
      }
      stream.end()
    }
    pour()
  }

  before(async () => {
    world = await startWorld()
    const { serving } = world.certificates
    const server = createSecureServer({ key: serving.keyPem, cert: serving.certificatePem })
    const sessions = new Set<{ destroy(): void }>()
    server.on('session', (session) => {
      sessions.add(session)
      session.on('error', () => {})
    })
    server.on('stream', (stream, headers) => behave(stream, String(headers[':method']), String(headers[':path'])))
    server.listen(0, '127.0.0.1')
    await once(server, 'listening')
    closes.push(async () => {
      for (const session of sessions) session.destroy()
      server.close()
    })
    const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`
    await world.addPlayed('odd', { url, tenant: 'victim' })
    gateway = await world.gateway()
    client = await connectFront(gateway.port, world.certificates, adminOf('victim'))
    await eventually(async () => (await client.request('GET', '/well')).text === 'well')
  })
  after(async () => {
    client.close()
    for (const close of closes) await close()
    await world.close()
  })

  const timesSeen = (what: string): number => seen.filter((entry) => entry === what).length

  it('never repeats a write whose answer was lost, and says so', async () => {
    for (const method of ['POST', 'PUT', 'PATCH', 'DELETE']) {
      const answer = await client.request(method, '/die', method === 'DELETE' ? {} : { body: { a: 1 } })
      assert.equal(answer.status, 504)
      assert.equal(answer.headers['retry-after'], undefined)
      assert.match(answer.json().message, /may or may not have been carried out/)
      assert.equal(timesSeen(`${method} /die`), 1)
    }
  })

  it('repeats a read, a few times', async () => {
    const answer = await client.request('GET', '/die')
    assert.equal(answer.status, 503)
    assert.equal(answer.headers['retry-after'], '1')
    assert.doesNotMatch(answer.text, /odd/)
    assert.equal(timesSeen('GET /die'), 3)
  })

  it('lets nobody take half an answer for the whole', async () => {
    await assert.rejects(client.request('GET', '/half'))
  })

  it('has clients ask again where a tenant has moved to', async () => {
    const answer = await client.request('POST', '/moved', { body: {} })
    assert.equal(answer.status, 503)
    assert.equal(answer.headers['retry-after'], '1')
  })

  it('follows a tenant to where it moves, and not back when it hears of the time before', async () => {
    const registry = world.servers.home.client
    await world.addTenant('nomad', 'tp1')
    const nomad = await connectFront(gateway.port, world.certificates, adminOf('nomad'))
    await eventually(async () => (await nomad.request('GET', '/api/v1/namespaces')).status === 200)
    const move = async (partition: string, epoch: number): Promise<void> => {
      const found = await registry.get(tenants, { name: 'nomad' })
      await registry.updateStatus(tenants, { ...found, status: { phase: 'Active', partition, epoch } })
    }
    await move('odd', 2)
    await eventually(async () => (await nomad.request('GET', '/well')).text === 'well')
    await move('tp1', 1)
    await world.addTenant('later', 'tp1') // so that the gateway has heard of both
    const later = await connectFront(gateway.port, world.certificates, adminOf('later'))
    await eventually(async () => (await later.request('GET', '/api/v1/namespaces')).status === 200)
    assert.equal((await nomad.request('GET', '/well')).text, 'well')
    await move('tp1', 3)
    await eventually(async () => (await nomad.request('GET', '/api/v1/namespaces')).status === 200)
    nomad.close()
    later.close()
  })

  const openSession = async (): Promise<ClientHttp2Session> => {
    const { certificatePem: cert, keyPem: key } = await world.certificates.client('victim', adminOf('victim'))
    const ca = world.certificates.authority.certificatePem
    const session = connect(`https://127.0.0.1:${gateway.port}`, { ca, cert, key })
    session.on('error', () => {})
    closes.unshift(async () => session.destroy())
    return session
  }

  it('holds a partition back whose client does not read', async () => {
    const stream = (await openSession()).request({ ':path': '/flood' })
    stream.pause()
    await once(stream, 'response')
    let before = -1
    await eventually(async () => {
      const stands = sentBytes === before
      before = sentBytes
      for (let i = 0; i < 20; i++) await client.request('GET', '/well') // whatever can move on, does meanwhile
      return stands && sentBytes === before
    })
    assert.ok(sentBytes < HELD_BYTES_MAX, `${sentBytes} bytes were sent to nobody`)
    let received = 0
    stream.on('data', (chunk: Buffer) => (received += chunk.length)).resume()
    await once(stream, 'end')
    assert.equal(received, WHOLE_BYTES)
  })

  it('holds a client back whose partition does not read', async () => {
    firstStream = undefined
    const stream = (await openSession()).request({ ':method': 'POST', ':path': '/hold' })
    stream.on('error', () => {})
    let written = 0
    while (written < WHOLE_BYTES && stream.write(CHUNK)) written += CHUNK.length
    const pour = (): void => {
      while (written < WHOLE_BYTES) {
        written += CHUNK.length
        if (!stream.write(CHUNK)) return void stream.once('drain', pour)
      }
    }
    stream.once('drain', pour)
    await eventually(() => firstStream !== undefined)
    let before = -1
    await eventually(async () => {
      const stands = written === before
      before = written
      for (let i = 0; i < 20; i++) await client.request('GET', '/well')
      return stands && written === before
    })
    assert.ok(written < HELD_BYTES_MAX, `${written} bytes were taken for nobody`)
    // who gives up is given up at the partition, which must not take what it has for the whole
    let wasAborted = false
    firstStream!.on('aborted', () => (wasAborted = true))
    const closed = new Promise((resolve) => firstStream!.once('close', resolve))
    stream.destroy(new Error('enough'))
    await closed
    assert.ok(wasAborted)
  })
})
