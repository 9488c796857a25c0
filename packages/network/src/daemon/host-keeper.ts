import { isDeepStrictEqual } from 'node:util'
import type { Clock, Logger } from '@centaurus/base'
import type { Dataplane } from '../dataplane/dataplane.ts'
import type { HostFacts } from '../dataplane/open-tables.ts'
import { ensureHostNetwork, type HostNetwork, type HostNetworkOptions } from '../host/host-network.ts'
import { findDevices } from '../host/uplink.ts'
import { hostFactsOf } from './host-dataplane.ts'

/** Addresses and sizes of a host's devices change seldom, and each look starts processes. */
const LOOK_MS = 5_000

type Routed = Pick<HostNetworkOptions, 'podNetworks' | 'serviceCIDRs'>

export interface HostKeeperDeps {
  /** What the host has been given. */
  readonly host: HostNetwork
  /** Blocks that it has routes to. */
  readonly routed: Routed
  readonly dataplane: Pick<Dataplane, 'setHost'>
  /** What it is to have now; ports stay as they are. */
  readonly wanted: () => Omit<HostNetworkOptions, 'hostPorts'>
  readonly clock: Clock
  readonly logger: Logger
}

export interface HostKeeper {
  /** As it is now. */
  readonly host: HostNetwork
  /** Looks now; one look at a time. Never rejects. */
  look(): Promise<void>
  close(): Promise<void>
}

/**
 * Follows what changes about a host while its pods run: the uplink, its address and MTU, other devices and addresses, and blocks of pods and Services. While the host has no uplink everything
 * stays as it is. Pods keep the MTU that they began with: programs tell them the size that fits.
 */
export function startHostKeeper(deps: HostKeeperDeps): HostKeeper {
  const { dataplane, wanted, clock, logger } = deps
  const stop = new AbortController()
  let { host } = deps
  let routed = routedOf(deps.routed)
  let facts: HostFacts = hostFactsOf(host)
  let failure: string | undefined
  let working: Promise<void> = Promise.resolve()

  const follow = async (): Promise<void> => {
    const options = wanted()
    const { uplink, entrances } = await findDevices(options)
    if (uplink === undefined) return
    const devices = { uplink, entrances }
    if (
      !isDeepStrictEqual(devices, { uplink: host.uplink, entrances: host.entrances }) ||
      !isDeepStrictEqual(routedOf(options), routed)
    ) {
      host = await ensureHostNetwork(options)
      routed = routedOf(options)
    }
    const now = hostFactsOf(host)
    if (isDeepStrictEqual(now, facts)) return
    dataplane.setHost(now)
    facts = now
    logger.info('The host has changed', { device: uplink.device, address: uplink.address, mtu: uplink.mtu })
  }
  const look = async (): Promise<void> => {
    if (stop.signal.aborted) return
    try {
      await follow()
      failure = undefined
    } catch (error) {
      if (String(error) !== failure) logger.error('Could not follow what changed about the host', { error })
      failure = String(error)
    }
  }
  const lookNext = (): Promise<void> => (working = working.then(look))
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      await clock.sleep(LOOK_MS, { signal: stop.signal }).catch(() => {}) // it stops
      await lookNext()
    }
  }
  const running = run()
  return {
    get host() {
      return host
    },
    look: lookNext,
    async close() {
      stop.abort(new Error('The network daemon stops'))
      await running
    },
  }
}

function routedOf({ podNetworks, serviceCIDRs }: Routed): Routed {
  return { podNetworks, serviceCIDRs }
}
