import assert from 'node:assert/strict'
import { createSeededRandom, type Random } from '@centaurus/base'
import { millicores, type Allocation, type ObjectList, type Partition, type Pod } from './api-objects.ts'
import { listFaults, planWindows, shuffle, TOGETHER_MAX, type Fault } from './partition-faults.ts'
import { PartitionHosts, type ApiAnswer, type ApiRequest, type PartitionName } from './partition-hosts.ts'
import { PartitionLoad } from './partition-load.ts'
import { waitFor } from './processes.ts'

/** Of each resource partition. */
export const NODES = 8
export const REPLICAS = 12
const POD_MILLICORES = 300
const SETTLE_TIMEOUT_MS = 240_000

export type TenantName = 'beta' | 'acme'

export interface ScenarioOptions {
  readonly label: string
  readonly random: Random
  /** How long something stays broken, at most. Longer than a silent node is believed in (50 s) finds more. */
  readonly outageMs: number
}

/** Two tenants with pods on the nodes of both resource partitions, used all the time through the gateways, and what can be done to them. */
export class PartitionScenario {
  readonly hosts: PartitionHosts
  readonly load: PartitionLoad
  /** Where each tenant lives. */
  readonly livesAt: Record<TenantName, 'home' | 'tp1'> = { beta: 'home', acme: 'tp1' }
  readonly #options: ScenarioOptions

  private constructor(hosts: PartitionHosts, options: ScenarioOptions) {
    const { random } = options
    this.hosts = hosts
    this.#options = options
    const nodes = (['rp0', 'rp1'] as const).flatMap((rp) => nodeNames(rp))
    // Its own, so that what is broken depends on the seed alone.
    const own = createSeededRandom(random.integer(2 ** 31))
    this.load = new PartitionLoad({ hosts, random: own, tenants: this.tenants, nodes })
  }

  /** Starts everything; resolves when all pods run and clients are busy. */
  static async start(options: ScenarioOptions): Promise<PartitionScenario> {
    const hosts = await PartitionHosts.create(options.label)
    const scenario = new PartitionScenario(hosts, options)
    try {
      await hosts.up({ nodes: NODES })
      for (const tenant of scenario.tenants) {
        await hosts.addTenant(tenant, scenario.livesAt[tenant])
        await scenario.apply(tenant, 'web', REPLICAS)
      }
      await scenario.keepPods()
      await scenario.load.start()
    } catch (error) {
      await scenario.destroy()
      throw error
    }
    return scenario
  }

  async destroy(): Promise<void> {
    await this.load.stop()
    await this.hosts.destroy()
  }

  get tenants(): TenantName[] {
    return Object.keys(this.livesAt) as TenantName[]
  }

  /** From now on the pods of `web` stay as they are; they are what is there when all of them run. */
  async keepPods(replicas = REPLICAS): Promise<void> {
    for (const tenant of this.tenants) {
      const pods = await this.untilRunning(tenant, 'web', replicas)
      this.load.expectPods(tenant, new Set(pods.map(({ metadata }) => metadata.uid)))
    }
  }

  /** Their number is about to change. */
  releasePods(): void {
    for (const tenant of this.tenants) this.load.expectPods(tenant, new Set())
  }

  /** Makes the Deployment be so, at the partition of the tenant. */
  async apply(tenant: TenantName, name: string, replicas: number): Promise<void> {
    const path = `/apis/apps/v1/namespaces/default/deployments/${name}?fieldManager=test&force=true`
    const body = deployment(name, replicas)
    // A tenant is known to its partition a moment after home has decided, and a server that was killed needs one to be back.
    await waitFor(`${this.livesAt[tenant]} to take the Deployment ${name} of ${tenant}`, async () => {
      const request = { method: 'PATCH', path, body, contentType: 'application/apply-patch+yaml' }
      const answer = await this.#ask(tenant, request).catch(() => undefined)
      return answer?.status === 200 || answer?.status === 201
    })
  }

  async podsOf(tenant: TenantName, app: string): Promise<readonly Pod[]> {
    const path = `/api/v1/namespaces/default/pods?labelSelector=app%3D${app}`
    const { status, body } = await this.#ask<ObjectList<Pod>>(tenant, { method: 'GET', path })
    assert.equal(status, 200, JSON.stringify(body))
    return body.items
  }

  async untilRunning(tenant: TenantName, app: string, count: number): Promise<readonly Pod[]> {
    return waitFor(
      `${count} running pods of ${app} of ${tenant} while ${this.load.broken}`,
      async () => {
        const pods = await this.podsOf(tenant, app).catch(() => [])
        return pods.length === count && pods.every(isWhole) && pods
      },
      {
        timeoutMs: SETTLE_TIMEOUT_MS,
        describe: async () => JSON.stringify(await this.podsOf(tenant, app), undefined, 1).slice(-4000),
      },
    )
  }

  /** A change works whose result must be on nodes of any partition that is there. */
  async stillWorks(tenant: TenantName): Promise<void> {
    const name = `more-${this.#options.random.integer(1_000_000)}`
    await this.apply(tenant, name, 2)
    await this.untilRunning(tenant, name, 2)
    await this.load.untilWrites(tenant, 2)
    await this.#ask(tenant, { method: 'DELETE', path: `/apis/apps/v1/namespaces/default/deployments/${name}` })
  }

  /**
   * Breaks some things after one another, and repairs them in any order after a while. Who is not hit goes on: changes work, and clients are
   * served.
   */
  async breakTogether(faults: readonly Fault[]): Promise<void> {
    const { outageMs, random } = this.#options
    this.load.broken = faults.map(({ name }) => name).join(', ')
    const lastsMs = Math.round(outageMs * random.next())
    const begun: Fault[] = []
    const hit = new Set(faults.flatMap(({ hits }) => hits))
    try {
      const ended = sleep(lastsMs)
      for (const fault of faults) {
        await sleep(random.integer(lastsMs / TOGETHER_MAX))
        begun.push(fault)
        await fault.begin()
      }
      const others = this.tenants.filter((tenant) => !hit.has(this.livesAt[tenant]))
      const keepsWaiting = faults.some(({ keepsPodsWaiting }) => keepsPodsWaiting === true)
      const goesOn = (tenant: TenantName): Promise<void> =>
        keepsWaiting ? this.load.untilWrites(tenant, 2) : this.stillWorks(tenant)
      await Promise.all([ended, ...others.map(goesOn)])
    } finally {
      for (const fault of shuffle(begun, random)) await fault.end()
      this.load.broken = `nothing, after ${this.load.broken}`
    }
  }

  /** Breaks `count` times something at random; resolves when all is whole again. */
  async breakAtRandom(count: number, report: (line: string) => void): Promise<void> {
    for (const window of planWindows(listFaults(this.hosts), count, this.#options.random)) {
      const startedMs = performance.now()
      await this.breakTogether(window)
      const seconds = ((performance.now() - startedMs) / 1000).toFixed(1)
      report(`${window.map(({ name }) => name).join(', ')}: for ${seconds} s`)
    }
    await this.converged()
  }

  /** Keeps something as it is for as long as an outage takes, while `during` runs. */
  async outage(broken: string, during: () => Promise<void>): Promise<void> {
    this.load.broken = broken
    await Promise.all([during(), sleep(this.#options.outageMs)])
    this.load.broken = `nothing, after ${broken}`
  }

  /** Resolves when all is as it was. */
  async converged(): Promise<void> {
    for (const tenant of this.tenants) {
      await this.untilRunning(tenant, 'web', REPLICAS)
      await waitFor(
        `${tenant} to have no other pods`,
        async () => {
          const { status, body } = await this.#ask<ObjectList<Pod>>(tenant, { method: 'GET', path: '/api/v1/pods' })
          return status === 200 && body.items.length === REPLICAS
        },
        { timeoutMs: SETTLE_TIMEOUT_MS },
      )
      await this.load.untilWrites(tenant, 2)
    }
  }

  /** Every write that was acknowledged is there once, nobody has seen what may not be, and claims are the bound pods. */
  async check(): Promise<void> {
    assert.deepEqual(await this.load.check(), [])
    await waitFor('claims to be the bound pods', async () => {
      const answers = await Promise.all([this.#claimsOf('rp0'), this.#claimsOf('rp1')]).catch(whileAway)
      if (answers === undefined) return false
      const claimed = answers.flat().toSorted()
      const bound: string[] = []
      for (const tenant of this.tenants) {
        const { body } = await this.#ask<ObjectList<Pod>>(tenant, { method: 'GET', path: '/api/v1/pods' })
        for (const pod of body.items) if (pod.spec.nodeName !== undefined) bound.push(pod.metadata.uid)
      }
      return claimed.join() === bound.toSorted().join()
    })
  }

  /** Whether any other partition holds `name` for set back. */
  async fencedStatus(name: PartitionName): Promise<string | undefined> {
    const { body } = await this.hosts.api<Partition>('home', 'GET', `/apis/centaurus.io/v1/partitions/${name}`)
    return body.status?.conditions?.find(({ type }) => type === 'Fenced')?.status
  }

  /** One request of an operator at the partition of the tenant. */
  #ask<T>(tenant: TenantName, { method, path, ...more }: ApiRequest): Promise<ApiAnswer<T>> {
    return this.hosts.api<T>(this.livesAt[tenant], method, `/tenants/${tenant}${path}`, more)
  }

  /** Uids with a claim; fails when a node has given away more than it has. */
  async #claimsOf(rp: PartitionName): Promise<string[]> {
    const { body } = await this.hosts.api<ObjectList<Allocation>>(rp, 'GET', '/apis/centaurus.io/v1/nodeallocations')
    for (const { metadata, status } of body.items) {
      const cpus = status.claims.length * POD_MILLICORES
      assert.ok(cpus <= millicores(status.allocatable['cpu'] ?? '0'), `${metadata.name} is overcommitted`)
    }
    return body.items.flatMap(({ status }) => status.claims.map(({ uid }) => uid))
  }
}

/** A partition that was killed last may be about to start. */
function whileAway(error: unknown): undefined {
  if (error instanceof assert.AssertionError) throw error
  return undefined
}

/** As `centaurus up --nodes simulated:8` names them. */
export function nodeNames(rp: 'rp0' | 'rp1'): string[] {
  return Array.from({ length: NODES }, (_, i) => `${rp}-simulated-${i}`)
}

function isWhole({ metadata, status }: Pod): boolean {
  return metadata.deletionTimestamp === undefined && status.phase === 'Running'
}

function deployment(name: string, replicas: number): object {
  const labels = { app: name }
  const away = ['not-ready', 'unreachable'].map((key) => ({
    key: `node.kubernetes.io/${key}`,
    operator: 'Exists',
    effect: 'NoExecute',
    tolerationSeconds: 1,
  }))
  const resources = { requests: { cpu: `${POD_MILLICORES}m`, memory: '64Mi' } }
  return {
    apiVersion: 'apps/v1',
    kind: 'Deployment',
    metadata: { name, namespace: 'default' },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          terminationGracePeriodSeconds: 0,
          tolerations: away,
          containers: [{ name: 'c', image: 'registry.example/app:1', resources }],
        },
      },
    },
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}
