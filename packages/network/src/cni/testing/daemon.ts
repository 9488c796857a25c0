/** What {@link startTestDaemon} starts: `node daemon.ts FOLDER POD-CIDR [programs]`. Says `ready`. */
import { join } from 'node:path'
import { silentLogger, systemClock } from '@centaurus/base'
import { createDataplane } from '../../dataplane/create-dataplane.ts'
import { ensureHostNetwork } from '../../host/host-network.ts'
import { systemPodHost } from '../../host/pod-host.ts'
import { createNodeBlocks } from '../../ipam/address-blocks.ts'
import { AttachmentStore } from '../attachment-store.ts'
import { startCniServer } from '../cni-server.ts'
import { deletionsDir, DeletionSpool } from '../deletion-spool.ts'
import { PodAttachments } from '../pod-attachments.ts'
import type { PodNetworkSource } from '../pod-network-source.ts'
import { createDataplaneSource } from './dataplane-source.ts'
import { HostRouteSource } from './host-route-source.ts'

const [folder, podCIDR, programs] = process.argv.slice(2)
if (folder === undefined || podCIDR === undefined) throw new Error('Name a folder and a range of addresses')
const attachments = new PodAttachments({
  source: programs === undefined ? new HostRouteSource() : await openPrograms({ folder, podCIDR, programs }),
  blocks: createNodeBlocks(() => podCIDR),
  store: new AttachmentStore(join(folder, 'pods')),
  deletions: new DeletionSpool(deletionsDir(folder)),
  host: systemPodHost,
  podMtu: () => 1442,
  listSandboxes: async () => undefined,
  clock: systemClock,
  logger: silentLogger,
})
await attachments.start()
await startCniServer({
  socket: join(folder, 'cni.sock'),
  attachments,
  whyNotReady: () => undefined,
  logger: silentLogger,
})
process.stdout.write('ready\n')

async function openPrograms(options: { folder: string; podCIDR: string; programs: string }): Promise<PodNetworkSource> {
  const host = await ensureHostNetwork({
    podCIDR: options.podCIDR,
    podNetworks: [options.podCIDR],
    serviceCIDRs: [],
    stateDir: options.folder,
    hostPorts: [],
  })
  return createDataplaneSource(
    createDataplane({
      programs: options.programs,
      bpffs: join(options.folder, 'bpf'),
      nodeIP: host.nodeIP,
      hostDevice: { ifindex: host.ifindex, address: host.address },
      uplinks: [],
      podMtu: host.podMtu,
      attach: 'tcx',
    }),
  )
}
