import { badRequest, FieldPath, invalid, invalidObject, type FieldError, type KubeObject } from '@centaurus/api'
import type { SelfSubjectReview, TokenReview, UserInfo as ReviewedUser } from '@centaurus/api/authentication/v1'
import type {
  LocalSubjectAccessReview,
  NonResourceAttributes,
  ResourceAttributes,
  SelfSubjectAccessReview,
  SelfSubjectRulesReview,
  SubjectAccessReview,
  SubjectAccessReviewSpec,
  SubjectAccessReviewStatus,
} from '@centaurus/api/authorization/v1'
import type { ObjectAction, RequestContext } from '../extension.ts'
import { SYSTEM_TENANT, type RequestInfo, type UserInfo } from '../request/request-info.ts'
import type { TokenAuthenticator } from '../tokens/token-authenticator.ts'
import type { AuthorizationAttributes, Authorizer } from './access.ts'
import { nodeNameOf } from './node/node-authorizer.ts'
import type { PolicySource } from './rbac/tenant-policies.ts'
import { isView } from '../views/view-names.ts'

const AUTHENTICATION_GROUP = 'authentication.k8s.io'
const AUTHORIZATION_GROUP = 'authorization.k8s.io'

export interface ReviewDeps {
  readonly authorizer: Authorizer
  readonly tokens: TokenAuthenticator
  readonly policies: PolicySource
  /** Audiences of the API server. */
  readonly audiences: readonly string[]
}

/** The create-only resources with which callers ask who they are and what somebody may do. Source: pkg/registry/{authentication,authorization} (v1.37). */
export function createReviewActions(deps: ReviewDeps): ObjectAction[] {
  const action = <T extends KubeObject>(
    group: string,
    resource: string,
    run: (body: T, context: RequestContext) => T,
  ): ObjectAction => ({
    group,
    resource,
    subresource: '',
    run: (body, context) => run(body as T, context),
  })
  return [
    action<TokenReview>(AUTHENTICATION_GROUP, 'tokenreviews', (body, context) => reviewToken(body, context, deps)),
    action<SelfSubjectReview>(AUTHENTICATION_GROUP, 'selfsubjectreviews', (body, { user }) => ({
      ...body,
      status: { userInfo: toReviewed(user) },
    })),
    action<SubjectAccessReview>(AUTHORIZATION_GROUP, 'subjectaccessreviews', (body, context) =>
      reviewSubject(body, context, deps),
    ),
    action<LocalSubjectAccessReview>(AUTHORIZATION_GROUP, 'localsubjectaccessreviews', (body, context) =>
      reviewLocalSubject(body, context, deps),
    ),
    action<SelfSubjectAccessReview>(AUTHORIZATION_GROUP, 'selfsubjectaccessreviews', (body, context) =>
      reviewSelf(body, context, deps),
    ),
    action<SelfSubjectRulesReview>(AUTHORIZATION_GROUP, 'selfsubjectrulesreviews', (body, context) =>
      reviewRules(body, context, deps),
    ),
  ]
}

function reviewToken(body: TokenReview, { info }: RequestContext, { tokens, audiences }: ReviewDeps): TokenReview {
  const token = body.spec?.token ?? ''
  if (token === '') throw badRequest('token is required for TokenReview in authentication')
  const wanted = (body.spec.audiences ?? []).length === 0 ? audiences : (body.spec.audiences ?? [])
  try {
    const found = tokens.review(token, wanted)
    // an answer names no tenant, so it must speak of this one
    if (found.user.tenant !== ownerOf(info)) throw new Error('invalid bearer token')
    return { ...body, status: { authenticated: true, user: toReviewed(found.user), audiences: [...found.audiences] } }
  } catch (error) {
    return { ...body, status: { error: (error as Error).message } }
  }
}

function reviewSubject(
  body: SubjectAccessReview,
  { info }: RequestContext,
  { authorizer }: ReviewDeps,
): SubjectAccessReview {
  const errors = [...checkAttributes(body.spec), ...checkSubject(body.spec)]
  if (errors.length > 0) throw invalidObject({ group: AUTHORIZATION_GROUP, kind: 'SubjectAccessReview' }, '', errors)
  return { ...body, status: decide(subjectOf(body.spec, info), body.spec, { tenant: ownerOf(info), authorizer }) }
}

function reviewLocalSubject(
  body: LocalSubjectAccessReview,
  { info }: RequestContext,
  { authorizer }: ReviewDeps,
): LocalSubjectAccessReview {
  const { spec } = body
  const errors = [...checkAttributes(spec), ...checkSubject(spec), ...checkLocal(spec, info.namespace)]
  if (errors.length > 0)
    throw invalidObject({ group: AUTHORIZATION_GROUP, kind: 'LocalSubjectAccessReview' }, '', errors)
  return { ...body, status: decide(subjectOf(spec, info), spec, { tenant: ownerOf(info), authorizer }) }
}

function reviewSelf(
  body: SelfSubjectAccessReview,
  { user, info }: RequestContext,
  { authorizer }: ReviewDeps,
): SelfSubjectAccessReview {
  const errors = checkAttributes(body.spec)
  if (errors.length > 0)
    throw invalidObject({ group: AUTHORIZATION_GROUP, kind: 'SelfSubjectAccessReview' }, '', errors)
  return { ...body, status: decide(user, body.spec, { tenant: info.tenant, authorizer }) }
}

function reviewRules(
  body: SelfSubjectRulesReview,
  { user, info }: RequestContext,
  { policies }: ReviewDeps,
): SelfSubjectRulesReview {
  const namespace = body.spec?.namespace ?? ''
  if (namespace === '') throw badRequest('no namespace on request')
  const { rules, errors } = policies.rulesFor(user, { tenant: info.tenant, namespace })
  const isNode = nodeNameOf(user) !== undefined
  const problems = isNode ? ['node authorizer does not support user rule resolution', ...errors] : errors
  return {
    ...body,
    status: {
      resourceRules: rules
        .filter((rule) => (rule.resources ?? []).length > 0)
        .map(({ nonResourceURLs: _urls, ...rule }) => ({ ...rule })),
      nonResourceRules: rules
        .filter((rule) => (rule.nonResourceURLs ?? []).length > 0)
        .map(({ verbs, nonResourceURLs }) => ({ verbs, nonResourceURLs })),
      incomplete: isNode,
      ...(problems.length === 0 ? {} : { evaluationError: problems.join(', ') }),
    },
  }
}

type AttributeSpec = Pick<SubjectAccessReviewSpec, 'resourceAttributes' | 'nonResourceAttributes'>

function decide(
  user: UserInfo,
  spec: AttributeSpec,
  { tenant, authorizer }: { readonly tenant: string; readonly authorizer: Authorizer },
): SubjectAccessReviewStatus {
  const decision = authorizer.authorize(
    spec.resourceAttributes === undefined
      ? pathAttributes(user, tenant, spec.nonResourceAttributes ?? {})
      : resourceAttributes(user, tenant, spec.resourceAttributes),
  )
  return { allowed: decision.allowed, ...(decision.reason === '' ? {} : { reason: decision.reason }) }
}

function resourceAttributes(user: UserInfo, tenant: string, asked: ResourceAttributes): AuthorizationAttributes {
  const { fieldSelector } = asked
  const terms = (fieldSelector?.requirements ?? []).flatMap(({ key, operator, values = [] }) =>
    operator === 'In' && values.length === 1 ? [`${key}=${values[0]}`] : [],
  )
  return {
    user,
    tenant,
    verb: asked.verb ?? '',
    isResourceRequest: true,
    path: '',
    group: asked.group ?? '',
    version: asked.version ?? '*',
    resource: asked.resource ?? '',
    subresource: asked.subresource ?? '',
    namespace: asked.namespace ?? '',
    name: asked.name ?? '',
    ...(fieldSelector === undefined ? {} : { fieldSelector: fieldSelector.rawSelector ?? terms.join(',') }),
  }
}

function pathAttributes(
  user: UserInfo,
  tenant: string,
  { path = '', verb = '' }: NonResourceAttributes,
): AuthorizationAttributes {
  const nothing = { group: '', version: '', resource: '', subresource: '', namespace: '', name: '' }
  return { ...nothing, user, tenant, verb, path, isResourceRequest: false }
}

function subjectOf(spec: SubjectAccessReviewSpec, info: RequestInfo): UserInfo {
  return {
    name: spec.user ?? '',
    uid: spec.uid ?? '',
    groups: spec.groups ?? [],
    extra: spec.extra ?? {},
    tenant: ownerOf(info),
  }
}

/** Whose users and tokens a request speaks of: those of its tenant; of operators in a view over many. */
function ownerOf({ tenant }: RequestInfo): string {
  return isView(tenant) ? SYSTEM_TENANT : tenant
}

function toReviewed(user: UserInfo): ReviewedUser {
  const extra = Object.entries(user.extra).map(([key, values]): [string, string[]] => [key, [...values]])
  return {
    username: user.name,
    ...(user.uid === '' ? {} : { uid: user.uid }),
    ...(user.groups.length === 0 ? {} : { groups: [...user.groups] }),
    ...(extra.length === 0 ? {} : { extra: Object.fromEntries(extra) }),
  }
}

/** Source: pkg/apis/authorization/validation/validation.go (v1.37). */
function checkAttributes(spec: AttributeSpec): FieldError[] {
  const path = new FieldPath('spec')
  const isOne = (spec.resourceAttributes === undefined) !== (spec.nonResourceAttributes === undefined)
  const why = 'exactly one of nonResourceAttributes or resourceAttributes must be specified'
  return isOne ? [] : [invalid(path, spec.nonResourceAttributes, why)]
}

function checkSubject({ user = '', groups = [] }: SubjectAccessReviewSpec): FieldError[] {
  const why = 'at least one of user or group must be specified'
  return user === '' && groups.length === 0 ? [invalid(new FieldPath('spec').child('user'), user, why)] : []
}

function checkLocal(spec: SubjectAccessReviewSpec, namespace: string): FieldError[] {
  const path = new FieldPath('spec')
  const asked = spec.resourceAttributes?.namespace ?? ''
  if (spec.nonResourceAttributes !== undefined) {
    return [
      invalid(path.child('nonResourceAttributes'), spec.nonResourceAttributes, 'disallowed on this kind of request'),
    ]
  }
  if (asked === namespace) return []
  return [invalid(path.child('resourceAttributes', 'namespace'), asked, 'must match metadata.namespace')]
}
