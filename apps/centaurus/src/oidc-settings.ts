import { existsSync, readFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import type { OidcOptions } from '@centaurus/apiserver'
import type { Home } from './home.ts'
import { UserError } from './user-error.ts'

/** In the home of a partition: the OpenID Connect issuers that its API servers believe. Read when they start. */
const FILE = 'oidc.json'
const TEXTS = [
  'usernameClaim',
  'usernamePrefix',
  'groupsClaim',
  'groupsPrefix',
  'tenantClaim',
  'tenantPrefix',
] as const satisfies readonly (keyof OidcOptions)[]
const KNOWN = new Set<string>(['issuerUrl', 'clientId', 'caFile', 'requiredClaims', 'signingAlgorithms', ...TEXTS])

/**
 * Reads `oidc.json`: a list of issuers, each with `issuerUrl` and `clientId` and, as wanted, what kube-apiserver's flags `--oidc-*` say and
 * `tenantClaim`, `tenantPrefix`. `caFile` is relative to the home. Empty when there is no file. Throws {@link UserError}.
 */
export function readOidcSettings(home: Home): OidcOptions[] {
  const file = join(home.dir, FILE)
  if (!existsSync(file)) return []
  try {
    const list: unknown = JSON.parse(readFileSync(file, 'utf8'))
    if (!Array.isArray(list)) throw new Error('it must be a list of issuers')
    return list.map((entry) => readIssuer(home, entry as Record<string, unknown>))
  } catch (cause) {
    throw new UserError(`Cannot use ${file}: ${(cause as Error).message}`, { cause })
  }
}

function readIssuer(home: Home, entry: Record<string, unknown>): OidcOptions {
  const unknown = Object.keys(entry).find((key) => !KNOWN.has(key))
  if (unknown !== undefined) throw new Error(`"${unknown}" is not known; there are ${[...KNOWN].join(', ')}`)
  const text = (key: string): string | undefined => {
    const value = entry[key]
    if (value !== undefined && typeof value !== 'string') throw new Error(`"${key}" must be a text`)
    return value
  }
  const issuerUrl = text('issuerUrl')
  const clientId = text('clientId')
  if (issuerUrl?.startsWith('https://') !== true) throw new Error('"issuerUrl" must begin with https://')
  if (clientId === undefined) throw new Error('"clientId" must be there')
  const caFile = text('caFile')
  const { requiredClaims, signingAlgorithms } = entry
  return {
    issuerUrl,
    clientId,
    ...(caFile === undefined ? {} : { caPem: readFileSync(resolve(home.dir, caFile), 'utf8') }),
    ...Object.fromEntries(TEXTS.flatMap((key) => (entry[key] === undefined ? [] : [[key, text(key)]]))),
    ...(requiredClaims === undefined ? {} : { requiredClaims: requiredClaims as Record<string, string> }),
    ...(signingAlgorithms === undefined ? {} : { signingAlgorithms: signingAlgorithms as string[] }),
  }
}
