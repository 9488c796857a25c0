import { join } from 'node:path'
import { silentLogger, systemClock } from '@centaurus/base'
import { systemPodHost } from '../../host/pod-host.ts'
import { createNodeBlocks } from '../../ipam/address-blocks.ts'
import { AttachmentStore } from '../attachment-store.ts'
import { startCniServer } from '../cni-server.ts'
import { deletionsDir, DeletionSpool } from '../deletion-spool.ts'
import { PodAttachments } from '../pod-attachments.ts'
import type { PodNetworkSource } from '../pod-network-source.ts'

export interface ServeCniOptions {
  /** For its files and its socket `cni.sock`. */
  readonly folder: string
  readonly podCIDR: string
  readonly source: PodNetworkSource
}

export interface ServedCni {
  readonly attachments: PodAttachments
  close(): Promise<void>
}

/** What of a daemon attaches pods, in this process. Resolves when it answers the container runtime. */
export async function serveCni({ folder, podCIDR, source }: ServeCniOptions): Promise<ServedCni> {
  const attachments = new PodAttachments({
    source,
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
  const server = await startCniServer({
    socket: join(folder, 'cni.sock'),
    attachments,
    whyNotReady: () => undefined,
    logger: silentLogger,
  })
  return {
    attachments,
    async close() {
      await server.close()
      await attachments.close()
    },
  }
}
