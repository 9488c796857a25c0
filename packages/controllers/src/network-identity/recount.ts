import { objectKey, type KeysChange } from '@centaurus/api'
import type { Pod } from '@centaurus/api/core/v1'
import type { Informer } from '@centaurus/client'
import type { IdentityLedger } from './ledger.ts'

/** Pods looked at before other work gets its turn. */
const PODS_A_TURN = 500

/** Looks at pods again of whose labels policies ask others than before. */
export class Recount {
  readonly #ledger: IdentityLedger
  readonly #pods: Pick<Informer<Pod>, 'get' | 'list'>
  readonly #pending: KeysChange[] = []
  #running: Promise<void> | undefined
  #closed = false

  constructor(ledger: IdentityLedger, pods: Pick<Informer<Pod>, 'get' | 'list'>) {
    this.#ledger = ledger
    this.#pods = pods
  }

  add(changes: readonly KeysChange[]): void {
    if (changes.length === 0) return
    this.#pending.push(...changes)
    this.#running ??= this.#run()
  }

  /** Resolves when all pods were looked at again that are to be. */
  async done(): Promise<void> {
    while (this.#running !== undefined) await this.#running
  }

  close(): void {
    this.#closed = true
  }

  async #run(): Promise<void> {
    await Promise.resolve() // policies that are heard of together are looked at together
    let count = 0
    for (let change = this.#pending.shift(); change !== undefined; change = this.#pending.shift()) {
      const { tenant, namespace } = change
      for (const each of namespace === undefined ? this.#ledger.namespacesOf(tenant) : [namespace]) {
        for (const pod of this.#pods.list(each)) {
          const now = this.#pods.get(objectKey(pod)) // it may have gone while others had their turn
          if (now !== undefined) this.#ledger.putPod(now)
          if (++count % PODS_A_TURN === 0) await new Promise((resolve) => setImmediate(resolve))
          if (this.#closed) return
        }
      }
    }
    this.#running = undefined // in the same turn in which nothing was pending: what comes now begins anew
  }
}
