import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { nodes } from '@centaurus/api/core/v1'
import { createSeededRandom, silentLogger, systemClock } from '@centaurus/base'
import { createInformerFactory } from '@centaurus/client'
import { startTestCluster, type TestCluster } from '../testing/cluster.ts'
import { fastClock } from '../testing/fast-clock.ts'
import { until } from '../testing/kubelet.ts'
import { startSimulatedInventory } from './simulated-inventory.ts'

describe('startSimulatedInventory', () => {
  let cluster: TestCluster
  let dir: string
  let close: () => Promise<void>
  const write = (text: string): void => writeFileSync(join(dir, 'gpus.yaml'), `pools: [{name: a, ${text}}]`)
  before(async () => {
    cluster = await startTestCluster()
    dir = mkdtempSync(join(tmpdir(), 'gpus-'))
    write('preset: dgx-a100, nodes: [sim-1*]')
    for (const name of ['sim-1', 'sim-2', 'sim-11', 'real-1']) await cluster.admin.create(nodes, { metadata: { name } })
    const client = cluster.admin
    const deps = { clock: systemClock, random: createSeededRandom(1), logger: silentLogger }
    const informers = createInformerFactory(client, deps)
    const isOurs = (name: string): boolean => name.startsWith('sim-')
    const file = join(dir, 'gpus.yaml')
    const running = startSimulatedInventory({ file, client, informers, isOurs, clock: fastClock, logger: silentLogger })
    close = async () => {
      await running.close()
      await informers.close()
    }
  })
  after(async () => {
    await close()
    await cluster.close()
    rmSync(dir, { recursive: true })
  })

  const counts = async (): Promise<string> => {
    const { items } = await cluster.admin.list(nodes)
    return items.map(({ metadata, status }) => `${metadata.name} ${status?.allocatable?.['nvidia.com/gpu']}`).join()
  }
  const untilCounts = (wanted: string) => until(async () => (await counts()) === wanted, wanted)

  it('counts GPUs of the nodes that the file names, of those that are simulated', async () => {
    await untilCounts('real-1 undefined,sim-1 8,sim-11 8,sim-2 undefined')
  })

  it('follows the file', async () => {
    write('preset: dgx-a100, nodes: ["*"], unhealthy: [0, 1]')
    await untilCounts('real-1 undefined,sim-1 6,sim-11 6,sim-2 6')
    write('preset: nosuch')
    write('preset: dgx-a100, nodes: [sim-2]')
    await untilCounts('real-1 undefined,sim-1 undefined,sim-11 undefined,sim-2 8')
    const { metadata } = await cluster.admin.get(nodes, { name: 'sim-2' })
    assert.equal(metadata.annotations?.['centaurus.io/gpu-simulated'], 'true')
  })
})
