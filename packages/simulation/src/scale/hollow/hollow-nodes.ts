import { createSeededRandom, systemClock, type Random } from '@centaurus/base'
import { Histograms } from '../measure/histogram.ts'
import { LeanClient } from '../wire/lean-client.ts'
import type { LeanTarget } from '../wire/lean-connection.ts'
import { callUntilAnswered, countRefusal, findText, pause, type HollowDeps } from './hollow-call.ts'
import { createHollowCounters, type HollowReport } from './hollow-stats.ts'
import {
  leaseBody,
  nodeBody,
  nodeHeartbeatBody,
  nodeStatusBody,
  type HollowIdentity,
  type LeaseVersion,
} from './node-objects.ts'
import { NodeWatch } from './node-watch.ts'
import { PodRunner } from './pod-runner.ts'

/** Between two looks at who is due. */
const TICK_MS = 20
/** Nodes that register at the same time. */
const REGISTERING_MAX = 48
/** Registration waits while more renewals than this are on their way: so many, or a second's worth. */
const RENEWALS_MIN = 100
const RENEWALS_PART = 0.1
const BEHIND_PAUSE_MS = 50
/** Streams that a connection of an API server takes are 1,000; a third is left for calls. */
const NODES_PER_CONNECTION = 600

export interface HollowOptions {
  readonly target: LeanTarget
  readonly namePrefix: string
  /** Index of the first node in the cluster. */
  readonly first: number
  readonly count: number
  readonly seed: number
  /** Source: the kubelet renews its lease every quarter of 40 s. */
  readonly leasePeriodMs: number
  /** Source: the kubelet's nodeStatusReportFrequency, 5 min. */
  readonly nodeStatusPeriodMs: number
  readonly podStartMs: number
  readonly writesCreating: boolean
  readonly events: boolean
}

interface HollowNode extends HollowIdentity {
  uid: string
  registeredMs: number
  lease: LeaseVersion | undefined
  renewing: boolean
  stopped: boolean
  pods: number
  watch: NodeWatch | undefined
}

/**
 * Thousands of nodes in one process that speak the API as kubelets do: registration, a lease each, status, a watch each, pods that
 * start and end. They share a few connections, on which each call is made in the name of its node.
 */
export class HollowNodes {
  readonly #options: HollowOptions
  readonly #latencies = new Histograms()
  readonly #abort = new AbortController()
  readonly #random: Random
  readonly #deps: HollowDeps
  readonly #runner: PodRunner
  readonly #nodes: HollowNode[]
  readonly #timers: NodeJS.Timeout[] = []
  /** Renewals of leases that were not answered yet. */
  #renewals = 0

  constructor(options: HollowOptions) {
    this.#options = options
    const { target, namePrefix, first, count, seed, podStartMs, writesCreating, events } = options
    this.#random = createSeededRandom(seed + first)
    const connections = Math.ceil(count / NODES_PER_CONNECTION)
    const client = new LeanClient({ target, connections, userAgent: 'kubelet', latencies: this.#latencies })
    this.#deps = { client, counters: createHollowCounters(), clock: systemClock, signal: this.#abort.signal }
    this.#runner = new PodRunner({ ...this.#deps, random: this.#random, podStartMs, writesCreating, events })
    this.#nodes = Array.from({ length: count }, (_, i) => ({
      name: `${namePrefix}${String(first + i).padStart(6, '0')}`,
      index: first + i,
      uid: '',
      registeredMs: 0,
      lease: undefined,
      renewing: false,
      stopped: false,
      pods: 0,
      watch: undefined,
    }))
  }

  /** Registers all nodes and opens their watches; heartbeats run from then on. Rejects when the server can't be reached. */
  async start(): Promise<void> {
    const { leasePeriodMs, nodeStatusPeriodMs } = this.#options
    await this.#deps.client.open()
    this.#beat(leasePeriodMs, (node) => this.#renew(node))
    this.#beat(nodeStatusPeriodMs, (node) => this.#reportStatus(node))
    let next = 0
    const register = async (): Promise<void> => {
      while (next < this.#nodes.length && !this.#abort.signal.aborted) {
        await this.#register(this.#nodes[next++]!)
        // Nodes that are there already come first: one that falls silent costs the server more than one that joins late.
        while (this.#isBehind() && !this.#abort.signal.aborted) await pause(BEHIND_PAUSE_MS)
      }
    }
    await Promise.all(Array.from({ length: REGISTERING_MAX }, register))
  }

  report(): HollowReport {
    const { counters, client } = this.#deps
    return { counters, wire: client.counters, latencies: this.#latencies.toJSON(), running: this.#runner.running }
  }

  /** Nodes fall silent: no lease, no status, no watch. Positions count from 0 within this process. */
  stop(from: number, to: number): void {
    for (const node of this.#nodes.slice(from, to)) {
      node.stopped = true
      node.watch?.close()
      node.watch = undefined
    }
  }

  /** They come back, with the pods that they had, and look at what happened meanwhile. */
  async resume(from: number, to: number): Promise<void> {
    for (const node of this.#nodes.slice(from, to)) {
      if (!node.stopped) continue
      node.stopped = false
      await this.#watch(node)
      void this.#reportStatus(node)
    }
  }

  close(): void {
    this.#abort.abort()
    for (const timer of this.#timers) clearInterval(timer)
    for (const { watch } of this.#nodes) watch?.close()
    this.#deps.client.close()
  }

  /** Whether so many renewals wait for their answer that heartbeats are in danger. */
  #isBehind(): boolean {
    return this.#renewals > Math.max(RENEWALS_MIN, this.#deps.counters.registered * RENEWALS_PART)
  }

  /** Gives each node its turn once in a period, evenly spread. */
  #beat(periodMs: number, act: (node: HollowNode) => Promise<void>): void {
    const count = this.#nodes.length
    const began = performance.now()
    let done = 0
    const timer = setInterval(() => {
      const due = Math.floor(((performance.now() - began) / periodMs) * count)
      if (due - done > count) done = due - count // the process was stopped for a while: nobody is due twice
      for (; done < due; done++) {
        const node = this.#nodes[done % count]!
        if (node.registeredMs > 0 && !node.stopped) void act(node)
      }
    }, TICK_MS)
    this.#timers.push(timer)
  }

  async #register(node: HollowNode): Promise<void> {
    const { name, index } = node
    const isWanted = (): boolean => true
    const call = {
      method: 'POST',
      path: '/api/v1/nodes',
      body: nodeBody(node),
      resource: 'nodes',
      node: name,
      slot: index,
      keepsBody: true,
    } as const
    let answer = await callUntilAnswered(this.#deps, call, { isWanted })
    if (answer.status === 409) {
      const get = {
        method: 'GET',
        path: `/api/v1/nodes/${name}`,
        resource: 'nodes',
        node: name,
        slot: index,
        keepsBody: true,
      } as const
      answer = await callUntilAnswered(this.#deps, get, { isWanted })
    }
    if (answer.status < 200 || answer.status >= 300)
      throw new Error(`Cannot register Node ${name}: ${answer.status} ${answer.body.toString('utf8').slice(0, 500)}`)
    node.uid = (
      JSON.parse(answer.body.toString('utf8')) as { readonly metadata: { readonly uid: string } }
    ).metadata.uid
    await this.#patchStatus(node, nodeStatusBody(node, this.#deps.clock.now()))
    await this.#createLease(node)
    await this.#watch(node)
    node.registeredMs = this.#deps.clock.now()
    this.#deps.counters.registered++
  }

  #watch(node: HollowNode): Promise<void> {
    node.watch = new NodeWatch({ ...this.#deps, runner: this.#runner, random: this.#random }, node)
    return node.watch.open()
  }

  async #createLease(node: HollowNode): Promise<void> {
    const { name, index, uid } = node
    const body = leaseBody(name, uid, { nowMs: this.#deps.clock.now() })
    const call = {
      method: 'POST',
      path: LEASES_PATH,
      body,
      resource: 'leases',
      node: name,
      slot: index,
      keepsBody: true,
    } as const
    const answer = await callUntilAnswered(this.#deps, call, { isWanted: () => !node.stopped })
    if (answer.status === 409) await this.#readLease(node)
    else if (answer.status >= 200 && answer.status < 300) node.lease = readVersion(answer.body)
  }

  async #readLease(node: HollowNode): Promise<void> {
    const { name, index } = node
    const path = `${LEASES_PATH}/${name}`
    const answer = await this.#deps.client.call({
      method: 'GET',
      path,
      resource: 'leases',
      node: name,
      slot: index,
      keepsBody: true,
    })
    if (answer.status === 200) node.lease = readVersion(answer.body)
    else if (answer.status === 404) node.lease = undefined
  }

  async #renew(node: HollowNode): Promise<void> {
    const { counters, client } = this.#deps
    if (node.renewing) {
      counters.leasesLate++
      return
    }
    node.renewing = true
    this.#renewals++
    try {
      const { name, index, uid, lease } = node
      if (lease === undefined) return await this.#createLease(node)
      const body = leaseBody(name, uid, { version: lease, nowMs: this.#deps.clock.now() })
      const call = {
        method: 'PUT',
        path: `${LEASES_PATH}/${name}`,
        body,
        resource: 'leases',
        node: name,
        slot: index,
        keepsBody: true,
      } as const
      const answer = await client.call(call)
      if (answer.status === 200) {
        counters.leases++
        node.lease = { uid: lease.uid, resourceVersion: findText(answer.body, 'resourceVersion') ?? '' }
        return
      }
      countRefusal(counters, call, answer.status)
      if (answer.status === 409 || answer.status === 404) await this.#readLease(node)
    } finally {
      node.renewing = false
      this.#renewals--
    }
  }

  async #reportStatus(node: HollowNode): Promise<void> {
    await this.#patchStatus(node, nodeHeartbeatBody(node.registeredMs, this.#deps.clock.now()))
  }

  async #patchStatus(node: HollowNode, body: string): Promise<void> {
    const { name, index } = node
    await callUntilAnswered(
      this.#deps,
      {
        method: 'PATCH',
        path: `/api/v1/nodes/${name}/status`,
        body,
        contentType: 'application/strategic-merge-patch+json',
        resource: 'nodes/status',
        node: name,
        slot: index,
      },
      { isWanted: () => !node.stopped },
    )
    this.#deps.counters.nodeStatuses++
  }
}

const LEASES_PATH = '/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases'

function readVersion(lease: Buffer): LeaseVersion {
  const { metadata } = JSON.parse(lease.toString('utf8')) as { readonly metadata: LeaseVersion }
  return { uid: metadata.uid, resourceVersion: metadata.resourceVersion }
}
