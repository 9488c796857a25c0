import { connectLoad, type LoadRequest, type LoadServer } from './http2-load.ts'

/** How long an event may take to reach the last watcher before the bench gives up. */
const DELIVERY_MS_MAX = 60_000
/** The server has things to put away after the last byte left: that counts as well. */
const AFTER_DELIVERY_MS = 30

/** Many open watches of one thing. */
export interface WatcherSet {
  /** Writes once, and resolves when each watcher was told: milliseconds from the write to the first bytes at each. */
  deliver(write: () => Promise<unknown>): Promise<number[]>
  close(): void
}

/** Opens `watchers` streams, spread over `connections`. */
export async function openWatchers(
  server: LoadServer,
  request: LoadRequest,
  { connections, watchers }: { readonly connections: number; readonly watchers: number },
): Promise<WatcherSet> {
  const client = await connectLoad(server, { connections })
  const seen = new Uint8Array(watchers).fill(1)
  let began = 0
  let latencies: number[] = []
  let onDelivered = (): void => {}
  const onData = (watcher: number): void => {
    if (seen[watcher] === 1) return
    seen[watcher] = 1
    latencies.push(performance.now() - began)
    if (latencies.length === watchers) onDelivered()
  }
  for (let i = 0; i < watchers; i += connections) {
    const batch = Array.from({ length: Math.min(connections, watchers - i) }, (_, n) => i + n)
    await Promise.all(batch.map((watcher) => client.open(request, () => onData(watcher))))
  }
  return {
    async deliver(write) {
      seen.fill(0)
      latencies = []
      began = performance.now()
      const delivered = new Promise<void>((resolve, reject) => {
        const fail = (): void => reject(new Error(`Cannot deliver an event: ${latencies.length} of ${watchers} got it`))
        const timer = setTimeout(fail, DELIVERY_MS_MAX)
        onDelivered = () => {
          clearTimeout(timer)
          resolve()
        }
      })
      await Promise.all([write(), delivered])
      await new Promise((resolve) => setTimeout(resolve, AFTER_DELIVERY_MS))
      return latencies
    },
    close: () => client.close(),
  }
}
