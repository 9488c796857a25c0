import { DEFAULT_VPC, VPC_ANNOTATION } from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import type { Clock } from '@centaurus/base'

/** A pod that had an address in a tenant's network. */
export interface PodQuestion {
  readonly tenant: string
  /** The tenant's own name of the network. */
  readonly network: string
  readonly address: string
  /** When it had it; ISO 8601. */
  readonly at: string
}

export interface PodFinderDeps {
  /** Lists pods whose status has the address, of all networks of the tenant. */
  list(tenant: string, address: string): Promise<readonly Readonly<Pod>[]>
  readonly clock: Pick<Clock, 'now'>
  /** Told once: from then on nobody is asked. */
  onFailure(error: unknown): void
}

interface Answer {
  readonly pods: readonly Readonly<Pod>[]
  readonly atMs: number
}

/** Addresses whose pods are remembered. */
const ANSWERS_MAX = 1_000
/** How long a pod is remembered for packets that came after it was asked for. */
const ANSWER_FRESH_MS = 5_000
/** A flood of dropped packets is no flood of requests: beyond this many a second ends go without a name. */
const QUESTIONS_PER_SECOND_MAX = 20

/** Names pods of all hosts by their addresses, from the API. */
export class PodFinder {
  readonly #deps: PodFinderDeps
  readonly #answers = new Map<string, Answer>()
  #second = 0
  #asked = 0
  #failed = false

  constructor(deps: PodFinderDeps) {
    this.#deps = deps
  }

  /** `namespace/name`; undefined: nobody has the address, more than one may have had it, or it can't be said now. Never rejects. */
  async find(question: PodQuestion): Promise<string | undefined> {
    const atMs = Date.parse(question.at)
    const answer = await this.#read(`${question.tenant}/${question.address}`, { ...question, atMs })
    const found = answer.filter((pod) => hadAddress(pod, question.network, atMs))
    const [pod] = found
    return pod === undefined || found.length > 1 ? undefined : `${pod.metadata.namespace}/${pod.metadata.name}`
  }

  async #read(
    key: string,
    { tenant, address, atMs }: PodQuestion & { readonly atMs: number },
  ): Promise<readonly Readonly<Pod>[]> {
    const known = this.#answers.get(key)
    if (known !== undefined && atMs <= known.atMs + ANSWER_FRESH_MS) return known.pods
    if (this.#failed || !this.#mayAsk()) return []
    const askedMs = this.#deps.clock.now()
    try {
      const pods = await this.#deps.list(tenant, address)
      this.#answers.delete(key)
      this.#answers.set(key, { pods, atMs: askedMs })
      if (this.#answers.size > ANSWERS_MAX) this.#answers.delete(this.#answers.keys().next().value!)
      return pods
    } catch (error) {
      this.#failed = true
      this.#deps.onFailure(error)
      return []
    }
  }

  #mayAsk(): boolean {
    const second = Math.floor(this.#deps.clock.now() / 1_000)
    if (second !== this.#second) this.#asked = 0
    this.#second = second
    return this.#asked++ < QUESTIONS_PER_SECOND_MAX
  }
}

/** Pods that have ended have no address any more, though their status says so; one that was made later had none yet. */
function hadAddress({ metadata, spec, status }: Readonly<Pod>, network: string, atMs: number): boolean {
  const made = metadata.creationTimestamp
  return (
    spec?.hostNetwork !== true &&
    status?.phase !== 'Succeeded' &&
    status?.phase !== 'Failed' &&
    (metadata.annotations?.[VPC_ANNOTATION] ?? DEFAULT_VPC) === network &&
    // of whole seconds
    (made === undefined || Date.parse(made) <= atMs)
  )
}
