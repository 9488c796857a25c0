/**
 * The API server over TLS and HTTP/2, with a client certificate and RBAC, on the embedded store. The peer is etcd over the same
 * transport with the same client program: what a Kubernetes API server on etcd pays for each request before it does anything.
 */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { openClusterCertificates } from '@centaurus/apiserver'
import { startApiServer, type ApiServerProcess } from './harness/api-server-process.ts'
import { benchResult, type Bench, type BenchContext, type BenchResult, type BenchTarget } from './harness/bench.ts'
import { createRandomName, createWriter, etcdKey, PODS, seedPods, urlOf } from './harness/bench-objects.ts'
import { startEtcdProcess } from './harness/etcd.ts'
import * as etcdWire from './harness/etcd-wire.ts'
import { compareFanOut } from './harness/fan-out.ts'
import { connectLoad, measureLoad, type LoadClient, type LoadRequest, type LoadServer } from './harness/http2-load.ts'
import { alternateFigures } from './harness/measure.ts'
import { measurePodMemory, measureWatcherMemory } from './harness/server-memory.ts'

const CONNECTIONS = 4
const IN_FLIGHT = 64
const LISTS_IN_FLIGHT = 4
const DURATION_MS = 2_000
const WARM_UP_MS = 500

export const bench: Bench = {
  summary: 'create, get, list and watch over TLS and HTTP/2 with RBAC, and memory, against the raw gRPC of etcd',
  async run(context) {
    const memory = [
      ...(await withApiServer(context, 'watchers', (ours) => measureWatcherMemory(ours, context))),
      ...(await withApiServer(context, 'pods', (ours) => measurePodMemory(ours, context))),
    ]
    const etcd = await startPeer(context)
    try {
      return [...(await withApiServer(context, 'ours', (ours) => measure({ ours, etcd, context }))), ...memory]
    } finally {
      await etcd.stop()
    }
  },
}

interface Peers {
  readonly ours: ApiServerProcess
  readonly etcd: LoadServer
  readonly context: BenchContext
}

async function withApiServer(
  context: BenchContext,
  name: string,
  use: (server: ApiServerProcess) => Promise<BenchResult[]>,
): Promise<BenchResult[]> {
  const directory = join(context.directory, name)
  mkdirSync(directory)
  const server = await startApiServer(directory)
  try {
    return await use(server)
  } finally {
    await server.stop()
  }
}

async function startPeer({ directory }: BenchContext): Promise<LoadServer & { stop(): Promise<void> }> {
  const pki = join(directory, 'etcd-pki')
  const certificates = await openClusterCertificates({ directory: pki })
  await certificates.server('etcd', { commonName: 'etcd', alternativeNames: ['127.0.0.1'] })
  const client = await certificates.client('client', { commonName: 'bench-user' })
  const file = (name: string): string => join(pki, name)
  const etcd = await startEtcdProcess(directory, {
    tls: { certificate: file('etcd.crt'), key: file('etcd.key'), clientAuthority: file('ca.crt') },
  })
  const tls = { ca: certificates.authority.certificatePem, cert: client.certificatePem, key: client.keyPem }
  return { ...etcd, tls }
}

async function measure(peers: Peers): Promise<BenchResult[]> {
  const [ours, etcd] = await Promise.all([
    connectLoad(peers.ours, { connections: CONNECTIONS }),
    connectLoad(peers.etcd, { connections: CONNECTIONS }),
  ])
  try {
    const connected = { ...peers, clients: { ours, etcd } }
    return [...(await measureRequests(connected)), ...(await compareFanOut(connected))]
  } finally {
    ours.close()
    etcd.close()
  }
}

interface Connected extends Peers {
  readonly clients: { readonly ours: LoadClient; readonly etcd: LoadClient }
}

async function measureRequests(peers: Connected): Promise<BenchResult[]> {
  const { clients, context } = peers
  context.log(`writing ${PODS} Pods to each`)
  const pod = await seedPods(clients)
  const someName = createRandomName()
  const configMap = createWriter('configmaps')
  const newPod = createWriter('pods', pod)
  const oneGet = {
    metric: 'get a Pod',
    ours: () => urlOf('pods', someName()),
    etcd: () => etcdWire.getRequest(etcdKey('pods', someName())),
    perCoreMin: 20_000,
  }
  const list = {
    metric: `list ${PODS} Pods`,
    ours: () => urlOf('pods'),
    etcd: () => etcdWire.listRequest(etcdKey('pods', '')),
    inFlight: LISTS_IN_FLIGHT,
    bytesEach: pod.byteLength * PODS,
  }
  const results = [benchResult({ metric: 'size of a Pod', value: pod.byteLength, unit: 'bytes' })]
  results.push(...(await compare(peers, oneGet)), ...(await compare(peers, list)))
  results.push(...(await compare(peers, { metric: 'create a ConfigMap', ...configMap, perCoreMin: 5_000 })))
  results.push(...(await compare(peers, { metric: 'create a Pod', ...newPod, perCoreMin: 5_000 })))
  return results
}

interface Comparison {
  readonly metric: string
  /** Each call makes the next request. */
  readonly ours: () => LoadRequest
  readonly etcd: () => LoadRequest
  readonly inFlight?: number
  readonly perCoreMin?: number
  /** Size of an answer, where bytes per second say more. */
  readonly bytesEach?: number
}

async function compare(peers: Connected, comparison: Comparison): Promise<BenchResult[]> {
  const { context, clients } = peers
  const { metric, inFlight = IN_FLIGHT, perCoreMin, bytesEach } = comparison
  context.log(metric)
  const options = { inFlight, durationMs: DURATION_MS }
  await measureLoad({ ...options, durationMs: WARM_UP_MS, pid: peers.ours.pid }, () =>
    clients.ours.send(comparison.ours()),
  )
  const { ours, etcd } = await alternateFigures(context.rounds, {
    ours: () => measureLoad({ ...options, pid: peers.ours.pid }, () => clients.ours.send(comparison.ours())),
    etcd: () => measureLoad({ ...options, pid: peers.etcd.pid }, () => clients.etcd.send(comparison.etcd())),
  })
  const figure = (
    name: string,
    unit: string,
    values: { ours: number; etcd: number },
    target?: BenchTarget,
  ): BenchResult =>
    benchResult({
      metric: `${metric}, ${name}`,
      unit,
      value: values.ours,
      peer: { name: 'etcd', value: values.etcd },
      target,
    })
  const perCore = { ours: 1e6 / ours.cpuMicroseconds, etcd: 1e6 / etcd.cpuMicroseconds }
  const megabytes = (bytesEach ?? 0) / 1e6
  return [
    figure(
      'a core of the server',
      'requests/s',
      perCore,
      perCoreMin === undefined ? undefined : { atLeast: perCoreMin },
    ),
    figure('CPU of the server', 'µs', { ours: ours.cpuMicroseconds, etcd: etcd.cpuMicroseconds }),
    figure(`${inFlight} in flight`, 'requests/s', { ours: ours.perSecond, etcd: etcd.perSecond }),
    ...(bytesEach === undefined
      ? []
      : [figure('bodies', 'MB/s', { ours: ours.perSecond * megabytes, etcd: etcd.perSecond * megabytes })]),
    figure('p99', 'ms', { ours: ours.p99Ms, etcd: etcd.p99Ms }),
  ]
}
