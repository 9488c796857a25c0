import type { Random } from '@centaurus/base'
import {
  millicores,
  type Allocation,
  type ConfigMap,
  type ObjectList,
  type Pod,
  type WatchEvent,
} from './api-objects.ts'
import {
  GATEWAYS,
  type ApiAnswer,
  type ApiRequest,
  type Caller,
  type GatewayName,
  type PartitionHosts,
} from './partition-hosts.ts'
import { waitFor } from './processes.ts'

const CONFIG_MAPS = '/api/v1/namespaces/default/configmaps'
const MINE = 'labelSelector=load'
const COUNTER = 'counter'
/** How long a client waits that got no answer, or a refusal. */
const PAUSE_MS = 100
const SETTLE_TIMEOUT_MS = 120_000
/** Of an answer that is quoted. */
const WORDS_SHOWN = 300
/** After how many writes a client changes to the other gateway without need, on average. */
const OTHER_GATEWAY_EVERY = 10

/** `unknown`: it may have been done, once. */
type Outcome = 'acknowledged' | 'refused' | 'unknown'

interface TenantLoad {
  readonly name: string
  readonly writes: Map<string, Outcome>
  /** By name: what the watch has shown so far. */
  readonly shown: Map<string, string>
  /** Where the watch goes on; empty: it must list first. */
  position: string
  acknowledged: number
  counted: number
  /** Uids of the pods that must stay as they are. */
  pods: ReadonlySet<string>
  readonly clients: Readonly<Record<'write' | 'count' | 'watch', LoadClient>>
}

/** Uses one gateway, until it fails. */
interface LoadClient {
  gateway: GatewayName
}

export interface PartitionLoadOptions {
  readonly hosts: PartitionHosts
  readonly random: Random
  readonly tenants: readonly string[]
  /** Names of all nodes. */
  readonly nodes: readonly string[]
}

/**
 * What clients do all the time while the cluster is broken around them, through its gateways: write, read back, count, watch, and look at
 * nodes and pods. Notes whatever nobody may ever see; {@link check} tells it, and compares what is stored with what was acknowledged.
 */
export class PartitionLoad {
  /** What is broken at the moment, for the notes. */
  broken = 'nothing'
  /** False while somebody stops node agents. */
  allNodesRun = true
  readonly #options: PartitionLoadOptions
  readonly #tenants: readonly TenantLoad[]
  /** When each was seen first. */
  readonly #violations = new Map<string, string>()
  readonly #stop = new AbortController()
  #running: Promise<unknown> = Promise.resolve()
  #operations = 0
  /** Answers by what was asked, for the report. */
  readonly #answers = new Map<string, number>()
  readonly #operator = newClient()

  constructor(options: PartitionLoadOptions) {
    this.#options = options
    this.#tenants = options.tenants.map((name) => ({
      name,
      writes: new Map(),
      shown: new Map(),
      position: '',
      acknowledged: 0,
      counted: 0,
      pods: new Set(),
      clients: { write: newClient(), count: newClient(), watch: newClient() },
    }))
  }

  /** Begins; each tenant gets a counter first. */
  async start(): Promise<void> {
    for (const { name } of this.#tenants) {
      const body = { ...configMap({ name: COUNTER }), data: { n: '0' } }
      await waitFor(`the counter of ${name}`, async () => {
        const answer = await this.#through(newClient(), { tenant: name }, { method: 'POST', path: CONFIG_MAPS, body })
        return answer?.status === 201 || answer?.status === 409
      })
    }
    for (const gateway of GATEWAYS) await this.#untilKnown(gateway)
    const loops = this.#tenants.flatMap((tenant) => [
      this.#repeat(() => this.#write(tenant)),
      this.#repeat(() => this.#count(tenant)),
      this.#repeat(() => this.#watch(tenant)),
    ])
    this.#running = Promise.all([...loops, this.#repeat(() => this.#look())])
  }

  /** A gateway hears of a new tenant a moment later than the partition. */
  async #untilKnown(gateway: GatewayName): Promise<void> {
    for (const { name } of this.#tenants) {
      const request = { method: 'GET', path: `${CONFIG_MAPS}/${COUNTER}` }
      await waitFor(`${gateway} to know ${name}`, async () => {
        const answer = await this.#options.hosts.through(gateway, { tenant: name }, request).catch(() => undefined)
        return answer?.status === 200
      })
    }
  }

  /** Ends what is under way; nothing goes on when it resolves. */
  async stop(): Promise<void> {
    this.#stop.abort()
    await this.#running
  }

  /** These pods of the tenant must be there, running, whenever somebody looks. Empty: nobody looks. */
  expectPods(tenant: string, uids: ReadonlySet<string>): void {
    this.#tenant(tenant).pods = uids
  }

  /** Resolves when some more writes of the tenant were acknowledged. */
  async untilWrites(tenant: string, more: number): Promise<void> {
    const own = this.#tenant(tenant)
    const wanted = own.acknowledged + more
    const what = `${more} more writes of ${tenant} while ${this.broken}`
    await waitFor(what, async () => own.acknowledged >= wanted, { timeoutMs: SETTLE_TIMEOUT_MS })
  }

  /** What was wrong so far. */
  get violations(): string[] {
    return [...this.#violations].map(([violation, time]) => `${time} ${violation}`)
  }

  /** How many answers of which kind there were, and how many writes. */
  describe(): string {
    const answers = [...this.#answers].toSorted().map(([what, count]) => `${what}: ${count}`)
    const writes = this.#tenants.map(
      ({ name, acknowledged, counted }) => `${name} ${acknowledged} (counter ${counted})`,
    )
    return `acknowledged: ${writes.join(', ')}; ${answers.join(', ')}`
  }

  /** To be called when everything is whole again: resolves to what was wrong, or is. */
  async check(): Promise<string[]> {
    for (const tenant of this.#tenants) {
      const before = new Map(tenant.writes) // it goes on
      const list = await waitFor(
        `the objects of ${tenant.name}`,
        async () => {
          const answer = await this.#list(tenant)
          return answer?.status === 200 && answer.body
        },
        { timeoutMs: SETTLE_TIMEOUT_MS },
      )
      this.#compare(before, list.items)
      await waitFor(
        `the watch of ${tenant.name} to show all that there is`,
        async () => list.items.every(({ metadata }) => tenant.shown.has(metadata.name)),
        { timeoutMs: SETTLE_TIMEOUT_MS },
      )
    }
    return this.violations
  }

  #compare(writes: ReadonlyMap<string, Outcome>, items: readonly ConfigMap[]): void {
    const times = new Map<string, number>()
    for (const { metadata } of items) {
      const write = metadata.labels?.['load'] ?? ''
      times.set(write, (times.get(write) ?? 0) + 1)
    }
    for (const [write, outcome] of writes) {
      const found = times.get(write) ?? 0
      if (outcome === 'acknowledged' && found !== 1)
        this.#note(`Write ${write} was acknowledged, and is there ${found} times`)
      if (outcome === 'refused' && found !== 0) this.#note(`Write ${write} was refused, and is there`)
      if (outcome === 'unknown' && found > 1) this.#note(`Write ${write} is there ${found} times`)
    }
  }

  /** Creates an object under a name of the server's: repeated by anybody, it would be there twice. */
  async #write(tenant: TenantLoad): Promise<void> {
    const write = `${tenant.name}-${++this.#operations}`
    tenant.writes.set(write, 'unknown')
    const body = configMap({ generateName: 'w-', labels: { load: write } })
    const client = tenant.clients.write
    const answer = await this.#ask<ConfigMap>(tenant, client, { method: 'POST', path: CONFIG_MAPS, body })
    if (answer?.status === 201) {
      tenant.writes.set(write, 'acknowledged')
      tenant.acknowledged++
      const { name } = answer.body.metadata
      // Now and then through the other one.
      if (this.#options.random.integer(OTHER_GATEWAY_EVERY) === 0) turn(client)
      const read = await this.#ask<ConfigMap>(tenant, client, { method: 'GET', path: `${CONFIG_MAPS}/${name}` })
      if (read?.status === 404) this.#note(`Write ${write} was acknowledged, and is not there for who reads it next`)
      return
    }
    // What it asks to be sent again, clients send again.
    if (answer !== undefined && (answer.status === 503 || answer.status < 500 || answer.asksAgain))
      tenant.writes.set(write, 'refused')
    await pause()
  }

  /** Adds one to a number, if nobody else did. */
  async #count(tenant: TenantLoad): Promise<void> {
    const path = `${CONFIG_MAPS}/${COUNTER}`
    const known = tenant.counted
    const client = tenant.clients.count
    const read = await this.#ask<ConfigMap>(tenant, client, { method: 'GET', path })
    if (read?.status === 404) this.#note(`The counter of ${tenant.name} is gone`)
    if (read?.status !== 200) return pause()
    const n = Number(read.body.data?.['n'])
    if (n < known) this.#note(`The counter of ${tenant.name} went back from ${known} to ${n}`)
    const body = { ...read.body, data: { n: String(n + 1) } }
    const answer = await this.#ask<ConfigMap>(tenant, client, { method: 'PUT', path, body })
    if (answer?.status === 200) tenant.counted = n + 1
    await pause()
  }

  /** One watch to its end, from where the last one ended. */
  async #watch(tenant: TenantLoad): Promise<void> {
    if (tenant.position === '') await this.#begin(tenant)
    if (tenant.position === '') return pause()
    const path = `${CONFIG_MAPS}?watch=true&allowWatchBookmarks=true&${MINE}&resourceVersion=${tenant.position}`
    const onEvent = (event: WatchEvent): void => this.#hear(tenant, event)
    const options = { path, onEvent, signal: this.#stop.signal }
    const client = tenant.clients.watch
    const status = await this.#options.hosts
      .watch(client.gateway, { tenant: tenant.name }, options)
      .catch(() => undefined)
    this.#tally(`watch ${status ?? 'broken off'}`)
    if (status === 410) tenant.position = ''
    if (status !== 200) turn(client)
    await pause()
  }

  #list(tenant: TenantLoad): Promise<ApiAnswer<ObjectList<ConfigMap>> | undefined> {
    return this.#ask(tenant, tenant.clients.watch, { method: 'GET', path: `${CONFIG_MAPS}?${MINE}` })
  }

  /** As a client does that can't go on where it was. */
  async #begin(tenant: TenantLoad): Promise<void> {
    const answer = await this.#list(tenant)
    if (answer?.status !== 200) return
    const { items, metadata } = answer.body
    const listed = new Map(items.map((item) => [item.metadata.name, item.metadata.resourceVersion]))
    for (const name of tenant.shown.keys())
      if (!listed.has(name)) this.#note(`${name} of ${tenant.name} is listed no more`)
    for (const [name, version] of listed) tenant.shown.set(name, version)
    tenant.position = metadata.resourceVersion
    this.#tally('lists before a watch')
  }

  #hear(tenant: TenantLoad, { type, object }: WatchEvent): void {
    if (type === 'ERROR') return void (tenant.position = '')
    const { name, resourceVersion } = object.metadata
    tenant.position = resourceVersion
    if (type === 'BOOKMARK') return
    const what = `${name} of ${tenant.name}`
    if (type !== 'ADDED') this.#note(`A watch says ${type} of ${what}, which nobody touches`)
    if (tenant.shown.has(name)) this.#note(`A watch shows ${what} twice`)
    tenant.shown.set(name, resourceVersion)
  }

  /** What operators look at: the truth, or a refusal. */
  async #look(): Promise<void> {
    const { nodes } = this.#options
    const expected = nodes.toSorted().join()
    // Nodes that do not run have no metrics, as in any cluster.
    const metrics = this.allNodesRun ? ['/apis/metrics.k8s.io/v1beta1/nodes'] : []
    for (const path of ['/api/v1/nodes', ALLOCATIONS, ...metrics]) {
      const items = await this.#see<Allocation>(path)
      if (items === undefined) continue
      const names = items.map(({ metadata }) => metadata.name).toSorted()
      if (names.join() !== expected) this.#note(`${path} shows ${names.length} of ${nodes.length} nodes`)
      if (path === ALLOCATIONS) for (const item of items) this.#checkRoom(item)
    }
    for (const tenant of this.#tenants) {
      const wanted = tenant.pods
      if (wanted.size === 0) continue
      const pods = await this.#see<Pod>(
        `/tenants/${tenant.name}/api/v1/namespaces/default/pods?labelSelector=app%3Dweb`,
      )
      if (pods !== undefined && wanted === tenant.pods) this.#checkPods(tenant, pods)
    }
    await pause()
  }

  #checkRoom({ metadata, status }: Allocation): void {
    const [claimed, room] = [status.claimed['cpu'], status.allocatable['cpu']].map((cpu) => millicores(cpu ?? '0'))
    if (claimed! > room!) this.#note(`${metadata.name} has ${room}m and gave away ${claimed}m`)
  }

  #checkPods(tenant: TenantLoad, pods: readonly Pod[]): void {
    const seen = new Set(pods.map(({ metadata }) => metadata.uid))
    const lost = [...tenant.pods].filter((uid) => !seen.has(uid))
    const added = pods.filter(({ metadata }) => !tenant.pods.has(metadata.uid))
    const ill = pods.filter(
      ({ metadata, status }) => metadata.deletionTimestamp !== undefined || status.phase !== 'Running',
    )
    if (lost.length + added.length + ill.length === 0) return
    const describe = ({ metadata, status }: Pod): string =>
      `${metadata.name} ${status.phase} ${metadata.deletionTimestamp}`
    this.#note(
      `Of ${tenant.name}'s pods ${lost.length} are gone, ${added.length} are new, and wrong are ${ill.map(describe).join(', ')}`,
    )
  }

  /** Items of a list, as an operator; undefined when it is refused, which must be said clearly. */
  async #see<T>(path: string): Promise<readonly T[] | undefined> {
    const answer = await this.#through<ObjectList<T> & { readonly kind?: string; readonly message?: string }>(
      this.#operator,
      'operator',
      { method: 'GET', path },
    )
    if (answer === undefined) return undefined
    if (answer.status === 200) return answer.body.items
    if (answer.body.kind !== 'Status' || !answer.body.message || answer.status < 500)
      this.#note(`${path} is answered ${answer.status} ${JSON.stringify(answer.body).slice(0, WORDS_SHOWN)}`)
    return undefined
  }

  #ask<T>({ name }: TenantLoad, client: LoadClient, request: ApiRequest): Promise<ApiAnswer<T> | undefined> {
    return this.#through<T>(client, { tenant: name }, request)
  }

  /** Undefined when nothing answers. */
  async #through<T>(client: LoadClient, caller: Caller, request: ApiRequest): Promise<ApiAnswer<T> | undefined> {
    const answer = await this.#options.hosts.through<T>(client.gateway, caller, request).catch(() => undefined)
    // Nobody should see it: who reads the report wants to know.
    const why = answer?.status === 500 ? ` ${JSON.stringify(answer.body).slice(0, WORDS_SHOWN)}` : ''
    this.#tally(`${request.method} ${answer?.status ?? 'unanswered'}${why}`)
    if (answer === undefined || answer.status >= 500) turn(client)
    return answer
  }

  async #repeat(body: () => Promise<void>): Promise<void> {
    while (!this.#stop.signal.aborted) await body()
  }

  #tenant(wanted: string): TenantLoad {
    return this.#tenants.find(({ name }) => name === wanted)!
  }

  #tally(what: string): void {
    this.#answers.set(what, (this.#answers.get(what) ?? 0) + 1)
  }

  #note(violation: string): void {
    const what = `while ${this.broken}: ${violation}`
    if (!this.#violations.has(what)) this.#violations.set(what, new Date().toISOString())
  }
}

const ALLOCATIONS = '/apis/centaurus.io/v1/nodeallocations'

function configMap(metadata: object): object {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata }
}

function newClient(): LoadClient {
  return { gateway: GATEWAYS[0] }
}

function turn(client: LoadClient): void {
  client.gateway = GATEWAYS.find((name) => name !== client.gateway)!
}

function pause(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, PAUSE_MS))
}
