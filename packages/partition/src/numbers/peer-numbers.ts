import type { Logger } from '@centaurus/base'
import { Links } from '../membership/links.ts'
import type { Membership } from '../membership/membership.ts'
import type { OpenLink } from '../membership/partition-link.ts'
import { mergeNumbers, NUMBERS_PATH, parseNumbers, type KnownNumbers } from './known-numbers.ts'

/** Who gives the first numbers after a start waits for it. */
const ASK_TIMEOUT_MS = 3_000

export interface PeerNumbersDeps {
  readonly membership: Pick<Membership, 'self' | 'get' | 'list'>
  readonly openLink: OpenLink
  readonly logger: Logger
}

/** What others have told. */
export interface HeardNumbers {
  readonly numbers: KnownNumbers
  /** Names of the partitions that answered. */
  readonly heard: readonly string[]
}

/**
 * Asks other partitions which numbers they know of: the own store may be an old copy, which says that they are free. Those that do not answer are left out: while
 * this partition is not believed, nothing that it gives reaches their nodes, and before it is, it asks them again, by `POST` to {@link NUMBERS_PATH}.
 */
export class PeerNumbers {
  readonly #deps: PeerNumbersDeps
  readonly #links: Links
  /** What each said of identities when it was first asked; undefined: it did not answer. */
  readonly #first = new Map<string, Promise<KnownNumbers | undefined>>()

  constructor(deps: PeerNumbersDeps) {
    this.#deps = deps
    this.#links = new Links(deps.membership, deps.openLink)
  }

  /** What they know of now, and who has it. */
  async ask(): Promise<HeardNumbers> {
    const answers = await Promise.all(
      this.#others().map(async (name) => ({ name, numbers: await this.#askOne(name, `${NUMBERS_PATH}?holders=true`) })),
    )
    const heard = answers.flatMap(({ name, numbers }) => (numbers === undefined ? [] : [{ name, numbers }]))
    return { numbers: mergeNumbers(heard.map(({ numbers }) => numbers)), heard: heard.map(({ name }) => name) }
  }

  /** Above all numbers of networks that others know of now. */
  async nextVni(): Promise<number> {
    const known = await Promise.all(this.#others().map((name) => this.#askOne(name)))
    return Math.max(0, ...known.map((numbers) => numbers?.nextVni ?? 0))
  }

  /** Above all numbers of identities of a Vpc that others know of; each is asked once. */
  async nextIdentity(uid: string): Promise<number> {
    for (const name of this.#others()) if (!this.#first.has(name)) this.#first.set(name, this.#askOne(name))
    const known = await Promise.all(this.#first.values())
    return Math.max(0, ...known.map((numbers) => numbers?.nextIdentities.get(uid) ?? 0))
  }

  close(): Promise<void> {
    return this.#links.close()
  }

  #others(): string[] {
    const { self, list } = this.#deps.membership
    return list().flatMap(({ metadata: { name } }) => (name === self ? [] : [name]))
  }

  async #askOne(name: string, path = NUMBERS_PATH): Promise<KnownNumbers | undefined> {
    try {
      const signal = AbortSignal.timeout(ASK_TIMEOUT_MS)
      const { status, body } = await this.#links.of(name).request({ method: 'GET', path, signal })
      const numbers = status === 200 ? parseNumbers(body) : undefined
      if (numbers === undefined) throw new Error(`It answered with ${status}`)
      return numbers
    } catch (error) {
      this.#deps.logger.warn('A partition does not say which numbers it knows of', { partition: name, error })
      return undefined
    }
  }
}
