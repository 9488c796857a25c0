import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:http'
import { text } from 'node:stream/consumers'
import { after, describe, it } from 'node:test'
import { WebSocket } from 'ws'
import { upgradeKindOf } from '../connection.ts'
import { DialRefusedError } from '../dial.ts'
import { dialRemoteCommand } from './dial.ts'
import {
  createSizeReader,
  exitStatus,
  type RemoteCommandSession,
  type RemoteCommandStreams,
  type TerminalSize,
} from './protocol.ts'
import { serveRemoteCommand } from './serve.ts'

const ALL: RemoteCommandStreams = { stdin: true, stdout: true, stderr: true, tty: false }

describe('remote commands', () => {
  const servers: Server[] = []
  after(() => servers.forEach((server) => server.close()))

  async function listen(
    streams: RemoteCommandStreams,
    run: (session: RemoteCommandSession) => Promise<void>,
  ): Promise<string> {
    const server = createServer((_request, response) => response.writeHead(404).end('no such container'))
    server.on('upgrade', (request, socket, head) => {
      if (upgradeKindOf(request) === undefined || request.url === '/refuse') {
        socket.end('HTTP/1.1 404 Not Found\r\nContent-Length: 17\r\n\r\nno such container')
        return
      }
      void serveRemoteCommand({ request, socket, head }, streams).then(run, () => {})
    })
    servers.push(server)
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(server.address() as { port: number }).port}`
  }

  /** Answers with what it reads, in capitals, and ends with code 3. */
  async function shout(session: RemoteCommandSession): Promise<void> {
    session.stderr?.write('ready')
    session.stdout?.write((await text(session.stdin!)).toUpperCase())
    await session.finish(exitStatus(3))
  }

  it('run over SPDY, both ends ours', async () => {
    const url = new URL(await listen(ALL, shout))
    const client = await dialRemoteCommand({ url }, ALL)
    client.stdin?.end('hello')
    assert.deepEqual([await text(client.stdout!), await text(client.stderr!)], ['HELLO', 'ready'])
    assert.equal((await client.status).details?.causes?.[0]?.message, '3')
    client.close()
  })

  it('pass on terminal sizes and success over SPDY', async () => {
    const streams = { stdin: false, stdout: true, stderr: true, tty: true }
    const size = Promise.withResolvers<TerminalSize>()
    const url = new URL(
      await listen(streams, async (session) => {
        session.onResize((next) => size.resolve(next))
        await size.promise
        assert.equal(session.stderr, undefined)
        await session.finish(exitStatus(0))
      }),
    )
    const client = await dialRemoteCommand({ url }, streams)
    client.resize({ width: 80, height: 24 })
    assert.deepEqual(await size.promise, { width: 80, height: 24 })
    assert.equal((await client.status).status, 'Success')
    client.close()
  })

  it('report the answer of a server that will not upgrade', async () => {
    const url = new URL(`${await listen(ALL, shout)}/refuse`)
    await assert.rejects(dialRemoteCommand({ url }, ALL), (error) => {
      assert.ok(error instanceof DialRefusedError)
      assert.deepEqual([error.code, error.message], [404, 'unable to upgrade connection: no such container'])
      return true
    })
  })

  it('run over WebSocket v5, where closing stdin is a message', async () => {
    const socket = new WebSocket((await listen(ALL, shout)).replace('http', 'ws'), [
      'v5.channel.k8s.io',
      'v4.channel.k8s.io',
    ])
    const output = collect(socket)
    await new Promise((resolve) => socket.once('open', resolve))
    assert.equal(socket.protocol, 'v5.channel.k8s.io')
    socket.send(Buffer.concat([Buffer.from([0]), Buffer.from('hello')]))
    socket.send(Buffer.from([255, 0]))
    const channels = await output
    assert.deepEqual([channels[1], channels[2]], ['HELLO', 'ready'])
    assert.equal((JSON.parse(channels[3] ?? '') as { reason: string }).reason, 'NonZeroExitCode')
  })

  it('run over base64 channels and say a failure in words to the oldest clients', async () => {
    const streams = { ...ALL, stdin: false }
    const run = async (session: RemoteCommandSession): Promise<void> => {
      session.stdout?.write('hello')
      await session.finish(exitStatus(1))
    }
    const socket = new WebSocket((await listen(streams, run)).replace('http', 'ws'), ['base64.channel.k8s.io'])
    const messages: string[] = []
    socket.on('message', (data: Buffer) => messages.push(data.toString()))
    await new Promise((resolve) => socket.once('close', resolve))
    const decoded = messages.map((message) => message.slice(0, 1) + Buffer.from(message.slice(1), 'base64').toString())
    assert.deepEqual(decoded, ['1', '1hello', '3command terminated with non-zero exit code: exit status 1'])
  })

  it('end for the command when the client goes away', async () => {
    const gone = Promise.withResolvers<void>()
    const url = new URL(
      await listen(ALL, async (session) => session.signal.addEventListener('abort', () => gone.resolve())),
    )
    const client = await dialRemoteCommand({ url }, ALL)
    client.close()
    await gone.promise
  })
})

describe('createSizeReader', () => {
  it('reads sizes that are cut anywhere, and skips nonsense', () => {
    const sizes: TerminalSize[] = []
    const read = createSizeReader((size) => sizes.push(size))
    for (const part of ['{"Width":8', '0,"Height":24}\n{"Wid', 'th":1,"Height":2}', '{"x"}', '{}'])
      read(Buffer.from(part))
    assert.deepEqual(sizes, [
      { width: 80, height: 24 },
      { width: 1, height: 2 },
    ])
  })
})

function collect(socket: WebSocket): Promise<Record<number, string>> {
  const channels: Record<number, string> = {}
  socket.on('message', (data: Buffer) => {
    const channel = data[0] ?? -1
    channels[channel] = (channels[channel] ?? '') + data.subarray(1).toString()
  })
  return new Promise((resolve) => socket.once('close', () => resolve(channels)))
}
