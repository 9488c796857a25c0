import type { Client } from '@centaurus/client'
import { createSeededRandom, type Random } from '@centaurus/base'
import { createMemoryStore, type Store } from '@centaurus/store'
import { createChaosNode, type ChaosNode } from './chaos-node.ts'
import { createFaultyClient, noFaults, type ConnectionFaults, type FaultyClient } from './faulty-client.ts'
import { createKillableStore, type KillableStore, type StoreFaults } from './faulty-store.ts'
import type { Plane, PlanePart, StartPlane } from './plane.ts'
import { createTranscript, type Transcript } from './transcript.ts'
import { createVirtualClock, type VirtualClock } from './virtual-clock.ts'

const START_MS = Date.UTC(2026, 0, 1, 0, 0, 30)
/** Simulated time within which a control plane must be up. */
const PLANE_START_MS_MAX = 60_000
const CLOSE_MS_MAX = 120_000

export interface ChaosClusterOptions {
  readonly seed: number
  readonly nodeCount: number
  /** Revisions of history that the store keeps. */
  readonly historyRevisions: number
  readonly startPlane: StartPlane
}

/** A cluster in simulated time, whose parts can be killed one by one. */
export interface ChaosCluster {
  readonly clock: VirtualClock
  readonly transcript: Transcript
  readonly store: Store
  readonly nodes: readonly ChaosNode[]
  /** Between each part of the control plane and its API server. */
  readonly partFaults: Readonly<Record<PlanePart | 'informers', ConnectionFaults>>
  readonly storeFaults: StoreFaults
  readonly planeUp: boolean
  /** Randomness of its own for each name, so that one part's use does not change another's. */
  random(name: string): Random
  /** A client from outside, with faults of its own. */
  connect(name: string): { readonly client: FaultyClient; readonly faults: ConnectionFaults }
  startPlane(): Promise<void>
  killPlane(): void
  restartPart(part: PlanePart): Promise<void>
  /** Breaks the watches of the control plane's own parts. */
  cutPartWatches(): void
  /** Ends everything. Throws when something does not end, or leaves a timer behind. */
  close(): Promise<void>
}

export async function startChaosCluster(options: ChaosClusterOptions): Promise<ChaosCluster> {
  const clock = createVirtualClock(START_MS)
  const cluster = new Cluster(options, clock)
  const ready = cluster.startPlane().then(() => Promise.all(cluster.nodes.map((node) => node.start())))
  await clock.runUntil(ready, { limitMs: PLANE_START_MS_MAX, what: 'Starting the cluster' })
  return cluster
}

interface Incarnation {
  readonly store: KillableStore
  readonly connections: FaultyClient[]
  plane: Plane | undefined
  killed: boolean
}

class Cluster implements ChaosCluster {
  readonly clock: VirtualClock
  readonly transcript: Transcript
  readonly store: Store
  readonly nodes: readonly ChaosNode[]
  readonly partFaults = { scheduler: noFaults(), controllers: noFaults(), informers: noFaults() }
  readonly storeFaults: StoreFaults = { full: false }
  readonly #options: ChaosClusterOptions
  readonly #closing: Promise<unknown>[] = []
  #current: Incarnation | undefined
  #starts = 0

  constructor(options: ChaosClusterOptions, clock: VirtualClock) {
    this.#options = options
    this.clock = clock
    this.transcript = createTranscript(clock)
    this.store = createMemoryStore({ clock, automaticCompaction: { revisionsMax: options.historyRevisions } })
    this.nodes = Array.from({ length: options.nodeCount }, (_, index) =>
      createChaosNode({
        index,
        clock,
        random: this.random(`node-${index}`),
        logger: this.transcript.logger(`node-${index}`),
        server: () => this.#server(),
      }),
    )
  }

  get planeUp(): boolean {
    return this.#server() !== undefined
  }

  random(name: string): Random {
    return createSeededRandom(hash(`${this.#options.seed} ${name}`))
  }

  connect(name: string): { readonly client: FaultyClient; readonly faults: ConnectionFaults } {
    const faults = noFaults()
    const server = (): Client | undefined => this.#server()
    return { client: createFaultyClient({ server, faults, clock: this.clock, random: this.random(name) }), faults }
  }

  async startPlane(): Promise<void> {
    const name = `plane-${this.#starts++}`
    const { clock, store } = this
    const random = this.random(name)
    const incarnation: Incarnation = {
      store: createKillableStore(store, { clock, random: this.random(`${name} store`), faults: this.storeFaults }),
      connections: [],
      plane: undefined,
      killed: false,
    }
    this.#current = incarnation
    const plane = await this.#options.startPlane({
      store: incarnation.store,
      clock,
      random,
      logger: this.transcript.logger(name),
      connect: (client, part) => {
        const faults = this.partFaults[part]
        const server = (): Client | undefined => (incarnation.killed ? undefined : client)
        const connection = createFaultyClient({ server, faults, clock, random: this.random(`${name} ${part}`) })
        incarnation.connections.push(connection)
        return connection
      },
    })
    incarnation.plane = plane
    if (incarnation.killed) this.#closing.push(plane.close())
  }

  killPlane(): void {
    const incarnation = this.#current
    if (incarnation === undefined) return
    this.#current = undefined
    incarnation.killed = true
    incarnation.store.kill()
    for (const connection of incarnation.connections) connection.kill()
    if (incarnation.plane !== undefined) this.#closing.push(incarnation.plane.close())
  }

  async restartPart(part: PlanePart): Promise<void> {
    await this.#current?.plane?.restart(part)
  }

  cutPartWatches(): void {
    for (const connection of this.#current?.connections ?? []) connection.cutWatches()
  }

  async close(): Promise<void> {
    const nodes = Promise.all(this.nodes.map((node) => node.close()))
    await this.clock.runUntil(nodes, { limitMs: CLOSE_MS_MAX, what: 'Closing the node agents' })
    const plane = Promise.all([this.#current?.plane?.close(), ...this.#closing])
    await this.clock.runUntil(plane, { limitMs: CLOSE_MS_MAX, what: 'Closing the control planes' })
    await this.store.close()
    const [leak] = this.clock.pending()
    if (leak !== undefined) throw new Error(`A timer is left after everything was closed; it was set here: ${leak}`)
  }

  #server(): Client | undefined {
    return this.#current?.plane?.client
  }
}

/** FNV-1a, 32 bits. */
function hash(text: string): number {
  let value = 0x811c9dc5
  for (let index = 0; index < text.length; index++) value = Math.imul(value ^ text.charCodeAt(index), 0x01000193)
  return value >>> 0
}
