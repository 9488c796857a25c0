import { pause } from '../hollow/hollow-call.ts'
import {
  daemonSetObject,
  DENSITY_POD,
  deploymentObject,
  latencyPodObject,
  namespaceObject,
  RUN_LABEL,
  serviceObject,
} from '../load/objects.ts'
import type { LoadedDeployment } from '../load/ledger.ts'
import { startReaders } from '../load/readers.ts'
import { StartupWatch } from '../load/startup-watch.ts'
import { takeMark } from './take-mark.ts'
import { converge, inTurn, waitRunning } from './waiting.ts'
import type { RunContext } from './run.ts'

/** Pods in one namespace. Source: Kubernetes' thresholds. */
const PODS_PER_NAMESPACE = 3_000
/** Pods that may be on their way at once at saturation. */
const OUTSTANDING_PODS_MAX = 3_000
const WRITERS = 8
const DAEMON_SET = 'agent'
const DAEMON_NAMESPACE = 'daemons'
const LATENCY_NAMESPACE = 'latency'
/** How long timed pods may take before the run says so. */
const STARTUP_MS_MAX = 120_000

type Phase = (context: RunContext) => Promise<void>

/** The parts of a run, in order. */
export const ALL: readonly Phase[] = [
  registerNodes,
  idle,
  prepare,
  saturate,
  timePods,
  churn,
  failNodes,
  crashPartitions,
  settle,
]

async function registerNodes(context: RunContext): Promise<void> {
  const { options, hollow, cluster, timeline, marks, log } = context
  marks.started = await takeMark(context)
  timeline.enter({ phase: 'register nodes', measure: (point) => point.registered, goal: options.nodes })
  const began = performance.now()
  await Promise.all(
    hollow.map(({ process, partition, first, count }) =>
      process.start({
        target: { url: partition.url, tls: cluster.nodes },
        namePrefix: 'hollow-',
        first,
        count,
        seed: options.seed,
        leasePeriodMs: options.leasePeriodMs,
        nodeStatusPeriodMs: options.nodeStatusPeriodMs,
        podStartMs: options.podStartMs,
        writesCreating: options.writesCreating,
        events: options.events,
      }),
    ),
  )
  log(`${options.nodes} nodes registered in ${seconds(began)} s`)
  marks.registered = await takeMark(context)
}

async function idle(context: RunContext): Promise<void> {
  const { options, timeline, marks, signal, log } = context
  timeline.enter({ phase: 'heartbeats alone' })
  marks.idleFrom = await takeMark(context)
  await pauseUnless(signal, options.idleSeconds * 1000)
  marks.idleTo = await takeMark(context)
  const leases = marks.idleTo.counters.leases - marks.idleFrom.counters.leases
  log(`${Math.round(leases / (marks.idleTo.seconds - marks.idleFrom.seconds))} leases a second`)
}

/** Namespaces, services and the plan of Deployments. */
async function prepare(context: RunContext): Promise<void> {
  const { options, apis, ledger, timeline } = context
  timeline.enter({ phase: 'prepare' })
  ledger.deployments.push(...planDeployments(context))
  const namespaces = new Set(ledger.deployments.map(({ tenant, namespace }) => `${tenant}/${namespace}`))
  for (let tenant = 0; tenant < apis.length; tenant++) namespaces.add(`${tenant}/${LATENCY_NAMESPACE}`)
  await inTurn([...namespaces], WRITERS, async (key) => {
    const [tenant = '', namespace = ''] = key.split('/')
    await apis[Number(tenant)]!.create('namespaces', '/api/v1/namespaces', namespaceObject(namespace))
  })
  await inTurn([...namespaces], WRITERS, (key) => untilAccount(context, key))
  if (!options.services) return
  await inTurn(ledger.deployments, WRITERS, ({ tenant, namespace, name }) =>
    apis[tenant]!.create('services', `/api/v1/namespaces/${namespace}/services`, serviceObject({ namespace, name })),
  )
}

/** Pods of a new namespace wait for its default service account: without it they are refused. */
async function untilAccount({ apis }: RunContext, key: string): Promise<void> {
  const [tenant = '', namespace = ''] = key.split('/')
  const path = `/api/v1/namespaces/${namespace}/serviceaccounts/default`
  for (;;) {
    const { status } = await apis[Number(tenant)]!.tryCall({ method: 'GET', path, resource: 'serviceaccounts' })
    if (status === 200) return
    await pause(100)
  }
}

function planDeployments({ options, apis }: RunContext): LoadedDeployment[] {
  const { pods, nodes, daemonSet, deploymentReplicas } = options
  const total = Math.max(0, pods - (daemonSet ? nodes : 0))
  const perNamespace = Math.max(1, Math.floor(PODS_PER_NAMESPACE / deploymentReplicas))
  const count = Math.ceil(total / deploymentReplicas)
  return Array.from({ length: count }, (_, i) => {
    const tenant = i % apis.length
    const namespace = `density-${Math.floor(i / apis.length / perNamespace)}`
    const replicas = Math.min(deploymentReplicas, total - i * deploymentReplicas)
    return { tenant, namespace, name: `web-${i}`, replicas }
  })
}

/** Everything at once, as fast as the control plane takes it. */
async function saturate(context: RunContext): Promise<void> {
  const { options, apis, ledger, timeline, marks, log, saturationStartup } = context
  const watches = apis.map((api) => new StartupWatch(api, 'density-0', saturationStartup))
  if (ledger.deployments.length > 0) for (const watch of watches) await watch.open()
  marks.saturationFrom = await takeMark(context)
  const planned = ledger.deployments.reduce((sum, { replicas }) => sum + replicas, 0)
  const goal = planned + (options.daemonSet ? options.nodes : 0)
  timeline.enter({ phase: 'saturate', measure: (point) => point.running, goal })
  const began = performance.now()
  if (options.daemonSet) await createDaemonSet(context)
  let asked = ledger.daemons
  await inTurn(ledger.deployments, WRITERS, async ({ tenant, namespace, name, replicas }) => {
    while (asked - (timeline.latest?.running ?? 0) > OUTSTANDING_PODS_MAX) await pause(100)
    asked += replicas
    const object = deploymentObject({ namespace, name }, { replicas, shape: DENSITY_POD })
    await apis[tenant]!.create('deployments', `/apis/apps/v1/namespaces/${namespace}/deployments`, object)
    ledger.acknowledged++
  })
  await waitRunning(context, goal)
  marks.saturationTo = await takeMark(context)
  marks.saturationPods = goal
  marks.saturationSeconds = (performance.now() - began) / 1000
  log(`${goal} pods running after ${seconds(began)} s: ${Math.round(goal / marks.saturationSeconds)} pods a second`)
  for (const watch of watches) watch.close()
}

async function createDaemonSet({ operators, ledger, options }: RunContext): Promise<void> {
  const namespace = DAEMON_NAMESPACE
  await operators.create('namespaces', '/api/v1/namespaces', namespaceObject(namespace))
  const object = daemonSetObject({ namespace, name: DAEMON_SET })
  await operators.create('daemonsets', `/apis/apps/v1/namespaces/${namespace}/daemonsets`, object)
  ledger.acknowledged++
  ledger.daemons = options.nodes
}

/** Pods of their own at a steady rate, each timed until a watch shows it running; while users read. */
async function timePods(context: RunContext): Promise<void> {
  const { options, apis, ledger, timeline, marks, log, signal, startup } = context
  const { latencyPodsPerSecond, latencySeconds } = options
  const total = latencyPodsPerSecond * latencySeconds
  const watches = apis.map((api) => new StartupWatch(api, LATENCY_NAMESPACE, startup))
  for (const watch of watches) await watch.open()
  timeline.enter({
    phase: `time ${latencyPodsPerSecond} pods a second`,
    measure: (point) => point.running,
    goal: ledger.wanted + total,
  })
  marks.latencyFrom = await takeMark(context)
  const stopReaders = startReaders(context)
  const began = performance.now()
  const writes: Promise<void>[] = []
  for (let i = 0; i < total && !signal.aborted; i++) {
    await pauseUnless(signal, began + (i * 1000) / latencyPodsPerSecond - performance.now())
    writes.push(createTimedPod(context, watches, i))
  }
  await Promise.all(writes)
  let late = 0
  for (const watch of watches) late += await watch.settled(STARTUP_MS_MAX)
  if (late > 0) marks.problems.push(`${late} timed pods did not run after ${STARTUP_MS_MAX / 1000} s`)
  await stopReaders()
  marks.latencyTo = await takeMark(context)
  for (const watch of watches) watch.close()
  log(`pod startup p50 ${ms(startup.percentile(0.5))}, p99 ${ms(startup.percentile(0.99))} of ${startup.count} pods`)
}

async function createTimedPod(
  { apis, ledger }: RunContext,
  watches: readonly StartupWatch[],
  i: number,
): Promise<void> {
  const tenant = i % apis.length
  const name = `timed-${i}`
  const watch = watches[tenant]!
  watch.expect(name)
  const object = latencyPodObject({ namespace: LATENCY_NAMESPACE, name })
  await apis[tenant]!.create('pods', `/api/v1/namespaces/${LATENCY_NAMESPACE}/pods`, object)
  ledger.acknowledged++
  ledger.singlePods.add(`${tenant}/${LATENCY_NAMESPACE}/${name}`)
}

/** Deployments grow and shrink, and some go and come back, so that about so many pods a second are made or removed. */
async function churn(context: RunContext): Promise<void> {
  const { options, ledger, timeline, marks, signal, random } = context
  if (options.churnSeconds === 0 || ledger.deployments.length === 0) return
  timeline.enter({ phase: 'churn' })
  marks.churnFrom = await takeMark(context)
  const stopReaders = startReaders(context)
  const began = performance.now()
  const budget = options.churnPodsPerSecond * options.churnSeconds
  for (let changed = 0; changed < budget && !signal.aborted;) {
    await pauseUnless(signal, began + (changed * 1000) / options.churnPodsPerSecond - performance.now())
    const deployment = ledger.deployments[random.integer(ledger.deployments.length)]!
    const isScaled = random.next() < 0.8
    changed += isScaled ? await scale(context, deployment) : await remake(context, deployment)
  }
  await converge(context)
  await stopReaders()
  marks.churnTo = await takeMark(context)
}

/** Gives it 0.5 to 1.5 times the replicas that Deployments of the run have. Returns how many pods that makes or removes. */
async function scale({ apis, options, random }: RunContext, deployment: LoadedDeployment): Promise<number> {
  const { tenant, namespace, name } = deployment
  const replicas = Math.max(1, Math.round(options.deploymentReplicas * (0.5 + random.next())))
  const changed = Math.abs(replicas - deployment.replicas)
  await apis[tenant]!.patch('deployments/scale', `${deploymentPath(namespace, name)}/scale`, { spec: { replicas } })
  deployment.replicas = replicas
  return changed
}

async function remake({ apis }: RunContext, deployment: LoadedDeployment): Promise<number> {
  const { tenant, namespace, name, replicas } = deployment
  const path = deploymentPath(namespace, name)
  await apis[tenant]!.delete('deployments', path)
  for (;;) {
    const { status } = await apis[tenant]!.tryCall({ method: 'GET', path, resource: 'deployments' })
    if (status === 404) break
    await pause(100)
  }
  const object = deploymentObject({ namespace, name }, { replicas, shape: DENSITY_POD })
  await apis[tenant]!.create('deployments', `/apis/apps/v1/namespaces/${namespace}/deployments`, object)
  return 2 * replicas
}

function deploymentPath(namespace: string, name: string): string {
  return `/apis/apps/v1/namespaces/${namespace}/deployments/${name}`
}

/** Some nodes fall silent; their pods are replaced; the nodes come back. */
async function failNodes(context: RunContext): Promise<void> {
  const { options, hollow, timeline, random, log } = context
  if (options.failedNodes === 0) return
  const { process, first, count } = hollow[random.integer(hollow.length)]!
  const failed = Math.min(options.failedNodes, count)
  const from = random.integer(count - failed + 1)
  timeline.enter({ phase: `${failed} nodes fail` })
  const began = performance.now()
  await process.stopNodes(from, from + failed)
  await untilUnavailable(context)
  log(`${failed} nodes from number ${first + from} are silent; noticed after ${seconds(began)} s`)
  await converge(context)
  log(`their pods run elsewhere after ${seconds(began)} s`)
  await process.resumeNodes(from, from + failed)
}

/** Until the API shows that Deployments miss pods. */
async function untilUnavailable(context: RunContext): Promise<void> {
  const { apis, signal, marks } = context
  const deadline = performance.now() + STARTUP_MS_MAX
  for (;;) {
    for (const api of apis) {
      const path = `/apis/apps/v1/deployments?labelSelector=${encodeURIComponent(`${RUN_LABEL}=density`)}`
      for await (const { status } of api.list<{ status?: { unavailableReplicas?: number } }>(
        'deployments',
        path,
        500,
      )) {
        if ((status?.unavailableReplicas ?? 0) > 0) return
      }
    }
    if (performance.now() > deadline) return void marks.problems.push('nobody noticed that nodes failed')
    await pauseUnless(signal, 500)
  }
}

/** A resource partition is killed without warning and comes back, then a tenant partition. */
async function crashPartitions(context: RunContext): Promise<void> {
  const { options, cluster, timeline, random, processes, log } = context
  if (!options.crashes) return
  const pick = (names: readonly string[]): string => names[random.integer(names.length)]!
  const resource = pick(cluster.partitions.filter(({ isResource }) => isResource).map(({ name }) => name))
  const tenant = pick(cluster.partitions.filter(({ isTenant }) => isTenant).map(({ name }) => name))
  for (const name of new Set([resource, tenant])) {
    timeline.enter({ phase: `partition ${name} is lost` })
    const began = performance.now()
    await cluster.crash(name, options.downMs)
    for (const process of cluster.processes()) processes.follow(process)
    log(`partition ${name} was killed and answers again after ${seconds(began)} s`)
    await converge(context)
    log(`everything runs ${seconds(began)} s after the kill`)
  }
}

async function settle(context: RunContext): Promise<void> {
  context.timeline.enter({ phase: 'settle', measure: (point) => point.running, goal: context.ledger.wanted })
  await converge(context)
  await waitRunning(context, context.ledger.wanted)
}

function seconds(beganMs: number): string {
  return ((performance.now() - beganMs) / 1000).toFixed(1)
}

function ms(value: number): string {
  return `${Math.round(value)} ms`
}

async function pauseUnless(signal: AbortSignal, ms: number): Promise<void> {
  signal.throwIfAborted()
  if (ms > 0) await pause(ms)
}
