import type { Clock, Logger } from '@centaurus/base'
import { CHANNEL_PORT } from './gather-channels.ts'
import {
  findChannelService,
  startChannelService,
  type ChannelProgram,
  type ChannelReport,
  type ChannelService,
} from './channel-service.ts'
import type { ChannelPlan } from './plan-channels.ts'

/** Before the next try with a service that can't be started, or ended; twice as long each time. */
const RETRY_MS = 500
const RETRY_MS_MAX = 30_000
/** One that lived so long did not fail at once. */
const LIVED_MS = 10_000

export interface ChannelKeeperDeps {
  /** Undefined: the runtime is not built here. */
  readonly program: () => ChannelProgram | undefined
  /** Why there are to be no channels; undefined: they are wanted. */
  readonly whyNone: () => string | undefined
  readonly plan: () => ChannelPlan
  /** At which other hosts reach this one. */
  readonly nodeIP: () => string
  readonly clock: Clock
  readonly logger: Logger
}

/** For people and metrics. */
export interface ChannelState {
  /** Why connections of sandboxes are no channels; undefined: they may be. */
  readonly problem: string | undefined
  /** What the service said last; undefined: none runs. */
  readonly report: ChannelReport | undefined
}

export interface ChannelKeeper {
  /** Undefined: the runtime is not built here. */
  readonly state: ChannelState | undefined
  /** What is planned from is complete: before that a plan would take away what an earlier daemon allowed. */
  start(): void
  /** Something may have changed. */
  follow(): void
  /** Asks the service how it is. Never rejects. */
  look(): Promise<void>
  /** The service goes on by its last plan, so that connections do. */
  close(): Promise<void>
}

/**
 * Has `quark channel` run while channels are wanted, and tells it what may be one, whenever that is something else. While it does not run, pods' connections are the network's. One that an
 * earlier daemon started is taken over.
 */
export function createChannelKeeper(deps: ChannelKeeperDeps): ChannelKeeper {
  const keeper = new Keeper(deps)
  let running: Promise<void> | undefined
  return {
    get state() {
      return keeper.state
    },
    start: () => void (running ??= keeper.run()),
    follow: () => keeper.follow(),
    look: () => keeper.look(),
    async close() {
      keeper.stop()
      await running
    },
  }
}

class Keeper {
  readonly #deps: ChannelKeeperDeps
  readonly #stop = new AbortController()
  #changed = Promise.withResolvers<void>()
  #service: ChannelService | undefined
  #problem: string | undefined
  #report: ChannelReport | undefined

  constructor(deps: ChannelKeeperDeps) {
    this.#deps = deps
  }

  get state(): ChannelState | undefined {
    if (this.#deps.program() === undefined) return undefined
    return { problem: this.#problem, report: this.#service === undefined ? undefined : this.#report }
  }

  follow(): void {
    this.#changed.resolve()
  }

  stop(): void {
    this.#stop.abort(new Error('The network daemon stops'))
    this.#changed.resolve()
  }

  async look(): Promise<void> {
    this.#report = await this.#service?.ask()
  }

  async run(): Promise<void> {
    const { clock, logger } = this.#deps
    const { signal } = this.#stop
    let pauseMs = RETRY_MS
    while (!signal.aborted) {
      const beganMs = clock.monotonicMs()
      try {
        await this.#keep()
      } catch (error) {
        if (signal.aborted) return
        const message = error instanceof Error ? error.message : String(error)
        if (message !== this.#problem) logger.warn('Connections of sandboxes are no channels', { error })
        this.#problem = message
      }
      pauseMs = clock.monotonicMs() - beganMs > LIVED_MS ? RETRY_MS : Math.min(2 * pauseMs, RETRY_MS_MAX)
      await clock.sleep(pauseMs, { signal }).catch(() => {}) // it stops
    }
  }

  /** Until it is told to stop; throws when the service ends, or can't be had. */
  async #keep(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const { program, why } = this.#wanted()
      if (program === undefined || why !== undefined) await this.#rest(program, why)
      else await this.#serve(program)
    }
  }

  #wanted(): { readonly program: ChannelProgram | undefined; readonly why: string | undefined } {
    const program = this.#deps.program()
    return { program, why: program === undefined ? 'The sandbox runtime is not built here' : this.#deps.whyNone() }
  }

  /** While none are wanted. A service that is there still has pods whose connections were channels. */
  async #rest(program: ChannelProgram | undefined, why: string | undefined): Promise<void> {
    this.#problem = why
    const left = program === undefined ? undefined : await findChannelService(program)
    await left?.follow({})
    left?.close()
    while (!this.#stop.signal.aborted && this.#wanted().why !== undefined) await this.#change()
  }

  async #serve(program: ChannelProgram): Promise<void> {
    const { clock, logger, nodeIP, plan } = this.#deps
    const { signal } = this.#stop
    const listen = `${nodeIP()}:${CHANNEL_PORT}`
    const service =
      (await findChannelService(program)) ?? (await startChannelService(program, { listen, clock, signal }))
    void service.gone.finally(() => this.follow())
    this.#service = service
    this.#problem = undefined
    logger.info('Connections of sandboxes may be channels', { listen })
    try {
      let told: string | undefined
      while (!signal.aborted && !service.isGone && this.#wanted().why === undefined) {
        const wanted = plan()
        const text = JSON.stringify(wanted)
        if (text !== told) void service.follow(wanted)
        told = text
        await this.#change()
      }
      if (service.isGone && !signal.aborted) throw new Error('The service of channels has ended')
    } finally {
      this.#service = undefined
      service.close()
    }
  }

  async #change(): Promise<void> {
    await this.#changed.promise
    this.#changed = Promise.withResolvers()
  }
}
