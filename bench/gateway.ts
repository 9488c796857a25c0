/** The gateway: what it adds to a request that it passes on, against the same request sent to the partition itself; and merged lists. */
import { benchResult, type Bench, type BenchContext, type BenchResult } from './harness/bench.ts'
import { createRandomName, createWriter, PODS, urlOf, writePods } from './harness/bench-objects.ts'
import { startGatewayParts, type GatewayParts } from './harness/gateway-parts.ts'
import { connectLoad, measureLoad, type LoadClient, type LoadRequest } from './harness/http2-load.ts'
import { alternateFigures } from './harness/measure.ts'

const CONNECTIONS = 4
const IN_FLIGHT = 64
const LISTS_IN_FLIGHT = 4
const DURATION_MS = 2_000
const WARM_UP_MS = 1_000
const NODES_EACH = 2_500

export const bench: Bench = {
  summary: 'what the gateway costs a request that it passes on, and lists that it merges',
  async run(context) {
    const parts = await startGatewayParts({ nodesEach: NODES_EACH })
    const direct = await connectLoad(parts.home, { connections: CONNECTIONS })
    const through = await connectLoad(parts.gateway, { connections: CONNECTIONS })
    try {
      return await measure({ context, parts, direct, through })
    } finally {
      direct.close()
      through.close()
      await parts.stop()
    }
  },
}

interface Measured {
  readonly context: BenchContext
  readonly parts: GatewayParts
  readonly direct: LoadClient
  readonly through: LoadClient
}

async function measure(measured: Measured): Promise<BenchResult[]> {
  const { direct, through } = measured
  await writePods(direct, 0, PODS)
  const someName = createRandomName()
  const size = (await through.read(urlOf('pods', someName()))).byteLength
  const listed = await through.read(urlOf('pods'))
  const configMap = createWriter('configmaps')
  return [
    benchResult({ metric: 'size of a Pod', value: size, unit: 'bytes' }),
    ...(await compare(measured, 'get a Pod', { request: () => urlOf('pods', someName()) })),
    ...(await compare(measured, 'create a ConfigMap', { request: configMap.ours })),
    ...(await compare(measured, `list ${PODS} Pods`, {
      request: () => urlOf('pods'),
      inFlight: LISTS_IN_FLIGHT,
      bytesEach: listed.byteLength,
    })),
    ...(await measureMerged(measured)),
  ]
}

interface Asked {
  readonly request: () => LoadRequest
  readonly inFlight?: number
  /** Size of an answer, where bytes per second say more. */
  readonly bytesEach?: number
}

/** The gateway's own CPU, and what a client sees with and without it. All processes share the machine. */
async function compare(
  { context, parts, direct, through }: Measured,
  metric: string,
  { request, inFlight = IN_FLIGHT, bytesEach }: Asked,
): Promise<BenchResult[]> {
  context.log(metric)
  const load = { inFlight, durationMs: DURATION_MS }
  await measureLoad({ ...load, durationMs: WARM_UP_MS, pid: parts.gateway.pid }, () => through.send(request()))
  const { ours, bare } = await alternateFigures(context.rounds, {
    ours: () => measureLoad({ ...load, pid: parts.gateway.pid }, () => through.send(request())),
    bare: () => measureLoad({ ...load, pid: parts.home.pid }, () => direct.send(request())),
  })
  const figure = (name: string, unit: string, values: readonly [number, number], what: string): BenchResult =>
    benchResult({ metric: `${metric}, ${name}`, unit, value: values[0], peer: { name: what, value: values[1] } })
  const megabytes = (bytesEach ?? 0) / 1e6
  return [
    figure('CPU of the gateway', 'µs', [ours.cpuMicroseconds, bare.cpuMicroseconds], 'of the API server'),
    figure(`${inFlight} in flight`, 'requests/s', [ours.perSecond, bare.perSecond], 'direct'),
    ...(bytesEach === undefined
      ? []
      : [figure('bodies', 'MB/s', [ours.perSecond * megabytes, bare.perSecond * megabytes], 'direct')]),
    figure('p99', 'ms', [ours.p99Ms, bare.p99Ms], 'direct'),
  ]
}

const NODES: LoadRequest = { headers: { ':method': 'GET', ':path': '/api/v1/nodes', accept: 'application/json' } }

async function measureMerged({ context, parts, through }: Measured): Promise<BenchResult[]> {
  const metric = `list ${2 * NODES_EACH} nodes of two partitions`
  context.log(metric)
  const bytes = (await through.read(NODES)).byteLength
  const load = { inFlight: LISTS_IN_FLIGHT, durationMs: DURATION_MS, pid: parts.gateway.pid }
  await measureLoad({ ...load, durationMs: WARM_UP_MS }, () => through.send(NODES))
  const sample = await measureLoad(load, () => through.send(NODES))
  return [
    benchResult({ metric: `${metric}, size`, value: bytes / 1e6, unit: 'MB' }),
    benchResult({
      metric: `${metric}, CPU of the gateway`,
      value: sample.cpuMicroseconds / 1000 / (bytes / 1e6),
      unit: 'ms a MB',
    }),
    benchResult({ metric: `${metric}, bodies`, value: (sample.perSecond * bytes) / 1e6, unit: 'MB/s' }),
  ]
}
