/**
 * Run with an IPC channel: load of one tenant, started by a message with what to do. Says `{}` when it is ready, and after each piece of
 * work how it went. Refusals with 429 count and are no failure. Ends when the channel does.
 */
import { setPriority } from 'node:os'
import { connectLoad, type LoadClient, type LoadRequest, type TlsClient } from './http2-load.ts'
import { percentile } from './measure.ts'

export interface TenantLoad {
  readonly url: string
  readonly tls: TlsClient
  readonly connections: number
  readonly inFlight: number
  readonly durationMs: number
  /** Between two operations of one worker. */
  readonly pauseMs: number
  /** Each operation is a GET, a POST, or a LIST of all, in this order. */
  readonly operations: readonly ('get' | 'create' | 'list')[]
  /** Distinguishes the names that are created. */
  readonly run: string
}

export interface TenantLoadResult {
  readonly perSecond: number
  readonly refused: number
  /** 99th and 50th percentile by operation, milliseconds. */
  readonly p99Ms: Readonly<Record<string, number>>
  readonly p50Ms: Readonly<Record<string, number>>
}

const PATH = '/api/v1/namespaces/default/configmaps'
const HEADERS = { accept: 'application/json', 'user-agent': 'bench' }

setPriority(Number(process.env['BENCH_NICE'] ?? 0))
process.on('message', (load: TenantLoad) => void runLoad(load).then((result) => process.send?.(result)))
process.once('disconnect', () => process.exit())
process.send?.({})

async function runLoad(load: TenantLoad): Promise<TenantLoadResult> {
  const client = await connectLoad({ ...load, pid: 0 }, load)
  const latencies = new Map<string, number[]>(load.operations.map((name) => [name, []]))
  let count = 0
  let refused = 0
  const start = performance.now()
  const worker = async (index: number): Promise<void> => {
    for (let i = index; performance.now() < start + load.durationMs; i++) {
      const operation = load.operations[i % load.operations.length]!
      const began = performance.now()
      if (await send(client, requestOf(operation, `${load.run}-${index}-${i}`))) {
        latencies.get(operation)!.push(performance.now() - began)
      } else refused++
      count++
      if (load.pauseMs > 0) await new Promise((resolve) => setTimeout(resolve, load.pauseMs))
    }
  }
  await Promise.all(Array.from({ length: load.inFlight }, (_, index) => worker(index)))
  const elapsedMs = performance.now() - start
  client.close()
  const figures = (part: number): Record<string, number> =>
    Object.fromEntries([...latencies].map(([name, values]) => [name, percentile(values, part)]))
  return { perSecond: (count * 1000) / elapsedMs, refused, p99Ms: figures(0.99), p50Ms: figures(0.5) }
}

/** False when the server said that it is too much. */
async function send(client: LoadClient, request: LoadRequest): Promise<boolean> {
  try {
    await client.send(request)
    return true
  } catch (error) {
    if (/answered 429/.test((error as Error).message)) return false
    throw error
  }
}

function requestOf(operation: 'get' | 'create' | 'list', name: string): LoadRequest {
  if (operation === 'get') return { headers: { ...HEADERS, ':method': 'GET', ':path': `${PATH}/bench` } }
  if (operation === 'list') return { headers: { ...HEADERS, ':method': 'GET', ':path': PATH } }
  const metadata = { name }
  const body = Buffer.from(JSON.stringify({ kind: 'ConfigMap', apiVersion: 'v1', metadata, data: { a: 'b' } }))
  return { headers: { ...HEADERS, ':method': 'POST', ':path': PATH, 'content-type': 'application/json' }, body }
}
