import { Duplex } from 'node:stream'
import type { RawData, WebSocket } from 'ws'

/**
 * The bytes of a WebSocket's binary messages as one byte stream, for protocols that are tunnelled in it
 * (`SPDY/3.1+portforward.k8s.io`). Back-pressure goes both ways.
 */
export function createWebSocketDuplex(socket: WebSocket): Duplex {
  const duplex = new Duplex({
    read: () => socket.resume(),
    write: (chunk: Buffer, _encoding, done) => socket.send(chunk, { binary: true }, (error) => done(error ?? null)),
    final: (done) => {
      socket.close(1000)
      done()
    },
    destroy: (error, done) => {
      socket.terminate()
      done(error)
    },
  })
  duplex.on('error', () => {}) // a broken connection ends the stream: that is all its users need
  socket.on('message', (data: RawData) => {
    if (!duplex.destroyed && !duplex.push(toBuffer(data))) socket.pause()
  })
  socket.on('close', () => {
    duplex.push(null)
    duplex.end()
  })
  socket.on('error', () => duplex.destroy())
  return duplex
}

export function toBuffer(data: RawData): Buffer {
  if (Buffer.isBuffer(data)) return data
  return Array.isArray(data) ? Buffer.concat(data) : Buffer.from(data)
}
