import { hash } from 'node:crypto'
import { unauthorized } from '@centaurus/api'
import type { Clock } from '@centaurus/base'
import { nodes, pods, secrets, serviceaccounts } from '@centaurus/api/core/v1'
import type { Authenticator } from '../access/access.ts'
import { AUTHENTICATED_GROUP } from '../access/authentication/client-certificate.ts'
import type { UserInfo } from '../request/request-info.ts'
import type { GroupResourceName, ObjectReader } from '../resource/object-reader.ts'
import {
  readBoundClaims,
  readLegacyClaims,
  serviceAccountUserName,
  tenantOfClaims,
  type LegacyClaims,
  type ObjectClaim,
  type ServiceAccountClaims,
} from './service-account-claims.ts'
import type { TokenSigner } from './signing-key.ts'

/** Tokens whose signature was checked and that are remembered; the oldest goes first. About 2 KB each. */
const TOKENS_MAX = 20_000
/** So long after its object went away a token may still work. Source: the token cache of pkg/kubeapiserver/authenticator (10 s). */
const RECHECK_MS = 10_000
/** Allowance for clocks that differ, and for objects that are being deleted. Source: go-jose jwt.DefaultLeeway. */
const LEEWAY_MS = 60_000

export interface TokenAuthenticatorDeps {
  readonly signer: TokenSigner
  readonly reader: ObjectReader
  readonly clock: Clock
  /** Audiences of the API server itself; the first is the issuer. */
  readonly audiences: readonly string[]
  /**
   * Whether another partition has the tenant, and so knows what its tokens are bound to. Their requests are handed on with the token, or refused;
   * nothing is done for them here.
   */
  readonly isElsewhere?: ((tenant: string) => boolean) | undefined
}

export interface AuthenticatedToken {
  readonly user: UserInfo
  /** Those of the wanted audiences that the token is for. */
  readonly audiences: readonly string[]
}

/** Knows service accounts by their tokens. */
export interface TokenAuthenticator extends Authenticator {
  /** For TokenReview: whose token it is, for one of `audiences`. Throws an `Error` that says why it is not valid. */
  review(token: string, audiences: readonly string[]): AuthenticatedToken
}

interface KnownToken {
  readonly user: UserInfo
  readonly audiences: readonly string[]
  readonly notBeforeMs: number
  readonly expiresMs: number
  /** Throws when what the token is bound to is gone. */
  readonly check: () => void
  checkedMs: number
}

/**
 * Authenticates `Authorization: Bearer` tokens of service accounts. A signature is checked once; whether the account, pod,
 * secret or node still exists is looked up again every 10 s. Source: pkg/serviceaccount/{jwt,claims,legacy}.go (v1.37).
 */
export function createTokenAuthenticator(deps: TokenAuthenticatorDeps): TokenAuthenticator {
  const known = new Map<string, KnownToken>()
  const find = (token: string): KnownToken => {
    const key = hash('sha256', token, 'base64')
    const found = known.get(key)
    if (found !== undefined) return found
    const made = readToken(token, deps)
    if (known.size >= TOKENS_MAX) known.delete(known.keys().next().value ?? '')
    known.set(key, made)
    return made
  }
  const review = (token: string, audiences: readonly string[]): AuthenticatedToken =>
    check(find(token), { audiences, isElsewhere: false })
  const check = (
    found: KnownToken,
    { audiences, isElsewhere }: { readonly audiences: readonly string[]; readonly isElsewhere: boolean },
  ): AuthenticatedToken => {
    const nowMs = deps.clock.now()
    if (found.expiresMs + LEEWAY_MS < nowMs) throw new Error('service account token has expired')
    if (found.notBeforeMs - LEEWAY_MS > nowMs) throw new Error('service account token is not valid yet')
    if (!isElsewhere && nowMs - found.checkedMs > RECHECK_MS) {
      found.check()
      found.checkedMs = nowMs
    }
    const common = found.audiences.filter((audience) => audiences.includes(audience))
    if (common.length === 0) {
      throw new Error(
        `token audiences ${JSON.stringify(found.audiences)} is invalid for the target audiences ${JSON.stringify(audiences)}`,
      )
    }
    return { user: found.user, audiences: common }
  }
  return {
    review,
    authenticate({ headers }) {
      const token = bearerToken(headers.authorization)
      if (token === undefined) return undefined
      try {
        const found = find(token)
        const isElsewhere = deps.isElsewhere?.(found.user.tenant) === true
        return check(found, { audiences: deps.audiences, isElsewhere }).user
      } catch {
        throw unauthorized() // the caller must not learn why
      }
    },
  }
}

/** The token of an `Authorization: Bearer` header; undefined when it is something else. */
export function bearerToken(authorization: string | undefined): string | undefined {
  const [scheme, token] = authorization?.split(' ') ?? []
  return scheme?.toLowerCase() === 'bearer' && token !== undefined && token !== '' ? token : undefined
}

function readToken(token: string, deps: TokenAuthenticatorDeps): KnownToken {
  const claims = deps.signer.verify(token)
  if (claims === undefined) throw new Error('invalid bearer token')
  const legacy = readLegacyClaims(claims)
  if (legacy !== undefined) return knowLegacy(token, legacy, deps)
  const bound = readBoundClaims(claims)
  if (bound === undefined || bound.iss !== deps.audiences[0]) throw new Error('invalid bearer token')
  return {
    user: boundUser(bound),
    audiences: bound.aud,
    notBeforeMs: bound.nbf * 1000,
    expiresMs: bound.exp * 1000,
    check: () => checkBound(bound, deps),
    checkedMs: Number.NEGATIVE_INFINITY,
  }
}

function knowLegacy(token: string, claims: LegacyClaims, deps: TokenAuthenticatorDeps): KnownToken {
  const namespace = claims['kubernetes.io/serviceaccount/namespace']
  const tenant = tenantOfClaims(claims)
  const account: ObjectClaim = {
    name: claims['kubernetes.io/serviceaccount/service-account.name'],
    uid: claims['kubernetes.io/serviceaccount/service-account.uid'],
  }
  const check = (): void => {
    const secret = deps.reader.get(
      secrets,
      { namespace, name: claims['kubernetes.io/serviceaccount/secret.name'] },
      { tenant },
    )
    const isSame = secret?.data?.token === Buffer.from(token).toString('base64')
    if (!isSame || secret.metadata.deletionTimestamp !== undefined)
      throw new Error('service account token has been invalidated')
    checkObject(deps, serviceaccounts, { tenant, namespace, ...account })
  }
  return {
    user: createUser(account, { tenant, namespace, extra: {} }),
    audiences: deps.audiences,
    notBeforeMs: 0,
    expiresMs: Number.POSITIVE_INFINITY,
    check,
    checkedMs: Number.NEGATIVE_INFINITY,
  }
}

function boundUser(claims: ServiceAccountClaims): UserInfo {
  const { namespace, serviceaccount, pod, node } = claims['kubernetes.io']
  const prefix = 'authentication.kubernetes.io/'
  const extra: Record<string, string[]> = {}
  if (claims.jti !== undefined) extra[`${prefix}credential-id`] = [`JTI=${claims.jti}`]
  if (node !== undefined) {
    extra[`${prefix}node-name`] = [node.name]
    if (node.uid !== undefined) extra[`${prefix}node-uid`] = [node.uid]
  }
  if (pod !== undefined) {
    extra[`${prefix}pod-name`] = [pod.name]
    extra[`${prefix}pod-uid`] = [pod.uid ?? '']
  }
  return createUser(serviceaccount, { tenant: tenantOfClaims(claims), namespace, extra })
}

interface AccountHome {
  readonly tenant: string
  readonly namespace: string
  readonly extra: Record<string, string[]>
}

function createUser(account: ObjectClaim, { tenant, namespace, extra }: AccountHome): UserInfo {
  return Object.freeze({
    name: serviceAccountUserName(namespace, account.name),
    uid: account.uid ?? '',
    groups: ['system:serviceaccounts', `system:serviceaccounts:${namespace}`, AUTHENTICATED_GROUP],
    extra,
    tenant,
  })
}

function checkBound(claims: ServiceAccountClaims, deps: TokenAuthenticatorDeps): void {
  const { namespace, serviceaccount, pod, secret, node } = claims['kubernetes.io']
  const home = { tenant: tenantOfClaims(claims), namespace }
  checkObject(deps, serviceaccounts, { ...home, ...serviceaccount })
  if (secret !== undefined) checkObject(deps, secrets, { ...home, ...secret })
  if (pod !== undefined) checkObject(deps, pods, { ...home, ...pod })
  // a pod's token only says where the pod runs; it is not bound to the node
  else if (node !== undefined) checkObject(deps, nodes, { ...home, namespace: '', ...node })
}

function checkObject(
  deps: TokenAuthenticatorDeps,
  type: GroupResourceName,
  claim: ObjectClaim & { readonly tenant: string; readonly namespace: string },
): void {
  const { tenant, namespace, name } = claim
  const object = deps.reader.get(type, { namespace, name }, { tenant })
  if (object === undefined) throw new Error('service account token has been invalidated')
  if (object.metadata.uid !== claim.uid) {
    throw new Error(`${type.resource} UID (${object.metadata.uid}) does not match claim (${claim.uid})`)
  }
  const deletion = object.metadata.deletionTimestamp
  if (deletion !== undefined && Date.parse(deletion) < deps.clock.now() - LEEWAY_MS) {
    throw new Error('service account token has been invalidated')
  }
}
