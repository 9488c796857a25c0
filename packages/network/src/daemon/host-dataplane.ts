import type { Dataplane } from '../dataplane/dataplane.ts'

/** The data plane of a host, with what people want to know of it. */
export interface HostDataplane extends Dataplane {
  /** Devices of the host with programs of ours, and how these are attached: `xdp` or `tcx`. */
  readonly attachments: readonly { readonly device: string; readonly mode: string }[]
  /** How full the tables are. */
  readTables(): readonly { readonly name: string; readonly entries: number; readonly maxEntries: number }[]
}
