import { createSeededRandom, type Random } from '@centaurus/base'
import type { ScaleCluster, ScalePartition } from '../cluster.ts'
import { HollowProcess } from '../hollow/hollow-process.ts'
import { checkCluster, type CheckResult } from '../load/checkers.ts'
import { Ledger } from '../load/ledger.ts'
import { TenantApi } from '../load/tenant-api.ts'
import { Histogram, Histograms } from '../measure/histogram.ts'
import { ProcessLedger } from '../measure/processes.ts'
import { LeanClient } from '../wire/lean-client.ts'
import type { ScaleOptions } from './options.ts'
import { createMarks, type Marks } from './marks.ts'
import * as phases from './phases.ts'
import { Timeline, type Progress } from './timeline.ts'

/** Connections of the users to each tenant partition. */
const USER_CONNECTIONS = 4
/** Hollow nodes in one process unless the options say otherwise. */
const NODES_PER_PROCESS = 30_000

export interface RunDeps {
  readonly cluster: ScaleCluster
  readonly options: ScaleOptions
  readonly onProgress: (progress: Progress) => void
  /** One line about something that happened. */
  readonly log: (text: string) => void
  readonly signal: AbortSignal
}

/** What the phases of one run share. */
export interface RunContext extends RunDeps {
  readonly random: Random
  /** One a tenant. */
  readonly apis: readonly TenantApi[]
  /** Of the system tenant, where DaemonSets are; one of {@link apis} when that is the only tenant. */
  readonly operators: TenantApi
  readonly clients: readonly LeanClient[]
  readonly hollow: readonly HollowNodesOf[]
  readonly ledger: Ledger
  readonly timeline: Timeline
  readonly processes: ProcessLedger
  /** Latencies of the users' calls. */
  readonly latencies: Histograms
  /** Pods of their own from the request to Running as a watch shows it. */
  readonly startup: Histogram
  /** The same for pods of Deployments, from their first event on. */
  readonly saturationStartup: Histogram
  readonly marks: Marks
}

/** A process of hollow nodes and which nodes it has. */
export interface HollowNodesOf {
  readonly process: HollowProcess
  readonly partition: ScalePartition
  readonly first: number
  readonly count: number
}

export interface RunResult {
  readonly context: RunContext
  readonly check: CheckResult
}

/** Runs a density and a load test, breaks things, and checks what is left. Rejects when something can't go on; says what. */
export async function runScale(deps: RunDeps): Promise<RunResult> {
  const context = await createContext(deps)
  context.timeline.start()
  try {
    const check = await Promise.race([runPhases(context), rejectWhenAborted(deps.signal)])
    return { context, check }
  } finally {
    await context.timeline.stop()
    for (const client of context.clients) client.close()
  }
}

async function runPhases(context: RunContext): Promise<CheckResult> {
  for (const phase of phases.ALL) {
    context.signal.throwIfAborted()
    await phase(context)
  }
  context.timeline.enter({ phase: 'check' })
  return checkCluster(context)
}

/** Whatever the run waits for when it is stopped: it does not wait any more. */
function rejectWhenAborted(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason as Error), { once: true })
  })
}

async function createContext(deps: RunDeps): Promise<RunContext> {
  const { cluster, options, onProgress } = deps
  const latencies = new Histograms()
  const clients = new Map<string, LeanClient>()
  for (const { name, url, isTenant } of cluster.partitions) {
    if (!isTenant) continue
    const target = { url, tls: cluster.admin }
    const client = new LeanClient({ target, connections: USER_CONNECTIONS, userAgent: 'centaurus-simulate', latencies })
    await client.open()
    clients.set(name, client)
  }
  const hollow = forkHollow(cluster, options)
  const processes = new ProcessLedger()
  for (const each of cluster.processes()) processes.follow(each)
  for (const [i, { process }] of hollow.entries())
    processes.follow({ name: `nodes-${i}`, role: 'nodes', pid: process.pid })
  processes.follow({ name: 'load', role: 'load', pid: process.pid })
  const apis = cluster.tenants.map((tenant) => new TenantApi(clients.get(tenant.partition)!, tenant))
  const { operators } = cluster
  return {
    ...deps,
    random: createSeededRandom(options.seed),
    apis,
    operators:
      apis.find(({ tenant }) => tenant.name === operators.name) ??
      new TenantApi(clients.get(operators.partition)!, operators),
    clients: [...clients.values()],
    hollow,
    ledger: new Ledger(),
    timeline: new Timeline({ ledger: processes, hollow: hollow.map((each) => each.process), onProgress }),
    processes,
    latencies,
    startup: new Histogram(),
    saturationStartup: new Histogram(),
    marks: createMarks(),
  }
}

/** Nodes are dealt out in ranges: to resource partitions, and within each to its processes. */
function forkHollow(cluster: ScaleCluster, { nodes, nodeProcesses }: ScaleOptions): HollowNodesOf[] {
  const resource = cluster.partitions.filter(({ isResource }) => isResource)
  const enough = Math.ceil(nodes / NODES_PER_PROCESS)
  const count = Math.max(nodeProcesses === 0 ? enough : nodeProcesses, resource.length)
  return Array.from({ length: count }, (_, i) => {
    const first = Math.floor((nodes * i) / count)
    const end = Math.floor((nodes * (i + 1)) / count)
    const partition = resource[Math.floor((i * resource.length) / count)]!
    return { process: new HollowProcess(cluster.forkNodes()), partition, first, count: end - first }
  })
}
