import { tenantPrefix, type ScaleTenant } from '../cluster.ts'
import { pause } from '../hollow/hollow-call.ts'
import type { Answer, LeanCall, LeanClient, LineListener } from '../wire/lean-client.ts'

/** How long the API of a tenant may be away before the run gives up. */
const AWAY_MS_MAX = 120_000
const RETRY_MS = 500

/** The API as the users of one tenant see it. Calls are retried while the server is away; refusals throw. */
export class TenantApi {
  readonly tenant: ScaleTenant
  readonly #client: LeanClient
  readonly #prefix: string
  #turn = 0

  constructor(client: LeanClient, tenant: ScaleTenant) {
    this.#client = client
    this.tenant = tenant
    this.#prefix = tenantPrefix(tenant.name)
  }

  async create(resource: string, path: string, object: object): Promise<void> {
    await this.#call({ method: 'POST', path, body: JSON.stringify(object), resource }, [409])
  }

  async patch(resource: string, path: string, body: object): Promise<void> {
    const contentType = 'application/merge-patch+json'
    await this.#call({ method: 'PATCH', path, body: JSON.stringify(body), contentType, resource })
  }

  async delete(resource: string, path: string): Promise<void> {
    await this.#call({ method: 'DELETE', path, resource }, [404])
  }

  async get<T>(resource: string, path: string): Promise<T> {
    const { body } = await this.#call({ method: 'GET', path, resource, keepsBody: true })
    return JSON.parse(body.toString('utf8')) as T
  }

  /** Everything at the path, page by page. */
  async *list<T>(resource: string, path: string, pageItems: number): AsyncGenerator<T, void> {
    let token = ''
    do {
      const separator = path.includes('?') ? '&' : '?'
      const query = `limit=${pageItems}${token === '' ? '' : `&continue=${encodeURIComponent(token)}`}`
      const page = await this.get<ListPage<T>>(resource, `${path}${separator}${query}`)
      yield* page.items
      token = page.metadata.continue ?? ''
    } while (token !== '')
  }

  /** Sends one call and takes whatever comes. */
  tryCall(call: Omit<LeanCall, 'slot'>): Promise<Answer> {
    return this.#client.call({ ...call, path: this.#prefix + call.path, slot: this.#turn++ })
  }

  watch(path: string, listener: LineListener): () => void {
    return this.#client.watch(
      { method: 'GET', path: this.#prefix + path, resource: 'watch', slot: this.#turn++ },
      listener,
    )
  }

  async #call(call: Omit<LeanCall, 'slot'>, accepted: readonly number[] = []): Promise<Answer> {
    const deadline = performance.now() + AWAY_MS_MAX
    for (;;) {
      const answer = await this.tryCall(call)
      const { status } = answer
      if ((status >= 200 && status < 300) || accepted.includes(status)) return answer
      const isTemporary = status === 0 || status === 429 || status >= 500
      if (!isTemporary || performance.now() > deadline) {
        throw new Error(
          `${call.method} ${this.#prefix}${call.path} was answered ${status === 0 ? 'by nobody' : status}: ${answer.body.toString('utf8').slice(0, 500)}`,
        )
      }
      await pause(RETRY_MS)
    }
  }
}

interface ListPage<T> {
  readonly metadata: { readonly continue?: string }
  readonly items: readonly T[]
}
