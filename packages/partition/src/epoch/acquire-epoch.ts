import { EPOCH_KEY, readEpoch } from '@centaurus/apiserver'
import { encodeText } from '@centaurus/base'
import type { Store } from '@centaurus/store'

/** How often the epoch is raised again because another process did so at the same time. */
const ATTEMPTS_MAX = 100

export interface Epoch {
  readonly epoch: number
  /** Of {@link EPOCH_KEY}: as long as the key has it, nobody leads after us. */
  readonly modRevision: number
}

/**
 * Makes the caller the partition's scheduler: raises the epoch, so that from now on no binding and no claim of an earlier one happens, however
 * late it comes. Call it each time that leadership is won. Throws what the store throws; then nobody knows who leads: call it again.
 */
export async function acquireEpoch(store: Store): Promise<Epoch> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const present = await readEpoch(store)
    const epoch = (present?.epoch ?? 0) + 1
    const result = await store.commit({
      compare: [{ key: EPOCH_KEY, modRevision: present?.revision ?? 0 }],
      changes: [{ type: 'put', key: EPOCH_KEY, value: encodeText(JSON.stringify({ epoch })) }],
    })
    if (result.committed) return { epoch, modRevision: result.revision }
  }
  throw new Error(
    `Cannot raise the scheduler's epoch: others did so ${ATTEMPTS_MAX} times meanwhile; run fewer schedulers`,
  )
}
