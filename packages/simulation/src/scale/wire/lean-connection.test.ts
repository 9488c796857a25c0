import assert from 'node:assert/strict'
import { createSecureServer, type Http2SecureServer } from 'node:http2'
import { after, before, describe, it } from 'node:test'
import { openClusterCertificates } from '@centaurus/apiserver'
import { Histograms } from '../measure/histogram.ts'
import { LeanClient, type LeanCall } from './lean-client.ts'
import type { LeanTarget } from './lean-connection.ts'

describe('the lean client against node:http2', () => {
  let server: Http2SecureServer
  let target: LeanTarget
  let client: LeanClient
  const latencies = new Histograms()

  before(async () => {
    const certificates = await openClusterCertificates()
    const ca = certificates.authority.certificatePem
    const { certificatePem: cert, keyPem: key } = certificates.serving
    // with Node's 10 MB, ten answers of 2 MB that nobody reads at once have the next stream refused
    server = createSecureServer({ cert, key, settings: { maxConcurrentStreams: 10 }, maxSessionMemory: 100 })
    server.on('stream', (stream, headers) => {
      const path = headers[':path'] ?? ''
      if (path === '/watch') {
        stream.respond({ ':status': 200 })
        // lines that do not end where chunks do
        for (const part of ['{"a":', '1}\n{"b"', ':2}\n', '{"c":3}\n']) stream.write(part)
        return
      }
      const parts: Buffer[] = []
      stream.on('data', (chunk: Buffer) => parts.push(chunk))
      stream.on('end', () => {
        const body = Buffer.concat(parts)
        const status = Number(/\/status\/(\d+)/.exec(path)?.[1] ?? 200)
        const repeat = Number(/\/repeat\/(\d+)/.exec(path)?.[1] ?? 1)
        stream.respond({ ':status': status })
        stream.end(`${headers[':method']} ${headers['impersonate-user'] ?? ''} ${body.toString().repeat(repeat)}`)
      })
    })
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve)
    })
    const address = server.address()
    const port = typeof address === 'object' ? (address?.port ?? 0) : 0
    const admin = await certificates.client('admin', { commonName: 'admin' })
    target = { url: `https://127.0.0.1:${port}`, tls: { ca, cert: admin.certificatePem, key: admin.keyPem } }
    client = new LeanClient({ target, connections: 2, userAgent: 'test', latencies })
    await client.open()
  })
  after(() => {
    client.close()
    server.close()
  })

  const call = (more: Partial<LeanCall>): LeanCall => ({
    method: 'PUT',
    path: '/',
    body: 'x',
    resource: 'things',
    slot: 0,
    keepsBody: true,
    ...more,
  })

  it('sends methods, bodies and whom it speaks for', async () => {
    const answer = await client.call(call({ node: 'n1', body: '{"a":1}' }))
    assert.equal(answer.status, 200)
    assert.equal(answer.body.toString(), 'PUT system:node:n1 {"a":1}')
    assert.equal(latencies.get('PUT things').count, 1)
  })

  it('tells refusals with their words', async () => {
    for (const status of [201, 404, 409, 422, 429, 503]) {
      const answer = await client.call(call({ path: `/status/${status}`, body: 'why', keepsBody: false }))
      assert.equal(answer.status, status)
      assert.equal(answer.body.toString(), status < 300 ? '' : 'PUT  why')
    }
  })

  it('reads more than the window at once, and sends more than the peer takes at once', async () => {
    const big = 'y'.repeat(10_000)
    const answers = await Promise.all(
      Array.from({ length: 60 }, (_, slot) => client.call(call({ slot, path: '/repeat/200', body: big }))),
    )
    for (const { status, body } of answers) {
      assert.equal(status, 200)
      assert.equal(body.byteLength, 5 + 200 * big.length)
    }
  })

  it('cuts a watch into lines, and ends it', async () => {
    const lines: string[] = []
    let three = (): void => {}
    const arrived = new Promise<void>((resolve) => (three = resolve))
    let ended = (_status: number): void => {}
    const end = new Promise<number>((resolve) => (ended = resolve))
    const cancel = client.watch(call({ method: 'GET', path: '/watch', body: undefined }), {
      onLine(line) {
        lines.push(line.toString())
        if (lines.length === 3) three()
      },
      onEnd: (status) => ended(status),
    })
    await arrived
    assert.deepEqual(lines, ['{"a":1}', '{"b":2}', '{"c":3}'])
    cancel()
    assert.equal(await end, 0)
  })

  it('tells that there is no answer when nobody is there, and comes back by itself', async () => {
    const lonely = new LeanClient({ target, connections: 1, userAgent: 'test', latencies })
    await lonely.open()
    assert.equal((await lonely.call(call({}))).status, 200)
    lonely.close()
    assert.equal((await lonely.call(call({}))).status, 0)
  })
})
