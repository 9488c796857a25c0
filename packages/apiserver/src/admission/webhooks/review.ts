import type { KubeObject } from '@centaurus/api'
import type { AdmissionRequest } from '@centaurus/api/admission/v1'
import { describeRequest } from '../matching/admission-request.ts'
import type { Attributes, ServedVersion } from '../matching/attributes.ts'

const GROUP = 'admission.k8s.io'
const KNOWN_VERSIONS = ['v1', 'v1beta1']

/** The first of a webhook's versions that we speak. Throws when there is none. */
export function chooseReviewVersion(versions: readonly string[]): string {
  const found = versions.find((version) => KNOWN_VERSIONS.includes(version))
  if (found !== undefined) return found
  throw new Error('webhook does not accept known AdmissionReview versions (v1, v1beta1)')
}

export interface ReviewRequest {
  readonly version: ServedVersion
  readonly uid: string
  readonly reviewVersion: string
}

/** What a webhook is sent: objects and options are written as null where there are none, as upstream does. */
export interface SentReview {
  readonly kind: 'AdmissionReview'
  readonly apiVersion: string
  readonly request: Omit<AdmissionRequest, 'object' | 'oldObject' | 'options'> & {
    readonly object: KubeObject | null
    readonly oldObject: KubeObject | null
    readonly options: Readonly<Record<string, unknown>> | null
  }
}

/** Source: apiserver pkg/admission/plugin/webhook/request/admissionreview.go, v0.37. */
export function buildReview(attributes: Attributes, { version, uid, reviewVersion }: ReviewRequest): SentReview {
  return {
    kind: 'AdmissionReview',
    apiVersion: `${GROUP}/${reviewVersion}`,
    request: {
      uid,
      ...describeRequest(attributes, version),
      object: attributes.objectIn(version) ?? null,
      oldObject: attributes.oldIn(version) ?? null,
      options: attributes.options ?? null,
    },
  }
}

/** What a webhook said, checked. */
export interface Verdict {
  readonly allowed: boolean
  /** JSON of a JSONPatch; `''` for none. */
  readonly patch: string
  readonly warnings: readonly string[]
  /** Why not. */
  readonly result: Readonly<Record<string, unknown>> | undefined
}

export interface ExpectedVerdict {
  readonly uid: string
  readonly reviewVersion: string
  readonly mutating: boolean
}

/** Reads a webhook's answer. Throws what is wrong with it, in upstream's words: VerifyAdmissionResponse of the same source. */
export function readVerdict(answer: unknown, expected: ExpectedVerdict): Verdict {
  const review = asRecord(answer)
  const response = asRecord(review?.['response'])
  if (review === undefined || response === undefined) throw new Error('webhook response was absent')
  if (expected.reviewVersion === 'v1') checkIdentity(review, response, expected.uid)
  const patch = textOf(response['patch'])
  checkPatch(patch, response['patchType'], expected)
  const warnings = Array.isArray(response['warnings']) ? (response['warnings'] as unknown[]) : []
  return {
    allowed: response['allowed'] === true,
    patch: expected.mutating && patch !== '' ? Buffer.from(patch, 'base64').toString('utf8') : '',
    warnings: warnings.filter((warning) => typeof warning === 'string'),
    result: asRecord(response['status']),
  }
}

function checkIdentity(review: Record<string, unknown>, response: Record<string, unknown>, uid: string): void {
  if (response['uid'] !== uid) {
    throw new Error(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(textOf(response['uid']))}`)
  }
  const [apiVersion, kind] = [textOf(review['apiVersion']), textOf(review['kind'])]
  if (apiVersion === `${GROUP}/v1` && kind === 'AdmissionReview') return
  const expected = `${GROUP}/v1, Kind=AdmissionReview`
  throw new Error(`expected webhook response of ${expected}, got ${apiVersion}, Kind=${kind}`)
}

/** `v1beta1` was never checked for it. */
function checkPatch(patch: string, patchType: unknown, { mutating, reviewVersion }: ExpectedVerdict): void {
  if (reviewVersion !== 'v1') return
  const hasType = patchType !== undefined && patchType !== null
  if (!mutating) {
    if (patch !== '') throw new Error('validating webhook may not return response.patch')
    if (hasType) throw new Error('validating webhook may not return response.patchType')
    return
  }
  if (patch !== '' && !hasType) throw new Error('webhook returned response.patch but not response.patchType')
  if (patch === '' && hasType) throw new Error('webhook returned response.patchType but not response.patch')
  if (hasType && patchType === '') throw new Error('webhook returned invalid response.patchType of ""')
  if (hasType && patchType !== 'JSONPatch') throw new Error(`unsupported patch type ${JSON.stringify(patchType)}`)
}

function textOf(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function asRecord(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Record<string, unknown>)
    : undefined
}
