import { Worker } from 'node:worker_threads'

/** Streams and floods between pods, in a thread of their own, which a test starts and ends one by one and counts while they run. */

export interface Load {
  readonly name: string
  readonly protocol: 'TCP' | 'UDP'
  /** Names of namespaces. */
  readonly client: string
  readonly server: string
  readonly ip: string
  /** One load a port and server. */
  readonly port: number
  /** UDP: bits a second of payload. A stream sends as fast as it may. */
  readonly bandwidth?: number
  /** TCP: how it reacts to loss and delay, such as `bbr`; default: the namespace's. */
  readonly congestion?: string
  /** UDP: says that it understands marks (ECT(0)). */
  readonly canMark?: boolean
}

export interface LoadCounts {
  /** Payload, bytes. */
  readonly sent: number
  readonly received: number
  /** A stream ended, or never came to be. */
  readonly isBroken: boolean
}

export interface LoadOrders {
  readonly loads: readonly Load[]
  /** One 32 bit number each: see {@link IDLE}; the last says that all ends. */
  readonly orders: SharedArrayBuffer
  /** Three 64 bit floating point numbers each, as in {@link LoadCounts}. */
  readonly counts: SharedArrayBuffer
}

/** What is asked of a load, and the next two of the thread itself: whether it runs. */
export const IDLE = 0
export const RUNNING = 1
export const ENDED = 2
export const COUNTS = 3
/** Payload of a datagram. */
export const DATAGRAM_BYTES = 1400

export class Loads {
  readonly #loads: readonly Load[]
  readonly #orders: Int32Array
  readonly #counts: Float64Array
  readonly #worker: Worker
  readonly #exited: Promise<void>
  #failure: unknown

  private constructor(loads: readonly Load[]) {
    const orders = new SharedArrayBuffer(4 * (loads.length + 1))
    const counts = new SharedArrayBuffer(8 * COUNTS * loads.length)
    this.#loads = loads
    this.#orders = new Int32Array(orders)
    this.#counts = new Float64Array(counts)
    const workerData: LoadOrders = { loads, orders, counts }
    this.#worker = new Worker(new URL('load-worker.ts', import.meta.url), { workerData })
    this.#exited = new Promise((resolve, reject) => {
      this.#worker.once('exit', () => resolve())
      this.#worker.once('error', reject)
    })
    this.#exited.catch((error: unknown) => void (this.#failure = error)) // told by whoever asks next
  }

  /** Nothing is sent yet. */
  static async open(loads: readonly Load[]): Promise<Loads> {
    const opened = new Loads(loads)
    await Promise.race([Atomics.waitAsync(opened.#orders, loads.length, IDLE).value, opened.#exited])
    return opened
  }

  start(...names: readonly string[]): void {
    for (const name of names) Atomics.store(this.#orders, this.#indexOf(name), RUNNING)
  }

  /** Nothing is sent any more; streams are reset. */
  stopAll(): void {
    this.#orders.fill(IDLE, 0, this.#loads.length)
  }

  /** Sends no more; a stream is reset. */
  stop(name: string): void {
    Atomics.store(this.#orders, this.#indexOf(name), IDLE)
  }

  counts(name: string): LoadCounts {
    if (this.#failure !== undefined) throw new Error('The thread of loads ended', { cause: this.#failure })
    const at = COUNTS * this.#indexOf(name)
    return { sent: this.#counts[at]!, received: this.#counts[at + 1]!, isBroken: this.#counts[at + 2] !== 0 }
  }

  async close(): Promise<void> {
    Atomics.store(this.#orders, this.#loads.length, ENDED)
    await this.#exited
  }

  #indexOf(name: string): number {
    const index = this.#loads.findIndex((load) => load.name === name)
    if (index < 0) throw new Error(`There is no load ${name}`)
    return index
  }
}
