import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { ensureBpffs } from '../kernel/bpffs.ts'
import { layoutVersion } from '../layouts/render.ts'
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
  const root = join(options.bpffs, 'centaurus')
  const dir = join(root, `v${layoutVersion()}`)
  const programs = openPrograms({
    folder: options.programs,
    pinDir: join(dir, 'maps'),
    ...(options.flowsMax === undefined ? {} : { maxEntries: new Map([['ct', options.flowsMax]]) }),
  })
  try {
    const tables = openTables(programs, options)
    const attachments = new Attachments(join(dir, 'links'), (name) => programs.programFd(name))
    removeOthers(root, dir)
    adopt(attachments, options)
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
      setHost(facts) {
        for (const { ifindex } of facts.uplinks) attachUplink(attachments, { ifindex, mode: options.attach })
        tables.setHost(facts)
        detachOthers(attachments, facts)
      },
      attachPod: (ifindex) => attachments.attach({ program: 'from_pod', hook: 'tcx-ingress', ifindex }),
      listAttachments: () => attachments.list().filter(({ program }) => program !== 'from_pod'),
      onDrop: (listener) => drops.add(listener),
      close,
      remove() {
        for (const attachment of attachments.list()) attachments.detach(attachment)
        close()
        rmSync(root, { recursive: true, force: true })
      },
    }
  } catch (error) {
    programs.close()
    throw error
  }
}

/** Takes over what is attached, but for devices that are no longer an uplink or the host's end: what stays attached sees every packet. */
function adopt(attachments: Attachments, facts: HostFacts): void {
  detachOthers(attachments, facts)
  attachments.adopt()
}

function detachOthers(attachments: Attachments, { hostDevice, uplinks }: HostFacts): void {
  const own = new Set([LOOPBACK_IFINDEX, hostDevice.ifindex, ...uplinks.map(({ ifindex }) => ifindex)])
  for (const attachment of attachments.list())
    if (attachment.program !== 'from_pod' && !own.has(attachment.ifindex)) attachments.detach(attachment)
}

/** Programs and tables of another version of the layouts: they can't be read, so pods have no network until the daemon has filled the new tables. */
function removeOthers(root: string, own: string): void {
  for (const name of readdirSync(root)) {
    const dir = join(root, name)
    if (dir === own) continue
    const attachments = new Attachments(join(dir, 'links'), () => 0)
    for (const attachment of attachments.list()) attachments.detach(attachment)
    rmSync(dir, { recursive: true, force: true })
  }
}
