import { parseQuantity, podRequests } from '@centaurus/api'
import type { Node, Pod } from '@centaurus/api/core/v1'
import type { RunContext } from '../run/run.ts'
import { LeanClient } from '../wire/lean-client.ts'
import { checkClaims, type ClaimsCheck } from './check-claims.ts'
import { RUN_LABEL } from './objects.ts'
import { TenantApi } from './tenant-api.ts'

const PAGE_ITEMS = 500
/** Problems that are told one by one. */
const EXAMPLES_MAX = 10

/** What is left at the end, against what was asked for. All must be zero but the first three. */
export interface CheckResult extends ClaimsCheck {
  readonly nodes: number
  readonly pods: number
  readonly boundPods: number
  /** Nodes whose pods ask for more than they have. */
  readonly overcommit: number
  /** Acknowledged pods that are not there, and replicas that do not run. */
  readonly lostPods: number
  /** Pods that nobody asked for: more than a Deployment wants, or alive though deleted. */
  readonly surplusPods: number
  /** Pods bound to nodes that do not exist. */
  readonly strayPods: number
  /** Uids that two pods have. */
  readonly duplicates: number
  /** Bound pods that should run and do not. */
  readonly notRunning: number
  /** Pods that two nodes ran at once. */
  readonly doubleRuns: number
  /** Words about the first few of them. */
  readonly examples: readonly string[]
}

interface NodeUse {
  readonly cpu: number
  readonly memory: number
  readonly pods: number
  usedCpu: number
  usedMemory: number
  usedPods: number
}

/** Lists everything and compares. Reads through the same API as everybody. */
export async function checkCluster(context: RunContext): Promise<CheckResult> {
  const resources = await connectToResources(context)
  try {
    const check = new PodCheck(context, await readNodes(resources.apis))
    const apis = [...context.apis, ...(context.apis.includes(context.operators) ? [] : [context.operators])]
    for (const [index, api] of apis.entries()) {
      const path = `/api/v1/pods?labelSelector=${encodeURIComponent(RUN_LABEL)}`
      for await (const pod of api.list<Pod>('pods', path, PAGE_ITEMS)) check.add(index, pod)
    }
    return { ...check.result(), ...(await checkClaims(resources.apis, check.bound)) }
  } finally {
    resources.close()
  }
}

interface Resources {
  /** One for each resource partition. */
  readonly apis: readonly TenantApi[]
  close(): void
}

async function connectToResources({ cluster, latencies }: RunContext): Promise<Resources> {
  const clients = cluster.partitions
    .filter(({ isResource }) => isResource)
    .map(
      ({ url }) =>
        new LeanClient({
          target: { url, tls: cluster.admin },
          connections: 1,
          userAgent: 'centaurus-simulate',
          latencies,
        }),
    )
  for (const client of clients) await client.open()
  return {
    apis: clients.map((client) => new TenantApi(client, { name: 'system', partition: '' })),
    close() {
      for (const client of clients) client.close()
    },
  }
}

async function readNodes(apis: readonly TenantApi[]): Promise<Map<string, NodeUse>> {
  const nodes = new Map<string, NodeUse>()
  for (const api of apis) {
    for await (const { metadata, status } of api.list<Node>('nodes', '/api/v1/nodes', PAGE_ITEMS)) {
      const { cpu = '0', memory = '0', pods = '0' } = status?.allocatable ?? {}
      nodes.set(metadata.name ?? '', {
        cpu: parseQuantity(cpu).milliValue,
        memory: parseQuantity(memory).value,
        pods: parseQuantity(pods).value,
        usedCpu: 0,
        usedMemory: 0,
        usedPods: 0,
      })
    }
  }
  return nodes
}

/** Adds up pods as they come, so that no list of all is held. */
class PodCheck {
  /** Node of each bound pod that is not over, by uid. */
  readonly bound = new Map<string, string>()
  readonly #context: RunContext
  readonly #nodes: ReadonlyMap<string, NodeUse>
  readonly #uids = new Set<string>()
  readonly #byApp = new Map<string, number>()
  readonly #singles = new Set<string>()
  readonly #examples: string[] = []
  #pods = 0
  #stray = 0
  #duplicates = 0
  #notRunning = 0
  #daemons = 0
  #surplus = 0

  constructor(context: RunContext, nodes: ReadonlyMap<string, NodeUse>) {
    this.#context = context
    this.#nodes = nodes
  }

  add(tenant: number, pod: Pod): void {
    const { metadata, spec, status } = pod
    const where = `${tenant}/${metadata.namespace}/${metadata.name}`
    this.#pods++
    if (this.#uids.has(metadata.uid ?? '')) this.#duplicates++
    this.#uids.add(metadata.uid ?? '')
    const isOver = status?.phase === 'Succeeded' || status?.phase === 'Failed'
    const isRunning = status?.phase === 'Running' && metadata.deletionTimestamp === undefined
    if (spec?.nodeName !== undefined && spec.nodeName !== '' && !isOver) this.#use(where, pod)
    if (!isRunning) {
      this.#notRunning++
      this.#tell(
        `pod ${where} is ${status?.phase}${metadata.deletionTimestamp === undefined ? '' : ', being deleted'} on ${spec?.nodeName}`,
      )
      return
    }
    const kind = metadata.labels?.[RUN_LABEL]
    if (kind === 'latency') this.#addSingle(where)
    else if (kind === 'daemon') this.#daemons++
    else {
      const app = `${tenant}/${metadata.namespace}/${metadata.labels?.['app']}`
      this.#byApp.set(app, (this.#byApp.get(app) ?? 0) + 1)
    }
  }

  result(): Omit<CheckResult, keyof ClaimsCheck> {
    const { ledger, hollow } = this.#context
    const doubleRuns = hollow.reduce((sum, { process }) => sum + (process.latest?.counters.doubleRuns ?? 0), 0)
    return {
      nodes: this.#nodes.size,
      pods: this.#pods,
      boundPods: this.bound.size,
      overcommit: this.#countOvercommitted(),
      lostPods: this.#countLost() + Math.max(0, ledger.daemons - this.#daemons),
      surplusPods: this.#surplus + Math.max(0, this.#daemons - ledger.daemons),
      strayPods: this.#stray,
      duplicates: this.#duplicates,
      notRunning: this.#notRunning,
      doubleRuns,
      examples: this.#examples,
    }
  }

  #use(where: string, { metadata, spec }: Pod): void {
    this.bound.set(metadata.uid ?? '', spec?.nodeName ?? '')
    const node = this.#nodes.get(spec?.nodeName ?? '')
    if (node === undefined || spec === undefined) {
      this.#stray++
      return this.#tell(`pod ${where} is bound to ${spec?.nodeName}, which is no node`)
    }
    const { cpu = 0, memory = 0 } = podRequests(spec)
    node.usedCpu += cpu
    node.usedMemory += memory
    node.usedPods++
  }

  #addSingle(where: string): void {
    if (!this.#context.ledger.singlePods.has(where)) {
      this.#surplus++
      return this.#tell(`pod ${where} runs though nobody wants it`)
    }
    this.#singles.add(where)
  }

  #countOvercommitted(): number {
    let count = 0
    for (const [name, node] of this.#nodes) {
      if (node.usedCpu <= node.cpu && node.usedMemory <= node.memory && node.usedPods <= node.pods) continue
      count++
      this.#tell(
        `node ${name} has ${node.cpu}m, ${node.memory} B, ${node.pods} pods; ${node.usedCpu}m, ${node.usedMemory} B, ${node.usedPods} pods are asked of it`,
      )
    }
    return count
  }

  #countLost(): number {
    const { ledger } = this.#context
    let lost = 0
    for (const { tenant, namespace, name, replicas } of ledger.deployments) {
      const running = this.#byApp.get(`${tenant}/${namespace}/${name}`) ?? 0
      if (running === replicas) continue
      this.#tell(`deployment ${tenant}/${namespace}/${name} wants ${replicas} pods and has ${running}`)
      if (running < replicas) lost += replicas - running
      else this.#surplus += running - replicas
    }
    for (const where of ledger.singlePods) {
      if (this.#singles.has(where)) continue
      lost++
      this.#tell(`pod ${where} was acknowledged and does not run`)
    }
    return lost
  }

  #tell(text: string): void {
    if (this.#examples.length < EXAMPLES_MAX) this.#examples.push(text)
  }
}

/** Whether nothing is wrong. */
export function isClean(check: CheckResult): boolean {
  const { overcommit, lostPods, surplusPods, strayPods, duplicates, notRunning, doubleRuns } = check
  const { unclaimedPods, staleClaims, overclaimedNodes } = check
  const ofPods = lostPods + surplusPods + strayPods + duplicates + notRunning + doubleRuns
  return ofPods + overcommit + unclaimedPods + staleClaims + overclaimedNodes === 0
}
