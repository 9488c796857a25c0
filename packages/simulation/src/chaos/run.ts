import type { Stored } from '@centaurus/api'
import { cronjobs } from '@centaurus/api/batch/v1'
import { namespaces, nodes, services, type Service } from '@centaurus/api/core/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import type { Client } from '@centaurus/client'
import { startChaosCluster, type ChaosCluster } from './chaos-cluster.ts'
import { checkHistories } from './check-histories.ts'
import { checkObjects } from './check-objects.ts'
import { checkWorkloads } from './check-workloads.ts'
import { causeFault } from './faults.ts'
import { noFaults, type ConnectionFaults, type FaultyClient } from './faulty-client.ts'
import { WATCHED_TYPES } from './kinds.ts'
import { createLedger, type Ledger } from './ledger.ts'
import { HIGH_PRIORITY_CLASS } from './objects.ts'
import { startObserver, type Observation, type Observer } from './observer.ts'
import type { StartPlane } from './plane.ts'
import { createPodGuard, type PodGuard } from './pod-guard.ts'
import { recordStoreHistory, type StoreHistory } from './store-history.ts'
import { takeSnapshot } from './snapshot.ts'
import { NAMESPACES, takeStep } from './workload.ts'

const USERS = 3
const NODES_MAX = 4
const TROUBLE_MS_DEFAULT = 240_000
const STEP_PAUSE_MS_MAX = 6_000
const FAULT_PAUSE_MS_MAX = 25_000
/** Faults that may overlap. */
const TROUBLEMAKERS = 2
/** Back-offs have to run out, and silent nodes' pods to be evicted. */
const REPAIR_MS_MAX = 30 * 60_000
const REPAIR_CHECK_MS = 5_000
/** Back-offs that the last outage left behind may still run out. */
const SETTLE_MS = 300_000
/** How long a cluster at rest is looked at, and what it may write meanwhile: leases, and little else. */
const REST_MS = 60_000
const REST_REVISIONS_A_NODE = 7
const REST_REVISIONS = 10
const CALL_MS_MAX = 60_000
/** Silence after which pods of a node may be evicted: 40 s until the node counts as unknown, and 300 s that pods tolerate. */
const EVICTION_MS_MIN = 340_000

export interface ChaosRoundOptions {
  readonly seed: number
  readonly startPlane: StartPlane
  /** How long there is trouble, in simulated ms; default 4 minutes. */
  readonly troubleMs?: number | undefined
}

export interface ChaosRoundReport {
  readonly seed: number
  readonly nodes: number
  readonly acknowledged: number
  readonly revision: number
  /** Simulated time. */
  readonly durationMs: number
}

/** A run that ended badly: says how to have it again, and what happened last. */
export class ChaosError extends Error {
  override readonly name = 'ChaosError'
}

/**
 * One cluster, from its start to its end, in simulated time: users write, things break, then everything is repaired and the cluster has
 * to become what its objects say. The seed decides all of it. Throws {@link ChaosError}.
 */
export async function runChaosRound(options: ChaosRoundOptions): Promise<ChaosRoundReport> {
  const { seed, startPlane } = options
  const dice = seed >>> 0
  const cluster = await startChaosCluster({
    seed,
    nodeCount: 1 + (dice % NODES_MAX),
    historyRevisions: dice % 5 === 0 ? 300 : 1_000_000,
    startPlane,
  })
  const rejections: unknown[] = []
  const onRejection = (reason: unknown): void => void rejections.push(reason)
  process.on('unhandledRejection', onRejection)
  const round = new Round(cluster, options)
  try {
    await round.run()
    await cluster.close()
    if (rejections.length > 0) throw new Error('A promise was rejected and nobody noticed', { cause: rejections[0] })
    return round.report()
  } catch (error) {
    const { message, cause, stack } = error as Error
    const why = cause === undefined ? message : `${message}: ${(cause as Error).stack ?? String(cause)}`
    throw new ChaosError(`Seed ${seed}: ${why}\n\nLast actions:\n${cluster.transcript.toString()}\n\n${stack}`, {
      cause: error,
    })
  } finally {
    process.off('unhandledRejection', onRejection)
  }
}

class Round {
  readonly #cluster: ChaosCluster
  readonly #options: ChaosRoundOptions
  readonly #ledger: Ledger = createLedger()
  readonly #guard: PodGuard = createPodGuard()
  readonly #outside: { readonly client: FaultyClient; readonly faults: ConnectionFaults }[] = []
  readonly #observers: Observer[]
  readonly #history: StoreHistory
  /** Without faults, for the checks. */
  readonly #checker: Client

  constructor(cluster: ChaosCluster, options: ChaosRoundOptions) {
    this.#cluster = cluster
    this.#options = options
    this.#checker = cluster.connect('checker').client
    this.#history = recordStoreHistory(cluster.store)
    this.#observers = ['steady', 'shaky'].flatMap((name) => this.#observeAll(name))
  }

  async run(): Promise<void> {
    await this.#do('Preparing', this.#prepare())
    await this.#cluster.clock.runUntil(this.#trouble(), { limitMs: REPAIR_MS_MAX, what: 'Trouble' })
    await this.#do('Healing', this.#heal())
    await this.#waitUntilWell()
    await this.#rest()
    await this.#finish()
  }

  report(): ChaosRoundReport {
    return {
      seed: this.#options.seed,
      nodes: this.#cluster.nodes.length,
      acknowledged: this.#ledger.size,
      revision: Math.max(...this.#observers.flatMap(({ events }) => events.at(-1)?.revision ?? 0)),
      durationMs: this.#cluster.clock.monotonicMs(),
    }
  }

  #observeAll(name: string): Observer[] {
    const connection = this.#cluster.connect(name)
    if (name === 'shaky') this.#outside.push(connection)
    const watches: Record<string, (event: Observation) => void> = {
      pods: (event) => this.#guard.observePod(event),
      nodes: (event) => this.#guard.observeNode(event),
      jobs: (event) => this.#guard.observeJob(event),
    }
    return WATCHED_TYPES.map((type) =>
      startObserver({
        name,
        type,
        client: connection.client,
        clock: this.#cluster.clock,
        onEvent: name === 'steady' ? watches[type.resource] : undefined,
      }),
    )
  }

  #do<T>(what: string, work: Promise<T>): Promise<T> {
    return this.#cluster.clock.runUntil(work, { limitMs: CALL_MS_MAX, what })
  }

  async #prepare(): Promise<void> {
    await this.#checker.create(priorityclasses, { metadata: { name: HIGH_PRIORITY_CLASS }, value: 1_000 })
    for (const name of NAMESPACES) await this.#checker.create(namespaces, { metadata: { name } })
  }

  async #trouble(): Promise<void> {
    const { clock, transcript } = this.#cluster
    const endMs = clock.monotonicMs() + (this.#options.troubleMs ?? TROUBLE_MS_DEFAULT)
    const repeat = async (pauseMsMax: number, name: string, work: () => Promise<void>): Promise<void> => {
      const random = this.#cluster.random(`${name} pauses`)
      while (clock.monotonicMs() < endMs) {
        await clock.sleep(random.integer(pauseMsMax))
        await work()
      }
    }
    const users = Array.from({ length: USERS }, (_, index) => {
      const connection = this.#cluster.connect(`user ${index}`)
      this.#outside.push(connection)
      const deps = {
        client: connection.client,
        random: this.#cluster.random(`user ${index} steps`),
        ledger: this.#ledger,
        nodeNames: this.#cluster.nodes.map(({ name }) => name),
        tell: (line: string) => transcript.add(`user ${index}: ${line}`),
      }
      return repeat(STEP_PAUSE_MS_MAX, `user ${index}`, () => takeStep(deps))
    })
    const troublemakers = Array.from({ length: TROUBLEMAKERS }, (_, index) => {
      const random = this.#cluster.random(`faults ${index}`)
      const targets = { cluster: this.#cluster, random, outside: this.#outside, longOutages: this.#hasLongOutages() }
      return repeat(FAULT_PAUSE_MS_MAX, `faults ${index}`, () => causeFault(targets))
    })
    await Promise.all([...users, ...troublemakers])
  }

  #hasLongOutages(): boolean {
    return (this.#options.seed >>> 0) % 3 === 0
  }

  async #heal(): Promise<void> {
    const cluster = this.#cluster
    cluster.transcript.add('healing')
    for (const { faults } of this.#outside) Object.assign(faults, noFaults())
    for (const faults of Object.values(cluster.partFaults)) Object.assign(faults, noFaults())
    cluster.storeFaults.full = false
    for (const node of cluster.nodes) Object.assign(node.faults, noFaults())
    if (!cluster.planeUp) await cluster.startPlane()
    await Promise.all(cluster.nodes.map((node) => node.start()))
    for (const { name } of cluster.nodes) {
      const patch = [{ op: 'add', path: '/spec/unschedulable', value: false }] as const
      await this.#checker.patch(nodes, { name }, { type: 'json', body: patch })
      await this.#removeTaint(name)
    }
    for (const { metadata } of (await this.#checker.list(cronjobs)).items) {
      const place = { namespace: metadata.namespace, name: metadata.name }
      await this.#checker.patch(cronjobs, place, { type: 'merge', body: { spec: { suspend: true } } }).catch(() => {})
    }
  }

  async #removeTaint(name: string): Promise<void> {
    for (;;) {
      const node = await this.#checker.get(nodes, { name })
      const taints = (node.spec?.taints ?? []).filter(({ key }) => key !== 'chaos')
      try {
        await this.#checker.update(nodes, { ...node, spec: { ...node.spec, taints } })
        return
      } catch {
        await this.#cluster.clock.sleep(100) // the node was changed meanwhile
      }
    }
  }

  async #waitUntilWell(): Promise<void> {
    const { clock, transcript } = this.#cluster
    const endMs = clock.monotonicMs() + REPAIR_MS_MAX
    let problems = ['not looked at']
    while (problems.length > 0) {
      this.#requireGuarded()
      if (clock.monotonicMs() > endMs) throw new Error(`The cluster did not become well:\n${problems.join('\n')}`)
      await clock.run(REPAIR_CHECK_MS)
      problems = await this.#findProblems()
    }
    transcript.add('well')
  }

  async #findProblems(): Promise<string[]> {
    const snapshot = await this.#do('Listing', takeSnapshot(this.#checker))
    return [...checkWorkloads(snapshot, this.#guard), ...checkObjects(snapshot)]
  }

  #requireGuarded(): void {
    const problems = [...this.#guard.problems, ...this.#findHastyEvictions()]
    if (problems.length > 0) throw new Error(`Something happened that must not:\n${problems.join('\n')}`)
  }

  #findHastyEvictions(): string[] {
    if (this.#hasLongOutages() || this.#guard.evicted.size === 0) return []
    return [`${this.#guard.evicted.size} pods were evicted, though no node was silent for ${EVICTION_MS_MIN} ms`]
  }

  /** A cluster that is well stays so, and has nothing to do. */
  async #rest(): Promise<void> {
    const { clock, store, nodes: agents } = this.#cluster
    await clock.run(SETTLE_MS)
    const written: string[] = []
    const watch = store.watch('/', {
      onEvents: (events) =>
        void written.push(...events.map((event) => (event.type === 'put' ? event.entry.key : event.key))),
      onEnd: () => {},
    })
    await clock.run(REST_MS)
    watch.close()
    const problems = await this.#findProblems()
    if (problems.length > 0) throw new Error(`The cluster did not stay well:\n${problems.join('\n')}`)
    if (written.length > REST_REVISIONS + agents.length * REST_REVISIONS_A_NODE) {
      throw new Error(`A cluster at rest wrote ${written.length} times in ${REST_MS} ms:\n${written.join('\n')}`)
    }
  }

  async #finish(): Promise<void> {
    await this.#cluster.clock.run(REPAIR_CHECK_MS)
    const snapshot = await this.#do('Listing', takeSnapshot(this.#checker))
    const problems = [
      ...checkHistories(this.#observers, this.#history, snapshot),
      ...this.#ledger.findLost(this.#history),
      ...this.#ledger.findUndeleted(snapshot),
    ]
    this.#requireGuarded()
    if (problems.length > 0) throw new Error(`History is wrong:\n${problems.join('\n')}`)
    await this.#tearDown(snapshot.list(services))
    for (const observer of this.#observers) observer.close()
    this.#history.close()
  }

  /** Deletes everything; nothing may stay, and what was given can be given again. */
  async #tearDown(served: readonly Stored<Service>[]): Promise<void> {
    const { clock, transcript } = this.#cluster
    transcript.add('tearing down')
    const present = (await this.#do('Listing', this.#checker.list(namespaces))).items.filter(({ metadata }) =>
      (NAMESPACES as readonly string[]).includes(metadata.name),
    )
    for (const { metadata } of present) {
      await this.#do('Deleting', this.#checker.delete(namespaces, { name: metadata.name }))
    }
    const endMs = clock.monotonicMs() + REPAIR_MS_MAX
    for (;;) {
      await clock.run(REPAIR_CHECK_MS)
      const left = (await this.#do('Listing', takeSnapshot(this.#checker))).all.filter(({ type, object }) =>
        (NAMESPACES as readonly string[]).includes(
          (type.namespaced ? object.metadata.namespace : object.metadata.name) ?? '',
        ),
      )
      if (left.length === 0) break
      if (clock.monotonicMs() < endMs) continue
      throw new Error(
        `Left in deleted namespaces:\n${left.map(({ type, object }) => `${type.resource} ${object.metadata.name}`).join('\n')}`,
      )
    }
    for (const { metadata, spec } of served) {
      if (!(NAMESPACES as readonly string[]).includes(metadata.namespace ?? '')) continue
      const again = {
        metadata: { name: metadata.name, namespace: 'default' },
        spec: { type: spec?.type, clusterIP: spec?.clusterIP, ports: spec?.ports },
      }
      await this.#do(
        'Giving an address again',
        this.#checker.create(services, again as Service).catch((error: unknown) => {
          if ((error as { reason?: string }).reason !== 'AlreadyExists') throw error
        }),
      )
    }
  }
}
