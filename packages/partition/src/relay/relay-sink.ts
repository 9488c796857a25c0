import { SYSTEM_TENANT } from '@centaurus/api'
import type { ObjectAddress, StoredObjects } from '@centaurus/apiserver'
import type { Clock, Logger } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import type { Store } from '@centaurus/store'
import type { PeerStates } from '../epoch/peer-states.ts'
import type { TenantOwners } from '../membership/tenant-owners.ts'
import type { PartitionLink } from '../membership/partition-link.ts'
import { CopyWriter, type Marker } from './copy-writer.ts'
import { parseFetchAnswer, parseLine, RELAY_PATH, type FetchRequest, type RelayPut } from './wire.ts'

/** Lines that wait for a commit; beyond, the network is not read. */
const QUEUE_BYTES_MAX = 16 * 1024 * 1024
/** Silence of this long is a dead stream: the sender speaks every second. */
const SILENCE_MS = 5_000
const RETRY_MS_MIN = 100
const RETRY_MS_MAX = 5_000

/** `isKnown`: of which tenants the copies show all that the peer has bound. */
export type OnSynced = (
  peer: string,
  facts: { readonly epoch: number; readonly isKnown: (tenant: string) => boolean },
) => void

export interface RelaySinkDeps {
  /** The tenant partition whose tenants' objects come. */
  readonly peer: string
  /** Name of this partition. */
  readonly self: string
  readonly link: Pick<PartitionLink, 'stream' | 'request'>
  readonly store: Store
  readonly stored: StoredObjects
  readonly client: Client
  readonly peers: PeerStates
  /** Who has the tenants' originals. */
  readonly owners: TenantOwners
  /** Whether the tenant is on its way here. */
  readonly isArriving: (tenant: string) => boolean
  readonly clock: Clock
  readonly logger: Logger
  /** Called when all copies show what the peer had bound before this epoch of its scheduler began. */
  readonly onSynced?: OnSynced | undefined
}

/**
 * The nodes' side of the relay: keeps copies of what one tenant partition says that this partition's nodes need. What can't be reached is not
 * deleted: a copy goes when the stream says so, or when a stream that is synced did not name it. Copies are durable: nodes have them after a restart
 * whether or not the tenant partition is there.
 */
export class RelaySink {
  readonly #deps: RelaySinkDeps
  readonly #writer: CopyWriter
  readonly #stop = new AbortController()
  /** Of the present stream. */
  #abort = new AbortController()
  readonly #running: Promise<void>
  #isSynced = false
  #epoch = -1
  /** The peer was fenced since it was last synced: when it is let in again, its revisions are others. */
  #distrusts = false

  constructor(deps: RelaySinkDeps) {
    this.#deps = deps
    this.#writer = new CopyWriter({
      ...deps,
      onReached: (line) => this.#reach(line),
      onFailed: (error) => this.#abort.abort(error),
      fetch: (items) => this.#fetch(items),
    })
    this.#running = this.#run()
  }

  /** True while a stream is open that has told everything. */
  get synced(): boolean {
    return this.#isSynced
  }

  /** Whether the copies show all that the peer has bound here of the tenant. */
  knows(tenant: string): boolean {
    const { owners } = this.#deps
    return tenant === SYSTEM_TENANT || !owners.knows(tenant) || this.#writer.holdingOf(tenant) !== 'untold'
  }

  /** Whether everything that the nodes here need of the tenant is a copy of what the peer has. If it can be by now, it is asked for anew. */
  holdsAll(tenant: string): boolean {
    if (!this.#isSynced) return false
    const holding = this.#writer.holdingOf(tenant)
    if (holding === 'partial') this.#abort.abort(new Error(`What is here of tenant "${tenant}" is to be taken over`))
    return holding === 'whole'
  }

  /** Ends the stream. What is committed stays. */
  async close(): Promise<void> {
    this.#stop.abort(new Error('The relay was closed'))
    await this.#running
  }

  #reach(line: Marker): void {
    if (line.type === 'TENANT_SYNCED') {
      if (this.#isSynced) this.#tellSynced()
      return
    }
    const { epoch } = line
    const isNew = !this.#isSynced || epoch > this.#epoch
    this.#isSynced = true
    this.#distrusts = false
    this.#epoch = epoch
    if (isNew) this.#tellSynced()
  }

  #tellSynced(): void {
    const { peer, onSynced } = this.#deps
    onSynced?.(peer, { epoch: this.#epoch, isKnown: (tenant) => this.knows(tenant) })
  }

  async #run(): Promise<void> {
    const { clock, logger, peer } = this.#deps
    let retryMs = RETRY_MS_MIN
    while (!this.#stop.signal.aborted) {
      const startedMs = clock.monotonicMs()
      try {
        await this.#follow()
      } catch (error) {
        if (this.#stop.signal.aborted) return
        logger.warn('Lost the stream of a partition, will open it again', { partition: peer, error })
      }
      this.#isSynced = false
      if (clock.monotonicMs() - startedMs > RETRY_MS_MAX) retryMs = RETRY_MS_MIN
      await clock.sleep(retryMs, { signal: this.#stop.signal }).catch(() => undefined)
      retryMs = Math.min(retryMs * 2, RETRY_MS_MAX)
    }
  }

  /** One stream, to its end. */
  async #follow(): Promise<void> {
    const { link, self, peer, peers } = this.#deps
    if (peers.whyFenced(peer) !== undefined) this.#distrusts = true
    await this.#writer.begin({ distrusts: this.#distrusts })
    const judge = peers.expect(peer)
    const abort = new AbortController()
    this.#abort = abort
    const signal = AbortSignal.any([abort.signal, this.#stop.signal])
    const silence = this.#watchSilence(abort)
    let isGreeted = false
    try {
      await link.stream({
        path: `${RELAY_PATH}?partition=${encodeURIComponent(self)}&have=${this.#writer.hasCopies}`,
        signal,
        onLine: (bytes) => {
          silence.heard()
          const line = parseLine(bytes)
          if (line === undefined || signal.aborted) return
          if (line.type === 'HELLO') {
            const verdict = judge({ storeId: line.storeId, revision: line.revision, starts: line.starts })
            if (verdict.type === 'fenced') {
              this.#distrusts = true
              throw new Error(`partition "${peer}" is fenced: ${verdict.reason}`)
            }
            isGreeted = true
          } else if (isGreeted) this.#writer.take(line, bytes.byteLength)
        },
        ready: () => (this.#writer.queuedBytes > QUEUE_BYTES_MAX ? this.#writer.running : undefined),
      })
    } finally {
      silence.stop()
      await this.#writer.running
    }
  }

  async #fetch(items: readonly ObjectAddress[]): Promise<readonly RelayPut[]> {
    const request: FetchRequest = { items }
    const signal = AbortSignal.any([this.#abort.signal, this.#stop.signal])
    const { status, body } = await this.#deps.link.request({ method: 'POST', path: RELAY_PATH, body: request, signal })
    const answer = status === 200 ? parseFetchAnswer(body) : undefined
    if (answer === undefined) throw new Error(`The partition answered ${status} when it was asked for objects`)
    return answer.items
  }

  #watchSilence(abort: AbortController): { heard(): void; stop(): void } {
    const { clock } = this.#deps
    let heardMs = clock.monotonicMs()
    let dueMs = heardMs + SILENCE_MS / 2
    const check = (): void => {
      const isLate = clock.monotonicMs() - dueMs > SILENCE_MS / 4
      dueMs = clock.monotonicMs() + SILENCE_MS / 2
      // what waits to be written here says nothing about the other side, nor does what this process had no time to read
      if (isLate || this.#writer.queuedBytes > 0) heardMs = clock.monotonicMs()
      if (clock.monotonicMs() - heardMs > SILENCE_MS) abort.abort(new Error(`Nothing was heard for ${SILENCE_MS} ms`))
      else timer = clock.setTimer(SILENCE_MS / 2, check)
    }
    let timer = clock.setTimer(SILENCE_MS / 2, check)
    return { heard: () => void (heardMs = clock.monotonicMs()), stop: () => timer.cancel() }
  }
}
