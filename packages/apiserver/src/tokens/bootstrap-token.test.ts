import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { secrets, type Secret } from '@centaurus/api/core/v1'
import { createManualClock } from '@centaurus/base'
import { createTestReader } from '../testing/object-reader.ts'
import { createBootstrapTokenAuthenticator } from './bootstrap-token.ts'

const TOKEN = { id: 'abcdef', password: '0123456789abcdef' }

function setUp() {
  const reader = createTestReader()
  const clock = createManualClock()
  const authenticator = createBootstrapTokenAuthenticator({ reader, clock })
  const put = (data: Record<string, string> = {}, more: Partial<Secret> = {}) => {
    const all = {
      'token-id': TOKEN.id,
      'token-secret': TOKEN.password,
      'usage-bootstrap-authentication': 'true',
      ...data,
    }
    const encoded = Object.entries(all).map(([key, text]) => [key, Buffer.from(text).toString('base64')])
    reader.put(secrets, {
      metadata: { name: `bootstrap-token-${TOKEN.id}`, namespace: 'kube-system' },
      type: 'bootstrap.kubernetes.io/token',
      data: Object.fromEntries(encoded) as Record<string, string>,
      ...more,
    })
  }
  const who = async (token = `${TOKEN.id}.${TOKEN.password}`) =>
    authenticator.authenticate({ headers: { authorization: `Bearer ${token}` }, clientCertificate: undefined })
  return { clock, put, who }
}

describe('bootstrap tokens', () => {
  it('are known by their Secret, with the groups that it names', async () => {
    const { put, who } = setUp()
    assert.equal(await who(), undefined)
    put({ 'auth-extra-groups': 'system:bootstrappers:kubeadm:default-node-token,system:bootstrappers:a' })
    assert.deepEqual(await who(), {
      name: 'system:bootstrap:abcdef',
      uid: '',
      groups: [
        'system:bootstrappers',
        'system:bootstrappers:kubeadm:default-node-token',
        'system:bootstrappers:a',
        'system:authenticated',
      ],
      extra: {},
      tenant: 'system',
    })
  })

  it('are good until they expire', async () => {
    const { put, who, clock } = setUp()
    put({ expiration: new Date(clock.now() + 1000).toISOString() })
    assert.equal((await who())?.name, 'system:bootstrap:abcdef')
    clock.advance(1000)
    assert.equal(await who(), undefined)
    put({ expiration: 'some day' })
    assert.equal(await who(), undefined)
  })

  it('are nobody’s when anything is not as it must be', async () => {
    const refuse = async (data: Record<string, string>, more: Partial<Secret> = {}) => {
      const { put, who } = setUp()
      put(data, more)
      assert.equal(await who(), undefined, JSON.stringify({ data, more }))
    }
    await refuse({ 'token-secret': '0123456789abcdeg' })
    await refuse({ 'token-id': 'abcdeg' })
    await refuse({ 'usage-bootstrap-authentication': 'false' })
    await refuse({ 'auth-extra-groups': 'system:masters' })
    await refuse({ 'auth-extra-groups': 'system:bootstrappers:' })
    await refuse({}, { type: 'Opaque' })
    await refuse(
      {},
      {
        metadata: {
          name: 'bootstrap-token-abcdef',
          namespace: 'kube-system',
          deletionTimestamp: '2026-01-01T00:00:00Z',
        },
      },
    )
    const { put, who } = setUp()
    put()
    for (const token of ['abcdef', 'abcdef.', 'ABCDEF.0123456789abcdef', `${TOKEN.id}.${TOKEN.password}x`])
      assert.equal(await who(token), undefined, token)
  })
})
