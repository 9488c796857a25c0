/**
 * Numbers of networks are unique over all partitions, also those that are no more, and none is given twice. Home's Partition says up to which number all may
 * have been given; a partition moves that up by a block, in one write that compares, and gives numbers of its block without asking anybody. Its own store says
 * how far it has come, before a network gets the number: what is lost in a crash is never given.
 *
 * A store may be set back to an old backup. So a block is good for one run of the controller only: an old copy of the store has numbers that may be given. And
 * home's Partition may be old: who takes a block asks the others what they know of, and nobody takes one while somebody does not believe home.
 */
import { randomUUID } from 'node:crypto'
import { isRecord, type Stored } from '@centaurus/api'
import { partitions, VNI_MAX, type Partition } from '@centaurus/api/centaurus/v1'
import { decodeText, encodeText } from '@centaurus/base'
import { TerminalError, type Client } from '@centaurus/client'
import type { Store } from '@centaurus/store'
import { FENCED, findCondition } from '../membership/partition-status.ts'

/** How far this partition has come with its block. */
const VNIS_KEY = '/centaurus/vnis'
/** Numbers that a partition takes at once, whenever it has started and makes a network. There are 65,520 such blocks. */
export const VNI_BLOCK = 256
/** Smaller ones are the cluster's own: 1 is the operators' network. */
export const FIRST_VNI = 4_096

interface Block {
  readonly next: number
  /** Inclusive. */
  readonly last: number
  /** Of whom it is; nobody else gives numbers of it. */
  readonly run: string
}

export interface VniAllocatorDeps {
  readonly store: Store
  /** Of the home partition's `system` tenant. */
  readonly registryClient: Client
  /** Above all numbers that other partitions know of, as far as they answer; absent: there are none. */
  readonly nextVniElsewhere?: (() => Promise<number>) | undefined
}

/** Gives numbers, one at a time, for one run of the controller that makes networks. */
export class VniAllocator {
  readonly #deps: VniAllocatorDeps
  readonly #run = randomUUID()
  #last: Promise<unknown> = Promise.resolve()

  constructor(deps: VniAllocatorDeps) {
    this.#deps = deps
  }

  /** Takes a number that nobody had. Throws Conflict, or what the home partition's client throws: try again. */
  take(): Promise<number> {
    const taken = this.#last.then(() => this.#takeNow())
    this.#last = taken.catch(() => {})
    return taken
  }

  async #takeNow(): Promise<number> {
    const { store } = this.#deps
    const { block, modRevision } = await readBlock(store)
    const isOwn = block.run === this.#run && block.next <= block.last
    const { next, last } = isOwn ? block : await takeBlock(this.#deps, block.last + 1)
    const { committed } = await writeBlock(store, { next: next + 1, last, run: this.#run }, modRevision)
    if (!committed) throw new Error('Somebody else took a number of a network at the same moment')
    return next
  }
}

/** One above all numbers that this partition may have given of its blocks. */
export async function readNextVni(store: Store): Promise<number> {
  return (await readBlock(store)).block.last + 1
}

/** The present block is good for nothing: the store was set back since it was taken, or it was taken of an old home. */
export async function leaveVniBlock(store: Store): Promise<void> {
  for (;;) {
    const { block, modRevision } = await readBlock(store)
    if (modRevision === 0 || (await writeBlock(store, { ...block, run: '' }, modRevision)).committed) return
  }
}

/** `atLeast`: what this partition knows of itself. */
async function takeBlock(
  { registryClient, nextVniElsewhere }: VniAllocatorDeps,
  atLeast: number,
): Promise<Omit<Block, 'run'>> {
  const elsewhere = (await nextVniElsewhere?.()) ?? 0
  const home = await findHome(registryClient)
  const { name } = home.metadata
  if (findCondition(home, FENCED)?.status === 'True')
    throw new Error(
      `No network gets a number while home, "${name}", is not believed. Look at it, then run: centaurus partition readmit ${name}`,
    )
  const next = Math.max(home.spec.nextVni ?? FIRST_VNI, atLeast, elsewhere)
  const last = Math.min(next + VNI_BLOCK - 1, VNI_MAX)
  if (next > last) throw new TerminalError(`All ${VNI_MAX} numbers of networks were given`)
  // compares the revision: who is later fails, and looks again; so does who has not seen that home is fenced
  await registryClient.update(partitions, { ...home, spec: { ...home.spec, nextVni: last + 1 } })
  return { next, last }
}

/** Home's own entry. Throws when the registry has none yet. */
export async function findHome(registryClient: Client): Promise<Stored<Partition>> {
  const { items } = await registryClient.list(partitions)
  const home = items.find(({ spec }) => spec.home === true)
  if (home === undefined) throw new Error('The registry does not know its home partition yet')
  return home
}

async function readBlock(store: Store): Promise<{ readonly block: Block; readonly modRevision: number }> {
  const { entry } = await store.get(VNIS_KEY)
  if (entry === undefined) return { block: { next: 1, last: 0, run: '' }, modRevision: 0 }
  const value: unknown = JSON.parse(decodeText(entry.value))
  if (!isRecord(value) || typeof value['next'] !== 'number' || typeof value['last'] !== 'number')
    throw new Error(`What the store has at ${VNIS_KEY} is no block of numbers`)
  const run = typeof value['run'] === 'string' ? value['run'] : ''
  return { block: { next: value['next'], last: value['last'], run }, modRevision: entry.modRevision }
}

function writeBlock(store: Store, block: Block, modRevision: number): Promise<{ readonly committed: boolean }> {
  return store.commit({
    compare: [{ key: VNIS_KEY, modRevision }],
    changes: [{ type: 'put', key: VNIS_KEY, value: encodeText(JSON.stringify(block)) }],
  })
}
