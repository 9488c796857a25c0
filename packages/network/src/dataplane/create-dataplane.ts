import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { ensureBpffs } from '../kernel/bpffs.ts'
import { LAYOUT_VERSION } from '../layouts/layouts.ts'
import { attachUplink, type AttachMode } from './attach-uplink.ts'
import { Attachments } from './attachments.ts'
import type { Dataplane } from './dataplane.ts'
import { followDrops } from './follow-drops.ts'
import { openPrograms } from './open-programs.ts'
import { openTables, type HostFacts } from './open-tables.ts'

/** Of the loopback device, in every network namespace. */
const LOOPBACK_IFINDEX = 1

export interface DataplaneOptions extends HostFacts {
  /** Folder of objects, from {@link buildPrograms}. */
  readonly programs: string
  /** Where the bpf file system is, or will be mounted: `/sys/fs/bpf`. */
  readonly bpffs: string
  readonly attach: AttachMode
  /** Flows that are known at a time; default 131,072 (20 MiB). Counts for tables that are new. */
  readonly flowsMax?: number
}

/**
 * Loads the programs, takes over the tables that an earlier daemon pinned, and attaches. Traffic of pods that are known goes on all the while. Throws
 * `DataplaneError` with what to do when the kernel refuses. Needs root.
 */
export function createDataplane(options: DataplaneOptions): Dataplane {
  ensureBpffs(options.bpffs)
  const dir = join(options.bpffs, 'centaurus', `v${LAYOUT_VERSION}`)
  const programs = openPrograms({
    folder: options.programs,
    pinDir: join(dir, 'maps'),
    ...(options.flowsMax === undefined ? {} : { maxEntries: new Map([['ct', options.flowsMax]]) }),
  })
  try {
    const tables = openTables(programs, options)
    const attachments = new Attachments(join(dir, 'links'), (name) => programs.programFd(name))
    attachments.adopt()
    attachments.attach({ program: 'from_host', hook: 'tcx-egress', ifindex: options.hostDevice.ifindex })
    attachments.attach({ program: 'from_loopback', hook: 'tcx-egress', ifindex: LOOPBACK_IFINDEX })
    for (const { ifindex } of options.uplinks) attachUplink(attachments, { ifindex, mode: options.attach })
    const drops = followDrops(programs.map('drop_log').fd)
    const close = (): void => {
      drops.close()
      tables.close()
      programs.close()
    }
    return {
      ...tables,
      attachPod: (ifindex) => attachments.attach({ program: 'from_pod', hook: 'tcx-ingress', ifindex }),
      onDrop: (listener) => drops.add(listener),
      close,
      remove() {
        for (const attachment of attachments.list()) attachments.detach(attachment)
        close()
        rmSync(join(options.bpffs, 'centaurus'), { recursive: true, force: true })
      },
    }
  } catch (error) {
    programs.close()
    throw error
  }
}
