import { StatusError } from '@centaurus/api'
import { partitions, tenants } from '@centaurus/api/centaurus/v1'
import { services, type Service } from '@centaurus/api/core/v1'
import { createApiServer, type ApiServer } from '@centaurus/apiserver'
import { silentLogger, systemClock, systemRandom } from '@centaurus/base'
import type { Client, RunningController } from '@centaurus/client'
import { createMemoryStore, type Store } from '@centaurus/store'
import { createMembership } from '../../membership/membership.ts'
import type { OpenLink } from '../../membership/partition-link.ts'
import { planRegistryCopies } from '../../membership/registry-copy.ts'
import { createRegistryExtension } from '../../registry/registry-extension.ts'
import { parseQuestion } from '../model.ts'
import { createNodePortsExtension, findUsedPorts } from '../node-ports-extension.ts'
import { NodePorts } from '../node-ports.ts'
import { startPortKeeper } from '../port-keeper.ts'

export interface PortsPartition {
  readonly name: string
  readonly store: Store
  readonly server: ApiServer
  readonly client: Client
  readonly nodePorts: NodePorts
}

export type LostPart = 'question' | 'answer' | undefined

/** Whole API servers in this process, with the network between them in the hands of the test. */
export class PortsWorld {
  readonly #all = new Map<string, PortsPartition>()
  readonly #keepers: RunningController[] = []
  readonly #away = new Set<string>()
  #syncing = Promise.resolve()
  /** Decides of each message what of it gets lost. */
  lose: () => LostPart = () => undefined
  /** Messages that arrived, `from op to`. */
  readonly messages: string[] = []

  get home(): PortsPartition {
    return this.part('home')
  }

  part(name: string): PortsPartition {
    return this.#all.get(name)!
  }

  get names(): string[] {
    return [...this.#all.keys()]
  }

  /** Starts a partition and enters it into the registry; the first one is home. */
  async add(name: string): Promise<void> {
    const store = createMemoryStore()
    const late: { server?: ApiServer } = {}
    const nodePorts = new NodePorts({
      store,
      openLink: this.#openLink(name),
      membership: () => (late.server === undefined ? undefined : createMembership(late.server.reader, name)),
      clock: systemClock,
    })
    const server = createApiServer({
      store,
      clock: systemClock,
      random: systemRandom,
      logger: silentLogger,
      extensions: [createRegistryExtension(), createNodePortsExtension(nodePorts)],
      admission: { nodePorts },
    })
    late.server = server
    await server.start()
    const isHome = this.#all.size === 0
    this.#all.set(name, { name, store, server, client: server.client(), nodePorts })
    await this.home.client.create(partitions, {
      metadata: { name },
      spec: { roles: ['Tenant'], endpoints: [`https://${name}`], ...(isHome ? { home: true } : {}) },
    })
    if (isHome) server.reader.onChange(partitions, () => void this.sync())
    await this.sync()
  }

  async remove(name: string): Promise<void> {
    await this.home.client.delete(partitions, { name })
    const gone = this.part(name)
    this.#all.delete(name)
    await gone.server.close()
    await this.sync()
  }

  /** Runs the partition's part that returns what is not used. */
  keep(name: string): void {
    const { nodePorts, server } = this.part(name)
    this.#keepers.push(
      startPortKeeper({
        nodePorts,
        stored: server.stored,
        hasTenants: true,
        clock: systemClock,
        logger: silentLogger,
        unusedMs: 0,
        recheckMs: 20,
      }),
    )
  }

  /** Nobody reaches it, and its registry stays as it is. */
  cut(name: string): void {
    this.#away.add(name)
  }

  async mend(name: string): Promise<void> {
    this.#away.delete(name)
    await this.sync()
  }

  /** Copies home's registry to all that can be reached. */
  sync(): Promise<void> {
    return (this.#syncing = this.#syncing.then(() => this.#copy()))
  }

  async #copy(): Promise<void> {
    if (this.#away.has('home')) return
    const content = await this.#registry(this.home)
    for (const partition of this.#all.values()) {
      if (partition === this.home || this.#away.has(partition.name)) continue
      const steps = planRegistryCopies(content, await this.#registry(partition))
      if (steps.length === 0) continue
      await partition.store.commit({
        compare: steps.map(({ compare }) => compare),
        changes: steps.map(({ change }) => change),
      })
    }
  }

  async close(): Promise<void> {
    await Promise.all(this.#keepers.map((keeper) => keeper.close()))
    await Promise.all(Array.from(this.#all.values(), ({ server }) => server.close()))
  }

  async #registry({ client }: PortsPartition) {
    return { partitions: (await client.list(partitions)).items, tenants: (await client.list(tenants)).items }
  }

  #openLink(from: string): OpenLink {
    return ({ metadata: { name: to = '' } }) => ({
      request: async ({ body }) => {
        const target = this.#all.get(to)
        const isCut = target === undefined || this.#away.has(to) || this.#away.has(from)
        const lost = this.lose()
        if (isCut || lost === 'question') throw new Error(`${to} does not answer`)
        const question = parseQuestion(Buffer.from(JSON.stringify(body)))
        this.messages.push(`${from} ${question.op} ${to}`)
        const uid = target.nodePorts.membership.get(from)?.metadata.uid ?? ''
        const answer = await target.nodePorts.answer({ name: from, uid }, question, () =>
          findUsedPorts(target.server.stored),
        )
        if (lost === 'answer') throw new Error(`the answer of ${to} was lost`)
        return { status: 200, body: JSON.parse(JSON.stringify(answer)) as unknown }
      },
      stream: () => Promise.reject(new Error('there are no streams here')),
      close: async () => {},
    })
  }
}

/** Makes a Service with one node port: this one, or any. Returns the port. */
export async function expose(client: Client, name: string, nodePort?: number): Promise<number> {
  const ports = [{ port: 80, ...(nodePort === undefined ? {} : { nodePort }) }]
  const made = await client.create(services, {
    metadata: { namespace: 'default', name },
    spec: { type: 'NodePort', ports },
  })
  return portOf(made)
}

/** The same; undefined when it is refused. */
export async function tryExpose(client: Client, name: string, nodePort?: number): Promise<number | undefined> {
  try {
    return await expose(client, name, nodePort)
  } catch (error) {
    if (error instanceof StatusError) return undefined
    throw error
  }
}

export function portOf({ spec }: Service): number {
  return spec?.ports?.[0]?.nodePort ?? 0
}
