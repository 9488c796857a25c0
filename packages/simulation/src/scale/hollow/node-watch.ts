import type { Random } from '@centaurus/base'
import type { Pod } from '@centaurus/api/core/v1'
import { countRefusal, findText, type HollowDeps } from './hollow-call.ts'
import { keyOf, type PodRunner, type RunnerNode } from './pod-runner.ts'

/** A watch is ended by the server after 5 to 10 minutes. Source: client-go's reflector, minWatchTimeout. */
const WATCH_SECONDS_MIN = 300
const REWATCH_MS = 1_000

export interface NodeWatchDeps extends HollowDeps {
  readonly runner: PodRunner
  readonly random: Random
}

const MODIFIED = Buffer.from('{"type":"MODIFIED"')
const DELETION = Buffer.from('"deletionTimestamp"')

/** One node's watch of its pods, as a kubelet has it: one stream, resumed from where it was. */
export class NodeWatch {
  readonly #deps: NodeWatchDeps
  readonly #node: RunnerNode
  #version = ''
  /** Keys of the initial list while it arrives. */
  #listing: Set<string> | undefined
  #cancel: (() => void) | undefined
  #closed = false
  #onOpen: (() => void) | undefined

  constructor(deps: NodeWatchDeps, node: RunnerNode) {
    this.#deps = deps
    this.#node = node
  }

  /** Opens it; resolves when the pods that were there have arrived. */
  open(): Promise<void> {
    return new Promise((resolve) => {
      this.#onOpen = resolve
      this.#watch()
    })
  }

  close(): void {
    this.#closed = true
    this.#cancel?.()
  }

  #watch(): void {
    const { client, counters, random } = this.#deps
    const seconds = WATCH_SECONDS_MIN + random.integer(WATCH_SECONDS_MIN)
    const from =
      this.#version === ''
        ? 'sendInitialEvents=true&resourceVersionMatch=NotOlderThan'
        : `resourceVersion=${this.#version}`
    if (this.#version === '') this.#listing = new Set()
    const call = {
      method: 'GET',
      path: `/api/v1/pods?watch=true&allowWatchBookmarks=true&fieldSelector=spec.nodeName%3D${this.#node.name}&timeoutSeconds=${seconds}&${from}`,
      resource: 'pods?watch',
      node: this.#node.name,
      slot: this.#node.index,
    } as const
    counters.watching++
    this.#cancel = client.watch(call, {
      onLine: (line) => this.#onLine(line),
      onEnd: (status) => {
        counters.watching--
        if (this.#closed) return
        if (status === 410) this.#version = ''
        if (status !== 200) countRefusal(counters, call, status)
        if (status === 200) return this.#watch()
        setTimeout(() => {
          if (!this.#closed) this.#watch()
        }, REWATCH_MS)
      },
    })
  }

  #onLine(line: Buffer): void {
    const { counters, runner } = this.#deps
    counters.watchEvents++
    // Most events of a running pod are our own writes coming back.
    if (line.subarray(0, MODIFIED.byteLength).equals(MODIFIED) && !line.includes(DELETION) && this.#isKnown(line))
      return
    const { type, object } = JSON.parse(line.toString('utf8')) as WatchLine
    if (type === 'ERROR') {
      this.#version = ''
      return
    }
    this.#version = object.metadata.resourceVersion ?? this.#version
    if (type === 'BOOKMARK') this.#onBookmark()
    else if (type === 'DELETED') runner.remove(this.#node, object)
    else {
      this.#listing?.add(keyOf(object))
      runner.observe(this.#node, object)
    }
  }

  #isKnown(line: Buffer): boolean {
    const uid = findText(line, 'uid')
    const namespace = findText(line, 'namespace')
    const name = findText(line, 'name')
    const version = findText(line, 'resourceVersion')
    if (uid === undefined || version === undefined) return false
    if (!this.#deps.runner.knows(`${namespace}/${name}`, uid)) return false
    this.#version = version
    return true
  }

  #onBookmark(): void {
    if (this.#listing === undefined) return
    this.#deps.runner.keepOnly(this.#node, this.#listing)
    this.#listing = undefined
    this.#onOpen?.()
    this.#onOpen = undefined
  }
}

interface WatchLine {
  readonly type: string
  readonly object: Pod
}
