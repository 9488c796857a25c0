import { join } from 'node:path'

import type { Container, ContainerStatus, Pod } from '@centaurus/api/core/v1'
import { podMentionsGpu } from '@centaurus/api/gpu'
import type { Clock, Logger } from '@centaurus/base'

import { allContainers } from '../pod/resources.ts'
import { allocatePod, deviceResourcesOf, type AllocateDeps } from './allocate-pod.ts'
import { AllocationLedger, listedId } from './allocation-ledger.ts'
import { formatCheckpoint } from './checkpoint.ts'
import { readCheckpoint, writeCheckpoint } from './checkpoint-file.ts'
import { combineResponses, NO_CONTAINER_DEVICES, type ContainerDevices } from './container-devices.ts'
import { DeviceInventory, type Device, type DeviceCapacity } from './device-inventory.ts'
import { DeviceMetrics } from './device-metrics.ts'
import { byId } from './pick-devices.ts'
import { PluginConnections } from './plugin-connections.ts'
import { servePodResources, POD_RESOURCES_SOCKET } from './pod-resources-server.ts'
import type { PluginDevice } from './protocol/messages.ts'
import { serveRegistration, type Registration } from './registration-server.ts'
import type { SocketServer } from './socket-server.ts'

/** In the node's state. Source: kubeletDeviceManagerCheckpoint, v1.37. */
const CHECKPOINT_FILE = 'kubelet_internal_checkpoint'
/** How long a new pod waits for a plugin that was here before the agent was started again. Upstream fails the pod at once. */
const RETURN_WAIT_MS = 10_000
const RETURN_POLL_MS = 100

export interface DeviceManagerOptions {
  readonly clock: Clock
  readonly logger: Logger
  /** Holds the checkpoint, `device-plugins/kubelet.sock` where plugins register, and `pod-resources/kubelet.sock`. */
  readonly dir: string
  /** Folders beside `dir` that have the same sockets, such as `/var/lib/kubelet`, where other people's plugins look. */
  readonly furtherDirs?: readonly string[] | undefined
}

/** What the manager asks and tells the agent. */
export interface DeviceHooks {
  /** Pods of this node. */
  pods(): readonly Pod[]
  /** Whether a pod's containers may still use its devices. */
  holdsDevices(podUid: string): boolean
  /** The node has more or fewer devices. */
  onCapacity(): void
  /** Devices of the pod are well, or not, since now. */
  onHealth(podUid: string): void
}

type ResourceHealth = NonNullable<ContainerStatus['allocatedResourcesStatus']>

/**
 * The kubelet's side of the device-plugin API v1beta1: plugins register, tell of devices, and are asked to prepare those that containers get. Who has what is on disk before a
 * container starts. Source: kubelet cm/devicemanager, v1.37.
 */
export class DeviceManager {
  readonly #options: DeviceManagerOptions
  readonly #inventory = new DeviceInventory()
  readonly #plugins: PluginConnections
  readonly #metrics = new DeviceMetrics()
  #ledger = new AllocationLedger()
  #hooks: DeviceHooks | undefined
  #servers: SocketServer[] = []
  /** What the checkpoint's file says. */
  #written: string | undefined
  /** The end of the allocation under way: one at a time, so that none counts on what another takes. */
  #allocating: Promise<unknown> = Promise.resolve()
  /** The end of the writing under way. */
  #writing: Promise<void> = Promise.resolve()

  constructor(options: DeviceManagerOptions) {
    this.#options = options
    this.#plugins = new PluginConnections({
      logger: options.logger,
      onConnected: (resource) => this.#inventory.connect(resource),
      onDevices: (resource, devices) => this.#report(resource, devices),
      onLost: (resource) => this.#tell(resource, this.#inventory.lose(resource, this.#nowMs)),
    })
  }

  get metrics(): DeviceMetrics {
    return this.#metrics
  }

  /** Remembers what pods have, then serves. A folder that can't be served is told of in the log. */
  async start(hooks: DeviceHooks): Promise<void> {
    const { dir, furtherDirs = [], logger } = this.#options
    this.#hooks = hooks
    const checkpoint = await readCheckpoint(this.#checkpointPath, logger)
    this.#ledger = new AllocationLedger(checkpoint?.allocations)
    for (const resource of checkpoint?.registered.keys() ?? []) this.#inventory.expect(resource, this.#nowMs)
    for (const { resource } of this.#ledger.all())
      if (!this.#inventory.has(resource)) this.#inventory.expect(resource, this.#nowMs)
    for (const folder of [dir, ...furtherDirs])
      await this.#serve(folder).catch((error: unknown) =>
        logger.error('Could not serve device plugins', { folder, error }),
      )
  }

  close(): void {
    for (const server of this.#servers) server.close()
    this.#plugins.close()
  }

  /** Whether devices of this resource are counted here. */
  manages(resource: string): boolean {
    return this.#inventory.has(resource)
  }

  count(): DeviceCapacity {
    return this.#inventory.count(this.#nowMs)
  }

  /** Gives a new pod its devices, durably. Returns why it can't have them. */
  async allocate(pod: Pod): Promise<string | undefined> {
    try {
      await this.#allocate(pod)
      return undefined
    } catch (error) {
      return error instanceof Error ? error.message : String(error)
    }
  }

  /** What a container needs for its devices, which the plugins have prepared for this start when it resolves. Rejects with what is missing. */
  async prepare(pod: Pod, container: Container): Promise<ContainerDevices> {
    const resources = deviceResourcesOf(pod, container, this.#inventory)
    if (resources.length === 0) return NO_CONTAINER_DEVICES
    const away = resources.find((resource) => this.#inventory.isExpected(resource))
    if (away !== undefined) throw new Error(`the device plugin of ${away} has not come back yet`)
    const podUid = pod.metadata.uid ?? ''
    const has = (resource: string): boolean =>
      this.#ledger.ofContainer(podUid, container.name).some((allocation) => allocation.resource === resource)
    if (!resources.every(has)) await this.#allocate(pod)
    const allocations = this.#ledger.ofContainer(podUid, container.name)
    for (const { resource, devices } of allocations)
      if (this.#plugins.isPreStartRequired(resource))
        await this.#clientOf(resource)
          .preStartContainer(devices.map(({ id }) => id))
          .catch((cause: unknown) => {
            throw new Error(`device plugin PreStartContainer rpc failed with err: ${(cause as Error).message}`, {
              cause,
            })
          })
    return combineResponses(allocations.map(({ response }) => response))
  }

  /** The pod's containers are over: others may have its devices. */
  async release(podUid: string): Promise<void> {
    if (this.#ledger.ofPod(podUid).length === 0) return
    this.#ledger.replacePod(podUid, [])
    await this.#tryToWrite() // an agent that reads the old file finds that nobody holds them
  }

  /** Health of a container's devices, for its status; source: KEP 4680. */
  healthOf(podUid: string, container: string): ResourceHealth {
    const health = (resource: string, id: string): string => {
      const device = this.#inventory.find(resource, listedId(resource, id))
      return device === undefined ? 'Unknown' : device.healthy ? 'Healthy' : 'Unhealthy'
    }
    return this.#ledger
      .ofContainer(podUid, container)
      .map(({ resource: name, devices }) => ({
        name,
        resources: devices
          .map(({ id }) => ({ resourceID: id, health: health(name, id) }))
          .toSorted((a, b) => byId(a.resourceID, b.resourceID)),
      }))
      .toSorted((a, b) => byId(a.name, b.name))
  }

  get #nowMs(): number {
    return this.#options.clock.monotonicMs()
  }

  get #checkpointPath(): string {
    return join(this.#options.dir, 'device-plugins', CHECKPOINT_FILE)
  }

  async #serve(folder: string): Promise<void> {
    const plugins = join(folder, 'device-plugins')
    this.#servers.push(await serveRegistration(plugins, (registration) => this.#register(registration)))
    const resources = join(folder, 'pod-resources', POD_RESOURCES_SOCKET)
    this.#servers.push(
      await servePodResources(resources, {
        pods: () => this.#hooks?.pods() ?? [],
        allocationsOf: (podUid, container) => this.#ledger.ofContainer(podUid, container),
        allocatable: () => this.#allocatable(),
        onRequest: (method, isGood) => this.#metrics.countPodResources(method, isGood),
      }),
    )
  }

  async #register(registration: Registration): Promise<void> {
    this.#metrics.countRegistration(registration.resource)
    await this.#plugins.open(registration)
  }

  #allocatable(): { readonly resource: string; readonly device: Device }[] {
    return [...this.#inventory.count(this.#nowMs).allocatable.keys()].flatMap((resource) =>
      [...this.#inventory.healthy(resource).values()].map((device) => ({ resource, device })),
    )
  }

  #report(resource: string, list: readonly PluginDevice[]): void {
    const devices = list.map(({ ID: id, health, topology }) => ({
      id,
      healthy: health === 'Healthy',
      numaNodes: topology?.nodes.map((node) => node.ID) ?? [],
    }))
    this.#tell(resource, this.#inventory.report(resource, devices))
    void this.#tryToWrite()
  }

  #tell(resource: string, changed: readonly string[]): void {
    if (changed.length === 0) return
    this.#hooks?.onCapacity()
    for (const uid of this.#ledger.holders(resource, changed)) this.#hooks?.onHealth(uid)
  }

  async #allocate(pod: Pod): Promise<void> {
    const containers = allContainers(pod)
    const resources = containers.flatMap((container) => deviceResourcesOf(pod, container, this.#inventory))
    if (resources.length === 0 && !podMentionsGpu(pod)) return
    await this.#untilPluginsReturn(resources)
    const turn = this.#allocating.then(() => this.#allocateNow(pod))
    this.#allocating = turn.catch(() => {})
    await turn
  }

  async #allocateNow(pod: Pod): Promise<void> {
    const podUid = pod.metadata.uid ?? ''
    this.#forgetEndedPods(podUid)
    const before = this.#ledger.ofPod(podUid)
    try {
      await allocatePod(pod, this.#allocateDeps())
      await this.#write()
    } catch (error) {
      this.#ledger.replacePod(podUid, before)
      throw error
    }
  }

  #allocateDeps(): AllocateDeps {
    return {
      inventory: this.#inventory,
      ledger: this.#ledger,
      prefer: async (resource, request) => {
        if (!this.#plugins.hasPreference(resource)) return undefined
        return this.#clientOf(resource)
          .preferredAllocation(request)
          .catch((cause: unknown) => {
            const why = (cause as Error).message
            throw new Error(`device plugin GetPreferredAllocation rpc failed with err: ${why}`, { cause })
          })
      },
      allocate: async (resource, ids, owner) => {
        const startMs = this.#nowMs
        const response = await this.#clientOf(resource)
          .allocate(ids, owner)
          .finally(() => this.#metrics.observeAllocation(resource, (this.#nowMs - startMs) / 1000))
        if (response === undefined) throw new Error(`no containers return in allocation response of ${resource}`)
        return response
      },
    }
  }

  /** Plugins register again within seconds of a restart of the agent; a pod that comes in between is not to fail for that. */
  async #untilPluginsReturn(resources: readonly string[]): Promise<void> {
    const endMs = this.#nowMs + RETURN_WAIT_MS
    while (resources.some((resource) => this.#inventory.isExpected(resource)) && this.#nowMs < endMs)
      await this.#options.clock.sleep(RETURN_POLL_MS)
  }

  /** Of pods that went while no agent looked nobody says that they end. */
  #forgetEndedPods(exceptUid: string): void {
    for (const uid of this.#ledger.podUids())
      if (uid !== exceptUid && this.#hooks?.holdsDevices(uid) === false) this.#ledger.replacePod(uid, [])
  }

  #clientOf(resource: string): NonNullable<ReturnType<PluginConnections['clientOf']>> {
    const client = this.#plugins.clientOf(resource)
    if (client === undefined) throw new Error(`the device plugin of ${resource} is away`)
    return client
  }

  /** The file says what is true now, or something newer, when it resolves. */
  #write(): Promise<void> {
    const turn = this.#writing.then(() => this.#writeNow())
    this.#writing = turn.catch(() => {})
    return turn
  }

  async #writeNow(): Promise<void> {
    const registered = this.#inventory.registered(this.#nowMs)
    const text = formatCheckpoint({ allocations: this.#ledger.all(), registered })
    if (text === this.#written) return
    await writeCheckpoint(this.#checkpointPath, text)
    this.#written = text
  }

  async #tryToWrite(): Promise<void> {
    await this.#write().catch((error: unknown) =>
      this.#options.logger.warn('Could not write checkpoint of devices', { error }),
    )
  }
}
