import type { ApiServerProcess } from './api-server-process.ts'
import { benchResult, type BenchContext, type BenchResult } from './bench.ts'
import { benchConfigMap, etcdKey, urlOf, writeRequest } from './bench-objects.ts'
import { putRequest, watchRequest } from './etcd-wire.ts'
import type { LoadClient, LoadRequest, LoadServer } from './http2-load.ts'
import { alternateFigures, percentile } from './measure.ts'
import { sampleProcess } from './process.ts'
import { openWatchers, type WatcherSet } from './watchers.ts'

export const WATCHERS = 10_000
export const WATCHER_CONNECTIONS = 100
const EVENTS_A_ROUND = 4
const NAME = 'watched'
const IDLE_MS = 1_000

export interface FanOutPeers {
  readonly ours: ApiServerProcess
  readonly etcd: LoadServer
  readonly clients: { readonly ours: LoadClient; readonly etcd: LoadClient }
  readonly context: BenchContext
}

/** One event of 1 KB to {@link WATCHERS} watchers over {@link WATCHER_CONNECTIONS} connections. */
export async function compareFanOut(peers: FanOutPeers): Promise<BenchResult[]> {
  const { ours, etcd, clients, context } = peers
  const place = { watchers: WATCHERS, connections: WATCHER_CONNECTIONS }
  context.log(`opening ${WATCHERS} watches on each`)
  const watch = await watchNewObject(clients.ours)
  const oursSet = await openWatchers(ours, watch, place)
  const etcdSet = await openWatchers(etcd, watchRequest(etcdKey('configmaps', NAME)), place)
  await new Promise((resolve) => setTimeout(resolve, IDLE_MS))
  try {
    return await compareEvents(peers, oursSet, etcdSet)
  } finally {
    oursSet.close()
    etcdSet.close()
  }
}

async function compareEvents(peers: FanOutPeers, oursSet: WatcherSet, etcdSet: WatcherSet): Promise<BenchResult[]> {
  const { clients, context } = peers
  context.log(`events to ${WATCHERS} watchers`)
  let round = 1
  const update = (): LoadRequest => writeRequest('configmaps', benchConfigMap(NAME, round++), NAME)
  const put = (): LoadRequest => putRequest(etcdKey('configmaps', NAME), benchConfigMap(NAME, round++))
  const { ours, etcd } = await alternateFigures(context.rounds, {
    ours: () => measureEvents(peers.ours.pid, oursSet, () => clients.ours.send(update())),
    etcd: () => measureEvents(peers.etcd.pid, etcdSet, () => clients.etcd.send(put())),
  })
  const name = `one event to ${WATCHERS} watchers`
  const deliveries = { ours: 1 / ours.cpuSeconds, etcd: 1 / etcd.cpuSeconds }
  return [
    benchResult({
      metric: `${name}, CPU of the server`,
      unit: 's',
      value: ours.cpuSeconds,
      peer: { name: 'etcd', value: etcd.cpuSeconds },
      target: { atMost: 0.2 },
    }),
    benchResult({
      metric: `${name}, a core of the server`,
      unit: 'deliveries/s',
      value: deliveries.ours * WATCHERS,
      peer: { name: 'etcd', value: deliveries.etcd * WATCHERS },
    }),
    benchResult({
      metric: `${name}, one event after the other`,
      unit: 'events/s',
      value: ours.eventsPerSecond,
      peer: { name: 'etcd', value: etcd.eventsPerSecond },
    }),
    benchResult({
      metric: `${name}, p99 from write to arrival`,
      unit: 'ms',
      value: ours.p99Ms,
      peer: { name: 'etcd', value: etcd.p99Ms },
    }),
  ]
}

interface EventFigures {
  readonly cpuSeconds: number
  readonly eventsPerSecond: number
  readonly p99Ms: number
}

async function measureEvents(pid: number, watchers: WatcherSet, write: () => Promise<unknown>): Promise<EventFigures> {
  const latencies: number[] = []
  let lastMs = 0
  const cpuBefore = sampleProcess(pid).cpuMs
  for (let i = 0; i < EVENTS_A_ROUND; i++) {
    const delivered = await watchers.deliver(write)
    lastMs += Math.max(...delivered)
    latencies.push(...delivered)
  }
  const cpuMs = sampleProcess(pid).cpuMs - cpuBefore
  return {
    cpuSeconds: cpuMs / 1_000 / EVENTS_A_ROUND,
    eventsPerSecond: (EVENTS_A_ROUND * 1_000) / lastMs,
    p99Ms: percentile(latencies, 0.99),
  }
}

/** Writes what is watched. The watch is from then on: nothing is sent before the first event. */
export async function watchNewObject(client: LoadClient): Promise<LoadRequest> {
  const body = await client.read(writeRequest('configmaps', benchConfigMap(NAME)))
  const { metadata } = JSON.parse(body.toString('utf8')) as { metadata: { resourceVersion: string } }
  const { headers } = urlOf('configmaps')
  const path = `${String(headers[':path'])}?watch=1&resourceVersion=${metadata.resourceVersion}`
  return { headers: { ...headers, ':path': path } }
}
