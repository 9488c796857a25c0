import { badRequest } from '@centaurus/api'

/** Where a list goes on. */
export interface ContinuePosition {
  /** The revision that all pages show; negative: whatever is there now. */
  readonly revision: number
  /** First object key of the next page. */
  readonly from: string
}

const TOKEN_VERSION = 'meta.k8s.io/v1'
const TOKEN_LENGTH_MAX = 4096

/** Opaque to clients. Source of the shape: apiserver pkg/storage/continue.go. */
export function encodeContinue({ revision, from }: ContinuePosition): string {
  return Buffer.from(JSON.stringify({ v: TOKEN_VERSION, rv: revision, start: from })).toString('base64url')
}

/** Throws BadRequest for a token that this server did not make. */
export function decodeContinue(token: string): ContinuePosition {
  if (token.length > TOKEN_LENGTH_MAX) throw badRequest('invalid continue token: continue key is not valid: too long')
  let value: unknown
  try {
    value = JSON.parse(Buffer.from(token, 'base64url').toString('utf8'))
  } catch (cause) {
    throw Object.assign(badRequest(`invalid continue token: continue key is not valid: ${(cause as Error).message}`), {
      cause,
    })
  }
  const { v, rv, start } = (value ?? {}) as Record<string, unknown>
  if (v !== TOKEN_VERSION) {
    throw badRequest(
      'invalid continue token: continue key is not valid: server does not recognize this encoded version',
    )
  }
  if (typeof rv !== 'number' || !Number.isSafeInteger(rv) || rv === 0) {
    throw badRequest(
      'invalid continue token: continue key is not valid: incorrect encoded start resourceVersion (version meta.k8s.io/v1)',
    )
  }
  if (typeof start !== 'string' || start === '') {
    throw badRequest(
      'invalid continue token: continue key is not valid: encoded start key empty (version meta.k8s.io/v1)',
    )
  }
  return { revision: rv, from: start }
}
