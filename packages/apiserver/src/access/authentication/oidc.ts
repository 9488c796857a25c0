import { hash } from 'node:crypto'
import { TENANT_CLAIM, unauthorized } from '@centaurus/api'
import type { Clock, Logger } from '@centaurus/base'
import { decodeJwt, errors, jwtVerify, type JWTPayload, type JWTVerifyGetKey } from 'jose'
import { SYSTEM_TENANT, type UserInfo } from '../../request/request-info.ts'
import { bearerToken } from '../../tokens/token-authenticator.ts'
import type { Authenticator } from '../access.ts'
import { AUTHENTICATED_GROUP } from './client-certificate.ts'
import { OidcKeys } from './oidc-keys.ts'
import { checkTenantUser } from './tenant-user.ts'

/** Tokens whose signature was checked and that are remembered; the oldest goes first. */
const TOKENS_MAX = 20_000
/** A signature is checked again after this: its key may have been withdrawn. */
const RECHECK_MS = 10 * 60_000
const TOKEN_BYTES_MAX = 16 * 1024
/** Names that only this server gives. */
const RESERVED_PREFIX = 'system:'
/** Source: --oidc-signing-algs. */
const ALGORITHMS_DEFAULT = ['RS256']

/** Like kube-apiserver's flags `--oidc-*`, and a claim for the tenant. */
export interface OidcOptions {
  /** `https://…`, exactly as in the tokens' `iss`. */
  readonly issuerUrl: string
  /** What must be among the tokens' `aud`. */
  readonly clientId: string
  /** PEM of the authority behind the issuer's certificate; absent: those of the system. */
  readonly caPem?: string | undefined
  /** Default `sub`. With `email`, a token that says `email_verified: false` is refused. */
  readonly usernameClaim?: string | undefined
  /** Default: the issuer's URL and `#`, or none for `email`; `-`: none. */
  readonly usernamePrefix?: string | undefined
  /** A text or a list of texts; absent: no groups. */
  readonly groupsClaim?: string | undefined
  readonly groupsPrefix?: string | undefined
  /** Default `centaurus.io/tenant`; a token without it is of `system`. */
  readonly tenantClaim?: string | undefined
  /** Taken off the front of the claim; a claim without it is refused. */
  readonly tenantPrefix?: string | undefined
  /** Claims that a token must have, with these values. */
  readonly requiredClaims?: Readonly<Record<string, string>> | undefined
  /** Default `RS256` alone. */
  readonly signingAlgorithms?: readonly string[] | undefined
}

export interface OidcDeps {
  readonly clock: Clock
  readonly logger: Logger
}

interface KnownToken {
  readonly user: UserInfo
  readonly expiresMs: number
  readonly checkedMs: number
}

/**
 * Knows people by the ID tokens of an OpenID Connect issuer. Tokens of other issuers are left to others. Names and groups that begin
 * with `system:` are not believed: they would speak for the cluster itself. Throws a `TypeError` for an issuer that is not HTTPS.
 * Source: apiserver plugin/pkg/authenticator/token/oidc (v0.37).
 */
export function createOidcAuthenticator(options: OidcOptions, { clock, logger }: OidcDeps): Authenticator {
  if (!options.issuerUrl.startsWith('https://')) {
    throw new TypeError(
      `Cannot trust OIDC issuer ${JSON.stringify(options.issuerUrl)}: its URL must begin with https://`,
    )
  }
  const keys = new OidcKeys({ issuerUrl: options.issuerUrl, caPem: options.caPem, clock, logger })
  const known = new Map<string, KnownToken>()
  const check = async (token: string): Promise<KnownToken> => {
    const claims = await verifyToken(token, { keys, options, nowMs: clock.now() })
    const user = readUser(claims, options)
    checkTenantUser(user)
    return { user, expiresMs: (claims.exp ?? 0) * 1000, checkedMs: clock.monotonicMs() }
  }
  return {
    async authenticate({ headers }) {
      const token = bearerToken(headers.authorization)
      if (token === undefined || issuerOf(token) !== options.issuerUrl) return undefined
      const key = hash('sha256', token, 'base64')
      let found = known.get(key)
      if (found === undefined || clock.monotonicMs() - found.checkedMs > RECHECK_MS) {
        try {
          found = await check(token)
        } catch (error) {
          logger.debug('Could not authenticate by OIDC token', { error })
          throw unauthorized() // the caller must not learn why
        }
        if (known.size >= TOKENS_MAX) known.delete(known.keys().next().value ?? '')
        known.set(key, found)
      }
      if (found.expiresMs <= clock.now()) throw unauthorized()
      return found.user
    },
  }
}

/** Unverified: only to find out who would know. */
function issuerOf(token: string): string | undefined {
  if (token.length > TOKEN_BYTES_MAX) return undefined
  try {
    return decodeJwt(token).iss
  } catch {
    return undefined
  }
}

interface Verification {
  readonly keys: OidcKeys
  readonly options: OidcOptions
  readonly nowMs: number
}

async function verifyToken(token: string, { keys, options, nowMs }: Verification): Promise<JWTPayload> {
  const verify = async (by: JWTVerifyGetKey): Promise<JWTPayload> => {
    const { payload } = await jwtVerify(token, by, {
      issuer: options.issuerUrl,
      audience: options.clientId,
      algorithms: [...(options.signingAlgorithms ?? ALGORITHMS_DEFAULT)],
      currentDate: new Date(nowMs),
      requiredClaims: ['exp'],
    })
    return payload
  }
  try {
    return await verify(await keys.current())
  } catch (error) {
    if (!(error instanceof errors.JWKSNoMatchingKey)) throw error
    const newer = await keys.newer() // the issuer may have changed its key
    if (newer === undefined) throw error
    return verify(newer)
  }
}

function readUser(claims: JWTPayload, options: OidcOptions): UserInfo {
  for (const [name, value] of Object.entries(options.requiredClaims ?? {})) {
    if (claims[name] !== value) throw new Error(`Claim "${name}" must be ${JSON.stringify(value)}`)
  }
  const name = readUsername(claims, options)
  if (name.startsWith(RESERVED_PREFIX)) throw new Error(`Name ${JSON.stringify(name)} is the cluster's own`)
  return Object.freeze({
    name,
    uid: '',
    groups: [...readGroups(claims, options), AUTHENTICATED_GROUP],
    extra: {},
    tenant: readTenant(claims, options),
  })
}

function readUsername(claims: JWTPayload, { usernameClaim = 'sub', usernamePrefix, issuerUrl }: OidcOptions): string {
  const text = claims[usernameClaim]
  if (typeof text !== 'string' || text === '') throw new Error(`Claim "${usernameClaim}" must be a text`)
  const isEmail = usernameClaim === 'email'
  if (isEmail && claims['email_verified'] === false) throw new Error('The email address is not verified')
  const prefix = usernamePrefix === '-' ? '' : (usernamePrefix ?? (isEmail ? '' : `${issuerUrl}#`))
  return prefix + text
}

function readGroups(claims: JWTPayload, { groupsClaim, groupsPrefix = '' }: OidcOptions): string[] {
  const value = groupsClaim === undefined ? [] : claims[groupsClaim]
  const groups = (Array.isArray(value) ? value : [value]).filter((entry) => typeof entry === 'string')
  return groups.map((group) => groupsPrefix + group).filter((group) => !group.startsWith(RESERVED_PREFIX))
}

function readTenant(claims: JWTPayload, { tenantClaim = TENANT_CLAIM, tenantPrefix = '' }: OidcOptions): string {
  const value = claims[tenantClaim]
  if (value === undefined) return SYSTEM_TENANT
  if (typeof value !== 'string' || !value.startsWith(tenantPrefix))
    throw new Error(`Claim "${tenantClaim}" names no tenant`)
  return value.slice(tenantPrefix.length)
}
