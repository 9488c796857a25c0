/** What there is to claim in the crash test: enough nodes for batches of several transactions, small enough to be full soon. */
export const CRASH_NODES: readonly string[] = Array.from({ length: 300 }, (_, i) => `n${i}`)
export const CRASH_CAPACITY = { cpu: 600, pods: 12 }
