import { randomUUID } from 'node:crypto'
import {
  badRequest,
  conflict,
  FieldPath,
  invalid,
  invalidObject,
  type FieldError,
  type KubeObject,
  type ResourceType,
  type Stored,
} from '@centaurus/api'
import type { BoundObjectReference, TokenRequest } from '@centaurus/api/authentication/v1'
import { nodes, pods, secrets, serviceaccounts, type ServiceAccount } from '@centaurus/api/core/v1'
import type { Clock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { ObjectAction } from '../extension.ts'
import type { ObjectReader } from '../resource/object-reader.ts'
import {
  serviceAccountUserName,
  tenantClaim,
  type BoundClaims,
  type ServiceAccountClaims,
} from './service-account-claims.ts'
import type { TokenSigner } from './signing-key.ts'

/** Source: pkg/apis/authentication/v1/defaults.go and validation.go. */
const EXPIRATION_SECONDS_DEFAULT = 3600
const EXPIRATION_SECONDS_MIN = 600
const EXPIRATION_SECONDS_MAX = 2 ** 32
/** What node agents ask for in a pod's volume: clients that never read the file again get a year, and a mark. Source: pkg/serviceaccount/claims.go. */
const EXTENDED_WHEN_SECONDS = 3607
const EXTENDED_SECONDS = 365 * 24 * 60 * 60
const TOKEN_REQUEST = { group: 'authentication.k8s.io', kind: 'TokenRequest' } as const

export interface TokenRequestDeps {
  readonly signer: TokenSigner
  readonly reader: ObjectReader
  readonly clientOf: (tenant: string) => Client
  readonly clock: Clock
  /** Audiences of the API server itself; the first is the issuer. */
  readonly audiences: readonly string[]
}

/** POST to `serviceaccounts/token`. Source: pkg/registry/core/serviceaccount/storage/token.go (v1.37). */
export function createTokenRequestAction(deps: TokenRequestDeps): ObjectAction {
  return {
    group: '',
    resource: 'serviceaccounts',
    subresource: 'token',
    run: (body, { info }) =>
      issueToken(
        body as TokenRequest,
        { namespace: info.namespace, name: info.name },
        { ...deps, tenant: info.tenant },
      ),
  }
}

interface AccountName {
  readonly namespace: string
  readonly name: string
}

type IssueDeps = TokenRequestDeps & { readonly tenant: string }

async function issueToken(request: TokenRequest, name: AccountName, deps: IssueDeps): Promise<KubeObject> {
  checkNames(request, name)
  const account: Stored<ServiceAccount> = await find(deps, serviceaccounts, name)
  const uid = request.metadata?.uid
  if (uid !== undefined && uid !== account.metadata.uid) {
    const why = `the UID in the token request (${uid}) does not match the UID of the service account (${account.metadata.uid})`
    throw conflict({ group: TOKEN_REQUEST.group, resource: TOKEN_REQUEST.kind }, name.name, why)
  }
  const spec = { ...request.spec }
  if ((spec.audiences ?? []).length === 0) spec.audiences = [...deps.audiences]
  spec.expirationSeconds ??= EXPIRATION_SECONDS_DEFAULT
  checkExpiration(spec.expirationSeconds)
  const nowMs = deps.clock.now()
  const bound = await bindToken(spec.boundObjectRef, name, deps)
  const isExtended =
    bound.pod !== undefined &&
    spec.expirationSeconds === EXTENDED_WHEN_SECONDS &&
    spec.audiences?.every((audience) => deps.audiences.includes(audience)) === true
  const nowSeconds = Math.floor(nowMs / 1000)
  const claims: ServiceAccountClaims = {
    aud: spec.audiences ?? [],
    exp: nowSeconds + (isExtended ? EXTENDED_SECONDS : spec.expirationSeconds),
    iat: nowSeconds,
    iss: deps.audiences[0] ?? '',
    jti: randomUUID(),
    'kubernetes.io': {
      namespace: name.namespace,
      ...bound,
      serviceaccount: { name: name.name, uid: account.metadata.uid },
      ...(isExtended ? { warnafter: nowSeconds + spec.expirationSeconds } : {}),
    },
    nbf: nowSeconds,
    sub: serviceAccountUserName(name.namespace, name.name),
    ...tenantClaim(deps.tenant),
  }
  const timestamp = (ms: number): string => new Date(Math.floor(ms / 1000) * 1000).toISOString().replace('.000Z', 'Z')
  const answer: TokenRequest = {
    apiVersion: 'authentication.k8s.io/v1',
    kind: 'TokenRequest',
    metadata: { ...request.metadata, ...name, uid: account.metadata.uid, creationTimestamp: timestamp(nowMs) },
    spec,
    status: { token: deps.signer.sign(claims), expirationTimestamp: timestamp(nowMs + spec.expirationSeconds * 1000) },
  }
  return answer
}

function checkNames({ metadata = {} }: TokenRequest, { namespace, name }: AccountName): void {
  const path = new FieldPath('metadata')
  const errors: FieldError[] = []
  if ((metadata.name ?? '') !== '' && metadata.name !== name) {
    errors.push(invalid(path.child('name'), metadata.name, 'must match the service account name if specified'))
  }
  if ((metadata.namespace ?? '') !== '' && metadata.namespace !== namespace) {
    errors.push(
      invalid(path.child('namespace'), metadata.namespace, 'must match the service account namespace if specified'),
    )
  }
  if (errors.length > 0) throw invalidObject(TOKEN_REQUEST, name, errors)
}

function checkExpiration(seconds: number): void {
  const path = new FieldPath('spec').child('expirationSeconds')
  if (seconds < EXPIRATION_SECONDS_MIN) {
    throw invalidObject(TOKEN_REQUEST, '', [invalid(path, seconds, 'may not specify a duration less than 10 minutes')])
  }
  if (seconds > EXPIRATION_SECONDS_MAX) {
    throw invalidObject(TOKEN_REQUEST, '', [
      invalid(path, seconds, 'may not specify a duration larger than 2^32 seconds'),
    ])
  }
}

type Binding = Pick<BoundClaims, 'pod' | 'node' | 'secret'>

async function bindToken(
  ref: BoundObjectReference | undefined,
  account: AccountName,
  deps: IssueDeps,
): Promise<Binding> {
  if (ref === undefined) return {}
  const { apiVersion = '', kind = '', name = '', uid } = ref
  const group = apiVersion.includes('/') ? apiVersion.slice(0, apiVersion.indexOf('/')) : ''
  const key = { namespace: account.namespace, name }
  if (group === '' && kind === 'Pod') {
    const pod = await find(deps, pods, key)
    if (pod.spec?.serviceAccountName !== account.name) {
      throw badRequest(
        `cannot bind token for serviceaccount ${JSON.stringify(account.name)} to pod running with different serviceaccount name.`,
      )
    }
    checkUid(kind, pod, uid)
    const nodeName = pod.spec?.nodeName ?? ''
    const node = nodeName === '' ? undefined : deps.reader.get(nodes, { name: nodeName })
    const claim = { pod: { name, uid: pod.metadata.uid } }
    return nodeName === ''
      ? claim
      : { node: { name: nodeName, ...(node === undefined ? {} : { uid: node.metadata.uid }) }, ...claim }
  }
  if (group === '' && kind === 'Secret') {
    const secret = await find(deps, secrets, key)
    checkUid(kind, secret, uid)
    return { secret: { name, uid: secret.metadata.uid } }
  }
  if (group === '' && kind === 'Node') {
    const node = await find(deps, nodes, { namespace: '', name }) // a tenant has none
    checkUid(kind, node, uid)
    return { node: { name, uid: node.metadata.uid } }
  }
  const version = apiVersion.slice(apiVersion.indexOf('/') + 1)
  throw badRequest(`cannot bind token to object of type ${group}/${version}, Kind=${kind}`)
}

function checkUid(kind: string, object: Stored<KubeObject>, uid: string | undefined): void {
  if (uid === undefined || uid === '' || uid === object.metadata.uid) return
  const why = `the UID in the bound object reference (${uid}) does not match the UID in record. The object might have been deleted and then recreated`
  throw conflict({ group: '', resource: kind }, object.metadata.name, why)
}

/** From the cache, or from the store when the cache has not heard of it yet. */
async function find<T extends KubeObject>(
  { reader, clientOf, tenant }: IssueDeps,
  type: ResourceType<T>,
  name: AccountName,
): Promise<Stored<T>> {
  return reader.get(type, name, { tenant }) ?? clientOf(tenant).get(type, name)
}
