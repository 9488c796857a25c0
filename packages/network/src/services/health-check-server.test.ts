import assert from 'node:assert/strict'
import { createServer } from 'node:net'
import { describe, it } from 'node:test'
import { silentLogger } from '@centaurus/base'
import type { HealthCheck } from './health-check.ts'
import { createHealthCheckServer } from './health-check-server.ts'

/** One that was free a moment ago. */
async function freePort(): Promise<number> {
  const server = createServer()
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  await new Promise((resolve) => server.close(resolve))
  return typeof address === 'object' && address !== null ? address.port : 0
}

const check = (port: number, localEndpoints: number): HealthCheck => ({
  namespace: 'default',
  name: 'web',
  port,
  localEndpoints,
})
const ask = (port: number): Promise<Response> => fetch(`http://127.0.0.1:${port}/healthz`)

describe('createHealthCheckServer', () => {
  it('answers on each port for as long as its Service has it', async () => {
    const health = { isHealthy: true }
    const server = createHealthCheckServer({
      logger: silentLogger,
      isHealthy: () => health.isHealthy,
      address: '127.0.0.1',
    })
    const [first, second] = [await freePort(), await freePort()]
    await server.apply([check(first, 1), check(second, 0)])
    const answer = await ask(first)
    assert.equal(answer.status, 200)
    assert.equal(answer.headers.get('content-type'), 'application/json')
    assert.deepEqual(await answer.json(), {
      service: { namespace: 'default', name: 'web' },
      localEndpoints: 1,
      serviceProxyHealthy: true,
    })
    assert.equal((await ask(second)).status, 503)
    await server.apply([check(first, 0)])
    assert.equal((await ask(first)).status, 503)
    await assert.rejects(ask(second))
    health.isHealthy = false
    await server.apply([check(first, 3)])
    assert.equal((await ask(first)).status, 503)
    await server.close()
    await assert.rejects(ask(first))
  })

  it('opens a port that another process has as soon as it is free', async () => {
    const other = createServer()
    await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve))
    const address = other.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    const warnings: unknown[] = []
    const logger = { ...silentLogger, warn: (_: string, fields?: unknown) => warnings.push(fields) }
    const server = createHealthCheckServer({ logger, isHealthy: () => true, address: '127.0.0.1' })
    await server.apply([check(port, 1)])
    assert.equal(warnings.length, 1)
    await new Promise((resolve) => other.close(resolve))
    await server.apply([check(port, 1)])
    assert.equal((await ask(port)).status, 200)
    await server.close()
  })
})
