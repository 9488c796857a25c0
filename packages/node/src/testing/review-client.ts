import type { Client } from '@centaurus/client'

export interface ReviewClient extends Pick<Client, 'create'> {
  /** `token:T` and `access:USER:VERB:SUBRESOURCE`, in the order in which they were asked. */
  readonly asked: readonly string[]
  /** While true, every answer is an error. */
  isDown: boolean
}

/** An API that answers reviews: by users of tokens, and by `USER VERB SUBRESOURCE` that are allowed (`USER *`: everything). */
export function createReviewClient(options: {
  readonly tokens?: Readonly<Record<string, string>>
  readonly allowed: readonly string[]
}): ReviewClient {
  const asked: string[] = []
  const reviewToken = (token: string): object => {
    asked.push(`token:${token}`)
    const username = options.tokens?.[token]
    return { status: username === undefined ? { authenticated: false } : { authenticated: true, user: { username } } }
  }
  const reviewAccess = (spec: ReviewSpec): object => {
    const { verb, subresource } = spec.resourceAttributes!
    asked.push(`access:${spec.user}:${verb}:${subresource}`)
    const words = [`${spec.user} *`, `${spec.user} ${verb} ${subresource}`]
    return { status: { allowed: words.some((word) => options.allowed.includes(word)) } }
  }
  const client = {
    asked,
    isDown: false,
    create: async (_type: unknown, { spec }: { readonly spec: ReviewSpec }) => {
      if (client.isDown) throw new Error('connection refused')
      return spec.token === undefined ? reviewAccess(spec) : reviewToken(spec.token)
    },
  }
  return client as unknown as ReviewClient
}

interface ReviewSpec {
  readonly token?: string
  readonly user?: string
  readonly resourceAttributes?: { readonly verb: string; readonly subresource: string }
}
