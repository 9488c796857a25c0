import assert from 'node:assert/strict'
import { connect } from 'node:http2'
import { describe, it } from 'node:test'
import { startTestServer } from '../testing/test-server.ts'
import type { CreateExtension } from '../extension.ts'

const halfAnswers: CreateExtension = () => ({
  routes: [
    {
      path: '/half',
      methods: ['GET'],
      handle(exchange) {
        exchange.startStream(200, {})
        exchange.write(Buffer.from('half of wh'))
        exchange.destroy()
      },
    },
  ],
})

describe('an answer that breaks off', () => {
  it('is not taken for the whole', async () => {
    const test = await startTestServer({ extensions: [halfAnswers] })
    const session = connect(`https://127.0.0.1:${test.port}`, { ca: test.certificates.authority.certificatePem })
    const stream = session.request({ ':path': '/half' })
    let isWhole = false
    stream.on('end', () => (isWhole = stream.rstCode === 0 && !stream.destroyed))
    stream.on('error', () => {})
    stream.resume()
    await new Promise((resolve) => stream.once('close', resolve))
    assert.equal(isWhole, false)
    session.destroy()
    await test.close()
  })
})
