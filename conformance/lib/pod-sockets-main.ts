import { createHash, randomBytes } from 'node:crypto'
import { createSocket } from 'node:dgram'
import { connect, createServer, type Socket } from 'node:net'
import { createInterface } from 'node:readline'
import { readOctets, startFlood } from './pod-flood.ts'
import { TALK_PORT, SINK_PORT, type Answer, type Place, type SocketCommand, type SocketEvent } from './pod-sockets.ts'

// Runs in the network of a pod (or of a host): talks to whoever asks, and asks others. Whoever it is has a name, which both ends tell.

/** After so long without an answer nobody gives one. */
const ASK_TIMEOUT_MS = 1_500
/** For so long a connection may stand still while there is load. */
const BULK_TIMEOUT_MS = 30_000
const STREAM_PERIOD_MS = 20
const CHUNK_BYTES = 65_536

const [, , name = ''] = process.argv
/** Everybody who was heard. */
const heard = new Set<string>()
/** Ends the flood; returns why it had ended before. */
let calm: () => string | undefined = () => undefined
const stream = { sent: 0, answered: 0, broken: undefined as string | undefined }

await Promise.all([talkByTcp(), talkByUdp(), listenToBulk()])
process.on('message', (command: SocketCommand) => {
  obey(command).then(
    (value) => tell({ id: command.id, value }),
    (error: Error) => tell({ id: command.id, error: error.message }),
  )
})
process.on('disconnect', () => process.exit(0))
tell({ id: 0 })

function tell(event: SocketEvent): void {
  if (process.connected) process.send!(event)
}

async function obey(command: SocketCommand): Promise<unknown> {
  switch (command.type) {
    case 'ask':
      return command.protocol === 'TCP' ? askByTcp(command) : askByUdp(command)
    case 'bulk':
      return sendInBulk(command)
    case 'stream':
      return startStream(command)
    case 'streamed':
      return { ...stream }
    case 'flood':
      calm = await startFlood(command)
      return undefined
    case 'calm':
      return calm()
    case 'octets':
      return readOctets()
    case 'heard':
      return [...heard]
  }
}

function answerTo(words: string, from: string | undefined): string {
  heard.add(words.split(' ')[0]!)
  return JSON.stringify({ by: name, seenAs: from } satisfies Answer)
}

function listen(port: number, onConnection: (socket: Socket) => void): Promise<void> {
  const server = createServer({ allowHalfOpen: true }, (socket) => {
    socket.on('error', () => {}) // its other end may go at any time
    onConnection(socket)
  })
  return new Promise((resolve, reject) => server.once('error', reject).listen(port, '0.0.0.0', resolve))
}

function talkByTcp(): Promise<void> {
  return listen(TALK_PORT, (socket) => {
    const { remoteAddress } = socket
    createInterface(socket)
      .on('line', (line) => socket.write(`${answerTo(line, remoteAddress)}\n`))
      .on('close', () => socket.end())
      .on('error', () => {})
  })
}

function talkByUdp(): Promise<void> {
  const socket = createSocket('udp4')
  socket.on('message', (data, from) => socket.send(answerTo(data.toString(), from.address), from.port, from.address))
  socket.on('error', () => {}) // an ICMP error about an answer
  return new Promise((resolve) => socket.bind(TALK_PORT, '0.0.0.0', resolve))
}

function listenToBulk(): Promise<void> {
  return listen(SINK_PORT, (socket) => {
    const hash = createHash('sha256')
    socket.on('data', (data) => void hash.update(data)).on('end', () => socket.end(hash.digest('hex')))
  })
}

function askByTcp({ ip, port }: Place): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    const socket = connect({ host: ip, port })
    const give = (answer?: Answer): void => {
      socket.destroy()
      resolve(answer)
    }
    setTimeout(give, ASK_TIMEOUT_MS)
    socket.on('error', () => give()).write(`${name}\n`)
    createInterface(socket)
      .on('line', (line) => give(JSON.parse(line) as Answer))
      .on('error', () => {})
  })
}

function askByUdp({ ip, port }: Place): Promise<Answer | undefined> {
  return new Promise((resolve) => {
    const socket = createSocket('udp4')
    const timer = setTimeout(() => give(), ASK_TIMEOUT_MS)
    const give = (answer?: Answer): void => {
      clearTimeout(timer)
      socket.close()
      resolve(answer)
    }
    socket.once('message', (data) => give(JSON.parse(data.toString()) as Answer)).on('error', () => {})
    socket.send(name, port, ip)
  })
}

/** Whether the other end got, in order, each byte that was sent. */
async function sendInBulk({ ip, port, bytes }: Place & { readonly bytes: number }): Promise<boolean> {
  const socket = connect({ host: ip, port, allowHalfOpen: true })
  socket.setTimeout(BULK_TIMEOUT_MS, () => socket.destroy(new Error(`Nothing moved for ${BULK_TIMEOUT_MS} ms`)))
  const answer = new Promise<string>((resolve, reject) => {
    let text = ''
    socket.setEncoding('utf8').on('data', (data) => (text += data))
    socket.on('error', reject).on('end', () => resolve(text))
  })
  const hash = createHash('sha256')
  for (let sent = 0; sent < bytes; sent += CHUNK_BYTES) {
    const chunk = randomBytes(Math.min(CHUNK_BYTES, bytes - sent))
    hash.update(chunk)
    if (!socket.write(chunk)) await Promise.race([new Promise((resolve) => socket.once('drain', resolve)), answer])
  }
  socket.end()
  const got = await answer
  socket.destroy()
  return got === hash.digest('hex')
}

/** One connection that stays; says something again and again. Resolves after the first answer. */
function startStream({ ip, port }: Place): Promise<void> {
  const socket = connect({ host: ip, port })
  Object.assign(stream, { sent: 0, answered: 0, broken: undefined })
  const timer = setInterval(() => {
    socket.write(`${name} ${++stream.sent}\n`)
  }, STREAM_PERIOD_MS)
  return new Promise((resolve, reject) => {
    const end = (why: string): void => {
      clearInterval(timer)
      stream.broken ??= why
      reject(new Error(why))
    }
    socket.on('error', ({ message }) => end(message)).on('close', () => end('It was closed'))
    createInterface(socket)
      .on('line', () => {
        stream.answered++
        resolve()
      })
      .on('error', () => {})
  })
}
