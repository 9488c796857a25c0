import { quantityMilliValue, quantityValue } from '@centaurus/api'
import { nodes, type Node } from '@centaurus/api/core/v1'
import { deviceCapacity, GPU_DEVICES_ANNOTATION, parseGpuInventory } from '@centaurus/api/gpu'
import type { ObjectReader } from '@centaurus/apiserver'
import type { Ledger } from './ledger.ts'
import type { Amounts } from './model.ts'

/** Reads `status.allocatable`, and GPUs; amounts that can't be read are 0, so that nothing is given of them. */
export function readAllocatable(node: Readonly<Node>): Amounts {
  const amounts: Record<string, number> = {}
  for (const [name, text] of Object.entries(node.status?.allocatable ?? {})) {
    try {
      amounts[name] = name === 'cpu' ? quantityMilliValue(text) : quantityValue(text)
    } catch {
      amounts[name] = 0
    }
  }
  return { ...amounts, ...readDevices(node) }
}

function readDevices({ metadata }: Readonly<Node>): Amounts {
  const text = metadata.annotations?.[GPU_DEVICES_ANNOTATION]
  if (text === undefined) return {}
  try {
    return deviceCapacity(parseGpuInventory(text))
  } catch (error) {
    if (error instanceof SyntaxError) return {}
    throw error
  }
}

/** Nodes mostly offer the same; beyond so many different offers they no longer share. */
const OFFERS_MAX = 4_096

/** Keeps the ledger's capacities what the nodes of this partition say. Returns what ends it. */
export function followNodes(reader: ObjectReader, ledger: Ledger): () => void {
  const offers = new Map<string, Amounts>()
  const put = (name: string, node: Readonly<Node>): void => {
    // No two nodes have the same GPUs.
    if (node.metadata.annotations?.[GPU_DEVICES_ANNOTATION] !== undefined)
      return ledger.setCapacity(name, readAllocatable(node))
    const key = JSON.stringify(node.status?.allocatable ?? {})
    let amounts = offers.get(key)
    if (amounts === undefined) {
      if (offers.size >= OFFERS_MAX) offers.clear()
      offers.set(key, (amounts = readAllocatable(node)))
    }
    ledger.setCapacity(name, amounts)
  }
  const remove = reader.onChange<Node>(nodes, (change) => {
    if (change.type === 'DELETED') ledger.setCapacity(change.name, undefined)
    else put(change.name, change.object())
  })
  for (const node of reader.list<Node>(nodes)) put(node.metadata.name, node)
  return remove
}
