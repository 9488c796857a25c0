import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, it } from 'node:test'
import { Worker } from 'node:worker_threads'
import { ConnectionPool } from './connection.ts'

/** A server that is never busy, whatever this thread does. */
const SERVER = `
  const { createServer } = require('node:http2')
  const server = createServer()
  server.on('stream', (stream) => { stream.respond({ ':status': 200 }); stream.end('ok') })
  server.listen(0, '127.0.0.1', () => require('node:worker_threads').parentPort.postMessage(server.address().port))
`

describe('ConnectionPool', () => {
  it('does not blame the server when this process had no time to read its answer', async () => {
    const worker = new Worker(SERVER, { eval: true })
    const [port] = (await once(worker, 'message')) as [number]
    const liveness = { pingIntervalMs: 5, pingTimeoutMs: 10 }
    const pool = new ConnectionPool({ origins: [`http://127.0.0.1:${port}`], tls: {}, liveness })
    try {
      const stream = pool.request({ ':path': '/' }, { endStream: true })
      const { session } = stream
      assert.ok(session)
      stream.resume()
      await once(stream, 'close')
      const timers = new Int32Array(new SharedArrayBuffer(4))
      for (let round = 0; round < 10; round++) {
        await new Promise((resolve) => setTimeout(resolve, liveness.pingIntervalMs + 1)) // a ping is on its way
        Atomics.wait(timers, 0, 0, 5 * liveness.pingTimeoutMs) // and this thread sleeps until its time is over
      }
      assert.equal(session.destroyed, false)
    } finally {
      await pool.close()
      await worker.terminate()
    }
  })
})
