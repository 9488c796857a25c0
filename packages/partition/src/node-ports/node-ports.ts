/**
 * Node ports are unique in the cluster, since nodes run pods of all partitions, and nobody holds a lock for it. Home has all ports, and gives blocks of
 * them to the other partitions: in home's store these are taken. From then on a partition needs nobody to give them to Services. A port of another
 * partition that somebody names is borrowed from there for as long as a Service has it. A key of a store says of each port who has it; a port changes
 * hands by a write at who gives, then one at who gets. A crash between leaves it unused until it is given back or asked for again.
 */
import { isInRanges, NODE_PORT_RANGE, portsUnavailable, type NodePortPool, type PortRange } from '@centaurus/apiserver'
import type { Clock } from '@centaurus/base'
import type { Store } from '@centaurus/store'
import { Links } from '../membership/links.ts'
import type { Membership } from '../membership/membership.ts'
import type { OpenLink } from '../membership/partition-link.ts'
import { countAll, giveBlock, lendPort, takeBackPort, type PortsPeer } from './lend-ports.ts'
import { NODE_PORTS_PATH, parsePortsAnswer, parseRanges, type PortsAnswer, type PortsQuestion } from './model.ts'
import { PortStore } from './port-store.ts'

/** Somebody waits for the Service that needs the port. */
const ASK_TIMEOUT_MS = 3_000
/** For this partition's copy of the registry to show what home gave it. */
const LEARN_TIMEOUT_MS = 3_000

export interface NodePortsDeps {
  readonly store: Store
  readonly openLink: OpenLink
  /** Undefined until the server that knows is made. */
  readonly membership: () => Membership | undefined
  readonly clock: Clock
}

/** Ports of Services here, by port: `namespace/name` in the names of the view over all tenants. Copies do not count. */
export type UsedPorts = () => ReadonlyMap<number, string>

/** One partition's part of it. */
export class NodePorts implements NodePortPool {
  readonly store: PortStore
  readonly #deps: NodePortsDeps
  readonly #links: Links
  #growing: Promise<void> | undefined
  /** Home said so last. */
  #hasNoMore = false

  constructor(deps: NodePortsDeps) {
    this.#deps = deps
    this.store = new PortStore(deps.store)
    this.#links = new Links({ get: (name) => deps.membership()?.get(name) }, deps.openLink)
  }

  /** Throws ServiceUnavailable before the server knows who is in the cluster. */
  get membership(): Membership {
    const membership = this.#deps.membership()
    if (membership === undefined) throw portsUnavailable()
    return membership
  }

  ranges(): readonly PortRange[] {
    const membership = this.#deps.membership()
    const own = membership?.get(membership.self)
    return own?.spec.home === true ? [NODE_PORT_RANGE] : parseRanges(own?.spec.nodePorts)
  }

  /** Home has all that are left. */
  get isFull(): boolean {
    const membership = this.#deps.membership()
    return this.#hasNoMore || membership?.get(membership.self)?.spec.home === true
  }

  grow(): Promise<void> {
    return (this.#growing ??= this.#grow().finally(() => (this.#growing = undefined)))
  }

  async acquire(port: number): Promise<void> {
    const held = await this.store.holder(port)
    if (held === undefined) return isInRanges(port, this.ranges()) ? undefined : this.#borrow(port)
    const { partition } = held.value
    if (partition === undefined) return
    const home = this.#home()
    // what one partition borrowed from another is in use; between home and a partition ports change hands for good
    if (partition !== home && this.membership.self !== home) return
    if (await this.#isLent(partition, { op: 'borrow', port, how: 'given' }))
      await this.store.removeHolder(port, held.modRevision)
  }

  /** Answers another partition. */
  async answer(peer: PortsPeer, question: PortsQuestion, usedPorts: UsedPorts): Promise<PortsAnswer> {
    const deps = { store: this.store, ranges: () => this.ranges() }
    switch (question.op) {
      case 'borrow':
        return lendPort(deps, question, peer)
      case 'return':
        return takeBackPort(deps, question.port, peer)
      case 'adopt':
        return this.#adopt(peer, question.ports, usedPorts())
      case 'more':
        return this.#home() === this.membership.self ? giveBlock(this.store, peer, question.have) : {}
    }
  }

  /** Asks another partition. Throws ServiceUnavailable when it does not answer in time. */
  async ask(partition: string, question: PortsQuestion): Promise<PortsAnswer> {
    try {
      const { status, body } = await this.#links.of(partition).request({
        method: 'POST',
        path: NODE_PORTS_PATH,
        body: question,
        signal: AbortSignal.timeout(ASK_TIMEOUT_MS),
      })
      if (status !== 200) throw new Error(`Partition "${partition}" answered with ${status}`)
      return parsePortsAnswer(body)
    } catch (error) {
      throw portsUnavailable(error)
    }
  }

  close(): Promise<void> {
    return this.#links.close()
  }

  async #grow(): Promise<void> {
    const home = this.#home()
    if (home === this.membership.self) return
    const have = this.#count()
    const { result } = await this.ask(home, { op: 'more', have })
    this.#hasNoMore = result === 'taken'
    if (!this.#hasNoMore) await this.#learn(() => this.#count() !== have)
  }

  /** What will be asked is written first: a port that was lent and never came into use is given back. */
  async #borrow(port: number): Promise<void> {
    const from = this.#ownerOf(port)
    const known = await this.store.borrowed(port)
    if (known?.value.state === 'held') return
    if (known?.value.state === 'returning') throw portsUnavailable()
    const record = { from, state: 'asking', atMs: this.#deps.clock.now() } as const
    const asked = await this.store.putBorrowed(port, record, known?.modRevision ?? 0)
    if (asked === undefined) throw portsUnavailable()
    const isLent = await this.#isLent(from, { op: 'borrow', port, how: 'lent' })
    const isDone = isLent
      ? (await this.store.putBorrowed(port, { ...record, state: 'held' }, asked)) !== undefined
      : await this.store.removeBorrowed(port, asked)
    if (!isDone) throw portsUnavailable()
  }

  /** Throws ServiceUnavailable when nobody knows. */
  async #isLent(partition: string, question: PortsQuestion): Promise<boolean> {
    const { result } = await this.ask(partition, question)
    if (result === 'lent' || result === 'taken') return result === 'lent'
    throw portsUnavailable()
  }

  /** From now on this partition has of the caller what it uses, or holds for a tenant that has left, and nothing of who had them before. */
  async #adopt(peer: PortsPeer, ports: readonly number[], used: ReadonlyMap<number, string>): Promise<PortsAnswer> {
    const adopted: number[] = []
    for (const port of ports) {
      const known = await this.store.borrowed(port)
      const isUsed = used.has(port) || (await this.store.holder(port))?.value.service !== undefined
      const record = { from: peer.name, state: 'held', atMs: this.#deps.clock.now() } as const
      if (isUsed) {
        const put = await this.store.putBorrowed(port, record, known?.modRevision ?? 0)
        if (put === undefined) throw portsUnavailable()
        adopted.push(port)
      } else if (known !== undefined && !(await this.store.removeBorrowed(port, known.modRevision)))
        throw portsUnavailable()
    }
    return { ports: adopted }
  }

  #ownerOf(port: number): string {
    const owner = this.membership.list().find(({ spec }) => isInRanges(port, parseRanges(spec.nodePorts)))
    return owner?.metadata.name ?? this.#home()
  }

  #home(): string {
    const home = this.membership.list().find(({ spec }) => spec.home === true)
    if (home === undefined) throw portsUnavailable()
    return home.metadata.name
  }

  #count(): number {
    return countAll(this.membership.get(this.membership.self)?.spec.nodePorts)
  }

  /** Resolves when the registry here shows it, or when that takes too long. */
  async #learn(isKnown: () => boolean): Promise<void> {
    if (isKnown()) return
    const known = Promise.withResolvers<void>()
    const stop = this.membership.onChange(() => {
      if (isKnown()) known.resolve()
    })
    const timer = this.#deps.clock.setTimer(LEARN_TIMEOUT_MS, known.resolve)
    await known.promise
    timer.cancel()
    stop()
  }
}
