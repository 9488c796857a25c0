import type { CelAccessQuestion } from '@centaurus/api'
import type { AuthorizationDecision, Authorizer } from '../../access/access.ts'
import type { UserInfo } from '../../request/request-info.ts'
import type { Attributes } from './attributes.ts'

/** What an expression asks by `authorizer`: about who made the request or a service account, and only inside of the request's tenant. */
export function askAuthorizer(
  authorizer: Authorizer,
  { tenant, user }: Attributes,
  question: CelAccessQuestion,
): AuthorizationDecision {
  const { serviceAccount, path, verb, group, resource, subresource, namespace, name } = question
  return authorizer.authorize({
    user: serviceAccount === undefined ? user : accountUser(serviceAccount, tenant),
    tenant,
    verb,
    isResourceRequest: path === undefined,
    path: path ?? '',
    group,
    version: path === undefined ? '*' : '',
    resource,
    subresource,
    namespace,
    name,
    fieldSelector: question.fieldSelector,
    labelSelector: question.labelSelector,
  })
}

function accountUser(
  { namespace, name }: { readonly namespace: string; readonly name: string },
  tenant: string,
): UserInfo {
  return {
    name: `system:serviceaccount:${namespace}:${name}`,
    uid: '',
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, 'system:authenticated'],
    extra: {},
    tenant,
  }
}
