import type { Client } from '@centaurus/client'
import type { TokenRequest } from '@centaurus/api/authentication/v1'
import { serviceaccounts, type Pod } from '@centaurus/api/core/v1'
import type { Clock } from '@centaurus/base'

/** A token is renewed when this part of its life is over, or after a day. Source: kubelet token manager, v1.37. */
const REFRESH_AT = 0.8
const AGE_MS_MAX = 24 * 3_600_000
const TOKENS_MAX = 10_000

export interface TokenCache {
  /** A token of the pod's service account that is bound to the pod. */
  token(
    pod: Pod,
    request: { readonly audience: string | undefined; readonly expirationSeconds: number },
  ): Promise<string>
  /** Forgets the pod's tokens. */
  forget(podUid: string): void
}

interface CachedToken {
  readonly token: string
  readonly refreshAtMs: number
}

export function createTokenCache({ client, clock }: { readonly client: Client; readonly clock: Clock }): TokenCache {
  const tokens = new Map<string, CachedToken>()
  return {
    async token(pod, { audience, expirationSeconds }) {
      const uid = pod.metadata.uid ?? ''
      const key = `${uid}\0${audience ?? ''}\0${expirationSeconds}`
      const cached = tokens.get(key)
      if (cached !== undefined && clock.now() < cached.refreshAtMs) return cached.token
      const spec = {
        ...(audience === undefined || audience === '' ? {} : { audiences: [audience] }),
        expirationSeconds,
        boundObjectRef: { apiVersion: 'v1', kind: 'Pod', name: pod.metadata.name ?? '', uid },
      }
      const name = { namespace: pod.metadata.namespace, name: pod.spec?.serviceAccountName ?? 'default' }
      const body: TokenRequest = {
        apiVersion: 'authentication.k8s.io/v1',
        kind: 'TokenRequest',
        metadata: {},
        spec: { audiences: [], ...spec },
      }
      const answer = await client.createSubresource<TokenRequest, TokenRequest>(serviceaccounts, name, 'token', body)
      const token = answer.status?.token
      if (token === undefined)
        throw new Error(`failed to fetch token: the server returned none for service account "${name.name}"`)
      const nowMs = clock.now()
      const lifeMs = Date.parse(answer.status?.expirationTimestamp ?? '') - nowMs
      const life = Number.isFinite(lifeMs) ? lifeMs : expirationSeconds * 1000
      if (tokens.size >= TOKENS_MAX) tokens.delete(tokens.keys().next().value!)
      tokens.set(key, { token, refreshAtMs: nowMs + Math.min(life * REFRESH_AT, AGE_MS_MAX) })
      return token
    },
    forget(podUid) {
      for (const key of tokens.keys()) if (key.startsWith(`${podUid}\0`)) tokens.delete(key)
    },
  }
}
