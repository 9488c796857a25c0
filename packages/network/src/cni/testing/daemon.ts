/** A daemon of its own for tests that kill it: `node daemon.ts FOLDER POD-CIDR`, with the kernel's routes as its data plane. Says `ready`. */
import { join } from 'node:path'
import { silentLogger, systemClock } from '@centaurus/base'
import { systemPodHost } from '../../host/pod-host.ts'
import { createNodeBlocks } from '../../ipam/address-blocks.ts'
import { AttachmentStore } from '../attachment-store.ts'
import { startCniServer } from '../cni-server.ts'
import { PodAttachments } from '../pod-attachments.ts'
import { HostRouteSource } from './host-route-source.ts'

const [folder, podCIDR] = process.argv.slice(2)
if (folder === undefined || podCIDR === undefined) throw new Error('Name a folder and a range of addresses')
const attachments = new PodAttachments({
  source: new HostRouteSource(),
  blocks: createNodeBlocks(() => podCIDR),
  store: new AttachmentStore(join(folder, 'pods')),
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
