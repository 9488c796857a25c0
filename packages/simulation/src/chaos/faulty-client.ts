import { timeout, type KubeObject, type ResourceType, type Stored } from '@centaurus/api'
import type { Clock, Random } from '@centaurus/base'
import type { Client, ClientWatch, ClientWatchOptions } from '@centaurus/client'

/** What goes wrong between a client and its server. Whoever causes trouble changes it while the client is in use. */
export interface ConnectionFaults {
  /** Nothing gets through: requests fail, watches break. */
  unreachable: boolean
  /** Share of writes whose answer is lost after the commit. */
  lostAnswers: number
  /** Longest time a request takes in each direction, ms. */
  latencyMs: number
  /** Longest time an event of a watch is held back, ms. */
  watchDelayMs: number
}

export function noFaults(): ConnectionFaults {
  return { unreachable: false, lostAnswers: 0, latencyMs: 0, watchDelayMs: 0 }
}

export interface FaultyClientOptions {
  /** The server that answers now; undefined: nobody listens. */
  readonly server: () => Client | undefined
  readonly faults: ConnectionFaults
  readonly clock: Clock
  readonly random: Random
}

export interface FaultyClient extends Client {
  /** Breaks every watch, as when a connection is lost. */
  cutWatches(): void
  /** Its owner died: no request is made any more, and none is answered. */
  kill(): void
  readonly watchCount: number
}

/** A client over a bad connection to a server that may go away and come back. */
export function createFaultyClient(options: FaultyClientOptions): FaultyClient {
  const connection = new Connection(options)
  const read = <R>(work: (client: Client) => Promise<R>): Promise<R> => connection.call(work, { isWrite: false })
  const write = <R>(work: (client: Client) => Promise<R>): Promise<R> => connection.call(work, { isWrite: true })
  return {
    get: (type, name, rest) => read((client) => client.get(type, name, rest)),
    list: (type, rest) => read((client) => client.list(type, rest)),
    create: (type, object, rest) => write((client) => client.create(type, object, rest)),
    update: (type, object, rest) => write((client) => client.update(type, object, rest)),
    updateStatus: (type, object, rest) => write((client) => client.updateStatus(type, object, rest)),
    patch: (type, name, patch, rest) => write((client) => client.patch(type, name, patch, rest)),
    delete: (type, name, rest) => write((client) => client.delete(type, name, rest)),
    deleteCollection: (type, rest) => write((client) => client.deleteCollection(type, rest)),
    createSubresource: (type, name, subresource, body, rest) =>
      write((client) => client.createSubresource(type, name, subresource, body, rest)),
    getSubresource: (type, name, subresource, rest) =>
      read((client) => client.getSubresource(type, name, subresource, rest)),
    updateSubresource: (type, name, subresource, body, rest) =>
      write((client) => client.updateSubresource(type, name, subresource, body, rest)),
    watch: (type, watchOptions) => connection.watch(type, watchOptions),
    close: async () => connection.cutWatches(),
    cutWatches: () => connection.cutWatches(),
    kill: () => connection.kill(),
    get watchCount() {
      return connection.watchCount
    },
  }
}

class Connection {
  readonly #options: FaultyClientOptions
  readonly #watches = new Set<FaultyWatch>()
  #dead = false

  constructor(options: FaultyClientOptions) {
    this.#options = options
  }

  get watchCount(): number {
    return this.#watches.size
  }

  kill(): void {
    this.#dead = true
    this.cutWatches()
  }

  cutWatches(): void {
    for (const watch of this.#watches) watch.end(connectionLost())
  }

  async call<R>(work: (client: Client) => Promise<R>, { isWrite }: { readonly isWrite: boolean }): Promise<R> {
    const { random, faults } = this.#options
    const server = this.#connect()
    await this.#delay()
    const result = await work(this.#connect(server))
    await this.#delay()
    this.#connect(server)
    if (isWrite && random.next() < faults.lostAnswers) throw timeout('The answer was lost (simulated)')
    return result
  }

  watch<T extends KubeObject>(type: ResourceType<T>, options: ClientWatchOptions<T>): ClientWatch {
    const { clock, random, faults } = this.#options
    const watch = new FaultyWatch({
      onEnd: (error: Error | undefined) => {
        this.#watches.delete(watch)
        options.onEnd(error)
      },
      delayMs: () => (faults.watchDelayMs === 0 ? 0 : random.integer(faults.watchDelayMs)),
      clock,
    })
    this.#watches.add(watch)
    let server: Client
    try {
      server = this.#connect()
    } catch (error) {
      watch.end(error as Error)
      return watch
    }
    watch.inner = server.watch(type, {
      ...options,
      onEvent: (event, object: Stored<T>) => watch.pass(() => options.onEvent(event, object)),
      ...(options.onBookmark === undefined
        ? {}
        : { onBookmark: (version) => watch.pass(() => options.onBookmark!(version)) }),
      onEnd: (error) => watch.pass(() => watch.end(error)),
    })
    return watch
  }

  /** The server, when it can be reached; with `expected`, only if it is still the same one. */
  #connect(expected?: Client): Client {
    const server = this.#options.server()
    if (this.#dead || this.#options.faults.unreachable || server === undefined) throw connectionLost()
    if (expected !== undefined && server !== expected) throw connectionLost()
    return server
  }

  async #delay(): Promise<void> {
    const { latencyMs } = this.#options.faults
    if (latencyMs > 0) await this.#options.clock.sleep(this.#options.random.integer(latencyMs))
  }
}

function connectionLost(): Error {
  return Object.assign(new Error('connect ECONNREFUSED (simulated)'), { code: 'ECONNREFUSED' })
}

interface FaultyWatchOptions {
  readonly onEnd: (error: Error | undefined) => void
  readonly delayMs: () => number
  readonly clock: Clock
}

/** Holds events back without changing their order. */
class FaultyWatch implements ClientWatch {
  inner: ClientWatch | undefined
  readonly #options: FaultyWatchOptions
  readonly #held: (() => void)[] = []
  #waiting = false
  #ended = false

  constructor(options: FaultyWatchOptions) {
    this.#options = options
  }

  close(): void {
    this.end(undefined)
  }

  end(error: Error | undefined): void {
    if (this.#ended) return
    this.#ended = true
    this.inner?.close()
    queueMicrotask(() => this.#options.onEnd(error))
  }

  pass(deliver: () => void): void {
    if (this.#ended) return
    const delayMs = this.#options.delayMs()
    if (!this.#waiting && delayMs === 0) return deliver()
    this.#held.push(deliver)
    if (this.#waiting) return
    this.#waiting = true
    this.#options.clock.setTimer(delayMs, () => this.#release())
  }

  /** All that came meanwhile arrives together, as from a socket that was not read. */
  #release(): void {
    this.#waiting = false
    for (const deliver of this.#held.splice(0)) if (!this.#ended) deliver()
  }
}
