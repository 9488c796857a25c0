import { deployments } from '@centaurus/api/apps/v1'
import { configmaps, pods, type Pod, type TopologySpreadConstraint } from '@centaurus/api/core/v1'
import { isStatus, StatusError, type Stored } from '@centaurus/api'
import { systemClock } from '@centaurus/base'
import type { Client } from '@centaurus/client'
import { eventually } from './test-partition.ts'

export const NAMESPACE = 'default'
const RETRY_MS = 10
/** What clients try again. */
const PASSING = ['ServiceUnavailable', 'Timeout', 'Conflict', 'TooManyRequests', 'ServerTimeout'] as const

/** Goes on writing, as clients do: what is refused for the moment is tried again. */
export class Writer {
  readonly acknowledged: string[] = []
  /** Longest time without an acknowledged write. */
  gapMs = 0
  readonly #client: Client
  #stopped = false
  readonly #running: Promise<void>

  constructor(client: Client) {
    this.#client = client
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    let lastMs = performance.now()
    for (let i = 0; !this.#stopped; i++) {
      await this.#write(`written-${i}`)
      this.gapMs = Math.max(this.gapMs, performance.now() - lastMs)
      lastMs = performance.now()
    }
  }

  async #write(name: string): Promise<void> {
    for (;;) {
      try {
        await this.#client.create(configmaps, { metadata: { name, namespace: NAMESPACE }, data: { name } })
        break
      } catch (error) {
        if (isStatus(error, 'AlreadyExists')) break // an answer was lost
        if (this.#stopped) return
        if (error instanceof StatusError && !PASSING.some((reason) => isStatus(error, reason))) throw error
        await systemClock.sleep(RETRY_MS)
      }
    }
    this.acknowledged.push(name)
  }
}

/** Goes on making ConfigMaps, changing them and deleting all but the last. */
export class Churner {
  count = 0
  readonly #client: Client
  #stopped = false
  readonly #running: Promise<void>

  constructor(client: Client) {
    this.#client = client
    this.#running = this.#run()
  }

  async stop(): Promise<void> {
    this.#stopped = true
    await this.#running
  }

  async #run(): Promise<void> {
    while (!this.#stopped) {
      const name = { name: `churned-${this.count}`, namespace: NAMESPACE }
      await this.#try(() => this.#client.create(configmaps, { metadata: name }))
      await this.#try(() => this.#client.patch(configmaps, name, { type: 'merge', body: { data: { a: 'b' } } }))
      this.count++
      if (!this.#stopped) await this.#try(() => this.#client.delete(configmaps, name))
    }
  }

  async #try(write: () => Promise<unknown>): Promise<void> {
    for (;;) {
      try {
        return void (await write())
      } catch (error) {
        if (isStatus(error, 'AlreadyExists') || isStatus(error, 'NotFound')) return // an answer was lost
        if (error instanceof StatusError && !PASSING.some((reason) => isStatus(error, reason))) throw error
        await systemClock.sleep(RETRY_MS)
      }
    }
  }
}

/** Makes a Deployment of pods that ask for some CPU. With `nodes`: as evenly on so many, which are waited for. */
export async function deploy(
  client: Client,
  name: string,
  replicas: number,
  { nodes }: { readonly nodes?: number } = {},
): Promise<void> {
  const labels = { app: name }
  const containers = [{ name: 'c', image: 'x', resources: { requests: { cpu: '100m' } } }]
  await client.create(deployments, {
    metadata: { name, namespace: NAMESPACE },
    spec: {
      replicas,
      selector: { matchLabels: labels },
      template: {
        metadata: { labels },
        spec: {
          containers,
          ...(nodes === undefined ? {} : { topologySpreadConstraints: [spreadOver(nodes, labels)] }),
        },
      },
    },
  })
}

function spreadOver(nodes: number, labels: Record<string, string>): TopologySpreadConstraint {
  return {
    maxSkew: 1,
    minDomains: nodes,
    topologyKey: 'kubernetes.io/hostname',
    whenUnsatisfiable: 'DoNotSchedule',
    labelSelector: { matchLabels: labels },
  }
}

export const podsOf = async (client: Client, app: string): Promise<readonly Stored<Pod>[]> =>
  (await client.list(pods, { namespace: NAMESPACE, labelSelector: `app=${app}` })).items

export async function untilRunning(client: Client, app: string, count: number): Promise<void> {
  await eventually(`${count} pods of ${app} to run`, async () => {
    const list = await podsOf(client, app)
    return list.length === count && list.every(({ status }) => status?.phase === 'Running')
  })
}

/** What of pods must not change while their tenant moves. */
export function identities(list: readonly Stored<Pod>[]): string[] {
  return list
    .map(({ metadata, spec, status }) => {
      const [container] = status?.containerStatuses ?? []
      const life = `${container?.containerID} ${container?.restartCount} ${status?.startTime}`
      return `${metadata.uid} ${spec?.nodeName} ${life} ${metadata.deletionTimestamp ?? ''}`
    })
    .toSorted()
}

/** `uid node` of each pod that runs. */
export const boundOf = (list: readonly Stored<Pod>[]): string[] =>
  list
    .filter(({ spec, status }) => spec?.nodeName !== undefined && status?.phase === 'Running')
    .map(({ metadata, spec }) => `${metadata.uid} ${spec?.nodeName}`)
    .toSorted()
