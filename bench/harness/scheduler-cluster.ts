import { nodes as nodeType, pods as podType } from '@centaurus/api/core/v1'
import { priorityclasses } from '@centaurus/api/scheduling/v1'
import type { Client } from '@centaurus/client'
import { fillers, nodeOf, podOf, PRIORITIES, type Shape } from './scheduler-shapes.ts'

const IN_FLIGHT = 200

/** Makes the nodes, what uses them already, and the pods that are to be placed. */
export async function addObjects(client: Client, shape: Shape, counts: { nodes: number; pods: number }): Promise<void> {
  for (const [name, value] of Object.entries(PRIORITIES))
    await client.create(priorityclasses, { metadata: { name }, value })
  await inParallel(counts.nodes, (i) => addNode(client, i))
  const filled = [...fillers(shape, counts.nodes)]
  await inParallel(filled.length, async (i) => {
    const { pod, node } = filled[i]!
    await client.create(podType, { ...pod, spec: { ...pod.spec!, nodeName: nodeOf(node).metadata.name } })
  })
  await inParallel(counts.pods, (i) => client.create(podType, podOf(shape, i)))
}

async function addNode(client: Client, index: number): Promise<void> {
  const node = nodeOf(index)
  const created = await client.create(nodeType, node)
  const untainted = await client.update(nodeType, { ...created, spec: {} })
  await client.updateStatus(nodeType, { ...untainted, status: node.status! })
}

async function inParallel(count: number, work: (index: number) => Promise<unknown>): Promise<void> {
  let next = 0
  const worker = async (): Promise<void> => {
    for (let i = next++; i < count; i = next++) await work(i)
  }
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker))
}
