import assert from 'node:assert/strict'
import { createServer, connect, type Socket } from 'node:net'
import { text } from 'node:stream/consumers'
import { after, describe, it } from 'node:test'
import { constants, createDeflate } from 'node:zlib'
import fc from 'fast-check'
import { SPDY_DICTIONARY } from './dictionary.ts'
import { encodeControl, encodeDataHeader, FrameReader } from './frame.ts'
import { HeaderDecoder, HeaderEncoder } from './header-block.ts'
import { SpdyConnection, type SpdyStream } from './spdy-connection.ts'

describe('header blocks', () => {
  it('read what zlib with the dictionary writes, block after block', async () => {
    const deflate = createDeflate({ dictionary: SPDY_DICTIONARY })
    const decoder = new HeaderDecoder()
    for (let i = 0; i < 50; i++) {
      const plain = plainBlock({ streamtype: 'data', port: String(i), requestid: String(i) })
      deflate.write(plain)
      await new Promise<void>((resolve) => deflate.flush(constants.Z_SYNC_FLUSH, resolve))
      const block = deflate.read() as Buffer
      assert.deepEqual(decoder.decode(block), { streamtype: 'data', port: String(i), requestid: String(i) })
    }
    deflate.destroy()
  })

  it('come back as they were sent', () => {
    const headers = fc.dictionary(fc.stringMatching(/^[a-z]{1,8}$/), fc.string(), { noNullPrototype: true })
    fc.assert(
      fc.property(fc.array(headers, { maxLength: 5 }), (blocks) => {
        const encoder = new HeaderEncoder()
        const decoder = new HeaderDecoder()
        for (const block of blocks) {
          const wanted = Object.fromEntries(
            Object.entries(block).map(([name, value]) => [name, value.replaceAll('\0', ', ')]),
          )
          assert.deepEqual(decoder.decode(encoder.encode(block)), wanted)
        }
      }),
    )
  })

  it('end in a flush marker, without which Go hands nothing out', () => {
    const encoder = new HeaderEncoder()
    for (let i = 0; i < 2; i++) assert.equal(encoder.encode({ a: 'b' }).subarray(-5).toString('hex'), '000000ffff')
  })

  it('refuse a block that unpacks to too much', () => {
    const encoder = new HeaderEncoder()
    assert.throws(() => encoder.encode({ a: 'x'.repeat(70_000) }), RangeError)
  })
})

describe('FrameReader', () => {
  it('gives the same frames however the bytes are cut', () => {
    const bytes = Buffer.concat([
      encodeControl(6, 0, Buffer.from([0, 0, 0, 1])),
      encodeDataHeader(1, 0, 5),
      Buffer.from('hello'),
      encodeDataHeader(1, 1, 0),
    ])
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 20, maxLength: 20 }), (cuts) => {
        const reader = new FrameReader()
        const seen: string[] = []
        let offset = 0
        for (let i = 0; offset < bytes.length; i++) {
          const size = cuts[i % cuts.length] ?? 1
          reader.push(bytes.subarray(offset, offset + size))
          offset += size
          for (let frame = reader.next(); frame !== undefined; frame = reader.next())
            seen.push(`${frame.type}:${frame.flags}:${frame.payload.length}`)
        }
        assert.deepEqual(seen, ['control:0:4', 'data:0:5', 'data:1:0'])
      }),
    )
  })

  it('refuses frames that are too long or of another version', () => {
    const reader = new FrameReader()
    reader.push(encodeDataHeader(1, 0, 0xffffff))
    assert.throws(() => reader.next(), RangeError)
    const other = new FrameReader()
    other.push(Buffer.from('GET / HTTP/1.1\r\n'.padStart(24, '\x80')))
    assert.throws(() => other.next())
  })
})

describe('SpdyConnection', () => {
  const open: Socket[] = []
  after(() => open.forEach((socket) => socket.destroy()))

  async function sockets(): Promise<{ near: Socket; far: Socket }> {
    const listener = createServer()
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve))
    const accepted = new Promise<Socket>((resolve) => listener.once('connection', resolve))
    const near = connect((listener.address() as { port: number }).port, '127.0.0.1')
    const far = await accepted
    listener.close()
    open.push(near, far)
    return { near, far }
  }

  async function pair(
    onStream: (stream: SpdyStream) => void,
  ): Promise<{ client: SpdyConnection; server: SpdyConnection }> {
    const { near, far } = await sockets()
    return {
      server: new SpdyConnection(far, { side: 'server', onStream }),
      client: new SpdyConnection(near, { side: 'client' }),
    }
  }

  it('carries bytes both ways on several streams, and ends each half by itself', async () => {
    const { client, server } = await pair(({ duplex, headers }) => {
      duplex.write(`${headers.name}:`)
      duplex.pipe(duplex)
    })
    const answers = ['a', 'b', 'c'].map(async (name) => {
      const { duplex } = client.createStream({ name })
      duplex.end('ping')
      return text(duplex)
    })
    assert.deepEqual(await Promise.all(answers), ['a:ping', 'b:ping', 'c:ping'])
    client.close()
    await Promise.all([client.closed, server.closed])
  })

  it('holds the sender back while the reader does not read, and loses nothing', async () => {
    const received = Promise.withResolvers<SpdyStream>()
    const { client, server } = await pair((stream) => received.resolve(stream))
    const { duplex } = client.createStream({})
    const total = 8 * 1024 * 1024
    let sent = 0
    const chunk = Buffer.alloc(64 * 1024, 'x')
    const write = (): void => {
      while (sent < total) {
        sent += chunk.length
        if (!duplex.write(chunk)) return void duplex.once('drain', write)
      }
      duplex.end()
    }
    write()
    const far = await received.promise
    for (let settled = -1; settled !== sent;) {
      settled = sent
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    assert.ok(sent < total, 'the sender was never held back')
    let got = 0
    for await (const part of far.duplex) got += (part as Buffer).length
    assert.equal(got, total)
    client.close()
    await server.closed
  })

  it('destroys a stream that the other side refuses or resets', async () => {
    const { client } = await pair(() => {
      throw new Error('no')
    })
    const { duplex } = client.createStream({})
    duplex.resume()
    await new Promise((resolve) => duplex.once('close', resolve))
    client.close()
  })

  it('accepts a stream before it says anything on it', async () => {
    const { near, far } = await sockets()
    const server = new SpdyConnection(far, { side: 'server', onStream: ({ duplex }) => void duplex.write('early') })
    const kinds: string[] = []
    const reader = new FrameReader()
    const seen = new Promise<void>((resolve) => {
      near.on('data', (chunk: Buffer) => {
        reader.push(chunk)
        for (let frame = reader.next(); frame !== undefined; frame = reader.next()) {
          kinds.push(frame.type === 'data' ? 'data' : `control ${frame.kind}`)
          if (frame.type === 'data') resolve()
        }
      })
    })
    const opening = Buffer.concat([Buffer.from([0, 0, 0, 1, 0, 0, 0, 0, 0, 0]), new HeaderEncoder().encode({})])
    near.write(encodeControl(1, 0, opening))
    await seen
    assert.deepEqual(kinds, ['control 2', 'data'])
    server.close()
    near.destroy()
  })

  it('ends its streams when the connection breaks', async () => {
    const { client, server } = await pair(({ duplex }) => duplex.resume())
    const { duplex } = client.createStream({})
    duplex.resume()
    const ended = new Promise((resolve) => duplex.once('close', resolve))
    server.close()
    await ended
    await client.closed
  })
})

function plainBlock(headers: Record<string, string>): Buffer {
  const length = (size: number): Buffer => {
    const bytes = Buffer.alloc(4)
    bytes.writeUInt32BE(size)
    return bytes
  }
  const pairs = Object.entries(headers)
  return Buffer.concat([
    length(pairs.length),
    ...pairs.flatMap((pair) => pair.flatMap((word) => [length(word.length), Buffer.from(word)])),
  ])
}
