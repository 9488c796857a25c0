import { nodes, pods, services, type Pod, type Service } from '@centaurus/api/core/v1'
import type { Clock, Logger, Random } from '@centaurus/base'
import {
  createEventRecorder,
  createInformerFactory,
  type Client,
  type EventInit,
  type EventRecorder,
  type Informer,
  type InformerFactory,
} from '@centaurus/client'

import type { DeviceManager } from '../devices/device-manager.ts'
import type { HostUsage, NodeHost } from '../host/node-host.ts'
import { createSystemHost } from '../host/system-host.ts'
import { startNodeLease } from '../node/node-lease.ts'
import { NodeReporter } from '../node/node-reporter.ts'
import { admitPod } from '../pod/admit-pod.ts'
import { isMirrorPod, isStaticPod } from '../pod/static-pod.ts'
import { measure } from '../pod/resources.ts'
import type { ContainerRuntime } from '../runtime/container-runtime.ts'
import { claimNamesOf } from '../volumes/pod-volumes.ts'
import { createTokenCache } from '../volumes/token-cache.ts'
import { startChores } from './chores.ts'
import { completeConfig, type NodeAgentConfig, type NodeAgentOptions } from './config.ts'
import { createImagePuller } from './images.ts'
import { relievePressure } from './eviction.ts'
import { keepHouse } from './housekeeping.ts'
import { collectImages } from './image-gc.ts'
import { startLocalVolumeReclaimer } from './local-volume-reclaimer.ts'
import { createObjectCache } from './object-cache.ts'
import { createObjectWatches, type ObjectWatches } from './object-watches.ts'
import type { NodeRoom, NodeState, PodDeps } from './pod-context.ts'
import { PodWorker } from './pod-worker.ts'
import { ManifestFolder } from './manifest-folder.ts'
import { StaticPods } from './static-pods.ts'
import { RuntimeCache } from './runtime-cache.ts'
import { createStatusWriter, type StatusWriter } from './status-writer.ts'

/** How long closing waits for the steps of pods that are under way. */
const CLOSE_GRACE_MS = 2_000

export interface NodeAgentDeps {
  readonly client: Client
  readonly runtime: ContainerRuntime
  readonly clock: Clock
  readonly random: Random
  readonly logger: Logger
  readonly config: NodeAgentOptions
  /** Shared by agents of one process, so that hundreds of nodes list services once; default: the agent's own. */
  readonly informers?: InformerFactory | undefined
  /** Default: this machine, below `config.rootDir`. */
  readonly host?: NodeHost | undefined
  /** Of devices for pods; the agent starts and closes it. Default: there are none. */
  readonly devices?: DeviceManager | undefined
}

export interface NodeAgent {
  /** Registers the node, adopts what runs, then works until closed. Rejects when the runtime or the API says no. */
  start(): Promise<void>
  /** Ends work. Containers keep running, for the next agent to adopt. */
  close(): Promise<void>
  /** Pods of this node as the agent knows them, with their newest statuses. */
  pods(): readonly Pod[]
  /** Undefined when the pod is not here. */
  findPod(namespace: string, name: string): Pod | undefined
  /** What the machine uses; undefined before {@link start} and where there is no machine. */
  usage(): Promise<HostUsage | undefined>
  readonly runtime: ContainerRuntime
  readonly cache: RuntimeCache
  readonly config: NodeAgentConfig
  readonly devices: DeviceManager | undefined
}

/** The agent of one node: makes the containers that the API's pods ask for, and tells how they are. */
export function createNodeAgent(deps: NodeAgentDeps): NodeAgent {
  return new Agent(deps)
}

class Agent implements NodeAgent {
  readonly config: NodeAgentConfig
  readonly runtime: ContainerRuntime
  readonly cache: RuntimeCache
  readonly devices: DeviceManager | undefined
  readonly #deps: NodeAgentDeps
  readonly #workers = new Map<string, PodWorker>()
  readonly #informers: InformerFactory
  readonly #recorder: EventRecorder
  readonly #status: StatusWriter
  readonly #static: StaticPods
  readonly #closers: (() => void | Promise<void>)[] = []
  #reporter: NodeReporter | undefined
  #podDeps: PodDeps | undefined
  #podInformer: Informer<Pod> | undefined
  /** Whether all pods of the node are known. */
  #synced = false
  #closed = false

  constructor(deps: NodeAgentDeps) {
    const { client, clock, random, logger } = deps
    this.#deps = deps
    this.runtime = deps.runtime
    this.devices = deps.devices
    this.config = completeConfig(deps.config)
    this.#informers = deps.informers ?? createInformerFactory(client, { clock, random, logger })
    this.#recorder = createEventRecorder({
      client,
      component: 'kubelet',
      host: this.config.nodeName,
      clock,
      random,
      logger,
    })
    this.#static = new StaticPods({
      client,
      clock,
      logger,
      node: () => this.#reporter?.node,
      run: (pod) => this.#podChanged(pod),
      end: (uid) => this.#workers.get(uid)?.remove(),
      onMirror: (uid) => this.#status.retry(uid),
    })
    const targetOf = (pod: Pod): Pod | undefined => (isStaticPod(pod) ? this.#static.mirrorOf(pod) : pod)
    this.#status = createStatusWriter({ client, clock, logger, targetOf })
    this.cache = new RuntimeCache({
      ...this.config,
      runtime: this.runtime,
      clock,
      logger,
      onChange: (uid) => this.#runtimeChanged(uid),
    })
  }

  pods(): readonly Pod[] {
    return [...this.#workers.values()].map(({ pod, uid }) => {
      const status = this.#status.latest(uid)
      return status === undefined ? pod : { ...pod, status }
    })
  }

  async usage(): Promise<HostUsage | undefined> {
    return this.#podDeps?.host.usage?.()
  }

  findPod(namespace: string, name: string): Pod | undefined {
    return this.pods().find(({ metadata }) => metadata.namespace === namespace && metadata.name === name)
  }

  async start(): Promise<void> {
    const { client, clock, random, logger } = this.#deps
    const host = this.#deps.host ?? (await createSystemHost({ rootDir: this.config.rootDir }))
    await this.cache.start()
    await this.#startDevices()
    const onReady = (ready: boolean): void => this.#nodeEvent(ready ? 'NodeReady' : 'NodeNotReady', ready)
    const reporter = new NodeReporter({
      client,
      runtime: this.runtime,
      host,
      clock,
      random,
      logger,
      config: this.config,
      devices: this.devices,
      onReady,
    })
    this.#reporter = reporter
    await reporter.measure()
    this.#podDeps = this.#makePodDeps(host)
    await this.#startStaticPods()
    await reporter.start()
    const { nodeName, leaseDurationSeconds: durationSeconds } = this.config
    const lease = startNodeLease({
      client,
      clock,
      random,
      logger,
      nodeName,
      durationSeconds,
      nodeUid: () => reporter.node?.metadata.uid,
    })
    this.#closers.push(
      () => reporter.close(),
      () => lease.close(),
    )
    await this.#watch()
    this.#synced = true
    this.#reclaimVolumes(host)
    this.#static.apiIsKnown()
    if (!this.#closed) this.#startChores()
  }

  async close(): Promise<void> {
    this.#closed = true
    this.cache.close()
    this.devices?.close()
    for (const close of this.#closers) await close()
    await this.#closeWorkers()
    this.#status.close()
    await this.#recorder.close()
    if (this.#deps.informers === undefined) await this.#informers.close()
  }

  /** A container may take its whole grace period to stop: that goes on without us, and the next agent finds how it ended. */
  async #closeWorkers(): Promise<void> {
    const given = new AbortController()
    const closed = Promise.all([...this.#workers.values()].map((worker) => worker.close()))
    const enough = this.#deps.clock.sleep(CLOSE_GRACE_MS, { signal: given.signal }).catch(() => {})
    await Promise.race([closed, enough])
    given.abort()
  }

  async #watch(): Promise<void> {
    const informer = this.#informers.informer(pods, { fieldSelector: `spec.nodeName=${this.config.nodeName}` })
    const nodeInformer = this.#informers.informer(nodes, { fieldSelector: `metadata.name=${this.config.nodeName}` })
    this.#podInformer = informer
    await Promise.all([informer.whenSynced(), this.#services().whenSynced(), nodeInformer.whenSynced()])
    const observe = (node: Parameters<NodeReporter['observe']>[0]): void => this.#reporter?.observe(node)
    this.#closers.push(nodeInformer.addHandler({ onAdd: observe, onUpdate: observe }))
    this.#closers.push(
      informer.addHandler({
        onAdd: (pod) => this.#apiPodChanged(pod),
        onUpdate: (pod, old) => {
          // Deleted and made again while the watch was away: two pods of one name.
          if (old.metadata.uid !== pod.metadata.uid) this.#apiPodGone(old)
          this.#apiPodChanged(pod)
        },
        onDelete: (pod) => this.#apiPodGone(pod),
      }),
    )
  }

  async #startDevices(): Promise<void> {
    await this.devices?.start({
      pods: () => this.pods(),
      holdsDevices: (uid) => this.#holdsDevices(uid),
      onCapacity: () => this.#reporter?.reportSoon(),
      onHealth: (uid) => this.#workers.get(uid)?.poke(),
    })
  }

  /** Of a pod that nobody knows, containers may run all the same, until they are found to be orphans. */
  #holdsDevices(uid: string): boolean {
    const worker = this.#workers.get(uid)
    if (worker !== undefined) return !worker.over
    return !this.#synced || this.cache.get(uid).containers.some(({ phase }) => phase === 'running')
  }

  #reclaimVolumes({ localVolumes }: NodeHost): void {
    if (localVolumes === undefined) return
    const reclaimer = startLocalVolumeReclaimer({
      ...this.#deps,
      informers: this.#informers,
      sharesInformers: this.#deps.informers !== undefined,
      recorder: this.#recorder,
      nodeName: this.config.nodeName,
      volumes: localVolumes,
      isInUse: (namespace, claimName) => this.#mayUseClaim(namespace, claimName),
    })
    this.#closers.push(() => reclaimer.close())
  }

  /** Containers that no pod explains yet may use anything. */
  #mayUseClaim(namespace: string, claimName: string): boolean {
    const isUser = ({ pod }: PodWorker): boolean =>
      pod.metadata.namespace === namespace && claimNamesOf(pod).includes(claimName)
    return [...this.#workers.values()].some(isUser) || this.cache.podUids().some((uid) => !this.#isKnown(uid))
  }

  #services(): Informer<Service> {
    return this.#informers.informer(services)
  }

  /** Before the API is asked for anything: these pods need none. */
  async #startStaticPods(): Promise<void> {
    const { clock, logger } = this.#deps
    const { staticPodDir: dir, nodeName } = this.config
    this.#closers.push(() => this.#static.close())
    if (dir === '') return
    const folder = new ManifestFolder({ dir, nodeName, clock, logger, onPods: (list) => this.#static.setPods(list) })
    this.#closers.push(() => folder.close())
    await folder.start()
  }

  #apiPodChanged(pod: Pod): void {
    if (isMirrorPod(pod)) this.#static.observeMirror(pod)
    else this.#podChanged(pod)
  }

  #apiPodGone(pod: Pod): void {
    if (isMirrorPod(pod)) this.#static.mirrorGone(pod)
    else this.#podGone(pod)
  }

  #podChanged(pod: Pod): void {
    const uid = pod.metadata.uid ?? ''
    const worker = this.#workers.get(uid)
    if (worker !== undefined) return worker.update(pod)
    const fresh = new PodWorker(pod, this.#podDeps!)
    this.#workers.set(uid, fresh)
    fresh.poke()
  }

  #podGone(pod: Pod): void {
    const worker = this.#workers.get(pod.metadata.uid ?? '')
    worker?.update(pod)
    worker?.remove()
  }

  #runtimeChanged(uid: string): void {
    this.#workers.get(uid)?.poke()
  }

  #makePodDeps(host: NodeHost): PodDeps {
    const { client, clock, random, logger } = this.#deps
    const watches = this.#makeWatches()
    const objects = createObjectCache({ client, clock, ttlMs: this.config.objectTtlMs, watches })
    return {
      config: this.config,
      client,
      runtime: this.runtime,
      cache: this.cache,
      host,
      devices: this.devices,
      status: this.#status,
      objects,
      watches,
      images: createImagePuller({ runtime: this.runtime, clock, objects }),
      tokens: createTokenCache({ client, clock }),
      clock,
      random,
      logger,
      recordEvent: (pod, event) => this.#recorder.record({ apiVersion: 'v1', kind: 'Pod', ...pod }, event),
      services: () => this.#services().list(),
      admit: (pod) => this.#admit(pod),
      roomBeside: (pod) => this.#roomBeside(pod),
      node: () => this.#nodeState(),
      onRemoved: (uid) => {
        this.#workers.delete(uid)
        this.#static.ended(uid)
      },
    }
  }

  #makeWatches(): ObjectWatches | undefined {
    const { client, clock, random, logger } = this.#deps
    if (!this.config.watchObjects) return undefined
    const informers = createInformerFactory(client, { clock, random, logger })
    this.#closers.push(() => informers.close())
    return createObjectWatches({ informers, clock, onChange: (uid) => this.#workers.get(uid)?.sourcesChanged() })
  }

  #admit(pod: Pod): ReturnType<typeof admitPod> {
    return admitPod(pod, {
      node: this.#reporter?.node,
      pressure: this.#reporter?.snapshot?.underPressure ?? new Set(),
      isDevice: (resource) => this.devices?.manages(resource) === true,
      ...this.#roomBeside(pod),
    })
  }

  #roomBeside(pod: Pod): NodeRoom {
    const others = [...this.#workers.values()]
      .filter((worker) => worker.active && worker.uid !== pod.metadata.uid)
      .map((worker) => worker.pod)
    return { allocatable: this.#reporter?.snapshot?.status.allocatable ?? {}, others }
  }

  #nodeState(): NodeState {
    const snapshot = this.#reporter!.snapshot!
    const allocatable = Object.entries(snapshot.status.allocatable ?? {}).map(
      ([name, quantity]) => [name, measure(name, quantity)] as const,
    )
    return {
      runtimeName: snapshot.version.name,
      networkReady: snapshot.runtime.networkReady,
      networkMessage: snapshot.runtime.message,
      memoryCapacityBytes: snapshot.facts.memoryBytes,
      diskCapacityBytes: snapshot.facts.ephemeralStorageBytes,
      allocatable: new Map(allocatable),
    }
  }

  #nodeEvent(reason: string, isGood: boolean): void {
    const { nodeName } = this.config
    this.#recordNodeEvent({ type: 'Normal', reason, message: `Node ${nodeName} status is now: ${reason}` })
    if (!isGood) this.#deps.logger.warn('Node is not ready', { node: nodeName })
  }

  #recordNodeEvent(event: EventInit): void {
    const uid = this.#reporter?.node?.metadata.uid
    const metadata = { name: this.config.nodeName, ...(uid === undefined ? {} : { uid }) }
    this.#recorder.record({ apiVersion: 'v1', kind: 'Node', metadata }, event)
  }

  #startChores(): void {
    const deps = this.#podDeps!
    const reporter = this.#reporter!
    const workers = this.#workers
    const isKnown = (uid: string): boolean => this.#isKnown(uid)
    const recordNodeEvent = (reason: string, message: string): void =>
      this.#recordNodeEvent({ type: 'Warning', reason, message })
    const reclaimDisk = (): Promise<void> => collectImages({ deps, reporter })
    const { housekeepingPeriodMs, evictionPeriodMs } = this.config
    const tidy = () => keepHouse({ deps, workers, isKnown, reporter })
    const relieve = () => relievePressure({ deps, workers, reclaimDisk, recordNodeEvent })
    const chores = startChores(
      [
        { name: 'tidy up', periodMs: housekeepingPeriodMs, work: tidy },
        { name: 'relieve pressure', periodMs: evictionPeriodMs, work: relieve },
      ],
      deps,
    )
    this.#closers.unshift(() => chores.close())
  }

  #isKnown(uid: string): boolean {
    if (this.#workers.has(uid)) return true
    return this.#podInformer?.list().some(({ metadata }) => metadata.uid === uid) === true
  }
}
