import { createHash } from 'node:crypto'
import type { IncomingMessage } from 'node:http'
import type { TLSSocket } from 'node:tls'

import { tokenreviews } from '@centaurus/api/authentication/v1'
import { subjectaccessreviews } from '@centaurus/api/authorization/v1'
import type { Clock } from '@centaurus/base'
import type { Client } from '@centaurus/client'

import { KubeletApiError } from './find-container.ts'
import { accessAttributes, type AccessAttributes } from './access-attributes.ts'

/** How long answers of the API are believed. Source: KubeletConfiguration v1beta1 authentication and authorization defaults, v1.37. */
const TOKEN_TTL_MS = 120_000
const ALLOWED_TTL_MS = 300_000
const DENIED_TTL_MS = 30_000
const ANSWERS_MAX = 4_096

/** Decides who may use the kubelet API. */
export interface KubeletAccess {
  /** Resolves when the request may go on; throws {@link KubeletApiError} 401, 403 or 500. */
  check(request: IncomingMessage, nodeName: string): Promise<void>
}

interface Caller {
  readonly name: string
  readonly uid?: string | undefined
  readonly groups: readonly string[]
  readonly extra?: Readonly<Record<string, readonly string[]>> | undefined
}

/**
 * Asks the API server: bearer tokens by TokenReview, permissions by SubjectAccessReview on `nodes/…` of this node; client certificates are
 * verified by TLS already and name their user. Nobody is let in while the API server does not answer, except by answers that are still fresh.
 * Source: kubelet server/auth.go and InstallAuthFilter, v1.37 (anonymous off, webhook on, as its configuration's defaults).
 */
export function createDelegatedAccess({
  client,
  clock,
}: {
  readonly client: Pick<Client, 'create'>
  readonly clock: Clock
}): KubeletAccess {
  const callers = createAnswers<Caller | undefined>(clock)
  const decisions = createAnswers<boolean>(clock)
  const authenticate = async (request: IncomingMessage): Promise<Caller | undefined> => {
    const byCertificate = certificateCaller(request.socket as TLSSocket)
    if (byCertificate !== undefined) return byCertificate
    const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? '')?.[1]
    if (token === undefined) return undefined
    return callers.get(createHash('sha256').update(token).digest('base64'), async () => {
      const review = await client.create(tokenreviews, { metadata: {}, spec: { token } })
      const { authenticated, user } = review.status ?? {}
      const caller =
        authenticated === true && user?.username !== undefined
          ? { name: user.username, uid: user.uid, groups: user.groups ?? [], extra: user.extra }
          : undefined
      return { value: caller, ttlMs: caller === undefined ? 0 : TOKEN_TTL_MS }
    })
  }
  const isAllowed = (caller: Caller, { verb, nodeName, subresource }: AccessAttributes): Promise<boolean> =>
    decisions.get(JSON.stringify([caller, verb, nodeName, subresource]), async () => {
      const review = await client.create(subjectaccessreviews, {
        metadata: {},
        spec: {
          user: caller.name,
          groups: [...caller.groups],
          ...(caller.uid === undefined ? {} : { uid: caller.uid }),
          ...(caller.extra === undefined ? {} : { extra: copyExtra(caller.extra) }),
          resourceAttributes: { verb, version: 'v1', resource: 'nodes', subresource, name: nodeName },
        },
      })
      const allowed = review.status?.allowed === true
      return { value: allowed, ttlMs: allowed ? ALLOWED_TTL_MS : DENIED_TTL_MS }
    })
  return {
    async check(request, nodeName) {
      const caller = await authenticate(request).catch(() => undefined)
      if (caller === undefined) throw new KubeletApiError(401, 'Unauthorized')
      const path = new URL(request.url ?? '/', 'https://kubelet').pathname
      const asked = accessAttributes(request.method ?? 'GET', path, nodeName)
      for (const attributes of asked) {
        const { verb, subresource } = attributes
        const allowed = await isAllowed(caller, attributes).catch((cause: unknown) => {
          const what = `user=${caller.name}, verb=${verb}, resource=nodes, subresource=${subresource}`
          throw new KubeletApiError(500, `Authorization error (${what})`, { cause })
        })
        if (allowed) return
      }
      const subresources = asked.map(({ subresource }) => subresource).join(' ')
      const what = `user=${caller.name}, verb=${asked[0]?.verb ?? ''}, resource=nodes, subresource(s)=[${subresources}]`
      throw new KubeletApiError(403, `Forbidden (${what})\n`)
    },
  }
}

/** Undefined without a certificate that the cluster's CA signed. Source: apiserver pkg/authentication/request/x509, v0.37. */
function certificateCaller(socket: TLSSocket): Caller | undefined {
  if (!socket.authorized) return undefined
  const subject = socket.getPeerCertificate().subject as { CN?: string | string[]; O?: string | string[] } | undefined
  const name = [subject?.CN ?? []].flat().at(-1)
  if (name === undefined || name === '') return undefined
  return { name, groups: [...new Set([...[subject?.O ?? []].flat(), 'system:authenticated'])] }
}

function copyExtra(extra: Readonly<Record<string, readonly string[]>>): Record<string, string[]> {
  return Object.fromEntries(Object.entries(extra).map(([key, values]) => [key, [...values]]))
}

interface Answers<T> {
  get(key: string, ask: () => Promise<{ readonly value: T; readonly ttlMs: number }>): Promise<T>
}

/** Answers of a while ago; the oldest goes when there are {@link ANSWERS_MAX}. */
function createAnswers<T>(clock: Clock): Answers<T> {
  const known = new Map<string, { readonly value: T; readonly untilMs: number }>()
  return {
    async get(key, ask) {
      const entry = known.get(key)
      if (entry !== undefined && clock.monotonicMs() < entry.untilMs) return entry.value
      known.delete(key)
      const { value, ttlMs } = await ask()
      if (ttlMs === 0) return value
      if (known.size >= ANSWERS_MAX) known.delete(known.keys().next().value!)
      known.set(key, { value, untilMs: clock.monotonicMs() + ttlMs })
      return value
    },
  }
}
