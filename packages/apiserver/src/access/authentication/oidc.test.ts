import assert from 'node:assert/strict'
import { createServer, type Server } from 'node:https'
import type { AddressInfo } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { isStatus } from '@centaurus/api'
import { createManualClock, silentLogger, type ManualClock } from '@centaurus/base'
import { exportJWK, generateKeyPair, SignJWT, type CryptoKey, type JWK } from 'jose'
import { openClusterCertificates, type ClusterCertificates } from '../../certificates/cluster-certificates.ts'
import type { UserInfo } from '../../request/request-info.ts'
import { createOidcAuthenticator, type OidcOptions } from './oidc.ts'

/** An issuer on this machine: its documents over HTTPS, and a key that it can change. */
class Issuer {
  readonly #server: Server
  #keys: JWK[] = []
  #sign: CryptoKey | undefined
  #serial = 0
  url = ''
  asked = 0

  constructor({ serving }: ClusterCertificates) {
    this.#server = createServer({ key: serving.keyPem, cert: serving.certificatePem }, (request, response) => {
      this.asked++
      const isAbout = request.url === '/.well-known/openid-configuration'
      response.end(JSON.stringify(isAbout ? { issuer: this.url, jwks_uri: `${this.url}/keys` } : { keys: this.#keys }))
    })
  }

  async start(): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    this.url = `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
    await this.rotate()
  }

  /** Signs with another key from now on, and forgets the old one. */
  async rotate(): Promise<void> {
    const { privateKey, publicKey } = await generateKeyPair('RS256')
    this.#sign = privateKey
    this.#keys = [{ ...(await exportJWK(publicKey)), kid: `key-${++this.#serial}`, alg: 'RS256' }]
  }

  token(claims: Record<string, unknown>, nowMs: number): Promise<string> {
    const seconds = Math.floor(nowMs / 1000)
    return new SignJWT({ iss: this.url, aud: 'kubernetes', sub: 'ada', iat: seconds, exp: seconds + 3600, ...claims })
      .setProtectedHeader({ alg: 'RS256', kid: `key-${this.#serial}` })
      .sign(this.#sign!)
  }

  close(): void {
    this.#server.close()
  }
}

describe('OIDC tokens', () => {
  let issuer: Issuer
  let caPem: string
  let clock: ManualClock
  before(async () => {
    const certificates = await openClusterCertificates()
    caPem = certificates.authority.certificatePem
    issuer = new Issuer(certificates)
    await issuer.start()
  })
  after(() => issuer.close())

  const setUp = (options: Partial<OidcOptions> = {}) => {
    clock = createManualClock()
    const deps = { clock, logger: silentLogger }
    const authenticator = createOidcAuthenticator(
      { issuerUrl: issuer.url, clientId: 'kubernetes', caPem, ...options },
      deps,
    )
    const ask = async (token: string): Promise<UserInfo | undefined | '401'> => {
      const headers = { authorization: `Bearer ${token}` }
      try {
        return await authenticator.authenticate({ headers, clientCertificate: undefined })
      } catch (error) {
        assert.ok(isStatus(error, 'Unauthorized'))
        return '401'
      }
    }
    return {
      ask,
      who: async (claims: Record<string, unknown> = {}) => ask(await issuer.token(claims, clock.now())),
    }
  }

  it('say who somebody is, with which groups, and in which tenant', async () => {
    const { who } = setUp({ usernameClaim: 'email', groupsClaim: 'roles', groupsPrefix: 'corp:', tenantPrefix: 't-' })
    const user = (await who({ email: 'ada@x.org', roles: ['dev', 'ops'], 'centaurus.io/tenant': 't-acme' })) as UserInfo
    assert.deepEqual(
      [user.name, user.groups, user.tenant],
      ['ada@x.org', ['corp:dev', 'corp:ops', 'system:authenticated'], 'acme'],
    )
    assert.equal(await who({ email: 'ada@x.org', email_verified: false }), '401')
    assert.equal(await who({ email: 'ada@x.org', 'centaurus.io/tenant': 'acme' }), '401')
  })

  it('are prefixed by their issuer, and of the system tenant, unless told otherwise', async () => {
    const user = (await setUp().who()) as UserInfo
    assert.deepEqual([user.name, user.tenant], [`${issuer.url}#ada`, 'system'])
  })

  it('never speak for the cluster itself', async () => {
    const { who } = setUp({ usernamePrefix: '-', groupsClaim: 'groups' })
    const user = (await who({ groups: ['system:masters', 'dev'] })) as UserInfo
    assert.deepEqual(user.groups, ['dev', 'system:authenticated'])
    assert.equal(await who({ sub: 'system:kube-scheduler' }), '401')
    for (const tenant of ['all', 'a--b', 7]) assert.equal(await who({ 'centaurus.io/tenant': tenant }), '401')
  })

  it('are refused for another audience, after their end, without what is required, or when changed', async () => {
    const { who, ask } = setUp({ requiredClaims: { plan: 'gold' } })
    assert.notEqual(await who({ plan: 'gold' }), '401')
    assert.equal(await who({ plan: 'tin' }), '401')
    assert.equal(await who({ plan: 'gold', aud: 'other' }), '401')
    const token = await issuer.token({ plan: 'gold' }, clock.now())
    assert.equal(await ask(`${token.slice(0, -8)}AAAAAAAA`), '401')
    assert.notEqual(await ask(token), '401')
    await clock.advance(3_601_000)
    assert.equal(await ask(token), '401')
  })

  it('of others are left to others', async () => {
    const { who, ask } = setUp()
    assert.equal(await who({ iss: 'https://elsewhere' }), undefined)
    assert.equal(await ask('opaque'), undefined)
    assert.throws(() => setUp({ issuerUrl: 'http://plain' }), /must begin with https/)
  })

  it('are known by keys that are kept, and followed when the issuer changes them', async () => {
    const { who, ask } = setUp()
    const old = await issuer.token({ n: 1 }, clock.now())
    assert.notEqual(await ask(old), '401')
    const asked = issuer.asked
    for (let n = 2; n < 5; n++) assert.notEqual(await who({ n }), '401')
    assert.equal(issuer.asked, asked)
    await issuer.rotate()
    assert.equal(await who({ n: 5 }), '401') // it was asked a moment ago: nobody makes the server ask all the time
    await clock.advance(10_000)
    assert.notEqual(await who({ n: 5 }), '401')
    assert.notEqual(await ask(old), '401') // checked before
    await clock.advance(601_000)
    assert.equal(await ask(old), '401') // its key is gone
  })
})
