import assert from 'node:assert/strict'
import { createPublicKey, verify } from 'node:crypto'
import { describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import type { TokenRequest } from '@centaurus/api/authentication/v1'
import { pods, secrets, serviceaccounts } from '@centaurus/api/core/v1'
import { createManualClock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { generateKeyPem, publicKeyPem } from '../certificates/key-pair.ts'
import type { RequestContext } from '../extension.ts'
import { SYSTEM_TENANT } from '../request/request-info.ts'
import { createTestReader } from '../testing/object-reader.ts'
import { fillTokenSecret } from './secret-token.ts'
import { createTokenSigner } from './signing-key.ts'
import { createTokenAuthenticator } from './token-authenticator.ts'
import { createTokenRequestAction } from './token-request.ts'

const AUDIENCES = ['https://issuer.example']

function setUp() {
  const reader = createTestReader()
  const clock = createManualClock()
  const signer = createTokenSigner({ keyPem: generateKeyPem() })
  const client = { get: () => Promise.reject(new Error('only the cache is asked')) } as unknown as Client
  const deps = { reader, clock, signer, clientOf: () => client, audiences: AUDIENCES }
  const authenticator = createTokenAuthenticator(deps)
  const action = createTokenRequestAction(deps)
  const context = { info: { namespace: 'a', name: 'sa', tenant: SYSTEM_TENANT } } as RequestContext
  const request = async (spec: TokenRequest['spec']): Promise<TokenRequest> => {
    const body: TokenRequest = { metadata: {}, spec }
    return (await action.run(body, context)) as TokenRequest
  }
  const who = async (token: string): Promise<string> => {
    try {
      const found = await authenticator.authenticate({
        headers: { authorization: `Bearer ${token}` },
        clientCertificate: undefined,
      })
      return found?.name ?? 'nobody'
    } catch (error) {
      assert.ok(isStatus(error, 'Unauthorized'))
      return '401'
    }
  }
  const account = reader.put(serviceaccounts, { metadata: { name: 'sa', namespace: 'a' } })
  return { reader, clock, signer, request, who, authenticator, account }
}

describe('service account tokens', () => {
  it('are issued with upstream’s claims and authenticate their account', async () => {
    const { request, who, signer, reader, authenticator } = setUp()
    const pod = reader.put(pods, {
      metadata: { name: 'p', namespace: 'a' },
      spec: { serviceAccountName: 'sa', nodeName: 'n', containers: [] },
    })
    const answer = await request({
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p', uid: pod.metadata.uid },
    })
    const token = answer.status?.token ?? ''
    assert.equal(answer.status?.expirationTimestamp, '2026-01-01T01:00:00Z')
    const claims = signer.verify(token) ?? {}
    assert.deepEqual(
      { ...claims, jti: '', 'kubernetes.io': claims['kubernetes.io'] },
      {
        aud: AUDIENCES,
        exp: 1767229200,
        iat: 1767225600,
        iss: AUDIENCES[0],
        jti: '',
        'kubernetes.io': {
          namespace: 'a',
          node: { name: 'n' },
          pod: { name: 'p', uid: pod.metadata.uid },
          serviceaccount: { name: 'sa', uid: 'uid-1' },
        },
        nbf: 1767225600,
        sub: 'system:serviceaccount:a:sa',
      },
    )
    assert.equal(await who(token), 'system:serviceaccount:a:sa')
    const { user } = authenticator.review(token, AUDIENCES)
    assert.deepEqual(user.groups, ['system:serviceaccounts', 'system:serviceaccounts:a', 'system:authenticated'])
    assert.deepEqual(user.extra['authentication.kubernetes.io/pod-name'], ['p'])
  })

  it('give the same user object again, so that what is computed for it can be kept', async () => {
    const { request, authenticator } = setUp()
    const token = (await request({})).status?.token ?? ''
    assert.equal(authenticator.review(token, AUDIENCES).user, authenticator.review(token, AUDIENCES).user)
  })

  it('end with their time, their account and their pod', async () => {
    const { request, who, reader, clock } = setUp()
    const pod = reader.put(pods, {
      metadata: { name: 'p', namespace: 'a' },
      spec: { serviceAccountName: 'sa', containers: [] },
    })
    const bound = (await request({ boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p' } })).status?.token ?? ''
    const free = (await request({ expirationSeconds: 7200 })).status?.token ?? ''
    assert.equal(await who(bound), 'system:serviceaccount:a:sa')
    reader.remove(pods, pod.metadata as { name: string; namespace: string })
    await clock.advance(11_000)
    assert.deepEqual([await who(bound), await who(free)], ['401', 'system:serviceaccount:a:sa'])
    await clock.advance(7300_000)
    assert.equal(await who(free), '401')
  })

  it('are refused for another audience, another key, and when changed', async () => {
    const { request, who } = setUp()
    const other = (await request({ audiences: ['vault'] })).status?.token ?? ''
    const token = (await request({})).status?.token ?? ''
    const [header, payload = '', signature] = token.split('.')
    const forged = Buffer.from(Buffer.from(payload, 'base64url').toString().replace('sa', 'xx')).toString('base64url')
    assert.equal(await who(other), '401')
    assert.equal(await who(`${header}.${forged}.${signature}`), '401')
    assert.equal(await who('x.y.z'), '401')
    assert.equal(await who((await setUp().request({})).status?.token ?? ''), '401')
    const none = Buffer.from('{"alg":"none"}').toString('base64url')
    assert.equal(await who(`${none}.${payload}.`), '401')
  })

  it('are refused to a request that asks for what it may not', async () => {
    const { request, reader } = setUp()
    reader.put(pods, { metadata: { name: 'p', namespace: 'a' }, spec: { serviceAccountName: 'other', containers: [] } })
    await assert.rejects(
      request({ expirationSeconds: 5 }),
      /spec.expirationSeconds: Invalid value: 5: may not specify a duration less than 10 minutes/,
    )
    await assert.rejects(
      request({ boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p' } }),
      /cannot bind token for serviceaccount "sa" to pod running with different serviceaccount name./,
    )
    await assert.rejects(
      request({ boundObjectRef: { apiVersion: 'v1', kind: 'ConfigMap', name: 'p' } }),
      /cannot bind token to object of type/,
    )
  })

  it('last a year when a node agent asks for a pod’s, and say when they should have been replaced', async () => {
    const { request, signer, reader } = setUp()
    reader.put(pods, { metadata: { name: 'p', namespace: 'a' }, spec: { serviceAccountName: 'sa', containers: [] } })
    const answer = await request({
      expirationSeconds: 3607,
      boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: 'p' },
    })
    const claims = signer.verify(answer.status?.token ?? '') as {
      exp: number
      iat: number
      'kubernetes.io': { warnafter: number }
    }
    assert.equal(claims.exp - claims.iat, 365 * 24 * 3600)
    assert.equal(claims['kubernetes.io'].warnafter - claims.iat, 3607)
    assert.equal(answer.status?.expirationTimestamp, '2026-01-01T01:00:07Z')
  })

  it('in Secrets work until the Secret goes', async () => {
    const { reader, account, signer, who, clock } = setUp()
    const empty = {
      metadata: { name: 's', namespace: 'a', annotations: { 'kubernetes.io/service-account.name': 'sa' } },
      type: 'kubernetes.io/service-account-token',
    }
    const filled = fillTokenSecret(empty, account, { signer, caPem: 'CA' })
    assert.ok(filled !== undefined)
    assert.equal(fillTokenSecret(filled, account, { signer, caPem: 'CA' }), undefined)
    const token = Buffer.from(filled.data?.token ?? '', 'base64').toString()
    assert.equal(await who(token), '401')
    reader.put(secrets, filled)
    assert.equal(await who(token), 'system:serviceaccount:a:sa')
    reader.remove(secrets, { namespace: 'a', name: 's' })
    await clock.advance(11_000)
    assert.equal(await who(token), '401')
  })
})

describe('createTokenSigner', () => {
  it('publishes keys with which others can check its tokens', () => {
    const keyPem = generateKeyPem()
    const signer = createTokenSigner({ keyPem })
    const [header = '', payload = '', signature = ''] = signer.sign({ a: 1 }).split('.')
    const [jwk] = signer.publicKeys()
    assert.deepEqual([jwk?.kty, jwk?.crv, jwk?.alg, jwk?.use], ['EC', 'P-256', 'ES256', 'sig'])
    assert.equal((JSON.parse(Buffer.from(header, 'base64url').toString()) as { kid: string }).kid, jwk?.kid)
    const key = createPublicKey({ key: jwk ?? {}, format: 'jwk' })
    assert.ok(
      verify(
        'sha256',
        Buffer.from(`${header}.${payload}`),
        { key, dsaEncoding: 'ieee-p1363' },
        Buffer.from(signature, 'base64url'),
      ),
    )
  })

  it('accepts an older key’s tokens after a change', () => {
    const oldKey = generateKeyPem()
    const token = createTokenSigner({ keyPem: oldKey }).sign({ a: 1 })
    assert.equal(createTokenSigner({ keyPem: generateKeyPem() }).verify(token), undefined)
    assert.deepEqual(
      createTokenSigner({ keyPem: generateKeyPem(), acceptedKeysPem: [publicKeyPem(oldKey)] }).verify(token),
      { a: 1 },
    )
  })
})
