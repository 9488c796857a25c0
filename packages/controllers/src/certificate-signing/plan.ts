import { findCondition, formatTime, isConditionTrue, setCondition } from '@centaurus/api'
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from '@centaurus/api/certificates/v1'
import { timeMs } from '../frame/pods.ts'
import type { RequestedIdentity, SigningResult } from './signer.ts'

type Request = Readonly<CertificateSigningRequest>

const KUBELET_CLIENT_SIGNER = 'kubernetes.io/kube-apiserver-client-kubelet'
const HOUR_MS = 3_600_000
/** Source: pkg/controller/certificates/cleaner/cleaner.go v1.37. */
const DONE_KEPT_MS = HOUR_MS
const PENDING_KEPT_MS = 24 * HOUR_MS

/** A right by which a requester's certificate is approved without a person. */
export interface AutoApproval {
  /** Of `certificatesigningrequests`, with verb create. */
  readonly subresource: 'selfnodeclient' | 'nodeclient'
  readonly message: string
}

/** True when nobody has decided about the request. */
export function isUndecided({ status }: Request): boolean {
  const conditions = status?.conditions
  const isDecided =
    findCondition(conditions, 'Approved') !== undefined || findCondition(conditions, 'Denied') !== undefined
  return status?.certificate === undefined && !isDecided
}

/** The rights to ask about, in order: any is enough. None: a person has to decide. Source: recognizers, approver/sarapprove.go v1.37. */
export function planApprovals({ spec }: Request, identity: RequestedIdentity): AutoApproval[] {
  if (spec.signerName !== KUBELET_CLIENT_SIGNER || !isKubeletClient(identity, spec.usages ?? [])) return []
  const message = 'Auto approving kubelet client certificate after SubjectAccessReview.'
  const other: AutoApproval = { subresource: 'nodeclient', message }
  if (spec.username !== identity.commonName) return [other]
  const selfMessage = 'Auto approving self kubelet client certificate after SubjectAccessReview.'
  return [{ subresource: 'selfnodeclient', message: selfMessage }, other]
}

/** The request with the decision that {@link planApprovals} allows. */
export function withApproval(
  request: CertificateSigningRequest,
  message: string,
  nowMs: number,
): CertificateSigningRequest {
  return withCondition(request, { type: 'Approved', status: 'True', reason: 'AutoApproved', message }, nowMs)
}

/** Approved, not failed and not signed. */
export function needsSigning({ status }: Request): boolean {
  const conditions = status?.conditions
  const isOpen = status?.certificate === undefined && !isConditionTrue(conditions, 'Failed')
  return isOpen && isConditionTrue(conditions, 'Approved') && !isConditionTrue(conditions, 'Denied')
}

/** The request with its certificate, or with the reason why it gets none; undefined when it is another signer's business. */
export function withSigningResult(
  request: CertificateSigningRequest,
  result: SigningResult,
  nowMs: number,
): CertificateSigningRequest | undefined {
  switch (result.type) {
    case 'unknownSigner':
      return undefined
    case 'signed':
      return { ...request, status: { ...request.status, certificate: encodeBase64(result.certificatePem) } }
    case 'refused': {
      const { message } = result
      return withCondition(
        request,
        { type: 'Failed', status: 'True', reason: 'SignerValidationFailure', message },
        nowMs,
      )
    }
  }
}

/**
 * When a request is to be deleted: an hour after it was decided and signed, denied or failed, a day after it was made or approved
 * without a certificate, or when its certificate expires. Undefined when it says no time. Source: cleaner/cleaner.go v1.37.
 */
export function planCleanupMs(
  { metadata, status }: Request,
  certificateEndsMs: number | undefined,
): number | undefined {
  const conditions = status?.conditions ?? []
  if (conditions.length === 0 && status?.certificate === undefined)
    return after(metadata.creationTimestamp, PENDING_KEPT_MS)
  const isIssued = status?.certificate !== undefined
  const times = conditions.flatMap(({ type, lastUpdateTime }) => {
    if (type === 'Denied' || type === 'Failed') return [after(lastUpdateTime, DONE_KEPT_MS)]
    if (type !== 'Approved') return []
    return isIssued
      ? [after(lastUpdateTime, DONE_KEPT_MS), certificateEndsMs]
      : [after(lastUpdateTime, PENDING_KEPT_MS)]
  })
  const known = times.filter((ms) => ms !== undefined)
  return known.length === 0 ? undefined : Math.min(...known)
}

export function decodeBase64(text: string): string {
  return Buffer.from(text, 'base64').toString('utf8')
}

function encodeBase64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64')
}

function after(time: string | undefined, keptMs: number): number | undefined {
  const ms = timeMs(time)
  return ms === undefined ? undefined : ms + keptMs
}

/** Source: ValidateKubeletClientCSR, pkg/apis/certificates/helpers.go v1.37. Key encipherment is for RSA keys alone. */
function isKubeletClient(identity: RequestedIdentity, usages: readonly string[]): boolean {
  const { organizations, commonName, dnsNames, ipAddresses, emailAddresses, uris } = identity
  const isNode = organizations.length === 1 && organizations[0] === 'system:nodes'
  const hasNames = dnsNames.length + ipAddresses.length + emailAddresses.length + uris.length > 0
  const asked = new Set(usages)
  asked.delete('key encipherment')
  const isForClients = asked.size === 2 && asked.has('digital signature') && asked.has('client auth')
  return isNode && !hasNames && commonName.startsWith('system:node:') && isForClients
}

function withCondition(
  request: CertificateSigningRequest,
  condition: CertificateSigningRequestCondition,
  nowMs: number,
): CertificateSigningRequest {
  const told = { ...condition, lastUpdateTime: formatTime(nowMs) }
  const conditions = setCondition(request.status?.conditions, told, nowMs)
  return { ...request, status: { ...request.status, conditions } }
}
