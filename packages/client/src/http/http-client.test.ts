import assert from 'node:assert/strict'
import {
  createServer,
  type Http2Server,
  type IncomingHttpHeaders,
  type ServerHttp2Session,
  type ServerHttp2Stream,
} from 'node:http2'
import { connect as connectTcp, createServer as createTcpServer, type AddressInfo, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { isStatus, notFound, expired } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { createHttpClient } from './http-client.ts'

type Route = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, body: string) => void

describe('HTTP client', () => {
  const routes = new Map<string, Route>()
  const sessions = new Set<ServerHttp2Session>()
  let server: Http2Server
  let origin = ''

  before(async () => {
    server = createServer()
    server.on('session', (session) => {
      sessions.add(session)
      session.on('close', () => sessions.delete(session))
    })
    server.on('stream', (stream, headers) => {
      const chunks: Buffer[] = []
      stream.on('error', () => {})
      stream.on('data', (chunk: Buffer) => chunks.push(chunk))
      stream.on('end', () => {
        const path = headers[':path']!.split('?')[0]!
        routes.get(`${headers[':method']} ${path}`)!(stream, headers, Buffer.concat(chunks).toString())
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  })

  after(async () => {
    for (const session of sessions) session.destroy()
    await new Promise((resolve) => server.close(resolve))
  })

  const answer = (stream: ServerHttp2Stream, value: unknown, status = 200): void => {
    stream.respond({ ':status': status, 'content-type': 'application/json' })
    stream.end(JSON.stringify(value))
  }

  it('addresses an object below the server path and its tenant, with the token', async () => {
    const client = createHttpClient({
      server: `${origin}/base`,
      tenant: 't1',
      token: async () => 'secret',
      userAgent: 'me',
    })
    routes.set('GET /base/tenants/t1/api/v1/namespaces/ns/pods/web', (stream, headers) => {
      answer(stream, { metadata: { name: headers.authorization, namespace: headers['user-agent'] } })
    })
    const pod = await client.get(pods, { namespace: 'ns', name: 'web' })
    assert.deepEqual(pod.metadata, { name: 'Bearer secret', namespace: 'me' })
    await client.close()
  })

  it('sends bodies and options, and throws the refusal that the server sends', async () => {
    const client = createHttpClient({ server: origin })
    let seen = ''
    routes.set('POST /api/v1/namespaces/ns/pods', (stream, headers, body) => {
      seen = `${headers[':path']} ${body}`
      answer(stream, JSON.parse(body), 201)
    })
    routes.set('DELETE /api/v1/namespaces/ns/pods/gone', (stream) =>
      answer(stream, notFound(pods, 'gone').toStatus(), 404),
    )
    const pod: Pod = { metadata: { namespace: 'ns', name: 'a' } }
    await client.create(pods, pod, { dryRun: true, fieldManager: 'test' })
    assert.equal(seen, `/api/v1/namespaces/ns/pods?dryRun=All&fieldManager=test ${JSON.stringify(pod)}`)
    await assert.rejects(client.delete(pods, { namespace: 'ns', name: 'gone' }), (error) => isStatus(error, 'NotFound'))
    await client.close()
  })

  it('gives list items their type and the token of the next page', async () => {
    const client = createHttpClient({ server: origin })
    routes.set('GET /api/v1/pods', (stream) =>
      answer(stream, { metadata: { resourceVersion: '7', continue: 'next' }, items: [{ metadata: { name: 'a' } }] }),
    )
    const list = await client.list(pods, { limit: 1 })
    assert.equal(list.resourceVersion, '7')
    assert.equal(list.continue, 'next')
    assert.equal(list.items[0]?.kind, 'Pod')
    await client.close()
  })

  it('delivers watch events, bookmarks and the error that ends the watch', async () => {
    const client = createHttpClient({ server: origin })
    routes.set('GET /api/v1/namespaces/ns/pods', (stream, headers) => {
      assert.match(headers[':path']!, /watch=true/)
      stream.respond({ ':status': 200 })
      stream.write('{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n{"type":"BOOK')
      stream.write('MARK","object":{"metadata":{"resourceVersion":"9"}}}\n')
      stream.end(`${JSON.stringify({ type: 'ERROR', object: expired('too old').toStatus() })}\n`)
    })
    const seen: string[] = []
    const error = await new Promise<Error | undefined>((onEnd) => {
      client.watch(pods, {
        namespace: 'ns',
        resourceVersion: '5',
        onEvent: (type, pod) => seen.push(`${type} ${pod.metadata.name}`),
        onBookmark: (version) => seen.push(`bookmark ${version}`),
        onEnd,
      })
    })
    assert.deepEqual(seen, ['ADDED a', 'bookmark 9'])
    assert.ok(isStatus(error, 'Expired'))
    await client.close()
  })

  it('ends a watch without error when its caller closes it', async () => {
    const client = createHttpClient({ server: origin })
    routes.set('GET /api/v1/namespaces/open/pods', (stream) => {
      stream.respond({ ':status': 200 })
      stream.write('{"type":"ADDED","object":{"metadata":{"name":"a"}}}\n')
    })
    const error = await new Promise<Error | undefined>((onEnd) => {
      const watch = client.watch(pods, { namespace: 'open', onEvent: () => watch.close(), onEnd })
    })
    assert.equal(error, undefined)
    await client.close()
  })

  it('connects again after its connection was lost', async () => {
    const client = createHttpClient({ server: origin })
    routes.set('GET /api/v1/namespaces/ns/pods/a', (stream) => answer(stream, { metadata: { name: 'a' } }))
    await client.get(pods, { namespace: 'ns', name: 'a' })
    for (const session of sessions) session.destroy()
    await new Promise((resolve) => setImmediate(resolve))
    let pod: Pod | undefined
    for (let attempt = 0; attempt < 5 && pod === undefined; attempt++) {
      pod = await client.get(pods, { namespace: 'ns', name: 'a' }).catch(() => undefined)
    }
    assert.equal(pod?.metadata.name, 'a')
    await client.close()
  })

  it('obeys Retry-After, and stops at the caller’s signal', async () => {
    const client = createHttpClient({ server: origin })
    let calls = 0
    routes.set('GET /api/v1/namespaces/ns/pods/busy', (stream) => {
      calls++
      if (calls > 1) return answer(stream, { metadata: { name: 'busy' } })
      stream.respond({ ':status': 429, 'retry-after': '0' })
      stream.end('{}')
    })
    assert.equal((await client.get(pods, { namespace: 'ns', name: 'busy' })).metadata.name, 'busy')
    routes.set('GET /api/v1/namespaces/ns/pods/never', () => {})
    const abort = new AbortController()
    const pending = client.get(pods, { namespace: 'ns', name: 'never' }, { signal: abort.signal })
    setImmediate(() => abort.abort(new Error('enough')))
    await assert.rejects(pending, /enough/)
    await client.close()
  })

  it('notices a server that went silent, and goes on at another address', async () => {
    const silent = await startSilentProxy(origin)
    const client = createHttpClient({
      server: silent.origin,
      alternatives: [origin],
      liveness: { pingIntervalMs: 20, pingTimeoutMs: 50 },
    })
    routes.set('GET /api/v1/namespaces/ns/pods/web', (stream) => answer(stream, { metadata: { name: 'web' } }))
    const get = () => client.get(pods, { namespace: 'ns', name: 'web' })
    assert.equal((await get()).metadata.name, 'web')
    silent.cut()
    await assert.rejects(get(), /did not answer a ping|closed/, 'it may have been acted upon: the caller decides')
    assert.equal((await get()).metadata.name, 'web')
    await client.close()
    await silent.close()
  })

  it('tries the next address when no connection can be made, and says so when there is none', async () => {
    const nobody = 'http://127.0.0.1:1'
    const client = createHttpClient({ server: nobody, alternatives: [nobody, origin] })
    routes.set('GET /api/v1/namespaces/ns/pods/web', (stream) => answer(stream, { metadata: { name: 'web' } }))
    assert.equal((await client.get(pods, { namespace: 'ns', name: 'web' })).metadata.name, 'web')
    await client.close()
    const alone = createHttpClient({ server: nobody })
    await assert.rejects(alone.get(pods, { namespace: 'ns', name: 'web' }), { name: 'NotConnectedError' })
    await alone.close()
  })
})

/** Passes bytes on to a server until it is cut: then it takes what comes and says nothing, as a cable that was pulled. */
async function startSilentProxy(target: string): Promise<{ origin: string; cut(): void; close(): Promise<void> }> {
  const sockets = new Set<Socket>()
  const proxy = createTcpServer((socket) => {
    const upstream = connectTcp(Number(new URL(target).port), '127.0.0.1')
    for (const each of [socket, upstream]) {
      sockets.add(each)
      each.on('error', () => {})
    }
    socket.pipe(upstream)
    upstream.pipe(socket)
  })
  await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve))
  return {
    origin: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`,
    cut() {
      for (const socket of sockets) socket.unpipe()
      for (const socket of sockets) socket.resume()
    },
    async close() {
      for (const socket of sockets) socket.destroy()
      await new Promise((resolve) => proxy.close(resolve))
    },
  }
}
