/**
 * Numbers of networks are unique over all partitions, also those that are no more, and none is given twice. Home's Partition says up to which number all may
 * have been given; a partition moves that up by a block, in one write that compares, and gives numbers of its block without asking anybody. Its own store says
 * how far it has come, before a network gets the number: what is lost in a crash is never given.
 */
import { isRecord, type Stored } from '@centaurus/api'
import { partitions, VNI_MAX, type Partition } from '@centaurus/api/centaurus/v1'
import { decodeText, encodeText } from '@centaurus/base'
import { TerminalError, type Client } from '@centaurus/client'
import type { Store } from '@centaurus/store'

/** How far this partition has come with its block. */
const VNIS_KEY = '/centaurus/vnis'
/** Numbers that a partition takes at once. There are 4,095 such blocks. */
export const VNI_BLOCK = 4_096
/** Smaller ones are the cluster's own: 1 is the operators' network. */
const FIRST_VNI = VNI_BLOCK

interface Block {
  readonly next: number
  /** Inclusive. */
  readonly last: number
}

export interface VniAllocatorDeps {
  readonly store: Store
  /** Of the home partition's `system` tenant. */
  readonly registryClient: Client
}

/** Takes a number that nobody had. Throws Conflict, or what the home partition's client throws: try again. */
export async function takeVni(deps: VniAllocatorDeps): Promise<number> {
  const { block, modRevision } = await readBlock(deps.store)
  const { next, last } = block.next <= block.last ? block : await takeBlock(deps.registryClient)
  await writeBlock(deps.store, { next: next + 1, last }, modRevision)
  return next
}

async function takeBlock(registryClient: Client): Promise<Block> {
  const home = await findHome(registryClient)
  const next = home.spec.nextVni ?? FIRST_VNI
  const last = Math.min(next + VNI_BLOCK - 1, VNI_MAX)
  if (next > last) throw new TerminalError(`All ${VNI_MAX} numbers of networks were given`)
  // compares the revision: who is later fails, and looks again
  await registryClient.update(partitions, { ...home, spec: { ...home.spec, nextVni: last + 1 } })
  return { next, last }
}

async function findHome(registryClient: Client): Promise<Stored<Partition>> {
  const { items } = await registryClient.list(partitions)
  const home = items.find(({ spec }) => spec.home === true)
  if (home === undefined) throw new Error('The registry does not know its home partition yet')
  return home
}

async function readBlock(store: Store): Promise<{ readonly block: Block; readonly modRevision: number }> {
  const { entry } = await store.get(VNIS_KEY)
  if (entry === undefined) return { block: { next: 1, last: 0 }, modRevision: 0 }
  const value: unknown = JSON.parse(decodeText(entry.value))
  if (!isRecord(value) || typeof value['next'] !== 'number' || typeof value['last'] !== 'number')
    throw new Error(`What the store has at ${VNIS_KEY} is no block of numbers`)
  return { block: { next: value['next'], last: value['last'] }, modRevision: entry.modRevision }
}

async function writeBlock(store: Store, block: Block, modRevision: number): Promise<void> {
  const { committed } = await store.commit({
    compare: [{ key: VNIS_KEY, modRevision }],
    changes: [{ type: 'put', key: VNIS_KEY, value: encodeText(JSON.stringify(block)) }],
  })
  if (!committed) throw new Error('Somebody else took a number of a network at the same moment')
}
