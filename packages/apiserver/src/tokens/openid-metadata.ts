import type { NonResourceRoute } from '../extension.ts'
import type { TokenSigner } from './signing-key.ts'

const JWKS_PATH = '/openid/v1/jwks'
/** Source: pkg/routes/openidmetadata.go (v1.37). */
const CACHE_CONTROL = 'public, max-age=3600'

export interface OpenIdOptions {
  readonly signer: TokenSigner
  readonly issuer: string
  /** Where others can reach `/openid/v1/jwks`; default: under the issuer. */
  readonly jwksUri?: string | undefined
}

/** With these two documents others can check our tokens. Source: pkg/serviceaccount/openidmetadata.go (v1.37). */
export function createOpenIdRoutes({ signer, issuer, jwksUri }: OpenIdOptions): NonResourceRoute[] {
  const keys = signer.publicKeys()
  const configuration = JSON.stringify({
    issuer,
    jwks_uri: jwksUri ?? `${issuer.replace(/\/$/, '')}${JWKS_PATH}`,
    response_types_supported: ['id_token'],
    subject_types_supported: ['public'],
    id_token_signing_alg_values_supported: [
      ...new Set(keys.flatMap((key) => (typeof key.alg === 'string' ? [key.alg] : []))),
    ].toSorted(),
  })
  return [
    documentRoute('/.well-known/openid-configuration', 'application/json', configuration),
    documentRoute(JWKS_PATH, 'application/jwk-set+json', JSON.stringify({ keys })),
  ]
}

function documentRoute(path: string, contentType: string, text: string): NonResourceRoute {
  const body = Buffer.from(text)
  return {
    path,
    methods: ['GET'],
    forTenants: true,
    handle: (exchange) => exchange.respond(200, { 'content-type': contentType, 'cache-control': CACHE_CONTROL }, body),
  }
}
