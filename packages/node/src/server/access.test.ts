import assert from 'node:assert/strict'
import type { IncomingMessage } from 'node:http'
import { describe, it } from 'node:test'

import { createManualClock } from '@centaurus/base'

import { createReviewClient } from '../testing/review-client.ts'
import { accessAttributes } from './access-attributes.ts'
import { createDelegatedAccess } from './access.ts'

function request(url: string, { token, user }: { token?: string; user?: string }): IncomingMessage {
  const getPeerCertificate = () => ({ subject: { CN: user, O: ['ops'] } })
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` }
  return {
    method: 'GET',
    url,
    headers,
    socket: { authorized: user !== undefined, getPeerCertificate },
  } as unknown as IncomingMessage
}

describe('access to the kubelet API', () => {
  it('asks for the permissions that upstream asks for', () => {
    const of = (method: string, path: string) =>
      accessAttributes(method, path, 'n').map(({ verb, subresource }) => `${verb} ${subresource}`)
    assert.deepEqual(of('GET', '/stats/summary'), ['get stats'])
    assert.deepEqual(of('GET', '/metrics/cadvisor'), ['get metrics'])
    assert.deepEqual(of('GET', '/pods'), ['get pods', 'get proxy'])
    assert.deepEqual(of('GET', '/runningpods/'), ['get pods', 'get proxy'])
    assert.deepEqual(of('GET', '/healthz/syncloop'), ['get healthz', 'get proxy'])
    assert.deepEqual(of('POST', '/exec/ns/pod/main'), ['create proxy'])
    assert.deepEqual(of('GET', '/toString'), ['get proxy'])
  })

  it('lets in whom the API allows, and refuses the rest in upstream’s words', async () => {
    const client = createReviewClient({ tokens: { t1: 'metrics' }, allowed: ['root *', 'metrics get metrics'] })
    const access = createDelegatedAccess({ client, clock: createManualClock() })
    await access.check(request('/exec/a/b/c', { user: 'root' }), 'n1')
    await access.check(request('/metrics/resource', { token: 't1' }), 'n1')
    await assert.rejects(access.check(request('/pods', { token: 't1' }), 'n1'), {
      status: 403,
      message: 'Forbidden (user=metrics, verb=get, resource=nodes, subresource(s)=[pods proxy])\n',
    })
    await assert.rejects(access.check(request('/pods', { token: 'stolen' }), 'n1'), {
      status: 401,
      message: 'Unauthorized',
    })
    await assert.rejects(access.check(request('/healthz', {}), 'n1'), { status: 401 })
  })

  it('believes an answer for a while, and nobody when the API is away', async () => {
    const clock = createManualClock()
    const client = createReviewClient({ tokens: { t1: 'root' }, allowed: ['root *'] })
    const access = createDelegatedAccess({ client, clock })
    const check = (): Promise<void> => access.check(request('/pods', { token: 't1' }), 'n1')
    await check()
    await check()
    assert.deepEqual(client.asked, ['token:t1', 'access:root:get:pods'])
    client.isDown = true
    await check()
    await clock.advance(121_000)
    await assert.rejects(check(), { status: 401 })
    await assert.rejects(access.check(request('/pods', { user: 'other' }), 'n1'), { status: 500 })
  })
})
