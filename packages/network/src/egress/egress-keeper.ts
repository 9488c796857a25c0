import { networkInterfaces } from 'node:os'
import { isDeepStrictEqual } from 'node:util'
import type { Clock, Logger } from '@centaurus/base'
import type { ClusterView } from '../daemon/cluster-view.ts'
import type { Dataplane } from '../dataplane/dataplane.ts'
import { EgressApplier, type EgressApplierDeps } from './egress-applier.ts'
import { planEgress, type MissingAddress } from './plan-egress.ts'

/** Whom a host speaks to by these is another machine on each. Source: RFC 3927. */
const LINK_LOCAL = '169.254.0.0/16'
/** How often the host's addresses and the API's view are looked at. */
const LOOK_MS = 250

export interface EgressDeps {
  readonly view: ClusterView
  readonly dataplane: EgressApplierDeps['dataplane'] & Pick<Dataplane, 'setOwnBlocks'>
  /** Address of this node on the network between hosts. */
  readonly nodeIP: () => string
  /** Blocks of pods and Services. */
  readonly blocks: () => readonly string[]
  readonly clock: Clock
  readonly logger: Logger
}

export interface EgressKeeper {
  /** That this host is to have and has not, since the last look; undefined: no address names this host. */
  readonly missing: readonly MissingAddress[] | undefined
  close(): Promise<void>
}

/** Keeps how networks with addresses of their own reach the world, as the API and this host's devices say. Failures are logged and tried again. */
export function startEgress(deps: EgressDeps): EgressKeeper {
  const { view, dataplane, blocks, nodeIP, clock, logger } = deps
  const { nodeName } = view
  const stop = new AbortController()
  const applier = new EgressApplier({ dataplane, nodeName, logger })
  let ownBlocks = ''
  let missing: readonly MissingAddress[] | undefined
  let failure: string | undefined

  const look = async (): Promise<void> => {
    if (view.missing.length > 0) return
    const hostAddresses = listAddresses()
    const own = [LINK_LOCAL, ...blocks(), ...hostAddresses]
    if (own.join() !== ownBlocks) dataplane.setOwnBlocks(own)
    ownBlocks = own.join()
    const plan = planEgress({
      nodeName,
      nodeIP: nodeIP(),
      nodes: view.nodes,
      vpcs: view.vpcs,
      subnets: view.subnets,
      hostAddresses,
    })
    if (!isDeepStrictEqual(plan.missing, missing) && plan.missing.length > 0)
      logger.warn('This host does not have egress addresses that name it', { node: nodeName, missing: plan.missing })
    await applier.apply(plan)
    missing = plan.missing.length === 0 && plan.sources.size === 0 ? undefined : plan.missing
  }
  const run = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      try {
        await look()
        failure = undefined
      } catch (error) {
        const text = String(error)
        if (text !== failure) logger.error('Could not keep egress addresses', { node: nodeName, error })
        failure = text
      }
      await clock.sleep(LOOK_MS, { signal: stop.signal }).catch(() => {}) // it stops
    }
  }
  const running = run()
  return {
    get missing() {
      return missing
    },
    async close() {
      stop.abort(new Error('The network daemon stops'))
      await running
    },
  }
}

/** IPv4 addresses of devices that are up, also of the loopback. */
function listAddresses(): ReadonlySet<string> {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? [])
  return new Set(all.flatMap(({ family, address }) => (family === 'IPv4' ? [address] : [])))
}
