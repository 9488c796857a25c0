import { isDeepStrictEqual } from 'node:util'
import { expectWithin, type Clock, type Logger } from '@centaurus/base'
import { GpuError, type DeviceProbe, type GpuUse, type HostGpus } from './device-source.ts'

/** How often changes are looked for. */
const LOOK_MS = 1_000
/** After so long without an answer no device is healthy: whoever would use them would wait as well. */
const LOOK_PATIENCE_MS = 30_000
/** Who asks for the use, or ends the source, does not wait for longer. */
const ANSWER_PATIENCE_MS = 5_000

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
  /** Rejects with `GpuError` when the driver fails, or does not answer within 5 s. */
  readUse(): Promise<readonly GpuUse[]>
  /** Resolves when the probe is closed, or does not answer within 5 s. */
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

  const become = (now: HostGpus): void => {
    if (isDeepStrictEqual(now, gpus)) return
    gpus = now
    for (const listener of listeners) listener()
  }
  const fail = (error: Error): void => {
    if (error.message !== problem) logger.warn('Could not look at GPUs', { error })
    problem = error.message
  }
  const withPatience = <T>(answer: Promise<T>): Promise<T> =>
    new Promise((resolve, reject) => {
      const patience = clock.setTimer(ANSWER_PATIENCE_MS, () => reject(noAnswer(ANSWER_PATIENCE_MS)))
      answer.then(resolve, reject).finally(() => patience.cancel())
    })
  const look = (): Promise<void> =>
    inTurn(async () => {
      if (closed) return
      const patience = expectWithin(clock, LOOK_PATIENCE_MS, () => {
        fail(noAnswer(LOOK_PATIENCE_MS))
        become(withProblem(gpus, noAnswer(LOOK_PATIENCE_MS).message))
      })
      try {
        const now = await probe.look()
        problem = undefined
        become(now)
      } catch (error) {
        fail(error instanceof Error ? error : new Error(String(error)))
      } finally {
        patience.cancel()
      }
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
    readUse: () => withPatience(inTurn(() => probe.readUse())),
    close() {
      closed = true
      return withPatience(inTurn(() => probe.close())).catch(fail)
    },
  }
}

function noAnswer(ms: number): GpuError {
  return new GpuError(
    `The driver has not answered for ${ms / 1_000} s: see dmesg, and reset the GPU or restart the node`,
  )
}

function withProblem({ devices, ...rest }: HostGpus, problem: string): HostGpus {
  return { ...rest, devices: devices.map((device) => ({ ...device, problem: device.problem ?? problem })) }
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
