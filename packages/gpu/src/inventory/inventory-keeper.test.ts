import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { nodes, type Node } from '@centaurus/api/core/v1'
import { createManualClock, silentLogger } from '@centaurus/base'
import { openDeviceSource } from '../sources/open-device-source.ts'
import { createSimulatedProbe } from '../sources/simulated/simulated-probe.ts'
import { NODE_NAME, startTestCluster, type TestCluster } from '../testing/cluster.ts'
import { startInventoryKeeper } from './inventory-keeper.ts'

const FOUR = 'pools: [{name: a, preset: pcie-t4'

describe('startInventoryKeeper, with the credentials of a node', () => {
  let cluster: TestCluster
  let dir: string
  let problem: () => string | undefined
  const clock = createManualClock()
  const closers: (() => Promise<void>)[] = []
  before(async () => {
    cluster = await startTestCluster()
    dir = mkdtempSync(join(tmpdir(), 'gpus-'))
    const file = join(dir, 'gpus.yaml')
    writeFileSync(file, `${FOUR}}]`)
    const source = await openDeviceSource(createSimulatedProbe({ file, nodeName: NODE_NAME }), {
      clock,
      logger: silentLogger,
    })
    const informer = cluster.informers.informer(nodes, { fieldSelector: `metadata.name=${NODE_NAME}` })
    const { client } = cluster
    const gpusOf = (name: string) => (name === NODE_NAME ? source : undefined)
    const keeper = startInventoryKeeper({ nodes: informer, client, gpusOf, clock, logger: silentLogger })
    source.onChange(() => keeper.follow(NODE_NAME))
    assert.match(keeper.problemOf(NODE_NAME) ?? '', /Node n1 is not there/)
    problem = () => keeper.problemOf(NODE_NAME)
    closers.push(
      () => source.close(),
      () => keeper.close(),
    )
  })
  after(async () => {
    for (const close of closers.toReversed()) await close()
    await cluster.close()
    rmSync(dir, { recursive: true })
  })

  /** Lets time pass until the Node is so. */
  async function until(isSo: (node: Node) => boolean): Promise<Node> {
    for (let i = 0; i < 500; i++) {
      await clock.advance(1_000)
      const node = await cluster.admin.get(nodes, { name: NODE_NAME }).catch(() => undefined)
      if (node !== undefined && isSo(node)) return node
      await new Promise((resolve) => setTimeout(resolve, 10))
    }
    throw new Error('The Node did not get so')
  }
  const memoryOf = ({ status }: Node): string | undefined => status?.allocatable?.['centaurus.io/gpu-memory']

  it('writes when the Node appears', async () => {
    await cluster.client.create(nodes, { metadata: { name: NODE_NAME } })
    const node = await until((each) => memoryOf(each) === '61440')
    assert.equal(node.metadata.labels?.['nvidia.com/gpu.product'], 'Tesla-T4')
    assert.equal(node.metadata.labels?.['centaurus.io/gpu-simulated'], 'true')
    assert.match(node.metadata.annotations?.['centaurus.io/gpu-devices'] ?? '', /"healthy":true/)
    await until(() => problem() === undefined)
  })

  it('follows the health of devices', async () => {
    writeFileSync(join(dir, 'gpus.yaml'), `${FOUR}, unhealthy: [1]}]`)
    const node = await until((each) => memoryOf(each) === '46080')
    assert.match(node.metadata.annotations?.['centaurus.io/gpu-devices'] ?? '', /"index":1,.*"healthy":false/)
  })

  it('repairs what others changed', async () => {
    const body = { metadata: { annotations: { 'centaurus.io/gpu-devices': null } } }
    await cluster.admin.patch(nodes, { name: NODE_NAME }, { type: 'merge', body })
    await until(({ metadata }) => metadata.annotations?.['centaurus.io/gpu-devices'] !== undefined)
  })

  it('writes again when the Node was made anew', async () => {
    await cluster.admin.delete(nodes, { name: NODE_NAME })
    await cluster.client.create(nodes, { metadata: { name: NODE_NAME } })
    await until((node) => memoryOf(node) === '46080' && node.metadata.labels?.['nvidia.com/gpu.count'] === '4')
  })

  it('takes back what it said when there are no GPUs any more', async () => {
    writeFileSync(join(dir, 'gpus.yaml'), 'pools: []')
    const node = await until(
      (each) => memoryOf(each) === undefined && each.metadata.labels?.['nvidia.com/gpu.count'] === undefined,
    )
    assert.equal(node.metadata.annotations?.['centaurus.io/gpu-devices'], undefined)
  })
})
