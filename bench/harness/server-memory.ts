import type { ApiServerProcess } from './api-server-process.ts'
import { benchResult, type BenchContext, type BenchResult } from './bench.ts'
import { writePods } from './bench-objects.ts'
import { WATCHERS, WATCHER_CONNECTIONS, watchNewObject } from './fan-out.ts'
import { connectLoad } from './http2-load.ts'
import { openWatchers } from './watchers.ts'

/** Written first, so that what the server needs at all is not counted. */
const FIRST_PODS = 5_000
const PODS = 20_000
/** How long watches are left alone before their memory is looked at. */
const IDLE_MS = 1_000

/** What a stored Pod costs a server that did little before: in its cache and the store's index; the value is on disk as well. */
export async function measurePodMemory(server: ApiServerProcess, context: BenchContext): Promise<BenchResult[]> {
  context.log(`memory of ${PODS} Pods`)
  const client = await connectLoad(server, { connections: 2 })
  await writePods(client, 0, FIRST_PODS)
  const before = await server.settle()
  await writePods(client, FIRST_PODS, FIRST_PODS + PODS)
  const after = await server.settle()
  client.close()
  const each = (field: keyof typeof after): number => (after[field] - before[field]) / PODS
  const target = { atMost: 6 * 1024 }
  return [
    benchResult({ metric: 'objects in memory a stored Pod', value: each('objectBytes'), unit: 'bytes' }),
    benchResult({ metric: 'anonymous memory a stored Pod', value: each('anonymousBytes'), unit: 'bytes', target }),
    benchResult({
      metric: 'resident memory a stored Pod, mapped file included',
      value: each('residentBytes'),
      unit: 'bytes',
    }),
  ]
}

/** What an idle watcher costs a server that did little before, its share of the connection included. */
export async function measureWatcherMemory(server: ApiServerProcess, context: BenchContext): Promise<BenchResult[]> {
  context.log(`memory of ${WATCHERS} watchers`)
  const client = await connectLoad(server, { connections: 2 })
  const watch = await watchNewObject(client)
  const before = await server.settle()
  const watchers = await openWatchers(server, watch, { watchers: WATCHERS, connections: WATCHER_CONNECTIONS })
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
  const after = await server.settle()
  watchers.close()
  client.close()
  const value = (after.anonymousBytes - before.anonymousBytes) / WATCHERS
  return [benchResult({ metric: 'memory an idle watcher', value, unit: 'bytes', target: { atMost: 15 * 1024 } })]
}
