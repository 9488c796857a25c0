/**
 * One tenant floods the API server, another uses it lightly: how much longer its requests take than when it is alone. Server, flood and
 * light load are processes of their own; the flood has the lowest priority for the processor, so that it measures the server and not
 * who gets the machine.
 */
import { benchResult, type Bench, type BenchContext, type BenchResult } from './harness/bench.ts'
import { forkScript, type Forked } from './harness/forked.ts'
import { median } from './harness/measure.ts'
import type { TenantLoad, TenantLoadResult } from './harness/tenant-load.ts'
import type { TenantsReadyMessage } from './harness/tenant-server.ts'

const DURATION_MS = 4_000
const WARM_UP_MS = 1_000
const FLOOD = {
  connections: 8,
  inFlight: 400,
  pauseMs: 0,
  operations: ['get', 'get', 'get', 'create', 'list'],
} as const
const LIGHT = { connections: 1, inFlight: 1, pauseMs: 2, operations: ['get', 'create'] } as const
const FLOOD_NICE = 19
const RATIO_MAX = 2

export const bench: Bench = {
  summary: "a tenant's p99 while another floods the API server, against its p99 alone",
  async run(context) {
    const server = await forkScript<TenantsReadyMessage>('tenant-server.ts', [context.directory])
    const loads: Forked<object>[] = []
    try {
      loads.push(await forkScript('tenant-load.ts', []))
      loads.push(await forkScript('tenant-load.ts', [], { nice: FLOOD_NICE }))
      return await measure(server.ready, { light: loads[0]!, flood: loads[1]!, context })
    } finally {
      for (const load of loads) await load.stop()
      await server.stop()
    }
  },
}

interface Loads {
  readonly light: Forked<object>
  readonly flood: Forked<object>
  readonly context: BenchContext
}

async function measure({ url, tls }: TenantsReadyMessage, loads: Loads): Promise<BenchResult[]> {
  const { context } = loads
  let runs = 0
  const light = (durationMs: number): Promise<TenantLoadResult> =>
    loads.light.ask({ ...LIGHT, url, tls: tls.quiet, durationMs, run: `light-${runs++}` } satisfies TenantLoad)
  const flood = (durationMs: number): Promise<TenantLoadResult> =>
    loads.flood.ask({ ...FLOOD, url, tls: tls.loud, durationMs, run: `flood-${runs++}` } satisfies TenantLoad)
  await Promise.all([light(WARM_UP_MS), flood(WARM_UP_MS)])
  const alone: TenantLoadResult[] = []
  const flooded: TenantLoadResult[] = []
  const floods: TenantLoadResult[] = []
  for (let round = 0; round < context.rounds; round++) {
    alone.push(await light(DURATION_MS))
    const loud = flood(DURATION_MS + WARM_UP_MS)
    await new Promise((resolve) => setTimeout(resolve, WARM_UP_MS / 2))
    flooded.push(await light(DURATION_MS))
    floods.push(await loud)
    context.log(`round ${round + 1}: alone ${show(alone.at(-1)!)}, flooded ${show(flooded.at(-1)!)}`)
  }
  const compare = (part: 'p50Ms' | 'p99Ms', operation: string): BenchResult => {
    const figure = (results: TenantLoadResult[]): number => median(results.map((result) => result[part][operation]!))
    return benchResult({
      metric: `${part.slice(0, 3)} of ${operation} while another tenant floods`,
      value: figure(flooded),
      unit: 'ms',
      peer: { name: 'alone', value: figure(alone) },
      target: { ratioAtMost: RATIO_MAX },
    })
  }
  return [
    ...LIGHT.operations.flatMap((operation) => [compare('p50Ms', operation), compare('p99Ms', operation)]),
    benchResult({
      metric: 'requests of the flood',
      value: median(floods.map(({ perSecond }) => perSecond)),
      unit: '/s',
    }),
  ]
}

function show({ p50Ms, p99Ms }: TenantLoadResult): string {
  return Object.keys(p99Ms)
    .map((name) => `${name} p50 ${p50Ms[name]!.toFixed(2)} p99 ${p99Ms[name]!.toFixed(2)} ms`)
    .join(', ')
}
