import assert from 'node:assert/strict'
import type { PartitionRole } from '@centaurus/api/centaurus/v1'
import type { ClusterCertificates } from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import { parseKubeconfig } from '@centaurus/client/http'
import { createMemoryStore, REVISION_SPAN, timedRevisions, withRevisionBase, type Store } from '@centaurus/store'
import { startControlPlane, type ControlPlane } from '../control-plane.ts'
import { SINGLE_PARTITION } from '../control-plane/partition-setup.ts'
import { connectNodes, startSimulatedNodes } from '../simulated-nodes.ts'

const WAIT_MS = 60_000
const POLL_MS = 25
/** Simulated nodes of a partition that has some. */
export const NODES_EACH = 2

/** One partition in this process, which can be stopped and started again over the same store. */
export class TestPartition {
  readonly name: string
  readonly roles: readonly PartitionRole[]
  readonly #index: number
  readonly #certificates: ClusterCertificates
  readonly #homeEndpoints: readonly string[] | undefined
  readonly #nodeCount: number
  #store: Store
  #port = 0
  #plane: ControlPlane | undefined
  #nodes: { close(): Promise<void> } | undefined

  constructor(options: {
    name: string
    roles: readonly PartitionRole[]
    index: number
    certificates: ClusterCertificates
    homeEndpoints: readonly string[] | undefined
    /** Default: in memory. */
    store?: Store | undefined
    /** Default: {@link NODES_EACH}, where there are any. */
    nodes?: number | undefined
  }) {
    this.name = options.name
    this.roles = options.roles
    this.#index = options.index
    this.#certificates = options.certificates
    this.#homeEndpoints = options.homeEndpoints
    this.#nodeCount = options.nodes ?? NODES_EACH
    this.#store = options.store ?? openStore(options.index)
  }

  get plane(): ControlPlane {
    assert.ok(this.#plane !== undefined, `${this.name} does not run`)
    return this.#plane
  }

  async start(): Promise<void> {
    this.#plane = await startControlPlane({
      store: this.#store,
      certificates: this.#certificates,
      port: this.#port,
      host: '127.0.0.1',
      advertiseAddress: '127.0.0.1',
      partition: {
        ...SINGLE_PARTITION,
        name: this.name,
        roles: this.roles,
        homeEndpoints: this.#homeEndpoints,
        serviceRange: `10.${96 + this.#index}.0.0/16`,
      },
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
    })
    this.#port = this.#plane.port
    if (this.roles.includes('Resource')) await this.#startNodes()
  }

  async #startNodes(): Promise<void> {
    const serving = await this.#certificates.server('node-serving', {
      commonName: 'system:node:simulated',
      alternativeNames: ['127.0.0.1'],
    })
    const clientCa = this.#certificates.authority.certificatePem
    const { config } = await parseKubeconfig(this.plane.kubeconfig)
    const clients = connectNodes(config)
    const running = await startSimulatedNodes({
      client: clients.client(),
      clientOf: clients.clientOf,
      count: this.#nodeCount,
      namePrefix: `${this.name}-`,
      firstIndex: this.#index * this.#nodeCount,
      logger: silentLogger,
      tls: { key: serving.keyPem, cert: serving.certificatePem, clientCa },
    })
    this.#nodes = {
      async close() {
        await running.close()
        await clients.close()
      },
    }
  }

  /** As when its disk was replaced, by what `open` opens when the old store is closed; default: an empty one. It must not run. */
  async loseStore(open: (index: number) => Promise<Store> = async (index) => openStore(index)): Promise<void> {
    await this.#store.close()
    this.#store = await open(this.#index)
  }

  async stop(): Promise<void> {
    await this.#nodes?.close()
    await this.#plane?.close()
    this.#nodes = undefined
    this.#plane = undefined
  }

  async close(): Promise<void> {
    await this.stop()
    await this.#store.close()
  }
}

/** Resolves when the check holds; what it throws counts as not yet. */
export async function eventually(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + WAIT_MS
  for (;;) {
    if (await check().catch(() => false)) return
    assert.ok(performance.now() < deadline, `waited ${WAIT_MS} ms for ${what}`)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

function openStore(index: number): Store {
  return withRevisionBase(createMemoryStore({ revisions: timedRevisions(systemClock) }), index * REVISION_SPAN)
}
