import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { ensureBpffs } from '../kernel/bpffs.ts'
import { layoutVersion } from '../layouts/render.ts'
import type { AttachMode } from './attach-uplink.ts'
import type { Dataplane } from './dataplane.ts'
import { followDrops } from './follow-drops.ts'
import { HostLinks } from './host-links.ts'
import { openTables, type HostFacts } from './open-tables.ts'
import { openVersion } from './open-version.ts'
import { PinnedVersions } from './pinned-versions.ts'

export interface DataplaneOptions extends HostFacts {
  /** Folder of objects, from {@link buildPrograms}. */
  readonly programs: string
  /** Where the bpf file system is, or will be mounted: `/sys/fs/bpf`. */
  readonly bpffs: string
  readonly attach: AttachMode
  /** Flows that are known at a time; default 131,072 (20 MiB). Counts for tables that are new. */
  readonly flowsMax?: number
  /** Hears, in words for people, of each step of a change to another version of the tables. */
  readonly onStep?: (step: string) => void
}

/**
 * Loads the programs and takes over the tables that an earlier daemon pinned. Traffic of pods that are known goes on all the while. If those tables are of another
 * version, the new ones are filled beside them, and nothing changes for packets before `activate`; else programs are attached at once. Throws `DataplaneError`
 * with what to do when the kernel refuses. Needs root.
 */
export function createDataplane(options: DataplaneOptions): Dataplane {
  ensureBpffs(options.bpffs)
  const versions = new PinnedVersions(join(options.bpffs, 'centaurus'), layoutVersion())
  const { programs, handover } = openVersion(versions, options)
  try {
    const tables = openTables(programs, options)
    const links = new HostLinks(versions, { ...options, programFd: (name) => programs.programFd(name), handover })
    const drops = followDrops(programs.map('drop_log').fd)
    const close = (): void => {
      drops.close()
      handover?.close()
      tables.close()
      programs.close()
    }
    if (handover === undefined) links.activate()
    return {
      ...tables,
      activate: () => links.activate(),
      setHost(facts) {
        links.attachUplinks(facts)
        tables.setHost(facts)
        links.detachOthers()
      },
      attachPod: (ifindex) => links.attachPod(ifindex),
      listAttachments: () => links.list(),
      onDrop: (listener) => drops.add(listener),
      close,
      remove() {
        close()
        versions.dropAll()
      },
    }
  } catch (error) {
    handover?.close()
    programs.close()
    throw error
  }
}

/** Takes off what a daemon has left at `bpffs`; needs no daemon, and no programs. What was never there is no error. Needs root. */
export function removeDataplane(bpffs: string): void {
  const root = join(bpffs, 'centaurus')
  if (existsSync(root)) new PinnedVersions(root, layoutVersion()).dropAll()
}
