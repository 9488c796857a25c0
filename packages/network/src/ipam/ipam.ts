import type { Clock } from '@centaurus/base'
import { CniError } from '../cni/cni-error.ts'
import type { PodNetwork } from '../cni/pod-network-source.ts'
import { ADDRESS_REST_MS, AddressPool } from './address-pool.ts'
import type { AddressBlocks } from './address-blocks.ts'

/** Addresses by which a host knows pods whose own addresses may be somebody else's too. They never leave the host, so every host has them all. */
export const TRANSIT_CIDR = '100.64.0.0/16'
/** The host itself, as those pods see it: its other address may be a pod's own. */
export const TRANSIT_HOST = '100.64.0.1'
/** The pool of all networks that share the nodes' own blocks. */
const SHARED_DOMAIN = 0

/** What a pod has of addresses. */
export interface PodAddresses {
  readonly routeDomain: number
  readonly ip: string
  /** Equals `ip` in networks that share the nodes' blocks. */
  readonly hostIP: string
}

/**
 * The addresses of one host's pods. In memory: who calls keeps what was assigned before it is used, and says it again after a restart
 * ({@link Ipam.restore}). In networks that share the nodes' blocks an address is unique over all of them; elsewhere within its network.
 */
export class Ipam {
  readonly #blocks: AddressBlocks
  readonly #clock: Pick<Clock, 'monotonicMs'>
  readonly #pools = new Map<number, AddressPool>()
  readonly #transit: AddressPool

  constructor({ blocks, clock }: { readonly blocks: AddressBlocks; readonly clock: Pick<Clock, 'monotonicMs'> }) {
    this.#blocks = blocks
    this.#clock = clock
    this.#transit = new AddressPool({ blocks: [{ cidr: TRANSIT_CIDR, reserved: [TRANSIT_HOST] }], clock })
  }

  /** Rejects with a `CniError` when there is no address for a pod of the network. */
  async assign(network: PodNetwork, signal: AbortSignal): Promise<PodAddresses> {
    const { routeDomain } = network
    const ip = this.#take(network) ?? (await this.#takeAfterGrowth(network, signal))
    if (routeDomain === SHARED_DOMAIN) return { routeDomain, ip, hostIP: ip }
    const transit = this.#transit.take()
    if ('address' in transit) return { routeDomain, ip, hostIP: transit.address }
    this.#poolOf(routeDomain).release(ip, 0)
    throw new CniError('noAddress', `Cannot give an address: all addresses of ${TRANSIT_CIDR} on this host are in use`)
  }

  /** Takes what a pod had before a restart. False when another pod has it. */
  restore({ routeDomain, ip, hostIP }: PodAddresses): boolean {
    const pool = this.#poolOf(routeDomain)
    if (!pool.claim(ip)) return false
    if (routeDomain === SHARED_DOMAIN || this.#transit.claim(hostIP)) return true
    pool.release(ip, 0)
    return false
  }

  /** Gives addresses back; nobody gets them for {@link ADDRESS_REST_MS}, or for `restMs`. */
  release({ routeDomain, ip, hostIP }: PodAddresses, restMs: number = ADDRESS_REST_MS): void {
    this.#poolOf(routeDomain).release(ip, restMs)
    if (routeDomain !== SHARED_DOMAIN) this.#transit.release(hostIP, restMs)
  }

  /** Addresses in use, in all networks. */
  get assignedCount(): number {
    return [...this.#pools.values()].reduce((sum, pool) => sum + pool.takenCount, 0)
  }

  #take(network: PodNetwork): string | undefined {
    const pool = this.#poolOf(network.routeDomain)
    pool.setBlocks(this.#blocks.blocksOf(network))
    const taken = pool.take()
    return 'address' in taken ? taken.address : undefined
  }

  async #takeAfterGrowth(network: PodNetwork, signal: AbortSignal): Promise<string> {
    await this.#blocks.grow(network, signal)
    const address = this.#take(network)
    if (address !== undefined) return address
    const blocks = this.#blocks.blocksOf(network).map(({ cidr }) => cidr)
    throw new CniError('noAddress', `Cannot give an address: those of ${blocks.join(', ')} are all in use, or rest`)
  }

  #poolOf(routeDomain: number): AddressPool {
    let pool = this.#pools.get(routeDomain)
    if (pool === undefined) this.#pools.set(routeDomain, (pool = new AddressPool({ blocks: [], clock: this.#clock })))
    return pool
  }
}
