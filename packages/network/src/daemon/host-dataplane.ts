import { networkInterfaces } from 'node:os'
import type { Logger } from '@centaurus/base'
import { createDataplane } from '../dataplane/create-dataplane.ts'
import type { AttachMode } from '../dataplane/attach-uplink.ts'
import type { HostFacts } from '../dataplane/open-tables.ts'
import type { Dataplane } from '../dataplane/dataplane.ts'
import type { HostNetwork } from '../host/host-network.ts'
import { buildPrograms } from '../kernel/build-programs.ts'

export interface OpenHostDataplaneOptions {
  /** Where programs and tables are pinned; becomes a bpf file system. */
  readonly bpffs: string
  /** Cache of compiled programs. */
  readonly objects: string
  readonly attach: AttachMode
  readonly logger: Logger
}

/** Compiles the programs if these sources never were, loads them, takes over what an earlier daemon left, and attaches. Throws `DataplaneError` with what to do. */
export async function openHostDataplane(host: HostNetwork, options: OpenHostDataplaneOptions): Promise<Dataplane> {
  return createDataplane({
    programs: await buildPrograms({ outDir: options.objects }),
    bpffs: options.bpffs,
    attach: options.attach,
    ...hostFactsOf(host),
    onStep: (step) => options.logger.info('The pod network changes its version', { step }),
  })
}

/** What programs must know of the host, with its addresses of now. */
export function hostFactsOf({ uplink, entrances, nodeIP, ifindex, address, podMtu }: HostNetwork): HostFacts {
  return {
    nodeIP,
    hostDevice: { ifindex, address },
    uplinks: uplink === undefined ? [] : [{ ifindex: uplink.ifindex }],
    entrances: entrances.map(({ ifindex: entrance }) => ({ ifindex: entrance })),
    podMtu,
    ownAddresses: ownAddresses(),
  }
}

/** Addresses of this host that others reach. */
function ownAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((list) =>
    (list ?? []).flatMap(({ family, internal, address }) => (family === 'IPv4' && !internal ? [address] : [])),
  )
}
