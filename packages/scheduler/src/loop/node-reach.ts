/** Tells which nodes can be given pods: those whose partition can be asked for room. */
export interface NodeReach {
  isReachable(nodeName: string): boolean
  /** Calls `listener` when any answer may have changed. Returns what removes it. */
  onChange(listener: () => void): () => void
}
