import assert from 'node:assert/strict'
import { createServer, request, type Server } from 'node:http'
import { Duplex } from 'node:stream'
import { text } from 'node:stream/consumers'
import { after, describe, it } from 'node:test'
import { WebSocket } from 'ws'
import { SpdyConnection } from '../spdy/spdy-connection.ts'
import { dialPortForward } from './dial.ts'
import { PORT_FORWARD_TUNNEL_PROTOCOL, servePortForward, type ForwardedPort } from './serve.ts'

describe('port forwarding', () => {
  const servers: Server[] = []
  after(() => servers.forEach((server) => server.close()))

  async function listen(): Promise<string> {
    const server = createServer()
    server.on(
      'upgrade',
      (request, socket, head) => void servePortForward({ request, socket, head }, [80], answer).catch(() => {}),
    )
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `127.0.0.1:${(server.address() as { port: number }).port}`
  }

  /** Port 81 can't be reached; others echo behind their number. */
  function answer({ port, data, error }: ForwardedPort): void {
    if (port === 81) {
      error.end('connection refused')
      data.destroy()
      return
    }
    error.end()
    data.write(`${port}:`)
    data.pipe(data)
  }

  it('carries many connections over SPDY, each with its own end and error', async () => {
    const client = await dialPortForward({ url: new URL(`http://${await listen()}`) })
    const talk = async (port: number): Promise<string[]> => {
      const { data, error } = client.connect(port)
      data.end('ping')
      return Promise.all([text(data).catch(() => 'broken'), text(error)])
    }
    assert.deepEqual(await Promise.all([talk(80), talk(8080)]), [
      ['80:ping', ''],
      ['8080:ping', ''],
    ])
    assert.equal((await talk(81))[1], 'connection refused')
    client.close()
    await client.closed
  })

  it('carries SPDY within WebSocket', async () => {
    const connection = new SpdyConnection(await dialTunnel(`http://${await listen()}`), { side: 'client' })
    connection.createStream({ streamtype: 'error', port: '80', requestid: '0' }).duplex.end()
    const { duplex } = connection.createStream({ streamtype: 'data', port: '80', requestid: '0' })
    duplex.end('x'.repeat(100_000))
    assert.equal((await text(duplex)).length, 100_003)
    connection.close()
    await connection.closed
  })

  it('carries WebSocket channels for the ports of the query', async () => {
    const socket = new WebSocket(`ws://${await listen()}`, ['v4.channel.k8s.io'])
    const data: Buffer[] = []
    const seen = new Promise<void>((resolve) => {
      socket.on('message', (message: Buffer) => {
        if (message[0] === 0) data.push(message.subarray(1))
        if (Buffer.concat(data).toString().endsWith('ping')) resolve()
      })
    })
    await new Promise((resolve) => socket.once('open', resolve))
    socket.send(Buffer.concat([Buffer.from([0]), Buffer.from('ping')]))
    await seen
    assert.deepEqual([data[0]?.readUInt16LE(), Buffer.concat(data.slice(1)).toString()], [80, '80:ping'])
    socket.close()
    await new Promise((resolve) => socket.once('close', resolve))
  })
})

/** kubectl's side of the tunnel, by hand: no library offers a subprotocol with a slash. Masks with zeros, which changes nothing. */
async function dialTunnel(url: string): Promise<Duplex> {
  const headers = {
    connection: 'Upgrade',
    upgrade: 'websocket',
    'sec-websocket-version': '13',
    'sec-websocket-key': 'dGhlIHNhbXBsZSBub25jZQ==',
    'sec-websocket-protocol': PORT_FORWARD_TUNNEL_PROTOCOL,
  }
  const outgoing = request(url, { headers }).end()
  const socket = await new Promise<Duplex>((resolve) => {
    outgoing.on('upgrade', (response, upgraded) => {
      assert.equal(response.headers['sec-websocket-protocol'], PORT_FORWARD_TUNNEL_PROTOCOL)
      resolve(upgraded)
    })
  })
  let pending = Buffer.alloc(0)
  const duplex = new Duplex({
    read: () => {},
    write: (chunk: Buffer, _encoding, done) => {
      const head = Buffer.alloc(14)
      head.writeUInt8(0x82, 0)
      head.writeUInt8(0x80 | 127, 1)
      head.writeUInt32BE(chunk.length, 6)
      socket.write(Buffer.concat([head, chunk]), () => done())
    },
    final: (done) => socket.end(done),
  })
  socket.on('close', () => duplex.push(null))
  socket.on('data', (chunk: Buffer) => {
    pending = Buffer.concat([pending, chunk])
    for (let frame = takeFrame(pending); frame !== undefined; frame = takeFrame(pending)) {
      pending = pending.subarray(frame.end)
      if (frame.opcode === 2) duplex.push(frame.payload)
    }
  })
  return duplex
}

function takeFrame(bytes: Buffer): { opcode: number; payload: Buffer; end: number } | undefined {
  if (bytes.length < 10 && bytes.length < 2 + (bytes[1] ?? 126)) return undefined
  const short = (bytes[1] ?? 0) & 0x7f
  const start = short < 126 ? 2 : short === 126 ? 4 : 10
  const length = short < 126 ? short : short === 126 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2))
  const end = start + length
  return bytes.length < end ? undefined : { opcode: (bytes[0] ?? 0) & 0x0f, payload: bytes.subarray(start, end), end }
}
