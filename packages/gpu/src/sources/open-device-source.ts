import { isDeepStrictEqual } from 'node:util'
import type { Clock, Logger } from '@centaurus/base'
import type { DeviceProbe, GpuUse, HostGpus } from './device-source.ts'

/** How often changes are looked for. */
const LOOK_MS = 1_000

/** The GPUs of this host, as they are and as they change. */
export interface DeviceSource {
  readonly kind: DeviceProbe['kind']
  /** What there is now: another object after each change. Shared, do not change it. */
  readonly gpus: HostGpus
  /** Why {@link gpus} may be out of date; undefined: it is not. */
  readonly problem: string | undefined
  /** Calls `listener` after each change of {@link gpus}. Returns the function that ends it. */
  onChange(listener: () => void): () => void
  /** Looks at once, instead of at the next turn, for a caller who can't wait. */
  look(): Promise<void>
  readUse(): Promise<readonly GpuUse[]>
  /** Resolves when the probe is closed. */
  close(): Promise<void>
}

/** Follows what a probe tells. Rejects with its `GpuError` when it can tell nothing at first; later failures leave what was known. */
export async function openDeviceSource(
  probe: DeviceProbe,
  { clock, logger }: { readonly clock: Clock; readonly logger: Logger },
): Promise<DeviceSource> {
  const listeners = new Set<() => void>()
  const inTurn = createTurns()
  let gpus = await probe.look()
  let problem: string | undefined
  let closed = false

  const look = (): Promise<void> =>
    inTurn(async () => {
      if (closed) return
      try {
        const now = await probe.look()
        problem = undefined
        if (isDeepStrictEqual(now, gpus)) return
        gpus = now
      } catch (error) {
        const why = error instanceof Error ? error.message : String(error)
        if (why !== problem) logger.warn('Could not look at GPUs', { error })
        problem = why
        return
      }
      for (const listener of listeners) listener()
    })
  const schedule = (): void => {
    clock.setTimer(LOOK_MS, () => {
      if (!closed) void look().then(schedule)
    })
  }
  schedule()

  return {
    kind: probe.kind,
    get gpus() {
      return gpus
    },
    get problem() {
      return problem
    },
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    look,
    readUse: () => inTurn(() => probe.readUse()),
    close() {
      closed = true
      return inTurn(() => probe.close())
    },
  }
}

/** Runs what it is given one after another. */
function createTurns(): <T>(work: () => Promise<T>) => Promise<T> {
  let last: Promise<unknown> = Promise.resolve()
  return (work) => {
    const turn = last.then(work)
    last = turn.catch(() => {}) // told to whoever asked for it
    return turn
  }
}
