import {
  createHash,
  createPrivateKey,
  createPublicKey,
  sign,
  verify,
  type JsonWebKey,
  type KeyObject,
} from 'node:crypto'

/** Signs and checks the tokens of service accounts. */
export interface TokenSigner {
  /** A signed JWT (compact form) with these claims. ES256: about 75 µs. */
  sign(claims: object): string
  /** Claims of a token that one of the keys signed, or undefined. Looks at neither times nor issuer. ES256: about 90 µs. */
  verify(token: string): Record<string, unknown> | undefined
  /** Public halves, for `/openid/v1/jwks`. */
  publicKeys(): readonly JsonWebKey[]
}

export interface TokenSignerOptions {
  /** PEM private key (EC P-256 or RSA) that signs. */
  readonly keyPem: string
  /** PEM public keys that are still accepted, after a change of `keyPem`. */
  readonly acceptedKeysPem?: readonly string[] | undefined
}

type Algorithm = 'ES256' | 'RS256'

interface VerifyKey {
  readonly key: KeyObject
  readonly algorithm: Algorithm
  readonly keyId: string
}

/** Tokens longer than this are refused unread. Real ones take 1 to 2 KB. */
const TOKEN_BYTES_MAX = 16 * 1024

/** A signer for `options.keyPem`. Throws when a key can't be read or is neither EC P-256 nor RSA. */
export function createTokenSigner(options: TokenSignerOptions): TokenSigner {
  const privateKey = createPrivateKey(options.keyPem)
  const own = toVerifyKey(createPublicKey(privateKey))
  const keys = [own, ...(options.acceptedKeysPem ?? []).map((pem) => toVerifyKey(createPublicKey(pem)))]
  const byId = new Map(keys.map((key) => [key.keyId, key]))
  const header = toBase64Url(JSON.stringify({ alg: own.algorithm, kid: own.keyId }))
  return {
    sign(claims) {
      const signed = `${header}.${toBase64Url(JSON.stringify(claims))}`
      const signature = sign('sha256', Buffer.from(signed), { key: privateKey, dsaEncoding: 'ieee-p1363' })
      return `${signed}.${signature.toString('base64url')}`
    },
    verify: (token) => verifyToken(token, byId),
    publicKeys: () =>
      keys.map(({ key, algorithm, keyId }) => ({
        use: 'sig',
        ...key.export({ format: 'jwk' }),
        kid: keyId,
        alg: algorithm,
      })),
  }
}

function verifyToken(token: string, keys: ReadonlyMap<string, VerifyKey>): Record<string, unknown> | undefined {
  if (token.length > TOKEN_BYTES_MAX) return undefined
  const [header, payload, signature, ...rest] = token.split('.')
  if (header === undefined || payload === undefined || signature === undefined || rest.length > 0) return undefined
  const { kid, alg } = parseObject(header)
  const found = typeof kid === 'string' ? keys.get(kid) : undefined
  // the key decides the algorithm, never the token
  if (found === undefined || found.algorithm !== alg) return undefined
  const signed = Buffer.from(`${header}.${payload}`)
  const isGenuine = verify(
    'sha256',
    signed,
    { key: found.key, dsaEncoding: 'ieee-p1363' },
    Buffer.from(signature, 'base64url'),
  )
  return isGenuine ? parseObject(payload) : undefined
}

/** Source: the key id is the SHA-256 of the public key's DER, as in pkg/serviceaccount/jwt.go keyIDFromPublicKey. */
function toVerifyKey(key: KeyObject): VerifyKey {
  const keyId = createHash('sha256')
    .update(key.export({ type: 'spki', format: 'der' }))
    .digest('base64url')
  return { key, algorithm: algorithmOf(key), keyId }
}

function algorithmOf(key: KeyObject): Algorithm {
  if (key.asymmetricKeyType === 'rsa') return 'RS256'
  if (key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === 'prime256v1') return 'ES256'
  throw new Error(`Cannot use service account key: type must be EC P-256 or RSA, this one is ${key.asymmetricKeyType}`)
}

function parseObject(base64: string): Record<string, unknown> {
  try {
    const value: unknown = JSON.parse(Buffer.from(base64, 'base64url').toString('utf8'))
    return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
  } catch {
    return {} // not a token of ours: it carries no key id
  }
}

function toBase64Url(text: string): string {
  return Buffer.from(text).toString('base64url')
}
