import type { ChildProcess } from 'node:child_process'
import { HollowNodes, type HollowOptions } from './hollow-nodes.ts'
import type { HollowReport } from './hollow-stats.ts'

/** How long a process may take to answer. */
const ANSWER_MS_MAX = 30_000

type Order =
  | { readonly type: 'start'; readonly options: HollowOptions }
  | { readonly type: 'report' }
  | { readonly type: 'stop' | 'resume'; readonly from: number; readonly to: number }

interface Message {
  readonly id: number
  readonly order: Order
}

interface Reply {
  readonly id: number
  readonly report?: HollowReport | undefined
  readonly error?: string | undefined
}

/** Serves a {@link HollowProcess}: the body of a child process. Ends with its parent. */
export function serveHollowNodes(): Promise<void> {
  let nodes: HollowNodes | undefined
  process.on('message', ({ id, order }: Message) => {
    const answer = (reply: Omit<Reply, 'id'>): void => void process.send?.({ id, ...reply })
    if (order.type === 'start') {
      nodes = new HollowNodes(order.options)
      nodes.start().then(
        () => answer({}),
        (error: unknown) => answer({ error: (error as Error).message }),
      )
      return
    }
    if (order.type === 'stop') nodes?.stop(order.from, order.to)
    if (order.type === 'resume') void nodes?.resume(order.from, order.to)
    answer({ report: nodes?.report() })
  })
  return new Promise((resolve) => {
    process.once('disconnect', () => {
      nodes?.close()
      resolve()
    })
  })
}

/** A child process full of hollow nodes, seen from its parent. */
export class HollowProcess {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, (reply: Reply) => void>()
  #nextId = 1
  #latest: HollowReport | undefined
  #ended: string | undefined

  /** `child` runs {@link serveHollowNodes} and has an IPC channel. */
  constructor(child: ChildProcess) {
    this.#child = child
    child.on('message', (reply: Reply) => {
      this.#waiting.get(reply.id)?.(reply)
      this.#waiting.delete(reply.id)
    })
    child.once('exit', (code, signal) => {
      this.#ended = `the process of hollow nodes ended with ${signal ?? `code ${code}`}`
      for (const resolve of this.#waiting.values()) resolve({ id: 0, error: this.#ended })
      this.#waiting.clear()
    })
  }

  get pid(): number {
    return this.#child.pid ?? 0
  }

  /** What {@link refresh} got last. */
  get latest(): HollowReport | undefined {
    return this.#latest
  }

  /** Resolves when all nodes are registered. Rejects with the reason when they can't be. */
  async start(options: HollowOptions): Promise<void> {
    await this.#ask({ type: 'start', options })
  }

  /** Asks for figures; keeps the last ones while the process is busy. Rejects when it has ended. */
  async refresh(): Promise<HollowReport | undefined> {
    const late = new Promise<undefined>((resolve) => {
      setTimeout(() => resolve(undefined), ANSWER_MS_MAX).unref()
    })
    const reply = await Promise.race([this.#ask({ type: 'report' }), late])
    this.#latest = reply?.report ?? this.#latest
    return this.#latest
  }

  async stopNodes(from: number, to: number): Promise<void> {
    await this.#ask({ type: 'stop', from, to })
  }

  async resumeNodes(from: number, to: number): Promise<void> {
    await this.#ask({ type: 'resume', from, to })
  }

  async #ask(order: Order): Promise<Reply> {
    if (this.#ended !== undefined) throw new Error(`Cannot ask hollow nodes: ${this.#ended}`)
    const id = this.#nextId++
    const replied = new Promise<Reply>((resolve) => this.#waiting.set(id, resolve))
    this.#child.send({ id, order } satisfies Message)
    const reply = await replied
    if (reply.error !== undefined) throw new Error(`Cannot run hollow nodes: ${reply.error}`)
    return reply
  }
}
