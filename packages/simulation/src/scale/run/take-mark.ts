import { deepClone } from '@centaurus/api'
import { LeanClient } from '../wire/lean-client.ts'
import type { LeanCounters } from '../wire/lean-connection.ts'
import { Histograms } from '../measure/histogram.ts'
import type { Mark, StoreCounts } from './marks.ts'
import type { RunContext } from './run.ts'
import { sumCounters } from './timeline.ts'

/** Looks at everything that counts up. */
export async function takeMark(context: RunContext): Promise<Mark> {
  const { timeline, processes, hollow, clients } = context
  const point = await timeline.look()
  const wires = [...hollow.map(({ process }) => process.latest?.wire), ...clients.map(({ counters }) => counters)]
  return {
    seconds: point.seconds,
    running: point.running,
    counters: deepClone(sumCounters(hollow.map(({ process }) => process))),
    wire: sumWires(wires),
    processes: processes.sample(),
    store: await readStores(context),
    latencies: sumLatencies(context),
  }
}

function sumLatencies({ latencies, hollow }: RunContext): Mark['latencies'] {
  const sum = new Histograms()
  sum.add(latencies.toJSON())
  for (const { process } of hollow) sum.add(process.latest?.latencies ?? {})
  return sum.toJSON()
}

function sumWires(wires: readonly (LeanCounters | undefined)[]): LeanCounters {
  const sum: LeanCounters = { requests: 0, bytesSent: 0, bytesReceived: 0 }
  for (const wire of wires) {
    sum.requests += wire?.requests ?? 0
    sum.bytesSent += wire?.bytesSent ?? 0
    sum.bytesReceived += wire?.bytesReceived ?? 0
  }
  return sum
}

/** From the servers' own metrics; a server that is away counts for nothing. */
async function readStores({ cluster }: RunContext): Promise<StoreCounts> {
  let commits = 0
  for (const { url } of cluster.partitions) {
    const client = new LeanClient({
      target: { url, tls: cluster.admin },
      connections: 1,
      userAgent: 'centaurus-simulate',
      latencies: new Histograms(),
    })
    try {
      await client.open()
      const { status, body } = await client.call({
        method: 'GET',
        path: '/metrics',
        resource: 'metrics',
        slot: 0,
        keepsBody: true,
      })
      if (status !== 200) continue
      const text = body.toString('utf8')
      commits += readMetric(text, 'apiserver_watch_cache_commits_total')
    } catch {
      // it is down: the run goes on without its figures
    } finally {
      client.close()
    }
  }
  return { commits, flushes: cluster.flushes() }
}

function readMetric(text: string, name: string): number {
  return Number(new RegExp(`^${name} ([0-9.e+]+)$`, 'm').exec(text)?.[1] ?? 0)
}
