import { isStatus, LOCAL_VOLUMES_ANNOTATION } from '@centaurus/api'
import { nodes, type Node, type NodeStatus } from '@centaurus/api/core/v1'
import type { Clock, Logger, Random, Timer } from '@centaurus/base'
import type { Client } from '@centaurus/client'

import type { NodeAgentConfig } from '../agent/config.ts'
import type { DeviceManager } from '../devices/device-manager.ts'
import type { HostFacts, HostPressure, NodeHost } from '../host/node-host.ts'
import { formatTime } from '../pod/container-status.ts'
import { observePressure, rememberPressure, type PressureMemory, type PressureType } from '../pod/pressure.ts'
import type { ContainerRuntime, RuntimeStatus, RuntimeVersion } from '../runtime/container-runtime.ts'
import { changedStatus, isSameNodeStatus, makeNode, nodeLabels, planNodeStatus } from './node-status.ts'

export interface NodeReporterOptions {
  readonly client: Client
  readonly runtime: ContainerRuntime
  readonly host: NodeHost
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly config: NodeAgentConfig
  /** Undefined: it has no devices. */
  readonly devices: DeviceManager | undefined
  /** Readiness changed, or the first report. */
  readonly onReady: (ready: boolean) => void
}

/** What was measured last. */
export interface NodeSnapshot {
  readonly facts: HostFacts
  readonly pressure: HostPressure
  readonly underPressure: ReadonlySet<PressureType>
  readonly version: RuntimeVersion
  readonly runtime: RuntimeStatus
  readonly status: NodeStatus
}

const NOT_REACHABLE: RuntimeStatus = {
  ready: false,
  networkReady: false,
  message: 'the container runtime does not answer',
  handlers: [],
}

/** Registers the node and keeps its status true: looked at every 10 s, written when it changed or every 5 min. */
export class NodeReporter {
  readonly #options: NodeReporterOptions
  #facts: HostFacts | undefined
  #snapshot: NodeSnapshot | undefined
  #node: Node | undefined
  #pressure: PressureMemory = new Map()
  #reportedAtMs = -Infinity
  #ready: boolean | undefined
  #timer: Timer | undefined
  #hurried = false
  #closed = false

  constructor(options: NodeReporterOptions) {
    this.#options = options
  }

  /** Undefined before {@link measure} resolved. */
  get snapshot(): NodeSnapshot | undefined {
    return this.#snapshot
  }

  get node(): Node | undefined {
    return this.#node
  }

  /** Takes what the API says of the node, for what others write there (labels, podCIDR, taints). */
  observe(node: Node): void {
    this.#node = node
  }

  /** Looks at the machine, without the API; rejects when the machine can't be read. */
  async measure(): Promise<void> {
    await this.#measure(undefined)
  }

  /** Registers; rejects when the API refuses. */
  async start(): Promise<void> {
    await this.#register()
    this.#schedule()
  }

  /** Something changed that should not wait for the next look. */
  reportSoon(): void {
    this.#hurried = true
    if (this.#closed || this.#timer === undefined) return // closed, not registered yet, or just reporting
    this.#timer.cancel()
    this.#timer = undefined
    this.#reportAndSchedule()
  }

  close(): void {
    this.#closed = true
    this.#timer?.cancel()
  }

  async #measure(previous: NodeStatus | undefined): Promise<NodeSnapshot> {
    const { runtime, host, config, clock, devices } = this.#options
    this.#facts ??= await host.facts()
    const [pressure, version, runtimeStatus, images] = await Promise.all([
      host.pressure(),
      runtime.version().catch(() => this.#snapshot?.version ?? { name: 'unknown', version: '' }),
      runtime.status().catch(() => NOT_REACHABLE),
      runtime.listImages().catch(() => []),
    ])
    const facts = this.#facts
    this.#pressure = rememberPressure(this.#pressure, observePressure(pressure, config), clock.monotonicMs())
    const underPressure = new Set(this.#pressure.keys())
    const input = {
      config,
      facts,
      underPressure,
      version,
      runtime: runtimeStatus,
      images,
      devices: devices?.count(),
      now: formatTime(clock.now()),
    }
    const status = JSON.parse(JSON.stringify(planNodeStatus(input, previous))) as NodeStatus
    const snapshot = { facts, pressure, underPressure, version, runtime: runtimeStatus, status }
    this.#snapshot = snapshot
    return snapshot
  }

  async #register(): Promise<void> {
    const { client, config, logger, host } = this.#options
    const folder = host.localVolumes?.dir
    const { facts, status } = await this.#measure(undefined)
    try {
      const node = makeNode(facts, config, status)
      const annotations = folder === undefined ? {} : { [LOCAL_VOLUMES_ANNOTATION]: folder }
      this.#node = await client.create(nodes, { ...node, metadata: { ...node.metadata, annotations } })
      logger.info('Registered Node', { node: config.nodeName })
    } catch (error) {
      if (!isStatus(error, 'AlreadyExists')) throw error
      const labels = nodeLabels(facts, config)
      const annotations = { [LOCAL_VOLUMES_ANNOTATION]: folder ?? null }
      this.#node = await client.patch(
        nodes,
        { name: config.nodeName },
        { type: 'merge', body: { metadata: { labels, annotations } } },
      )
      logger.info('Found Node registered', { node: config.nodeName })
    }
    await this.#report()
  }

  async #report(): Promise<void> {
    const { client, config, clock, onReady } = this.#options
    const previous = this.#node?.status
    const { status, runtime } = await this.#measure(previous)
    const ready = runtime.ready && runtime.networkReady
    const isDue = clock.monotonicMs() - this.#reportedAtMs >= config.nodeReportPeriodMs
    if (isDue || !isSameNodeStatus(previous, status)) {
      // Conditions merge by type and addresses are few: a small patch, whatever others keep in the status.
      const body = { status: changedStatus(previous, status) }
      this.#node = await client.patch(
        nodes,
        { name: config.nodeName },
        { type: 'strategic', body },
        { subresource: 'status' },
      )
      this.#reportedAtMs = clock.monotonicMs()
    }
    if (ready !== this.#ready) {
      this.#ready = ready
      onReady(ready)
    }
  }

  #schedule(): void {
    const { clock, config, random } = this.#options
    if (this.#closed) return
    if (this.#hurried) return this.#reportAndSchedule()
    const jitter = 1 + 0.04 * (random.next() - 0.5) // nodes that started together drift apart
    this.#timer = clock.setTimer(config.nodeStatusPeriodMs * jitter, () => {
      this.#timer = undefined
      this.#reportAndSchedule()
    })
  }

  #reportAndSchedule(): void {
    const { config, logger } = this.#options
    this.#hurried = false
    this.#report()
      .catch((error: unknown) => (isStatus(error, 'NotFound') ? this.#register() : Promise.reject(error as Error)))
      .catch((error: unknown) => logger.warn('Could not report Node', { node: config.nodeName, error }))
      .finally(() => this.#schedule())
  }
}
