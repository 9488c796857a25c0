import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { CertificateSigningRequest } from '../../generated/types/certificates/v1.ts'
import { kindCases, NOW } from '../testing/kind-cases.ts'
import { prepareCertificateApproval } from './signing-request.ts'
import { validateCertificateApproval } from './validate-update.ts'

const { errorsOf, rowOf, behavior } = kindCases('certificates.k8s.io', 'CertificateSigningRequest')
const spec = {
  request: btoa('-----BEGIN CERTIFICATE REQUEST-----\nMII\n-----END CERTIFICATE REQUEST-----\n'),
  signerName: 'kubernetes.io/kube-apiserver-client',
  usages: ['client auth'],
}
const approved = { type: 'Approved', status: 'True', reason: 'a', message: '' }

function request(status: object = {}): CertificateSigningRequest {
  return { metadata: { name: 'x' }, spec: structuredClone(spec), status: structuredClone(status) }
}

describe('a request for a certificate', () => {
  it('is by who makes it', () => {
    const draft = request({ conditions: [approved] })
    Object.assign(draft.spec, { username: 'someone', uid: 'u', extra: { a: ['b'] } })
    behavior.prepareForCreate!(draft, { nowMs: NOW, user: 'me', groups: ['g'] })
    assert.deepEqual(draft.spec, { ...spec, username: 'me', groups: ['g'] })
    assert.deepEqual(draft.status, {})
  })

  const cases: [string, object, string[]][] = [
    ['nothing when it is right', {}, []],
    [
      'a request that is none',
      { request: btoa('hello') },
      [`spec.request: Invalid value: "${btoa('hello')}": PEM block type must be CERTIFICATE REQUEST`],
    ],
    ['no usages', { usages: [] }, ['spec.usages: Required value']],
    [
      'a short life',
      { expirationSeconds: 599 },
      ['spec.expirationSeconds: Invalid value: 599: may not specify a duration less than 600 seconds (10 minutes)'],
    ],
    [
      'a signer without a path',
      { signerName: 'kubernetes.io' },
      [
        'spec.signerName: Invalid value: "kubernetes.io": must be a fully qualified domain and path of the form \'example.com/signer-name\'',
      ],
    ],
  ]
  for (const [title, own, expected] of cases) {
    it(`reports ${title}`, () => assert.deepEqual(errorsOf({ spec: { ...spec, ...own } }), expected))
  }

  it('is approved by its subresource only', () => {
    const now = request({ conditions: [approved] })
    assert.deepEqual(
      behavior.validateStatusUpdate!(now, request()).map((error) => error.message),
      ['Forbidden: updates may not add a condition of type "Approved"'],
    )
    assert.deepEqual(validateCertificateApproval(now, request()), [])
  })

  it('gets no certificate with its approval', () => {
    const now = request({ conditions: [approved], certificate: 'YQ==' })
    prepareCertificateApproval(now, request(), { nowMs: NOW })
    assert.equal(now.status!.certificate, undefined)
    const time = '2026-03-01T00:00:00Z'
    assert.deepEqual(now.status!.conditions, [{ ...approved, lastUpdateTime: time, lastTransitionTime: time }])
  })

  it('keeps its certificate', () => {
    const errors = behavior.validateStatusUpdate!(request({ certificate: 'Yg==' }), request({ certificate: 'YQ==' }))
    assert.deepEqual(
      errors.map((error) => `${error.field}: ${error.message}`),
      ['status.certificate: Forbidden: updates may not modify existing certificate content'],
    )
  })

  it('shows its row', () => {
    const own = { ...spec, username: 'me', expirationSeconds: 3600 }
    assert.deepEqual(rowOf({ spec: own, status: { conditions: [approved], certificate: 'YQ==' } }), {
      Name: 'x',
      Age: '60m',
      SignerName: 'kubernetes.io/kube-apiserver-client',
      Requestor: 'me',
      RequestedDuration: '60m',
      Condition: 'Approved,Issued',
    })
  })
})
