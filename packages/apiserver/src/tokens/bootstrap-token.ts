import { hash, timingSafeEqual } from 'node:crypto'
import { secrets, type Secret } from '@centaurus/api/core/v1'
import type { Clock } from '@centaurus/base'
import type { Authenticator } from '../access/access.ts'
import { AUTHENTICATED_GROUP } from '../access/authentication/client-certificate.ts'
import { SYSTEM_TENANT, type UserInfo } from '../request/request-info.ts'
import type { ObjectReader } from '../resource/object-reader.ts'
import { bearerToken } from './token-authenticator.ts'

export const BOOTSTRAP_TOKENS_NAMESPACE = 'kube-system'
const SECRET_TYPE = 'bootstrap.kubernetes.io/token'
const TOKEN = /^([a-z0-9]{6})\.([a-z0-9]{16})$/
const USER_PREFIX = 'system:bootstrap:'
const BOOTSTRAPPERS_GROUP = 'system:bootstrappers'
const EXTRA_GROUP = /^system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]$/

export interface BootstrapTokenDeps {
  readonly reader: ObjectReader
  readonly clock: Clock
}

/**
 * Knows machines that are to become nodes by `Authorization: Bearer ID.SECRET`, where the Secret `bootstrap-token-ID` of `kube-system` (of the
 * operators' tenant alone) says so and has not expired. Other tokens are left to others.
 * Source: plugin/pkg/auth/authenticator/token/bootstrap/bootstrap.go (v1.37).
 */
export function createBootstrapTokenAuthenticator({ reader, clock }: BootstrapTokenDeps): Authenticator {
  return {
    authenticate({ headers }) {
      const [, id, password] = TOKEN.exec(bearerToken(headers.authorization) ?? '') ?? []
      if (id === undefined || password === undefined) return undefined
      const key = { namespace: BOOTSTRAP_TOKENS_NAMESPACE, name: `bootstrap-token-${id}` }
      const secret = reader.get(secrets, key, { tenant: SYSTEM_TENANT })
      return secret === undefined ? undefined : readUser(secret, { id, password, nowMs: clock.now() })
    },
  }
}

interface Offered {
  readonly id: string
  readonly password: string
  readonly nowMs: number
}

/** Undefined when the Secret does not let the machine in. */
function readUser(secret: Readonly<Secret>, { id, password, nowMs }: Offered): UserInfo | undefined {
  const read = (key: string): string => readText(secret, key)
  if (secret.type !== SECRET_TYPE || secret.metadata.deletionTimestamp !== undefined) return undefined
  if (read('token-id') !== id || !isSame(read('token-secret'), password)) return undefined
  if (hasExpired(secret, nowMs) || read('usage-bootstrap-authentication') !== 'true') return undefined
  const extra = read('auth-extra-groups')
  const groups = extra === '' ? [] : extra.split(',')
  if (!groups.every((group) => EXTRA_GROUP.test(group))) return undefined
  return {
    name: USER_PREFIX + id,
    uid: '',
    groups: [...new Set([BOOTSTRAPPERS_GROUP, ...groups]), AUTHENTICATED_GROUP],
    extra: {},
    tenant: SYSTEM_TENANT,
  }
}

/** Whether the Secret is a bootstrap token that is good no more; a time that can't be read is past. Source: k8s.io/cluster-bootstrap token/util HasExpired (v0.37). */
export function hasExpired(secret: Readonly<Secret>, nowMs: number): boolean {
  const expiration = readText(secret, 'expiration')
  if (secret.type !== SECRET_TYPE || expiration === '') return false
  const endsMs = Date.parse(expiration)
  return Number.isNaN(endsMs) || endsMs <= nowMs
}

function readText({ data }: Readonly<Secret>, key: string): string {
  return Buffer.from(data?.[key] ?? '', 'base64').toString('utf8')
}

/** Takes as long whatever they are. */
function isSame(a: string, b: string): boolean {
  return timingSafeEqual(hash('sha256', a, 'buffer'), hash('sha256', b, 'buffer'))
}
