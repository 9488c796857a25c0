import { createApiServer, type ApiServer, type CreateExtension } from '@centaurus/apiserver'
import type { Stored } from '@centaurus/api'
import { pods, type Pod } from '@centaurus/api/core/v1'
import { createSeededRandom, silentLogger, systemClock, type Logger } from '@centaurus/base'
import { createInformerFactory, type Client, type InformerFactory, type RunningController } from '@centaurus/client'
import { createMemoryStore } from '@centaurus/store'
import { discoverFrom, type ResourceDiscovery } from '../frame/discovery.ts'
import type { ControllerDeps } from '../frame/controller.ts'

/** Longer than any state of these tests takes on a busy machine. */
const WAIT_MS = 30_000
const POLL_MS = 5

/** A real API server in this process with a memory store, and the controllers that a test names. */
export interface ControlPlane {
  readonly client: Client
  readonly server: ApiServer
  readonly informers: InformerFactory
  /** Resolves to what `check` returns once it returns something; its failures are shown when the time is over. */
  eventually<T>(check: () => Promise<T | undefined | false>): Promise<T>
  close(): Promise<void>
}

/** What any controller may ask for. */
export interface TestDeps extends ControllerDeps {
  readonly discovery: ResourceDiscovery
  readonly rootCa: string
}

export interface ControlPlaneOptions {
  /** Their start functions. */
  readonly controllers: readonly ((deps: TestDeps) => RunningController)[]
  readonly logger?: Logger | undefined
  /** Of the server; absent: everybody may do everything. */
  readonly extensions?: readonly CreateExtension[] | undefined
}

export async function startControlPlane({
  controllers,
  extensions,
  logger = silentLogger,
}: ControlPlaneOptions): Promise<ControlPlane> {
  const random = createSeededRandom(1)
  const store = createMemoryStore()
  const server = createApiServer({ store, clock: systemClock, random, logger, extensions })
  await server.start()
  const client = server.client()
  const informers = createInformerFactory(client, { logger, random })
  const discovery = discoverFrom(server.registry)
  const deps: TestDeps = { client, informers, logger, random, clock: systemClock, discovery, rootCa: 'CA' }
  const running = controllers.map((start) => start(deps))
  return {
    client,
    server,
    informers,
    eventually,
    async close() {
      await Promise.all(running.map((controller) => controller.close()))
      await informers.close()
      await server.close()
      await store.close()
    },
  }
}

async function eventually<T>(check: () => Promise<T | undefined | false>): Promise<T> {
  const deadlineMs = systemClock.monotonicMs() + WAIT_MS
  let failure: unknown
  for (;;) {
    try {
      const value = await check()
      if (value !== undefined && value !== false) return value
    } catch (error) {
      failure = error
    }
    if (systemClock.monotonicMs() > deadlineMs) throw new Error('State was not reached in time', { cause: failure })
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

/** Plays the node agent: makes every pod that is pending running and ready. Returns the function that stops it. */
export function runPods({ client, informers }: Pick<ControlPlane, 'client' | 'informers'>): () => void {
  const informer = informers.informer(pods)
  let next = 1
  const settle = async (pod: Stored<Pod>): Promise<void> => {
    if (pod.status?.phase !== 'Pending') return
    const now = new Date().toISOString()
    const podIP = `10.1.${Math.floor(next / 250)}.${(next++ % 250) + 1}`
    const conditions = [{ type: 'Ready', status: 'True', lastTransitionTime: now }]
    const status = { ...pod.status, phase: 'Running', podIP, podIPs: [{ ip: podIP }], conditions }
    await client.updateStatus(pods, { ...pod, status }).catch(() => {}) // changed or gone: its event comes
  }
  const remove = async (pod: Stored<Pod>): Promise<void> => {
    await client
      .delete(pods, { namespace: pod.metadata.namespace, name: pod.metadata.name }, { gracePeriodSeconds: 0 })
      .catch(() => {})
  }
  const onPod = (pod: Stored<Pod>): void =>
    void (pod.metadata.deletionTimestamp === undefined ? settle(pod) : remove(pod))
  return informer.addHandler({ onAdd: onPod, onUpdate: onPod })
}
