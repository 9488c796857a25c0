import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { homeAt } from './home.ts'
import { readOidcSettings } from './oidc-settings.ts'

describe('oidc.json', () => {
  let dir: string
  before(() => {
    dir = mkdtempSync(join(tmpdir(), 'centaurus-oidc-test-'))
  })
  after(() => rmSync(dir, { recursive: true, force: true }))

  const read = (content: unknown) => {
    writeFileSync(join(dir, 'oidc.json'), JSON.stringify(content))
    return readOidcSettings(homeAt(dir))
  }

  it('names issuers, as the flags of kube-apiserver do', () => {
    assert.deepEqual(readOidcSettings(homeAt(join(dir, 'none'))), [])
    writeFileSync(join(dir, 'ca.pem'), 'PEM')
    const issuer = { issuerUrl: 'https://login.example', clientId: 'k8s', tenantClaim: 'org', usernameClaim: 'email' }
    assert.deepEqual(read([{ ...issuer, caFile: 'ca.pem' }]), [{ ...issuer, caPem: 'PEM' }])
  })

  it('says what is wrong with it', () => {
    for (const [content, why] of [
      [{}, /must be a list/],
      [[{ issuerUrl: 'http://x', clientId: 'k' }], /must begin with https/],
      [[{ issuerUrl: 'https://x' }], /"clientId" must be there/],
      [[{ issuerUrl: 'https://x', clientId: 'k', userClaim: 'y' }], /"userClaim" is not known/],
      [[{ issuerUrl: 'https://x', clientId: 'k', groupsClaim: 7 }], /"groupsClaim" must be a text/],
    ] as const)
      assert.throws(() => read(content), why)
  })
})
