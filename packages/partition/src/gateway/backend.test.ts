import assert from 'node:assert/strict'
import { constants, createSecureServer, type ClientHttp2Stream, type ServerHttp2Stream } from 'node:http2'
import type { AddressInfo } from 'node:net'
import { PassThrough, Readable } from 'node:stream'
import { after, before, describe, it } from 'node:test'
import { openClusterCertificates, type ClusterCertificates } from '@centaurus/apiserver'
import { createManualClock, silentLogger, systemClock, type Clock } from '@centaurus/base'
import { TcpProxy } from '@centaurus/store/testing'
import { Backend, type Outgoing } from './backend.ts'
import { CONNECT_TIMEOUT_MS, ENDPOINT_BACKOFF_MS, PING_INTERVAL_MS, PING_LATE_MS } from './limits.ts'
import { readAll } from './pass.ts'
import { LostAnswerError, UnreachableError } from './refusals.ts'

interface Peer {
  readonly url: string
  /** Methods of the requests that arrived. */
  readonly seen: string[]
  stop(): Promise<void>
}

describe('the API servers of a partition', () => {
  let certificates: ClusterCertificates
  const opened: (() => Promise<void>)[] = []
  before(async () => {
    certificates = await openClusterCertificates()
  })
  after(async () => {
    for (const close of opened.toReversed()) await close()
  })

  const startPeer = async (behave: (stream: ServerHttp2Stream, seen: string[]) => void): Promise<Peer> => {
    const { serving } = certificates
    const server = createSecureServer({ key: serving.keyPem, cert: serving.certificatePem })
    const seen: string[] = []
    const sessions = new Set<{ destroy(): void }>()
    server.on('session', (session) => {
      sessions.add(session)
      session.on('error', () => {})
    })
    server.on('stream', (stream, headers) => {
      seen.push(String(headers[':method']))
      stream.on('error', () => {})
      behave(stream, seen)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const stop = async (): Promise<void> => {
      for (const session of sessions) session.destroy()
      await new Promise((resolve) => server.close(resolve))
    }
    opened.push(stop)
    return { url: `https://127.0.0.1:${(server.address() as AddressInfo).port}`, seen, stop }
  }

  const backendOf = (...peers: readonly { readonly url: string }[]): Backend =>
    backendAt(
      systemClock,
      peers.map(({ url }) => url),
    )
  const backendAt = (clock: Clock, urls: readonly string[]): Backend => {
    const { authority } = certificates
    const tls = { ca: authority.certificatePem, cert: '', key: '' }
    const backend = new Backend('p', { tls, clock, logger: silentLogger })
    backend.setUrls(urls)
    opened.push(async () => backend.close())
    return backend
  }

  const outgoing = (method: string, body?: Outgoing['body']): Outgoing => ({
    method,
    path: '/x',
    headers: {},
    credentials: 'none',
    body,
  })
  const answer = (stream: ServerHttp2Stream): void => {
    stream.respond({ ':status': 200 })
    stream.end('well')
  }
  const die = (stream: ServerHttp2Stream): void => stream.session?.destroy()
  const refuse = (stream: ServerHttp2Stream): void => stream.close(constants.NGHTTP2_REFUSED_STREAM)
  const nowhere = { url: 'https://127.0.0.1:1' }

  it('take turns', async () => {
    const peers = [await startPeer(answer), await startPeer(answer)]
    const backend = backendOf(...peers)
    for (let i = 0; i < 10; i++) {
      const { stream } = await backend.send(outgoing('GET'))
      assert.equal((await readAll(stream, 10))?.toString(), 'well')
    }
    for (const peer of peers) assert.ok(peer.seen.length >= 3, `${peer.seen.length}`)
  })

  it('stand in for one that can’t be reached, whatever is asked', async () => {
    const well = await startPeer(answer)
    const backend = backendOf(nowhere, well)
    for (const method of ['POST', 'GET', 'DELETE']) assert.equal((await backend.send(outgoing(method))).status, 200)
    assert.deepEqual(well.seen, ['POST', 'GET', 'DELETE'])
  })

  it('are all away: nothing was sent', async () => {
    await assert.rejects(backendOf(nowhere).send(outgoing('POST')), UnreachableError)
    await assert.rejects(backendOf().send(outgoing('GET')), UnreachableError)
  })

  it('repeat a read of one that dies on it', async () => {
    const dying = await startPeer(die)
    const well = await startPeer(answer)
    const backend = backendOf(dying, well)
    assert.equal((await backend.send(outgoing('GET'))).status, 200)
    assert.deepEqual([dying.seen.length, well.seen.length], [1, 1])
  })

  it('never repeat a write that may have happened', async () => {
    const dying = await startPeer(die)
    const well = await startPeer(answer)
    for (const body of [undefined, Buffer.from('{}'), Readable.from([Buffer.from('{}')])]) {
      const backend = backendOf(dying, well)
      await assert.rejects(backend.send(outgoing('POST', body)), LostAnswerError)
    }
    assert.deepEqual([dying.seen.length, well.seen.length], [3, 0])
  })

  it('repeat a write that was refused unseen, unless its body is spent', async () => {
    const refusing = await startPeer(refuse)
    const well = await startPeer(answer)
    const backend = backendOf(refusing, well)
    assert.equal((await backend.send(outgoing('POST', Buffer.from('{}')))).status, 200)
    assert.deepEqual([refusing.seen.length, well.seen.length], [1, 1])
    const other = backendOf(refusing, well)
    await assert.rejects(other.send(outgoing('POST', Readable.from([Buffer.from('{}')]))), UnreachableError)
    assert.deepEqual([refusing.seen.length, well.seen.length], [2, 1])
  })

  it('give a read up when each of them dies on it', async () => {
    const dying = await startPeer(die)
    await assert.rejects(backendOf(dying).send(outgoing('GET')), UnreachableError)
    assert.equal(dying.seen.length, 3)
  })

  it('get nothing new over a connection that went silent, so that nobody waits for it', async () => {
    const peer = await startPeer(answer)
    const proxy = await TcpProxy.open(peer.url)
    opened.push(() => proxy.close())
    const clock = createManualClock()
    const backend = backendAt(clock, [proxy.endpoint.replace('http:', 'https:')])
    assert.equal((await backend.send(outgoing('GET'))).status, 200)
    proxy.losesAnswers = true
    await clock.advance(PING_INTERVAL_MS)
    await clock.advance(PING_LATE_MS)
    const sent = assert.rejects(backend.send(outgoing('POST', Buffer.from('{}'))), UnreachableError)
    await clock.advance(CONNECT_TIMEOUT_MS)
    await sent
    assert.deepEqual(peer.seen, ['GET'])
    proxy.cut()
    await clock.advance(ENDPOINT_BACKOFF_MS)
    assert.equal((await backend.send(outgoing('POST', Buffer.from('{}')))).status, 200)
  })

  it('end what they have begun when they are taken off the list', async () => {
    const slow = await startPeer((stream) => {
      stream.respond({ ':status': 200 })
      stream.write('be')
      stream.on('data', () => stream.end('gun')) // when the test says so
    })
    const backend = backendOf(slow)
    let open: ClientHttp2Stream | undefined
    const body = new PassThrough()
    const { stream } = await backend.send({ ...outgoing('POST', body), onStream: (stream) => void (open = stream) })
    backend.setUrls([])
    await assert.rejects(backend.send(outgoing('GET')), UnreachableError)
    body.end('go on')
    assert.equal((await readAll(stream, 100))?.toString(), 'begun')
    assert.equal(open?.rstCode, 0)
  })

  it('are connected to again after they came back', async () => {
    const peer = await startPeer(answer)
    const backend = backendOf(peer)
    const { stream } = await backend.send(outgoing('GET'))
    assert.equal((await readAll(stream, 10))?.toString(), 'well')
    backend.setUrls([nowhere.url])
    await assert.rejects(backend.send(outgoing('GET')), UnreachableError)
    backend.setUrls([nowhere.url, peer.url])
    assert.equal((await backend.send(outgoing('GET'))).status, 200)
  })
})
