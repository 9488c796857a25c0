import type { Pod } from '@centaurus/api/core/v1'
import type { Clock, Random, Timer } from '@centaurus/base'
import {
  ANNOTATION_ROLE,
  LABEL_POD_UID,
  RuntimeError,
  type ContainerConfig,
  type ContainerDetail,
  type ContainerRuntime,
  type ContainerStats,
  type RuntimeImage,
  type SandboxConfig,
  type SandboxDetail,
} from '@centaurus/node'

import { createAddressPool, type AddressPool } from './address-pool.ts'
import { simulateStream } from './simulated-streams.ts'
import { simulateUsage } from './simulated-usage.ts'
import { readSteering, type Steering } from './steering.ts'

const GRPC_NOT_FOUND = 5
const IMAGE_BYTES = 10_000_000
/** A task without orders ends after this. */
const TASK_RUN_MS = 1_000
/** Exit code of a process that SIGTERM ended, as a shell reports it. */
const EXIT_TERMINATED = 143

export interface SimulatedRuntimeOptions {
  readonly clock: Clock
  readonly random: Random
  /** Addresses of pods. Default 10.88.0.0/16. */
  readonly podCIDR?: string | undefined
  /** The node's pods, whose requests say what containers use. Default: none is known. */
  readonly pods?: (() => readonly Pod[]) | undefined
}

/** A runtime that runs nothing, and what a simulated host asks of it. */
export interface SimulatedRuntime extends ContainerRuntime {
  /** Whether something at that address answers yet; undefined: nobody has it. */
  isReady(ip: string): boolean | undefined
}

interface Sandbox {
  detail: SandboxDetail
  readonly steering: Steering
}

interface Container {
  detail: ContainerDetail
  readonly config: ContainerConfig
  timer: Timer | undefined
}

/**
 * Containers that exist as records only: they start at once, run as long as the pod's annotations say (see `readSteering`), and stop at once.
 * No process, no file, no port; one small object each, and a timer only for those that come to an end by themselves.
 */
export function createSimulatedRuntime(options: SimulatedRuntimeOptions): SimulatedRuntime {
  return new Runtime(options)
}

class Runtime implements SimulatedRuntime {
  readonly #clock: Clock
  readonly #random: Random
  readonly #addresses: AddressPool
  readonly #pods: () => readonly Pod[]
  readonly #sandboxes = new Map<string, Sandbox>()
  readonly #containers = new Map<string, Container>()
  readonly #images = new Set<string>()
  readonly #listeners = new Set<(podUid: string) => void>()

  constructor({ clock, random, podCIDR = '10.88.0.0/16', pods = () => [] }: SimulatedRuntimeOptions) {
    this.#clock = clock
    this.#random = random
    this.#addresses = createAddressPool(podCIDR)
    this.#pods = pods
  }

  version = () => Promise.resolve({ name: 'simulated', version: '1' })

  status = () => Promise.resolve({ ready: true, networkReady: true, message: '', handlers: [] })

  listSandboxes: ContainerRuntime['listSandboxes'] = async (filter) =>
    [...this.#sandboxes.values()]
      .map(({ detail }) => detail)
      .filter(({ podUid }) => filter?.podUid === undefined || podUid === filter.podUid)

  listContainers: ContainerRuntime['listContainers'] = async (filter) =>
    [...this.#containers.values()]
      .map(({ detail }) => detail)
      .filter(({ podUid }) => filter?.podUid === undefined || podUid === filter.podUid)

  sandboxStatus: ContainerRuntime['sandboxStatus'] = async (id) => this.#sandboxes.get(id)?.detail

  containerStatus: ContainerRuntime['containerStatus'] = async (id) => this.#containers.get(id)?.detail

  async runSandbox(config: SandboxConfig): Promise<string> {
    const { name, namespace, uid, attempt } = config.metadata
    const id = this.#makeId()
    const hostNetwork = config.linux.securityContext.namespaceOptions.network === 'NODE'
    const detail: SandboxDetail = {
      id,
      podUid: uid,
      podName: name,
      podNamespace: namespace,
      attempt,
      ready: true,
      createdAtMs: this.#clock.now(),
      labels: config.labels,
      annotations: config.annotations,
      ips: hostNetwork ? [] : [this.#addresses.take()],
    }
    this.#sandboxes.set(id, { detail, steering: readSteering(config.annotations) })
    this.#tell(uid)
    return id
  }

  async stopSandbox(id: string): Promise<void> {
    const sandbox = this.#sandboxes.get(id)
    if (sandbox === undefined || !sandbox.detail.ready) return
    for (const container of this.#containers.values())
      if (container.detail.sandboxId === id) this.#finish(container, EXIT_TERMINATED)
    for (const ip of sandbox.detail.ips) this.#addresses.release(ip)
    sandbox.detail = { ...sandbox.detail, ready: false }
    this.#tell(sandbox.detail.podUid)
  }

  async removeSandbox(id: string): Promise<void> {
    await this.stopSandbox(id)
    for (const [containerId, { detail }] of this.#containers)
      if (detail.sandboxId === id) this.#containers.delete(containerId)
    this.#sandboxes.delete(id)
  }

  async createContainer(sandboxId: string, config: ContainerConfig): Promise<string> {
    const id = this.#makeId()
    const detail: ContainerDetail = {
      id,
      sandboxId,
      podUid: config.labels[LABEL_POD_UID] ?? '',
      name: config.metadata.name,
      attempt: config.metadata.attempt,
      phase: 'created',
      createdAtMs: this.#clock.now(),
      labels: config.labels,
      annotations: config.annotations,
      startedAtMs: 0,
      finishedAtMs: 0,
      exitCode: 0,
      reason: '',
      message: '',
      image: config.image.userSpecifiedImage,
      imageId: config.image.image,
      logPath: '',
    }
    this.#containers.set(id, { detail, config, timer: undefined })
    return id
  }

  async startContainer(id: string): Promise<void> {
    const container = this.#find(id)
    container.detail = { ...container.detail, phase: 'running', startedAtMs: this.#clock.now() }
    const end = this.#planEnd(container)
    if (end !== undefined)
      container.timer = this.#clock.setTimer(end.afterMs, () => this.#finish(container, end.exitCode))
    this.#tell(container.detail.podUid)
  }

  async stopContainer(id: string): Promise<void> {
    const container = this.#containers.get(id)
    if (container !== undefined) this.#finish(container, EXIT_TERMINATED)
  }

  async removeContainer(id: string): Promise<void> {
    await this.stopContainer(id)
    const container = this.#containers.get(id)
    this.#containers.delete(id)
    if (container !== undefined) this.#tell(container.detail.podUid)
  }

  updateContainerResources = () => Promise.resolve()

  reopenContainerLog = () => Promise.resolve()

  /** Probes by command succeed once the container is ready; every other command too, with a word about where it ran. */
  async execSync(id: string, command: readonly string[]) {
    const container = this.#find(id)
    const ready = this.#isContainerReady(container)
    return {
      exitCode: ready ? 0 : 1,
      stdout: Buffer.from(`simulated: ${command.join(' ')}\n`),
      stderr: Buffer.alloc(0),
    }
  }

  openStream: ContainerRuntime['openStream'] = async (request) => {
    if (request.kind === 'portForward') {
      const name = this.#sandboxes.get(request.sandboxId)?.detail.podName ?? ''
      return simulateStream(request, { name, environment: new Map(), log: '', ended: new Promise(() => {}) })
    }
    const container = this.#find(request.containerId)
    const sandbox = this.#sandboxes.get(container.detail.sandboxId)
    const environment = new Map(container.config.envs.map(({ key, value }) => [key, value]))
    const log = noticeOf(container.detail)
    const ended = this.#whenEnded(container)
    return simulateStream(request, { name: sandbox?.detail.podName ?? '', environment, log, ended })
  }

  listContainerStats = async (): Promise<ContainerStats[]> => {
    const nowMs = this.#clock.now()
    const specs = new Map(this.#pods().map(({ metadata, spec }) => [metadata.uid, spec]))
    return [...this.#containers.values()]
      .filter(({ detail }) => detail.phase === 'running')
      .map(({ detail }) => {
        const { containers = [], initContainers = [] } = specs.get(detail.podUid) ?? {}
        const { cpuNanoCores, memoryBytes } = simulateUsage(
          [...containers, ...initContainers].find(({ name }) => name === detail.name),
        )
        return {
          containerId: detail.id,
          podUid: detail.podUid,
          name: detail.name,
          timestampMs: nowMs,
          cpuUsageCoreNanos: Math.round((cpuNanoCores * (nowMs - detail.startedAtMs)) / 1_000),
          cpuUsageNanoCores: cpuNanoCores,
          memoryWorkingSetBytes: memoryBytes,
          memoryUsageBytes: memoryBytes,
          memoryRssBytes: memoryBytes,
          writableLayerBytes: 0,
        }
      })
  }

  listImages = async (): Promise<RuntimeImage[]> => [...this.#images].map(toImage)

  imageStatus: ContainerRuntime['imageStatus'] = async (image) => (this.#images.has(image) ? toImage(image) : undefined)

  async pullImage(image: string): Promise<string> {
    this.#images.add(image)
    return image
  }

  async removeImage(image: string): Promise<void> {
    this.#images.delete(image)
  }

  imageFsInfo = () => Promise.resolve({ mountpoint: '/', usedBytes: this.#images.size * IMAGE_BYTES })

  subscribe(onChange: (podUid: string) => void): () => void {
    this.#listeners.add(onChange)
    return () => this.#listeners.delete(onChange)
  }

  async readLog(id: string): Promise<string> {
    const { detail } = this.#find(id)
    const time = new Date(detail.startedAtMs).toISOString().replace('Z', '000000Z')
    return `${time} stdout F ${noticeOf(detail)}`
  }

  isReady(ip: string): boolean | undefined {
    const sandbox = [...this.#sandboxes.values()].find(({ detail }) => detail.ready && detail.ips.includes(ip))
    if (sandbox === undefined) return undefined
    const running = [...this.#containers.values()].filter(
      ({ detail }) => detail.sandboxId === sandbox.detail.id && detail.phase === 'running',
    )
    return running.length > 0 && running.every((container) => this.#isContainerReady(container))
  }

  async close(): Promise<void> {
    for (const { timer } of this.#containers.values()) timer?.cancel()
    this.#listeners.clear()
  }

  #whenEnded(container: Container): Promise<number> {
    return new Promise((resolve) => {
      const look = (): void => {
        if (container.detail.phase === 'running' && this.#containers.has(container.detail.id)) return
        this.#listeners.delete(look)
        resolve(container.detail.exitCode)
      }
      this.#listeners.add(look)
      look()
    })
  }

  #isContainerReady({ detail }: Container): boolean {
    const afterMs = this.#sandboxes.get(detail.sandboxId)?.steering.readyAfterMs ?? 0
    return detail.phase === 'running' && this.#clock.now() >= detail.startedAtMs + afterMs
  }

  #planEnd({ config, detail }: Container): { afterMs: number; exitCode: number } | undefined {
    const { runMs, exitCode } = this.#sandboxes.get(detail.sandboxId)?.steering ?? {}
    switch (config.annotations[ANNOTATION_ROLE]) {
      case 'init':
        return { afterMs: 0, exitCode: 0 }
      case 'sidecar':
        return undefined
      case 'task':
        return { afterMs: runMs ?? TASK_RUN_MS, exitCode: exitCode ?? 0 }
      default:
        return runMs === undefined && exitCode === undefined
          ? undefined
          : { afterMs: runMs ?? 0, exitCode: exitCode ?? 0 }
    }
  }

  #finish(container: Container, exitCode: number): void {
    container.timer?.cancel()
    if (container.detail.phase !== 'running') return
    const reason = exitCode === 0 ? 'Completed' : 'Error'
    container.detail = { ...container.detail, phase: 'exited', finishedAtMs: this.#clock.now(), exitCode, reason }
    this.#tell(container.detail.podUid)
  }

  #find(id: string): Container {
    const container = this.#containers.get(id)
    if (container === undefined)
      throw new RuntimeError(`rpc error: code = NotFound desc = container "${id}" not found`, GRPC_NOT_FOUND)
    return container
  }

  #tell(podUid: string): void {
    for (const listener of this.#listeners) listener(podUid)
  }

  /** 64 hexadecimal digits, as a real runtime's. */
  #makeId(): string {
    let id = ''
    while (id.length < 64)
      id += this.#random
        .integer(2 ** 32)
        .toString(16)
        .padStart(8, '0')
    return id
  }
}

function noticeOf({ name, image }: ContainerDetail): string {
  return `This container is simulated: no process runs, and nothing was logged (container ${name}, image ${image})\n`
}

function toImage(image: string): RuntimeImage {
  return {
    id: image,
    repoTags: [image],
    repoDigests: [],
    sizeBytes: IMAGE_BYTES,
    uid: undefined,
    username: '',
    pinned: false,
  }
}
