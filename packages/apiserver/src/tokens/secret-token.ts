import { NAMESPACE_ANNOTATION, SYSTEM_TENANT, TENANT_ANNOTATION } from '@centaurus/api'
import type { Secret, ServiceAccount } from '@centaurus/api/core/v1'
import { LEGACY_ISSUER, serviceAccountUserName, tenantClaim, type LegacyClaims } from './service-account-claims.ts'
import type { TokenSigner } from './signing-key.ts'

const NAME_ANNOTATION = 'kubernetes.io/service-account.name'
const UID_ANNOTATION = 'kubernetes.io/service-account.uid'

export interface SecretTokenDeps {
  readonly signer: TokenSigner
  /** PEM that goes under `ca.crt`. */
  readonly caPem: string
}

/**
 * A token Secret with what it lacks filled in (`token`, `ca.crt`, `namespace`, the account's uid), or undefined when it lacks nothing.
 * The Secret must name the account and not another one of its uid; delete it otherwise.
 * Source: pkg/controller/serviceaccount/tokens_controller.go generateTokenIfNeeded (v1.37).
 */
export function fillTokenSecret(
  secret: Readonly<Secret>,
  account: Readonly<ServiceAccount>,
  deps: SecretTokenDeps,
): Secret | undefined {
  const { name = '', annotations = {} } = secret.metadata
  // controllers see the secrets of all tenants in one view
  const namespace = annotations[NAMESPACE_ANNOTATION] ?? secret.metadata.namespace ?? ''
  const tenant = annotations[TENANT_ANNOTATION] ?? SYSTEM_TENANT
  const uid = account.metadata.uid ?? ''
  const data = secret.data ?? {}
  const ca = toBase64(deps.caPem)
  const isWhole =
    data['ca.crt'] === ca &&
    (data.token ?? '') !== '' &&
    (data.namespace ?? '') !== '' &&
    secret.metadata.annotations?.[UID_ANNOTATION] === uid
  if (isWhole) return undefined
  const accountName = account.metadata.name ?? ''
  const claims: LegacyClaims = {
    iss: LEGACY_ISSUER,
    sub: serviceAccountUserName(namespace, accountName),
    'kubernetes.io/serviceaccount/namespace': namespace,
    'kubernetes.io/serviceaccount/secret.name': name,
    'kubernetes.io/serviceaccount/service-account.name': accountName,
    'kubernetes.io/serviceaccount/service-account.uid': uid,
    ...tenantClaim(tenant),
  }
  return {
    ...secret,
    metadata: {
      ...secret.metadata,
      annotations: { ...secret.metadata.annotations, [NAME_ANNOTATION]: accountName, [UID_ANNOTATION]: uid },
    },
    data: {
      ...data,
      'ca.crt': ca,
      namespace: (data.namespace ?? '') === '' ? toBase64(namespace) : (data.namespace ?? ''),
      token: (data.token ?? '') === '' ? toBase64(deps.signer.sign(claims)) : (data.token ?? ''),
    },
  }
}

function toBase64(text: string): string {
  return Buffer.from(text).toString('base64')
}
