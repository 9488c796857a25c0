/** Who has a range of addresses for pods. */
export interface CidrHolder {
  readonly node: string
  /** A node that was removed and comes again is another one. */
  readonly uid: string
  /** When the node was gone; absent: it is there. */
  readonly releasedAtMs?: number | undefined
}

/** What this partition's nodes have, durably. A write that somebody else was ahead of changes nothing. */
export interface NodeCidrLedger {
  /** By range. Call it once, before anything else. */
  load(): Promise<ReadonlyMap<string, CidrHolder>>
  /** Writes who has the range now. False: somebody else has written it, or removed it, since it was read. */
  put(cidr: string, holder: CidrHolder): Promise<boolean>
  /** Nobody has the range any more. */
  remove(cidr: string): Promise<void>
}

/** Where ranges for nodes come from. */
export interface NodeCidrSource {
  readonly ledger: NodeCidrLedger
  /** Blocks whose addresses this partition alone gives to its nodes. */
  blocks(): readonly string[]
  /** Length of a node's range. */
  nodePrefix(): number
  /** Asks for one more block; it shows in {@link blocks} later. False: the cluster has none left. Rejects when nobody can be asked. */
  grow(): Promise<boolean>
  /** Calls when {@link blocks} may say something else. Returns what ends it. */
  onChange(listener: () => void): () => void
}
