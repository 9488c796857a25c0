import { findText, pause } from '../hollow/hollow-call.ts'
import type { Histogram } from '../measure/histogram.ts'
import type { TenantApi } from './tenant-api.ts'

const REWATCH_MS = 500
const RUNNING = Buffer.from('"phase":"Running"')
const READY = Buffer.from('"ready":true')
const ADDED = '{"type":"ADDED"'
const DELETED = '{"type":"DELETED"'
const BOOKMARK = '{"type":"BOOKMARK"'

/** Sees pods of one namespace become Running as a client with a watch does. */
export class StartupWatch {
  readonly #api: TenantApi
  readonly #namespace: string
  readonly #histogram: Histogram
  /** When each pod that does not run yet was asked for, monotonic ms. */
  readonly #pending = new Map<string, number>()
  #version = ''
  #cancel: (() => void) | undefined
  #closed = false
  #seen = 0

  constructor(api: TenantApi, namespace: string, histogram: Histogram) {
    this.#api = api
    this.#namespace = namespace
    this.#histogram = histogram
  }

  /** Pods that became Running. */
  get seen(): number {
    return this.#seen
  }

  get pending(): number {
    return this.#pending.size
  }

  /** Resolves when it has seen what is there. */
  async open(): Promise<void> {
    const list = await this.#api.get<{ metadata: { resourceVersion: string } }>(
      'pods',
      `/api/v1/namespaces/${this.#namespace}/pods?limit=1`,
    )
    this.#version = list.metadata.resourceVersion
    this.#watch()
  }

  /** A pod is about to be created: its time runs from now on. Without this it runs from its ADDED event. */
  expect(name: string): void {
    this.#pending.set(name, performance.now())
  }

  /** It was not created after all. */
  forget(name: string): void {
    this.#pending.delete(name)
  }

  /** Resolves when no pod is on its way, or the time is over; how many still are. */
  async settled(timeoutMs: number): Promise<number> {
    for (const deadline = performance.now() + timeoutMs; this.#pending.size > 0 && performance.now() < deadline;) {
      await pause(100)
    }
    return this.#pending.size
  }

  close(): void {
    this.#closed = true
    this.#cancel?.()
  }

  #watch(): void {
    this.#cancel = this.#api.watch(
      `/api/v1/namespaces/${this.#namespace}/pods?watch=true&allowWatchBookmarks=true&resourceVersion=${this.#version}`,
      {
        onLine: (line) => this.#onLine(line),
        onEnd: (status) => {
          if (this.#closed) return
          if (status === 410) this.#version = '0'
          setTimeout(() => {
            if (!this.#closed) this.#watch()
          }, REWATCH_MS)
        },
      },
    )
  }

  #onLine(line: Buffer): void {
    this.#version = findText(line, 'resourceVersion') ?? this.#version
    const head = line.toString('latin1', 0, 20)
    if (head.startsWith(BOOKMARK)) return
    const name = findText(line, 'name') ?? ''
    if (head.startsWith(DELETED)) return void this.#pending.delete(name)
    if (line.includes(RUNNING) && line.includes(READY)) return this.#onRunning(name)
    if (head.startsWith(ADDED) && !this.#pending.has(name)) this.#pending.set(name, performance.now())
  }

  #onRunning(name: string): void {
    const began = this.#pending.get(name)
    if (began === undefined) return
    this.#pending.delete(name)
    this.#seen++
    this.#histogram.observe(performance.now() - began)
  }
}
