import assert from 'node:assert/strict'
import { createManualClock, silentLogger, type ManualClock } from '@centaurus/base'
import type { OpenHostPort } from '../../host/nat-table.ts'
import type { PodHost } from '../../host/pod-host.ts'
import { createNodeBlocks } from '../../ipam/address-blocks.ts'
import { AttachmentStore } from '../attachment-store.ts'
import { GATEWAY_MAC } from '../../layouts/layouts.ts'
import { GATEWAY_ADDRESS } from '../attachment.ts'
import { CniError } from '../cni-error.ts'
import { deletionsDir, DeletionSpool } from '../deletion-spool.ts'
import { PodAttachments } from '../pod-attachments.ts'
import type { KnownEndpoint, PodNetworkSource } from '../pod-network-source.ts'

/** What a killed process leaves: everything that it had done. */
class Killed extends Error {}

type Moment = 'before' | 'after'

/**
 * A host whose kernel, data plane and disk outlive the processes that change them. A process can be killed before or after any of its steps; nothing that it does
 * later has an effect.
 */
export class Machine {
  readonly clock: ManualClock = createManualClock()
  /** Veths by name, and the network namespace of their other end. */
  readonly links = new Map<string, { ifindex: number; netns: string; ip: string; mac: string; mtu: number }>()
  readonly namespaces = new Set<string>()
  readonly ports = new Map<string, string>()
  readonly endpoints = new Map<string, KnownEndpoint>()
  readonly sandboxes = new Set<string>()
  /** What an activation waits for. */
  beforeActivation: () => Promise<void> = () => Promise.resolve()
  /** Resolves when an ADD that is being activated is aborted. */
  readonly aborted: Promise<void>
  readonly #dir: string
  readonly #markAborted: () => void
  #nextIfindex = 10
  #running: PodAttachments | undefined

  constructor(dir: string) {
    this.#dir = dir
    const { promise, resolve } = Promise.withResolvers<void>()
    this.aborted = promise
    this.#markAborted = resolve
  }

  /** A daemon that dies at its step `killAt`. */
  async boot({ killAt = Infinity, moment = 'before' as Moment, podCIDR = '10.244.3.0/24' } = {}) {
    await this.#running?.close() // one daemon at a time
    let steps = 0
    let isDead = false
    const step = async <T>(effect: () => T | Promise<T>): Promise<T> => {
      if (isDead) throw new Killed()
      const isLast = steps++ === killAt
      if (isLast) isDead = true
      if (isLast && moment === 'before') throw new Killed()
      const result = await effect()
      if (isLast) throw new Killed()
      return result
    }
    const disk = new AttachmentStore(this.#dir)
    const spool = new DeletionSpool(deletionsDir(this.#dir))
    const attachments = new PodAttachments({
      source: this.#source(step),
      host: this.#host(step),
      store: {
        load: () => step(() => disk.load()),
        put: (record) => step(() => disk.put(record)),
        remove: (device) => step(() => disk.remove(device)),
      },
      deletions: {
        list: () => step(() => spool.list()),
        remove: (key) => step(() => spool.remove(key)),
      },
      blocks: createNodeBlocks(() => podCIDR),
      podMtu: () => 1442,
      listSandboxes: async () => this.sandboxes,
      clock: this.clock,
      logger: silentLogger,
    })
    this.#running = attachments
    const error: unknown = await attachments.start().then(
      () => undefined,
      (reason: unknown) => reason,
    )
    if (error !== undefined && !isDead) throw error
    return { attachments, steps: () => steps, isDead: () => isDead }
  }

  /** As the runtime does before ADD. */
  makeNamespace(containerId: string): string {
    const netns = `/run/netns/${containerId}`
    this.namespaces.add(netns)
    return netns
  }

  /** The kernel removes a veth with either end. */
  removeNamespace(containerId: string): void {
    this.namespaces.delete(`/run/netns/${containerId}`)
    for (const [device, { netns }] of this.links) if (netns === `/run/netns/${containerId}`) this.links.delete(device)
  }

  get state() {
    return {
      links: [...this.links.keys()].toSorted(),
      endpoints: [...this.endpoints.keys()].toSorted(),
      ports: [...this.ports.keys()].toSorted(),
    }
  }

  #host(step: <T>(effect: () => T | Promise<T>) => Promise<T>): PodHost {
    const keyOf = ({ protocol, hostPort }: OpenHostPort): string => `${protocol} ${hostPort}`
    return {
      createLink: ({ device, netns, ip, mac, mtu }) =>
        step(() => {
          assert.ok(this.namespaces.has(netns), `${netns} is gone`)
          assert.ok(!this.links.has(device), `${device} is there already`)
          this.links.set(device, { ifindex: ++this.#nextIfindex, netns, ip, mac, mtu })
          return this.#nextIfindex
        }),
      deleteLink: (device) => step(() => void this.links.delete(device)),
      inspectLink: ({ device }) =>
        step(() => {
          const link = this.links.get(device)
          const set = link === undefined ? undefined : { gateway: GATEWAY_ADDRESS, mac: GATEWAY_MAC }
          return {
            hostMtu: link?.mtu,
            mtu: link?.mtu,
            mac: link?.mac,
            isUp: link !== undefined,
            addresses: link === undefined ? [] : [`${link.ip}/32`],
            defaultGateway: set?.gateway,
            gatewayMac: set?.mac,
          }
        }),
      listDevices: () => step(() => new Map([...this.links].map(([device, { ifindex }]) => [device, ifindex]))),
      hasNamespace: async (path) => this.namespaces.has(path),
      openPorts: (ports) =>
        step(() => {
          for (const port of ports) assert.ok((this.ports.get(keyOf(port)) ?? port.target) === port.target)
          for (const port of ports) this.ports.set(keyOf(port), port.target)
        }),
      closePorts: (ports) =>
        step(() => {
          for (const port of ports) this.ports.delete(keyOf(port))
        }),
    }
  }

  #source(step: <T>(effect: () => T | Promise<T>) => Promise<T>): PodNetworkSource {
    return {
      async preparePod({ name }) {
        if (name === 'unknown') throw new CniError('tryAgainLater', 'Pod "unknown" is not known yet')
        return { vpc: 'default', vni: 7, routeDomain: 0, blockPrefix: 24, identity: 300 }
      },
      activate: ({ vni, ip, hostIP, mac, ifindex, routeDomain, blockPrefix, device }, signal) =>
        step(async () => {
          signal.addEventListener('abort', this.#markAborted)
          await this.beforeActivation()
          assert.equal(this.links.get(device)?.ifindex, ifindex)
          this.endpoints.set(`${vni} ${ip}`, { vni, ip, hostIP, mac, ifindex, routeDomain, blockPrefix })
        }),
      forget: ({ vni, ip }) => step(() => void this.endpoints.delete(`${vni} ${ip}`)),
      listEndpoints: () => [...this.endpoints.values()],
      whyNotReady: () => undefined,
    }
  }
}
