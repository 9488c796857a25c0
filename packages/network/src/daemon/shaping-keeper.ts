import { isDeepStrictEqual } from 'node:util'
import type { Clock, Logger } from '@centaurus/base'
import type { Dataplane } from '../dataplane/dataplane.ts'
import { readLinkBandwidth } from '../host/link-bandwidth.ts'
import { ensureClasses, ensureQdiscs, forgetFq, removeQdiscsOf, type Qdiscs } from '../host/qdiscs.ts'
import { DEFAULT_LEVEL, SHAPING_LEVELS } from '../layouts/shaping.ts'
import { RateController } from '../qos/rate-controller.ts'
import type { LimitedPod, ShapingProblem } from '../qos/plan-qdiscs.ts'
import type { StatedBandwidth } from './describe-shaping.ts'

/** Each look at the device starts processes. */
const LOOK_MS = 5_000
/** Looks after which a kernel without fq is asked again whether it has it. */
const FQ_LOOKS = 120
/** Between looks at the counters, while something waits for its turn; and while the link has room. */
const BUSY_MS = 100
const IDLE_MS = 1_000
/** Without news for so long levels are not limited: this daemon is away, and a flood that they made way for may be over. */
const RATES_HOLD_MS = 5_000
/** Preamble, start of frame, checksum and gap of Ethernet: bytes of the link that no packet shows. Source: IEEE 802.3. */
const ETHERNET_OVERHEAD = 24

export interface ShapingKeeperDeps {
  readonly dataplane: Pick<Dataplane, 'listShapers' | 'readLevels' | 'setShaping'>
  /** The device to other hosts and the world; undefined: there is none. */
  readonly device: () => string | undefined
  /** What the Node says that its link carries; where it says nothing, the device is asked. */
  readonly stated: () => StatedBandwidth
  readonly clock: Clock
  readonly logger: Logger
}

/** How this host's link is shared, for people and metrics. */
export interface ShapingState extends Qdiscs {
  readonly device: string | undefined
  /** Bits a second; undefined: not known, and classes share it by the queues' order alone. */
  readonly bandwidth: number | undefined
  /** By level: what it may send now, bits a second; undefined: not limited. */
  readonly rates: readonly (number | undefined)[]
}

export interface ShapingKeeper {
  readonly state: ShapingState
  /** Classes and bandwidths of pods may have changed: HTB, which has a class for each, has them when it resolves. Never rejects. */
  followShapers(): Promise<void>
  close(): Promise<void>
}

/**
 * Shares the uplink among classes: makes its queues keep departure times, and gives each level the rate that those before it leave. Rates hold for
 * some seconds only when this daemon is away, so that nobody is held back by a flood that is over.
 */
export function startShapingKeeper(deps: ShapingKeeperDeps): ShapingKeeper {
  const stop = new AbortController()
  const uplink = new SharedUplink(deps)
  const repeat = async (work: () => number | Promise<number>): Promise<void> => {
    while (!stop.signal.aborted) {
      const waitMs = await work()
      await deps.clock.sleep(waitMs, { signal: stop.signal }).catch(() => {}) // it stops
    }
  }
  let working: Promise<void> = Promise.resolve()
  const look = (isNeeded = () => true): Promise<void> =>
    (working = working.then(() => (stop.signal.aborted || !isNeeded() ? undefined : uplink.look())))
  const running = [repeat(() => look().then(() => LOOK_MS)), repeat(() => (uplink.share() ? BUSY_MS : IDLE_MS))]
  return {
    get state() {
      return uplink.state
    },
    // many at once are one look
    followShapers: () => (uplink.isBehind ? look(() => uplink.isBehind) : Promise.resolve()),
    async close() {
      stop.abort(new Error('The network daemon stops'))
      await Promise.all(running)
      uplink.release()
    },
  }
}

interface HtbClasses {
  readonly device: string
  readonly bandwidth: number | undefined
  readonly pods: readonly LimitedPod[]
}

class SharedUplink {
  readonly #deps: ShapingKeeperDeps
  readonly #controller = new RateController()
  #state: ShapingState = { mode: 'none', device: undefined, bandwidth: undefined, rates: unlimited() }
  /** What HTB's classes were made from. */
  #classes: HtbClasses | undefined
  #failure: ShapingProblem | undefined
  #complaint: ShapingProblem | undefined
  #looks = 0

  constructor(deps: ShapingKeeperDeps) {
    this.#deps = deps
  }

  get state(): ShapingState {
    const problem = this.#failure ?? this.#complaint ?? this.#state.problem
    if (problem === undefined) return this.#state
    // a device that could not be set up is nevertheless the one that all is about
    return { ...this.#state, device: this.#state.device ?? this.#deps.device(), problem }
  }

  /** Pods ask for what HTB was not told of. */
  get isBehind(): boolean {
    const { dataplane } = this.#deps
    return (
      this.#state.mode !== 'edt' &&
      isAsked(dataplane) &&
      !isDeepStrictEqual(limitedPods(dataplane), this.#classes?.pods)
    )
  }

  /** Looks at the device, and makes right what is not. Never rejects. */
  async look(): Promise<void> {
    try {
      await this.#follow()
      this.#failure = undefined
    } catch (error) {
      const message = String(error)
      if (message !== this.#failure?.message)
        this.#deps.logger.error('Could not set up the queues of the uplink', { error })
      this.#failure = { reason: 'Failed', message }
    }
  }

  /** Gives the levels their rates. Returns whether to do it again soon. */
  share(): boolean {
    const { dataplane, clock } = this.#deps
    const { mode, bandwidth } = this.#state
    if (mode !== 'edt' || bandwidth === undefined) return false
    const plan = this.#controller.next(dataplane.readLevels(), { nowMs: clock.monotonicMs(), bandwidth })
    if (plan === undefined) return true
    this.#publish({ ...this.#state, rates: plan.rates })
    return plan.isBusy
  }

  /** Nobody is left to give back what a level does not use any more. */
  release(): void {
    if (this.#state.device !== undefined) this.#publish({ ...this.#state, rates: unlimited() })
  }

  async #follow(): Promise<void> {
    const device = this.#deps.device()
    if (device === undefined) return
    if (++this.#looks % FQ_LOOKS === 0) forgetFq()
    const before = this.#state
    const qdiscs = await ensureQdiscs(device, { isAsked: isAsked(this.#deps.dataplane) })
    const stated = this.#deps.stated()
    const bandwidth = stated.bandwidth ?? (await readLinkBandwidth(device))
    this.#complaint = stated.problem
    if (device !== before.device || bandwidth !== before.bandwidth || qdiscs.mode !== before.mode) {
      this.#deps.logger.info('The uplink is shared', { device, mode: qdiscs.mode, bandwidth })
      if (before.device !== undefined && device !== before.device) await removeQdiscsOf(before.device)
      this.#controller.forget()
      this.#classes = undefined
      this.#publish({ ...qdiscs, device, bandwidth, rates: unlimited() })
    }
    if (qdiscs.mode === 'htb') await this.#followClasses(device, bandwidth)
  }

  async #followClasses(device: string, bandwidth: number | undefined): Promise<void> {
    const pods = limitedPods(this.#deps.dataplane)
    const wanted: HtbClasses = { device, bandwidth, pods }
    if (isDeepStrictEqual(wanted, this.#classes)) return
    await ensureClasses(device, { bandwidth, pods })
    this.#classes = wanted
  }

  #publish(state: ShapingState): void {
    const { mode, rates } = state
    this.#deps.dataplane.setShaping({ mode, rates, ratesHoldMs: RATES_HOLD_MS, overheadBytes: ETHERNET_OVERHEAD })
    this.#state = state
  }
}

function unlimited(): undefined[] {
  return Array.from({ length: SHAPING_LEVELS }, () => undefined)
}

/** Whether a pod of this host is to be treated in another way than all are that ask for nothing. */
function isAsked(dataplane: Pick<Dataplane, 'listShapers'>): boolean {
  return dataplane
    .listShapers()
    .some(({ level, egressBandwidth }) => level !== DEFAULT_LEVEL || egressBandwidth !== undefined)
}

function limitedPods(dataplane: Pick<Dataplane, 'listShapers'>): LimitedPod[] {
  return dataplane
    .listShapers()
    .flatMap(({ id, level, egressBandwidth }) =>
      egressBandwidth === undefined ? [] : [{ id, level, egressBandwidth }],
    )
}
