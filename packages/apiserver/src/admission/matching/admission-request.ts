import type { AdmissionRequest } from '@centaurus/api/admission/v1'
import type { Attributes, ServedVersion } from './attributes.ts'

/** What every reviewer is told of a request beside its objects; `version` is the one that the reviewer asked for. */
export function describeRequest(
  attributes: Attributes,
  { resource, kind }: ServedVersion,
): Omit<AdmissionRequest, 'uid' | 'object' | 'oldObject'> {
  const { requested, subresource, name, namespace, operation, request, options } = attributes
  const { user } = request
  // what others' identity providers say of them is not for a tenant's webhooks
  const isOwn = user.tenant === attributes.tenant
  const extra = Object.fromEntries(isOwn ? Object.entries(user.extra).map(([key, values]) => [key, [...values]]) : [])
  return {
    kind: { ...kind },
    resource: { ...resource },
    ...(subresource === '' ? {} : { subResource: subresource, requestSubResource: subresource }),
    requestKind: { ...requested.kind },
    requestResource: { ...requested.resource },
    ...(name === '' ? {} : { name }),
    ...(namespace === '' ? {} : { namespace }),
    operation,
    userInfo: {
      ...(user.name === '' ? {} : { username: user.name }),
      ...(user.uid === '' ? {} : { uid: user.uid }),
      ...(user.groups.length === 0 ? {} : { groups: [...user.groups] }),
      ...(Object.keys(extra).length === 0 ? {} : { extra }),
    },
    dryRun: request.dryRun,
    ...(options === undefined ? {} : { options: { ...options } }),
  }
}
