import { systemClock, type Clock, type Timer } from '@centaurus/base'

/** Source: kube-apiserver's `--etcd-compaction-interval`, default 5 minutes (Kubernetes v1.37). */
export const COMPACTION_INTERVAL_MS = 5 * 60_000

/** Which history a store keeps by itself. With neither field set it keeps everything until `compact`. */
export interface AutomaticCompaction {
  /** Every so often forget what was overwritten before the last time: history reaches back one to two intervals. */
  readonly intervalMs?: number | undefined
  /** At most so many commits (a quarter more for a while): bounds memory under heavy writing. */
  readonly revisionsMax?: number | undefined
}

/** Compacts as `policy` says. `compact` must not throw. */
export class CompactionSchedule {
  readonly #deps: CompactionScheduleDeps
  #timer: Timer | undefined
  #revisionAtLastTick: number

  constructor(deps: CompactionScheduleDeps) {
    this.#deps = deps
    this.#revisionAtLastTick = deps.position().visibleRevision
    this.#arm()
  }

  /** To be called when a commit has become visible. */
  onCommit(): void {
    const { position, policy, compact } = this.#deps
    const max = policy.revisionsMax
    if (max === undefined) return
    const store = position()
    if (store.historyLength > max + max / 4) compact(store.revisionBefore(max))
  }

  close(): void {
    this.#timer?.cancel()
  }

  #arm(): void {
    const { policy, clock, position, compact } = this.#deps
    if (policy.intervalMs === undefined) return
    this.#timer = (clock ?? systemClock).setTimer(policy.intervalMs, () => {
      const revision = this.#revisionAtLastTick
      const { visibleRevision, compactedRevision } = position()
      this.#revisionAtLastTick = visibleRevision
      if (revision > compactedRevision) compact(revision)
      this.#arm()
    })
  }
}

/** Where a store is, as far as is known here. */
export interface StorePosition {
  readonly visibleRevision: number
  readonly compactedRevision: number
  /** Commits after the compacted revision. */
  readonly historyLength: number
  /** The revision after which there are so many commits; there are more than that. */
  revisionBefore(commits: number): number
}

export interface CompactionScheduleDeps {
  readonly position: () => StorePosition
  readonly policy: AutomaticCompaction
  readonly compact: (revision: number) => void
  readonly clock?: Clock | undefined
}
