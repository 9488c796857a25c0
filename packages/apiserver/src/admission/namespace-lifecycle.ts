import { forbidden, notFound, StatusError, type Stored } from '@centaurus/api'
import { namespaces, type Namespace } from '@centaurus/api/core/v1'
import { resourcePrefix } from '../storage/keys.ts'
import type { AdmissionContext, AdmissionStep, AdmittedWrite } from './admission.ts'
import { isWriteTo, refuseAdmission } from './refuse.ts'

const IMMORTAL = new Set(['default', 'kube-system', 'kube-public'])

/**
 * Lets nothing be created in a Namespace that is not there or is being deleted. The commit compares the Namespace's revision, so
 * this holds even when another server deletes it at the same moment, which upstream can't promise.
 * Source: apiserver pkg/admission/plugin/namespace/lifecycle, v0.37.
 */
export const namespaceLifecycle: AdmissionStep = {
  name: 'NamespaceLifecycle',
  handles: (write) =>
    write.operation === 'delete'
      ? isWriteTo(write, namespaces)
      : write.operation === 'create' && write.request.target.definition.info.namespaced,
  async ready(write, context) {
    if (write.operation === 'create' && findNamespace(write, context) === undefined) await context.cache.waitCurrent()
  },
  mutate(write, context) {
    if (write.operation === 'create') requireNamespace(write, context)
  },
  validate(write, context) {
    const name = write.draft.metadata.name ?? ''
    if (write.operation === 'delete' && IMMORTAL.has(name) && !endsWithTenant(write, context)) {
      throw forbidden(namespaces, name, 'this namespace may not be deleted')
    }
  },
  reserve(write, context) {
    if (write.operation !== 'create') return undefined
    requireNamespace(write, context)
    const prefix = resourcePrefix(write.request.target.tenant, { keyGroup: 'core', resource: 'namespaces' })
    const { namespace } = write.request
    const modRevision = context.cache.resource(prefix).get(namespace)?.revision ?? 0
    return { compare: [{ key: prefix + namespace, modRevision }], changes: [] }
  },
}

/** Nothing outlives its tenant. */
function endsWithTenant({ request }: AdmittedWrite, { tenants }: AdmissionContext): boolean {
  return request.isInProcess === true && tenants.find(request.target.tenant)?.phase === 'Terminating'
}

function findNamespace({ request }: AdmittedWrite, { reader }: AdmissionContext): Stored<Namespace> | undefined {
  return reader.get(namespaces, { name: request.namespace }, { tenant: request.target.tenant })
}

function requireNamespace(write: AdmittedWrite, context: AdmissionContext): void {
  const { namespace } = write.request
  const found = findNamespace(write, context)
  if (found === undefined) throw notFound(namespaces, namespace)
  if (found.metadata.deletionTimestamp === undefined && found.status?.phase !== 'Terminating') return
  const text = `unable to create new content in namespace ${namespace} because it is being terminated`
  const refusal = refuseAdmission(write, text)
  throw new StatusError({
    reason: 'Forbidden',
    message: refusal.message,
    details: {
      ...refusal.details,
      causes: [
        {
          reason: 'NamespaceTerminating',
          message: `namespace ${namespace} is being terminated`,
          field: 'metadata.namespace',
        },
      ],
    },
  })
}
