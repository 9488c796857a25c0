import type { Clock, Logger, Timer } from '@centaurus/base'
import type { OpenHostPort } from '../host/nat-table.ts'
import type { PodHost } from '../host/pod-host.ts'
import type { AddressBlocks } from '../ipam/address-blocks.ts'
import { ADDRESS_REST_MS } from '../ipam/address-pool.ts'
import { Ipam } from '../ipam/ipam.ts'
import type { AttachmentStore, ReleasedAddresses } from './attachment-store.ts'
import { deviceNameOf, macOf, type Attachment, type HostPort } from './attachment.ts'
import { CniError } from './cni-error.ts'
import type { AttachmentKey, CniCall } from './cni-request.ts'
import type { DeletionSpool } from './deletion-spool.ts'
import { findDeviations } from './find-deviations.ts'
import { KeyedLocks } from './keyed-locks.ts'
import type { PodNetwork, PodNetworkSource } from './pod-network-source.ts'
import { planCollection, planRepair, type HostState } from './repair-plan.ts'

/** Pods whose end nobody told are looked for so often. */
const SWEEP_MS = 60_000

export interface PodAttachmentsDeps {
  readonly source: PodNetworkSource
  readonly blocks: AddressBlocks
  readonly store: Pick<AttachmentStore, 'load' | 'put' | 'remove'>
  /** What the plugin wrote down while nobody served. */
  readonly deletions: Pick<DeletionSpool, 'list' | 'remove'>
  readonly host: PodHost
  /** Largest packet of a pod that is attached now. */
  readonly podMtu: () => number
  /** Ids of the container runtime's sandboxes; undefined: it does not say. */
  readonly listSandboxes: () => Promise<ReadonlySet<string> | undefined>
  readonly clock: Clock
  readonly logger: Logger
}

type Call<C extends CniCall['command']> = Extract<CniCall, { command: C }>

/**
 * The pods of this host that are attached to the network. What is done for a pod is written down before it is done, so that whoever comes after a crash can take it
 * away; an ADD that fails takes it away itself. Calls for one container run one after the other.
 */
export class PodAttachments {
  readonly #deps: PodAttachmentsDeps
  readonly #ipam: Ipam
  readonly #locks = new KeyedLocks()
  readonly #attachments = new Map<string, Attachment>()
  readonly #resting = new Map<string, ReleasedAddresses>()
  #timer: Timer | undefined
  #sweeping: Promise<void> | undefined
  #isClosed = false

  constructor(deps: PodAttachmentsDeps) {
    this.#deps = deps
    this.#ipam = new Ipam({ blocks: deps.blocks, clock: deps.clock })
  }

  /** Reads what an earlier process has written, and takes away what is left of pods that are gone. Call it before anything else. */
  async start(): Promise<void> {
    const { store, source, logger, clock } = this.#deps
    const loaded = await store.load()
    for (const { file, problem } of loaded.damaged)
      logger.error('A pod’s network file is damaged; its addresses are read from the data plane instead', {
        file,
        problem,
      })
    const paths = loaded.records.flatMap((record) => (record.phase === 'released' ? [] : (record.netns ?? [])))
    const plan = planRepair(loaded, await this.#see(paths))
    for (const record of plan.resting) {
      const rest = Math.min(Math.max(record.releasedAtMs + ADDRESS_REST_MS - clock.now(), 0), ADDRESS_REST_MS)
      if (this.#ipam.restore(record)) this.#ipam.release(record, rest)
      this.#resting.set(record.device, record)
    }
    for (const attachment of [...plan.keep, ...plan.undo]) {
      this.#attachments.set(attachment.device, attachment)
      if (this.#ipam.restore(attachment)) continue
      logger.error('Two pods have the same address', {
        ip: attachment.ip,
        vni: attachment.vni,
        device: attachment.device,
      })
    }
    for (const attachment of plan.rebuilt) await store.put(attachment)
    await this.#undoAll(plan.undo).catch((error: unknown) => {
      logger.warn('Could not take away what is left of pods; will try again', { error })
    })
    for (const device of plan.deleteDevices) await this.#deps.host.deleteLink(device)
    for (const endpoint of plan.forget) await source.forget(endpoint)
    for (const device of plan.lost) await store.remove(device)
    await this.workOffDeletions()
    logger.info('Attached pods are known', { pods: plan.keep.length, removed: plan.undo.length })
    this.#scheduleSweep()
  }

  /** Of pods that are attached, and of those that are about to be. */
  list(): Attachment[] {
    return [...this.#attachments.values()]
  }

  /** Ports of the host that lead to pods. */
  listHostPorts(): OpenHostPort[] {
    return this.list().flatMap(openPortsOf)
  }

  /** Attaches a pod. When it rejects, nothing of it is left. An aborted signal means that nobody waits for the answer. */
  add(call: Call<'ADD'>, signal: AbortSignal): Promise<Attachment> {
    const device = deviceOf(call.key)
    return this.#locks.run(device, async () => {
      const left = this.#attachments.get(device)
      if (left !== undefined) await this.#undo(left) // the runtime says that there is none
      const { source, clock, deletions } = this.#deps
      await deletions.remove(call.key) // it was of the one before
      const startMs = clock.monotonicMs()
      const network = await source.preparePod({ ...call.pod, containerId: call.key.containerId }, signal)
      const attachment = await this.#begin(call, network, signal)
      try {
        return await this.#finish(attachment, signal, startMs)
      } catch (error) {
        await this.#undo(this.#attachments.get(device) ?? attachment).catch((cause: unknown) => {
          this.#deps.logger.warn('Could not take away what a failed pod network left; will try again', {
            device,
            error: cause,
          })
        })
        throw error
      }
    })
  }

  /** Detaches a pod. What is gone already, or was never there, is no error. */
  delete({ key }: Call<'DEL'>): Promise<void> {
    const device = deviceOf(key)
    return this.#locks.run(device, async () => {
      const attachment = this.#attachments.get(device)
      if (attachment !== undefined) await this.#undo(attachment)
      else await this.#deleteUnknown(device)
    })
  }

  /**
   * Detaches the pods whose end was written down. Call it again when the plugin can reach this process: until then it may write. What fails is logged and tried again with
   * each sweep; the addresses are nobody's until it succeeds.
   */
  async workOffDeletions(): Promise<void> {
    const { deletions, logger } = this.#deps
    try {
      for (const key of await deletions.list()) {
        const device = deviceOf(key)
        await this.#locks.run(device, async () => {
          const attachment = this.#attachments.get(device)
          if (attachment !== undefined) await this.#undo(attachment)
          await deletions.remove(key)
        })
      }
    } catch (error) {
      logger.warn('Could not detach pods that ended while the network daemon was away; will try again', { error })
    }
  }

  /** Rejects when the pod's network is not as it should be, with what is wrong. */
  check({ key, netns, config }: Call<'CHECK'>): Promise<void> {
    const device = deviceOf(key)
    return this.#locks.run(device, async () => {
      const attachment = this.#attachments.get(device)
      if (attachment?.phase !== 'ready')
        throw new CniError('unknownContainer', `Container "${key.containerId}" has no network here`)
      const wrong = findDeviations(attachment, await this.#deps.host.inspectLink({ ...attachment, netns }))
      const { source } = this.#deps
      if (!source.listEndpoints().some(({ vni, ip }) => vni === attachment.vni && ip === attachment.ip))
        wrong.push(`the data plane does not know ${attachment.ip}`)
      if (config.previousAddresses?.includes(`${attachment.ip}/32`) === false)
        wrong.push(`the runtime believes it to have ${config.previousAddresses.join(', ')}`)
      if (wrong.length > 0)
        throw new CniError(
          'notAsItShouldBe',
          `The network of container "${key.containerId}" is not right: ${wrong.join('; ')}`,
        )
    })
  }

  /** Detaches every pod that the runtime does not name. Tries all of them, and rejects with what failed. */
  async collect({ valid }: Call<'GC'>): Promise<void> {
    const idle = this.list().filter(({ device }) => !this.#locks.isHeld(device))
    await this.#undoAll(planCollection(idle, valid))
  }

  /** Takes away what is left of pods that are gone without a word, and files of addresses that have rested; after the sweep by time, if one is under way. */
  async sweep(): Promise<void> {
    const { store, clock, host } = this.#deps
    await this.#sweeping
    await this.workOffDeletions()
    for (const { device, releasedAtMs } of this.#resting.values()) {
      if (clock.now() - releasedAtMs < ADDRESS_REST_MS) continue
      await this.#locks.run(device, async () => {
        if (this.#resting.delete(device)) await store.remove(device)
      })
    }
    const idle = this.list().filter(({ device }) => !this.#locks.isHeld(device))
    const state = await this.#see(idle.flatMap(({ netns }) => netns ?? []))
    await this.#undoAll(planRepair({ records: idle, damaged: [] }, state).undo)
    for (const device of state.devices.keys()) {
      if (this.#attachments.has(device) || this.#locks.isHeld(device)) continue
      await this.#locks.run(device, async () => {
        if (!this.#attachments.has(device)) await host.deleteLink(device)
      })
    }
  }

  /** Stops looking for pods that are gone; resolves when the last look has ended. */
  async close(): Promise<void> {
    this.#isClosed = true
    this.#timer?.cancel()
    await this.#sweeping
  }

  /** Chooses addresses and writes down what is about to be. */
  async #begin(call: Call<'ADD'>, network: PodNetwork, signal: AbortSignal): Promise<Attachment> {
    const { clock, podMtu } = this.#deps
    const { hostPorts } = call.config
    const { vpc, vni, blockPrefix } = network
    const addresses = await this.#ipam.assign(network, signal)
    const taken = this.#whoHas(hostPorts)
    if (taken !== undefined) {
      this.#ipam.release(addresses, 0)
      throw taken
    }
    const attachment: Attachment = {
      phase: 'adding',
      ...call.pod,
      ...call.key,
      ...addresses,
      vpc,
      vni,
      blockPrefix,
      mac: macOf(addresses.ip),
      device: deviceOf(call.key),
      ifindex: 0,
      netns: call.netns,
      mtu: podMtu(),
      hostPorts,
      createdAtMs: clock.now(),
    }
    this.#attachments.set(attachment.device, attachment)
    return attachment
  }

  async #finish(begun: Attachment, signal: AbortSignal, startMs: number): Promise<Attachment> {
    const { source, store, host, clock, logger } = this.#deps
    const preparedMs = clock.monotonicMs()
    this.#resting.delete(begun.device)
    await store.put(begun)
    signal.throwIfAborted()
    const ifindex = await host.createLink({ ...begun, netns: begun.netns! })
    const linkedMs = clock.monotonicMs()
    const linked: Attachment = { ...begun, ifindex }
    signal.throwIfAborted()
    await host.openPorts(openPortsOf(linked))
    await source.activate(linked, signal)
    signal.throwIfAborted()
    const ready: Attachment = { ...linked, phase: 'ready' }
    await store.put(ready)
    this.#attachments.set(ready.device, ready)
    const endMs = clock.monotonicMs()
    logger.debug('Attached pod', {
      namespace: ready.namespace,
      name: ready.name,
      ip: ready.ip,
      preparedMs: preparedMs - startMs,
      linkedMs: linkedMs - preparedMs,
      activatedMs: endMs - linkedMs,
    })
    return ready
  }

  /** In an order in which no packet goes astray: first the data plane forgets the pod, last somebody else may have its address. */
  async #undo(attachment: Attachment): Promise<void> {
    const { source, store, host, clock } = this.#deps
    const { phase, device, vni, routeDomain, ip, hostIP } = attachment
    await source.forget({ vni, ip })
    await host.closePorts(openPortsOf(attachment))
    await host.deleteLink(device)
    const releasedAtMs = clock.now()
    const record: ReleasedAddresses = { phase: 'released', device, vni, routeDomain, ip, hostIP, releasedAtMs }
    const wasUsed = phase === 'ready'
    if (wasUsed) await this.#noteRelease(record)
    else await store.remove(device)
    this.#attachments.delete(device)
    if (wasUsed) this.#resting.set(device, record)
    this.#ipam.release(attachment, wasUsed ? ADDRESS_REST_MS : 0)
  }

  /** Without it, as on a full disk, the file says what it said: whoever starts next finds that the pod is gone, and lets its addresses rest from then on. */
  async #noteRelease(record: ReleasedAddresses): Promise<void> {
    const { store, logger } = this.#deps
    try {
      await store.put(record)
    } catch (error) {
      logger.warn('Could not write down that a pod is detached', { device: record.device, error })
    }
  }

  async #undoAll(attachments: readonly Attachment[]): Promise<void> {
    const errors: unknown[] = []
    for (const attachment of attachments) {
      const { device } = attachment
      await this.#locks
        .run(device, async () => {
          if (this.#attachments.get(device) === attachment) await this.#undo(attachment)
        })
        .catch((error: unknown) => errors.push(error))
    }
    if (errors.length > 0) throw new AggregateError(errors, `Cannot detach ${errors.length} pods that are gone`)
  }

  async #deleteUnknown(device: string): Promise<void> {
    const { source, host } = this.#deps
    const ifindex = (await host.listDevices()).get(device)
    if (ifindex === undefined) return
    const endpoint = source.listEndpoints().find((one) => one.ifindex === ifindex)
    if (endpoint !== undefined) await source.forget(endpoint)
    await host.deleteLink(device)
  }

  /** The error of a pod that wants ports which another one has; undefined: nobody has them. */
  #whoHas(ports: readonly HostPort[]): CniError | undefined {
    for (const port of ports) {
      const other = this.list().find(({ hostPorts }) => hostPorts.some((taken) => isSamePort(taken, port)))
      if (other === undefined) continue
      const at = `${port.protocol} ${port.hostIP ?? '*'}:${port.hostPort}`
      return new CniError('portTaken', `Host port ${at} leads to pod "${other.namespace}/${other.name}" already`)
    }
    return undefined
  }

  async #see(paths: readonly string[]): Promise<HostState> {
    const { host, source, listSandboxes, clock, logger } = this.#deps
    const sandboxes = await listSandboxes().catch((error: unknown) => {
      logger.warn('Could not ask the container runtime for its sandboxes', { error })
      return undefined
    })
    const present = await Promise.all(paths.map((path) => host.hasNamespace(path)))
    return {
      devices: await host.listDevices(),
      namespaces: new Set(paths.filter((_, index) => present[index])),
      sandboxes,
      endpoints: source.listEndpoints(),
      nowMs: clock.now(),
    }
  }

  #scheduleSweep(): void {
    if (this.#isClosed) return
    const { clock, logger } = this.#deps
    this.#timer = clock.setTimer(SWEEP_MS, () => {
      this.#sweeping = this.sweep()
        .catch((error: unknown) => logger.warn('Could not take away what is left of pods', { error }))
        .finally(() => this.#scheduleSweep())
    })
  }
}

function deviceOf({ containerId, ifname }: AttachmentKey): string {
  return deviceNameOf(containerId, ifname)
}

function openPortsOf({ hostPorts, hostIP }: Attachment): OpenHostPort[] {
  return hostPorts.map((port) => ({ ...port, target: hostIP }))
}

function isSamePort(a: HostPort, b: HostPort): boolean {
  return a.protocol === b.protocol && a.hostPort === b.hostPort && a.hostIP === b.hostIP
}
