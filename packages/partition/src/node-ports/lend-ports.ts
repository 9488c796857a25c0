import type { NodePortHolder, PortRange } from '@centaurus/apiserver'
import { isInRanges } from '@centaurus/apiserver'
import { addPorts, parseRanges, planBlock, type PortsAnswer, type PortsQuestion } from './model.ts'
import type { Kept, PortStore } from './port-store.ts'

const ATTEMPTS_MAX = 5

/** Another partition. */
export interface PortsPeer {
  readonly name: string
  /** One that was removed and added again is another one. */
  readonly uid: string
}

type BorrowQuestion = Extract<PortsQuestion, { op: 'borrow' }>

export interface LendDeps {
  readonly store: PortStore
  readonly ranges: () => readonly PortRange[]
}

/**
 * Gives or lends a port of this partition's ranges, unless it is in use. What the same partition has already is written again: whatever was about to be
 * done because of its own earlier answer is off.
 */
export async function lendPort(
  { store, ranges }: LendDeps,
  question: BorrowQuestion,
  peer: PortsPeer,
): Promise<PortsAnswer> {
  const { port, how } = question
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const held = await store.holder(port)
    if (held !== undefined && !isHeldBy(held.value, peer)) return { result: 'taken' }
    // the caller does not know yet what it has got, or has the port already
    if (held?.value.partition !== undefined && held.value.how !== how) return { result: 'unknown' }
    if (held === undefined && !isInRanges(port, ranges())) return { result: 'unknown' }
    const put = await store.putHolder(port, holderOf(peer, how), held?.modRevision ?? 0)
    if (put !== undefined) return { result: 'lent' }
  }
  return { result: 'unknown' }
}

/** Takes back what was lent to the partition; anything else stays. */
export async function takeBackPort({ store }: LendDeps, port: number, peer: PortsPeer): Promise<PortsAnswer> {
  const held = await store.holder(port)
  const isLent = held?.value.partition !== undefined && held.value.how === 'lent'
  if (held !== undefined && isLent && isHeldBy(held.value, peer)) await store.removeHolder(port, held.modRevision)
  return {}
}

/** Home gives a partition a block, unless it has got more than it knows of. `taken`: there is none left. */
export async function giveBlock(store: PortStore, peer: PortsPeer, have: number): Promise<PortsAnswer> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    const partition = await store.partition(peer.name)
    if (partition === undefined) return {}
    const texts = partition.value.spec.nodePorts ?? []
    if (countAll(texts) !== have) return {}
    const taken = await store.holders()
    const ports = planBlock((port) => !taken.has(port))
    if (ports.length === 0) return { result: 'taken' }
    const spec = { ...partition.value.spec, nodePorts: addPorts(texts, ports) }
    const grown: Kept<typeof partition.value> = { ...partition, value: { ...partition.value, spec } }
    if (await store.giveBlock(ports, holderOf(peer, 'given'), grown)) return {}
  }
  return {}
}

export function countAll(texts: readonly string[] | undefined): number {
  return parseRanges(texts).reduce((sum, { first, last }) => sum + last - first + 1, 0)
}

export function holderOf({ name, uid }: PortsPeer, how: 'given' | 'lent'): NodePortHolder {
  return { partition: name, uid, how }
}

function isHeldBy(holder: NodePortHolder, { name, uid }: PortsPeer): boolean {
  return holder.partition === name && holder.uid === uid
}
