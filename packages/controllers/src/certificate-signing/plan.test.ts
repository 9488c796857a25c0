import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { formatTime } from '@centaurus/api'
import type { CertificateSigningRequest } from '@centaurus/api/certificates/v1'
import { isUndecided, needsSigning, planApprovals, planCleanupMs, withApproval, withSigningResult } from './plan.ts'

const NOW_MS = Date.UTC(2026, 0, 1)
const HOUR_MS = 3_600_000
const USAGES = ['digital signature', 'client auth']
const IDENTITY = {
  commonName: 'system:node:n1',
  organizations: ['system:nodes'],
  dnsNames: [],
  ipAddresses: [],
  emailAddresses: [],
  uris: [],
}

function requestOf(spec: Partial<CertificateSigningRequest['spec']> = {}): CertificateSigningRequest {
  const signerName = 'kubernetes.io/kube-apiserver-client-kubelet'
  return {
    metadata: { name: 'r', creationTimestamp: formatTime(NOW_MS) },
    spec: { request: '', signerName, usages: USAGES, username: 'system:bootstrap:x', ...spec },
  }
}

describe('planApprovals', () => {
  const rights = (request: CertificateSigningRequest, identity = IDENTITY): string[] =>
    planApprovals(request, identity).map(({ subresource }) => subresource)

  it('asks for the right to join, and to renew when the node asks for itself', () => {
    assert.deepEqual(rights(requestOf()), ['nodeclient'])
    assert.deepEqual(rights(requestOf({ username: 'system:node:n1' })), ['selfnodeclient', 'nodeclient'])
    assert.deepEqual(rights(requestOf({ usages: [...USAGES, 'key encipherment'] })), ['nodeclient'])
  })

  it('leaves every other request to people', () => {
    assert.deepEqual(rights(requestOf({ signerName: 'kubernetes.io/kubelet-serving' })), [])
    assert.deepEqual(rights(requestOf({ usages: [...USAGES, 'server auth'] })), [])
    assert.deepEqual(rights(requestOf({ usages: ['client auth'] })), [])
    const others = [
      { ...IDENTITY, commonName: 'admin' },
      { ...IDENTITY, organizations: ['system:nodes', 'system:masters'] },
      { ...IDENTITY, dnsNames: ['x'] as never[] },
    ]
    for (const identity of others) assert.deepEqual(rights(requestOf(), identity), [])
  })
})

describe('a signing request', () => {
  it('is approved, then signed or failed, once', () => {
    const request = requestOf()
    assert.deepEqual([isUndecided(request), needsSigning(request)], [true, false])
    const approved = withApproval(request, 'm', NOW_MS)
    assert.deepEqual([isUndecided(approved), needsSigning(approved)], [false, true])
    const signed = withSigningResult(approved, { type: 'signed', certificatePem: 'PEM' }, NOW_MS)!
    assert.equal(signed.status?.certificate, Buffer.from('PEM').toString('base64'))
    const failed = withSigningResult(approved, { type: 'refused', message: 'no' }, NOW_MS)!
    assert.equal(failed.status?.conditions?.[1]?.reason, 'SignerValidationFailure')
    assert.deepEqual([needsSigning(signed), needsSigning(failed)], [false, false])
    assert.equal(withSigningResult(approved, { type: 'unknownSigner' }, NOW_MS), undefined)
  })
})

describe('planCleanupMs', () => {
  it('keeps what waits for a day, and what is done for an hour', () => {
    const request = requestOf()
    assert.equal(planCleanupMs(request, undefined), NOW_MS + 24 * HOUR_MS)
    const approved = withApproval(request, 'm', NOW_MS + HOUR_MS)
    assert.equal(planCleanupMs(approved, undefined), NOW_MS + 25 * HOUR_MS)
    const signed = withSigningResult(approved, { type: 'signed', certificatePem: 'PEM' }, NOW_MS)!
    assert.equal(planCleanupMs(signed, undefined), NOW_MS + 2 * HOUR_MS)
    assert.equal(planCleanupMs(signed, NOW_MS), NOW_MS)
    const failed = withSigningResult(approved, { type: 'refused', message: 'no' }, NOW_MS)!
    assert.equal(planCleanupMs(failed, undefined), NOW_MS + HOUR_MS)
  })
})
