import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import { deniedBy } from './refusals.ts'
import { chooseReviewVersion, readVerdict } from './review.ts'

describe('readVerdict', () => {
  const read = (response: unknown, own: object = {}, mutating = true): unknown =>
    readVerdict(
      { apiVersion: 'admission.k8s.io/v1', kind: 'AdmissionReview', response, ...own },
      { uid: 'u', reviewVersion: 'v1', mutating },
    )

  it('reads what a webhook says', () => {
    const patch = Buffer.from('[]').toString('base64')
    const response = { uid: 'u', allowed: true, patch, patchType: 'JSONPatch', warnings: ['w', 3] }
    assert.deepEqual(read(response), { allowed: true, patch: '[]', warnings: ['w'], result: undefined })
    // what is not true is no permission
    assert.deepEqual(read({ uid: 'u', allowed: 'yes' }), { allowed: false, patch: '', warnings: [], result: undefined })
  })

  const ok = { uid: 'u', allowed: true }
  const cases: [string, unknown, object, boolean, string][] = [
    ['no response', undefined, {}, true, 'webhook response was absent'],
    ['a list', [ok], {}, true, 'webhook response was absent'],
    ['another uid', { ...ok, uid: 'v' }, {}, true, 'expected response.uid="u", got "v"'],
    [
      'another version',
      ok,
      { apiVersion: 'admission.k8s.io/v2' },
      true,
      'expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got admission.k8s.io/v2, Kind=AdmissionReview',
    ],
    [
      'a patch of no type',
      { ...ok, patch: 'W10=' },
      {},
      true,
      'webhook returned response.patch but not response.patchType',
    ],
    [
      'a type of no patch',
      { ...ok, patchType: 'JSONPatch' },
      {},
      true,
      'webhook returned response.patchType but not response.patch',
    ],
    ['another type', { ...ok, patch: 'W10=', patchType: 'Merge' }, {}, true, 'unsupported patch type "Merge"'],
    ['a patch of who may not', { ...ok, patch: 'W10=' }, {}, false, 'validating webhook may not return response.patch'],
    ['its type', { ...ok, patchType: 'JSONPatch' }, {}, false, 'validating webhook may not return response.patchType'],
  ]
  for (const [title, response, own, mutating, message] of cases) {
    it(`refuses ${title}`, () => assert.throws(() => read(response, own, mutating), { message }))
  }

  it('never checked v1beta1', () => {
    const review = { response: { allowed: true, patch: 'W10=' } }
    const verdict = readVerdict(review, { uid: 'u', reviewVersion: 'v1beta1', mutating: true })
    assert.deepEqual([verdict.allowed, verdict.patch], [true, '[]'])
  })
})

describe('chooseReviewVersion', () => {
  it('takes the first that it speaks', () => {
    assert.equal(chooseReviewVersion(['v2', 'v1beta1', 'v1']), 'v1beta1')
    assert.throws(() => chooseReviewVersion(['v2']), /does not accept known AdmissionReview versions \(v1, v1beta1\)/)
  })
})

describe('deniedBy', () => {
  it('is a refusal whatever the webhook calls it', () => {
    const codes = [undefined, 200, 302, 'x', 404, 418, 700].map((code) => {
      const { code: answered, reason } = deniedBy('w', { code })
      return [answered, reason]
    })
    assert.deepEqual(
      codes,
      [400, 400, 400, 400, 404, 418, 400].map((code) => [code, 'Forbidden']),
    )
  })
})
