import { X509Certificate } from 'node:crypto'
import { isStatus, type Stored } from '@centaurus/api'
import { subjectaccessreviews } from '@centaurus/api/authorization/v1'
import { certificatesigningrequests, type CertificateSigningRequest } from '@centaurus/api/certificates/v1'
import type { Client, ReconcileResult, RunningController } from '@centaurus/client'
import { startReconciler, type ControllerDeps, type ReconcilerContext } from '../frame/controller.ts'
import { watchSelf } from '../frame/owners.ts'
import {
  decodeBase64,
  isUndecided,
  needsSigning,
  planApprovals,
  planCleanupMs,
  withApproval,
  withSigningResult,
} from './plan.ts'
import type { CertificateSigner, RequestedIdentity } from './signer.ts'

/** The right to be approved may be granted later, and nothing tells of it. */
const REFUSED_RECHECK_MS = 60_000

export interface CertificateDeps extends ControllerDeps {
  readonly certificateSigner: CertificateSigner
}

/** Approves client certificates of node agents for those who may have them. */
export function startCertificateApprovingController(deps: CertificateDeps): RunningController {
  return startRequestController(deps, 'certificatesigningrequest-approving-controller', approve)
}

/** Signs approved requests of the cluster's own signers. */
export function startCertificateSigningController(deps: CertificateDeps): RunningController {
  return startRequestController(deps, 'certificatesigningrequest-signing-controller', sign)
}

/** Deletes requests that are done, or that nobody decides. */
export function startCertificateCleanerController(deps: ControllerDeps): RunningController {
  return startRequestController(deps, 'certificatesigningrequest-cleaner-controller', clean)
}

interface Step<D extends ControllerDeps> {
  readonly request: Stored<CertificateSigningRequest>
  readonly context: ReconcilerContext
  readonly deps: D
}

/** The three look at the same objects, each at its own step. */
function startRequestController<D extends ControllerDeps>(
  deps: D,
  name: string,
  step: (input: Step<D>) => Promise<ReconcileResult>,
): RunningController {
  const informer = deps.informers.informer(certificatesigningrequests)
  return startReconciler(deps, {
    name,
    informer,
    watch: ({ queue }) => [watchSelf(informer, queue)],
    async reconcile(key, context) {
      const request = informer.get(key)
      if (request === undefined) return context.writes.forget(key)
      return step({ request, context, deps })
    },
  })
}

async function approve({ request, context, deps }: Step<CertificateDeps>): Promise<ReconcileResult> {
  if (!isUndecided(request)) return undefined
  const identity = await parseOrRefuse(request, deps.certificateSigner)
  const approvals = identity === undefined ? [] : planApprovals(request, identity)
  for (const { subresource, message } of approvals) {
    if (!(await mayCreate(context.client, request, subresource))) continue
    const approved = withApproval(request, message, context.clock.now())
    const { name } = request.metadata
    await context.client.updateSubresource(certificatesigningrequests, { name }, 'approval', approved)
    return undefined
  }
  return approvals.length === 0 ? undefined : { requeueAfterMs: REFUSED_RECHECK_MS }
}

/** What can't be read is left for a person: no retry makes it readable. */
async function parseOrRefuse(
  { spec }: CertificateSigningRequest,
  signer: CertificateSigner,
): Promise<RequestedIdentity | undefined> {
  try {
    return await signer.parse(decodeBase64(spec.request))
  } catch (error) {
    if (error instanceof SyntaxError) return undefined
    throw error
  }
}

async function mayCreate(client: Client, { spec }: CertificateSigningRequest, subresource: string): Promise<boolean> {
  const resource = { group: 'certificates.k8s.io', resource: 'certificatesigningrequests', subresource, version: '*' }
  const { status } = await client.create(subjectaccessreviews, {
    apiVersion: 'authorization.k8s.io/v1',
    kind: 'SubjectAccessReview',
    metadata: {},
    spec: {
      user: spec.username,
      uid: spec.uid,
      groups: spec.groups,
      extra: spec.extra,
      resourceAttributes: { ...resource, verb: 'create' },
    },
  })
  return status?.allowed === true
}

async function sign({ request, context, deps }: Step<CertificateDeps>): Promise<ReconcileResult> {
  if (!needsSigning(request)) return undefined
  const { signerName, usages = [], expirationSeconds } = request.spec
  const asked = { request: decodeBase64(request.spec.request), signerName, usages, expirationSeconds }
  const answered = withSigningResult(request, await deps.certificateSigner.sign(asked), context.clock.now())
  if (answered !== undefined) await context.client.updateStatus(certificatesigningrequests, answered)
  return undefined
}

async function clean({ request, context }: Step<ControllerDeps>): Promise<ReconcileResult> {
  const dueMs = planCleanupMs(request, certificateEndsMs(request))
  if (dueMs === undefined) return undefined
  const leftMs = dueMs - context.clock.now()
  if (leftMs > 0) return { requeueAfterMs: leftMs }
  const { name, uid, resourceVersion } = request.metadata
  try {
    await context.client.delete(certificatesigningrequests, { name }, { preconditions: { uid, resourceVersion } })
  } catch (error) {
    if (!isStatus(error, 'NotFound')) throw error
  }
  return undefined
}

/** Undefined when there is no certificate that can be read. */
function certificateEndsMs({ status }: CertificateSigningRequest): number | undefined {
  if (status?.certificate === undefined) return undefined
  try {
    return Date.parse(new X509Certificate(decodeBase64(status.certificate)).validTo)
  } catch {
    return undefined // another signer may write what we can't read
  }
}
