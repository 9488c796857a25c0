import { tooManyRequests } from '@centaurus/api'
import type { Clock, Timer } from '@centaurus/base'

export interface QueueLimits {
  /** Requests of all tenants together that are worked on at once. */
  readonly seats: number
  /** Of one tenant, unless its quota says `requests.seats`. */
  readonly seatsEach: number
  /** Requests of one tenant that wait; beyond it the server says "too many". */
  readonly waitingEach: number
  /**
   * Weight of the requests begun between two looks at the network: what else arrives meanwhile waits in its tenant's queue and not in a
   * socket, where nobody could choose. A read of one object weighs 1, about 0.1 ms.
   */
  readonly weightPerTurn: number
  /** The same while several tenants are here: what one begins delays the others, and each look costs as much as half a read. */
  readonly sharedWeightPerTurn: number
}

/** Source of the seats: kube-apiserver's max-requests-inflight plus mutating (600), less what is exempt here. */
const TENANTS: QueueLimits = { seats: 256, seatsEach: 64, waitingEach: 1_024, weightPerTurn: 8, sharedWeightPerTurn: 2 }
/** A request that waited for so long is refused. Source: a quarter of apiserver's request timeout of one minute. */
const WAIT_MAX_MS = 15_000
const SWEEP_MS = 1_000
/** A tenant is held to be here for so long after its last request. */
const PRESENT_MS = 1_000
const RETRY_SECONDS = 1
/** What a request of weight 1 is held to cost before it was measured, in milliseconds of a seat. */
const COST_ESTIMATE_MS = 1

export interface FairQueueDeps {
  readonly clock: Clock
  /** Seats that the tenant's quota grants; undefined: it says nothing. */
  readonly seatsOf: (tenant: string) => number | undefined
  /** Calls `turn` when the network was looked at again. Default: `setImmediate`. */
  readonly nextTurn?: ((turn: () => void) => void) | undefined
  /** Default: those for tenants. */
  readonly limits?: QueueLimits | undefined
}

export interface FairRequest {
  readonly tenant: string
  /** How long it keeps the processor at most, in reads of one object. */
  readonly weight: number
  /** False when the caller went away: what nobody wants any more is dropped when its turn comes. */
  readonly isWanted: () => boolean
}

interface Waiting extends FairRequest {
  readonly sinceMs: number
  /** Called after the request was counted as running. */
  readonly start: () => void
  readonly drop: () => void
  readonly refuse: (error: Error) => void
}

interface Flow {
  readonly tenant: string
  readonly waiting: Waiting[]
  running: number
  /** Seat time that it has had, in milliseconds, counted from where the least served stood when it came: the least is served first. */
  served: number
}

/**
 * Lets requests of tenants begin: at once while there is room, else tenant by tenant in the order of how little each was served, so that
 * a tenant with a thousand requests delays another's one by about one. A tenant that does nothing costs nothing.
 * After: the fair queuing of apiserver pkg/util/flowcontrol, with one flow a tenant and no shuffle sharding.
 */
export class FairQueue {
  readonly #clock: Clock
  readonly #seatsOf: FairQueueDeps['seatsOf']
  readonly #nextTurn: (turn: () => void) => void
  readonly #limits: QueueLimits
  readonly #flows = new Map<string, Flow>()
  #running = 0
  /** Weight of the requests begun in this turn. */
  #begun = 0
  #turnDue = false
  /** `served` of the flow that was served last: newcomers start there. */
  #level = 0
  #lastTenant = ''
  /** Several tenants are here until then. */
  #sharedUntilMs = -Infinity
  #sweep: Timer | undefined

  constructor({ clock, seatsOf, nextTurn = (turn) => void setImmediate(turn), limits = TENANTS }: FairQueueDeps) {
    this.#limits = limits
    this.#clock = clock
    this.#seatsOf = seatsOf
    this.#nextTurn = nextTurn
  }

  /** Requests that wait, of all tenants. */
  get length(): number {
    let sum = 0
    for (const { waiting } of this.#flows.values()) sum += waiting.length
    return sum
  }

  get running(): number {
    return this.#running
  }

  /**
   * Runs `work` when it is the tenant's turn and resolves when it is done. Throws TooManyRequests when too many of the tenant wait, or
   * this one waited too long.
   */
  async run(request: FairRequest, work: () => Promise<void>): Promise<void> {
    this.#look(request.tenant)
    const flow = this.#flowOf(request.tenant)
    if (this.#mayBegin(flow)) this.#begin(flow, request)
    else if (flow.waiting.length >= this.#limits.waitingEach) throw refusal()
    else if (!(await this.#wait(flow, request))) return
    const startedMs = this.#clock.monotonicMs()
    try {
      await work()
    } finally {
      this.#end(flow, request, this.#clock.monotonicMs() - startedMs)
    }
  }

  #look(tenant: string): void {
    if (tenant === this.#lastTenant) return
    if (this.#lastTenant !== '') this.#sharedUntilMs = this.#clock.monotonicMs() + PRESENT_MS
    this.#lastTenant = tenant
  }

  get #weightPerTurn(): number {
    const { weightPerTurn, sharedWeightPerTurn } = this.#limits
    return this.#clock.monotonicMs() < this.#sharedUntilMs ? sharedWeightPerTurn : weightPerTurn
  }

  #flowOf(tenant: string): Flow {
    let flow = this.#flows.get(tenant)
    if (flow === undefined) {
      flow = { tenant, waiting: [], running: 0, served: this.#level }
      this.#flows.set(tenant, flow)
    }
    return flow
  }

  #hasSeat(flow: Flow): boolean {
    const { seats, seatsEach } = this.#limits
    return this.#running < seats && flow.running < (this.#seatsOf(flow.tenant) ?? seatsEach)
  }

  /** At once, when there is room and nobody waits for it who was served less. */
  #mayBegin(flow: Flow): boolean {
    return flow.waiting.length === 0 && this.#begun < this.#weightPerTurn && this.#hasSeat(flow)
  }

  /** Resolves to false when it is not wanted any more. */
  #wait(flow: Flow, request: FairRequest): Promise<boolean> {
    return new Promise((resolve, reject) => {
      flow.waiting.push({
        ...request,
        sinceMs: this.#clock.monotonicMs(),
        start: () => resolve(true),
        drop: () => resolve(false),
        refuse: reject,
      })
      this.#keepSweeping()
      this.#wake()
    })
  }

  #begin(flow: Flow, { weight }: FairRequest): void {
    this.#begun += weight
    this.#running++
    flow.running++
    flow.served += COST_ESTIMATE_MS * weight
    this.#wake() // `begun` starts from nothing in the next turn
  }

  #end(flow: Flow, { weight }: FairRequest, tookMs: number): void {
    this.#running--
    flow.running--
    flow.served += Math.max(0, tookMs - COST_ESTIMATE_MS * weight)
    this.#forgetIdle(flow)
    this.#wake()
  }

  /** Makes sure that another turn comes. */
  #wake(): void {
    if (this.#turnDue) return
    this.#turnDue = true
    this.#nextTurn(() => {
      this.#turnDue = false
      this.#begun = 0
      this.#serve()
    })
  }

  #serve(): void {
    const weightPerTurn = this.#weightPerTurn
    while (this.#begun < weightPerTurn) {
      const flow = this.#next()
      if (flow === undefined) return
      const request = flow.waiting.shift()!
      if (request.isWanted()) {
        this.#level = Math.max(this.#level, flow.served)
        this.#begin(flow, request)
        request.start()
      } else {
        request.drop()
        this.#forgetIdle(flow)
      }
    }
  }

  /** The tenant with a request and a seat for it that was served least. */
  #next(): Flow | undefined {
    let least: Flow | undefined
    for (const flow of this.#flows.values()) {
      if (flow.waiting.length === 0 || !this.#hasSeat(flow)) continue
      if (least === undefined || flow.served < least.served) least = flow
    }
    return least
  }

  #forgetIdle(flow: Flow): void {
    if (flow.running === 0 && flow.waiting.length === 0) this.#flows.delete(flow.tenant)
  }

  /** Refuses what waited too long, even when nothing ends. */
  #keepSweeping(): void {
    if (this.#sweep !== undefined) return
    this.#sweep = this.#clock.setTimer(SWEEP_MS, () => {
      this.#sweep = undefined
      const oldestMs = this.#clock.monotonicMs() - WAIT_MAX_MS
      for (const flow of this.#flows.values()) {
        while (flow.waiting[0] !== undefined && flow.waiting[0].sinceMs < oldestMs) {
          flow.waiting.shift()!.refuse(refusal())
        }
        this.#forgetIdle(flow)
      }
      if (this.length > 0) this.#keepSweeping()
    })
  }
}

/** Source: apiserver pkg/endpoints/filters maxinflight's words. */
function refusal(): Error {
  return tooManyRequests('Too many requests, please try again later.', RETRY_SECONDS)
}
