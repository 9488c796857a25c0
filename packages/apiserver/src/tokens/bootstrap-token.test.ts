import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { secrets, type Secret } from '@centaurus/api/core/v1'
import { createManualClock } from '@centaurus/base'
import { createAccessExtension } from '../access/access-extension.ts'
import { generateKeyPem } from '../certificates/key-pair.ts'
import { createTestReader } from '../testing/object-reader.ts'
import { startTestServer } from '../testing/test-server.ts'
import { CLEAN_INTERVAL_MS } from './bootstrap-token-cleaner.ts'
import { createBootstrapTokenAuthenticator } from './bootstrap-token.ts'
import { createTokenSigner } from './signing-key.ts'

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

  it('are deleted once they have expired', async () => {
    const clock = createManualClock()
    const extensions = [createAccessExtension({ signer: createTokenSigner({ keyPem: generateKeyPem() }) })]
    const { client, close } = await startTestServer({ clock, extensions })
    const put = (name: string, expiration: string, more: Partial<Secret> = {}) =>
      client.create(secrets, {
        metadata: { namespace: 'kube-system', name },
        type: 'bootstrap.kubernetes.io/token',
        stringData: { expiration },
        ...more,
      })
    const soon = new Date(clock.now() + 1000).toISOString()
    await put('bootstrap-token-soon00', soon)
    await put('bootstrap-token-later0', new Date(clock.now() + 10 * CLEAN_INTERVAL_MS).toISOString())
    await put('other', soon, { type: 'Opaque' })
    clock.advance(CLEAN_INTERVAL_MS)
    const list = async (): Promise<string[]> =>
      (await client.list(secrets, { namespace: 'kube-system' })).items.map(({ metadata }) => metadata.name)
    while ((await list()).length > 2) await new Promise((resolve) => setImmediate(resolve))
    assert.deepEqual(await list(), ['bootstrap-token-later0', 'other'])
    await close()
  })
})
