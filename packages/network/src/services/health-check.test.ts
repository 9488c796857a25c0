import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { answerHealthCheck } from './health-check.ts'

const CHECK = { namespace: 'default', name: 'web', port: 32_000, localEndpoints: 2 }

describe('answerHealthCheck', () => {
  it('says upstream’s words and how many endpoints are here', () => {
    const { status, headers, body } = answerHealthCheck(CHECK, { isHealthy: true })
    assert.equal(status, 200)
    assert.equal(headers['X-Load-Balancing-Endpoint-Weight'], '2')
    assert.deepEqual(JSON.parse(body), {
      service: { namespace: 'default', name: 'web' },
      localEndpoints: 2,
      serviceProxyHealthy: true,
    })
  })

  it('is 503 without endpoints, or while services cannot be programmed', () => {
    assert.equal(answerHealthCheck({ ...CHECK, localEndpoints: 0 }, { isHealthy: true }).status, 503)
    assert.equal(answerHealthCheck(CHECK, { isHealthy: false }).status, 503)
  })
})
