import { badRequest, conflict, EPOCH_ANNOTATION } from '@centaurus/api'
import { decodeText } from '@centaurus/base'
import type { Comparison, Store } from '@centaurus/store'

/** Holds the number of the partition's present scheduler: `{"epoch": 3}`. Whoever becomes the scheduler raises it. */
export const EPOCH_KEY = '/centaurus/epoch'

/** What must hold in the same commit as a write, or the write is refused for good. */
export interface Fence {
  readonly comparison: Comparison
  readonly refuse: () => Error
}

/** Lets a binding happen only while the scheduler that made it is the present one, to be decided by the commit itself. */
export class EpochFences {
  readonly #store: Store
  /** The last epoch that was seen, and the revision that set it; when it is raised, the commit notices. */
  #seen: { readonly epoch: number; readonly revision: number } | undefined

  constructor(store: Store) {
    this.#store = store
  }

  /**
   * The fence that a Binding's annotation asks for; undefined when it asks for none. Throws BadRequest for what is no epoch, and Conflict
   * when another one is known to be the present.
   */
  async of(name: string, annotations: Readonly<Record<string, string>> | undefined): Promise<Fence | undefined> {
    const text = annotations?.[EPOCH_ANNOTATION]
    if (text === undefined) return undefined
    const epoch = /^[0-9]{1,15}$/.test(text) ? Number(text) : undefined
    if (epoch === undefined)
      throw badRequest(`annotation ${EPOCH_ANNOTATION} must be a number, it is ${JSON.stringify(text)}`)
    const refuse = (): Error =>
      conflict(PODS_BINDING, name, `epoch ${epoch} of the scheduler is over: another one leads`)
    if (this.#seen?.epoch !== epoch) this.#seen = await readEpoch(this.#store)
    if (this.#seen?.epoch !== epoch) throw refuse()
    return { comparison: { key: EPOCH_KEY, modRevision: this.#seen.revision }, refuse }
  }
}

const PODS_BINDING = { group: '', resource: 'pods/binding' }

/** The present epoch, and the revision that set it; undefined when nobody has ever led. */
export async function readEpoch(
  store: Store,
): Promise<{ readonly epoch: number; readonly revision: number } | undefined> {
  const { entry } = await store.get(EPOCH_KEY)
  if (entry === undefined) return undefined
  const { epoch } = JSON.parse(decodeText(entry.value)) as { epoch: number }
  return { epoch, revision: entry.modRevision }
}
