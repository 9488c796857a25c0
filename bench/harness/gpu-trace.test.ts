import assert from 'node:assert/strict'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { createSeededRandom } from '@centaurus/base'
import { placeByCore } from './gpu-ours.ts'
import { PEERS, placeByPeer } from './gpu-peers.ts'
import { gpusOf, inflate, readGpuTrace, type TracePod } from './gpu-trace.ts'

const NODES = `sn,cpu_milli,memory_mib,gpu,model
n-0,32000,262144,4,A100
n-1,16000,262144,2,T4
n-2,16000,262144,0,
`
const PODS = `name,cpu_milli,memory_mib,num_gpu,gpu_milli,gpu_spec,qos
p-0,4000,1024,1,500,,LS
p-1,4000,1024,2,1000,A100,LS
p-2,1000,1024,0,0,,BE
p-3,4000,1024,1,250,T4|A100,BE
`

describe('a trace of GPUs', () => {
  let directory = ''
  before(() => {
    directory = mkdtempSync(join(tmpdir(), 'centaurus-trace-'))
  })
  after(() => rmSync(directory, { recursive: true }))
  const write = (name: string, text: string): void => writeFileSync(join(directory, name), text)

  it('is read from a folder, or it is said what is missing', () => {
    assert.throws(() => readGpuTrace(directory), /Cannot find …node_list_gpu_node.csv/)
    write('openb_node_list_gpu_node.csv', NODES)
    assert.throws(() => readGpuTrace(directory), /Cannot find …pod_list_NAME.csv/)
    write('openb_pod_list_default.csv', PODS)
    const { nodes, lists } = readGpuTrace(directory)
    assert.deepEqual(
      nodes.map(({ name, gpus }) => [name, gpus]),
      [
        ['n-0', 4],
        ['n-1', 2],
      ],
    )
    assert.equal(lists[0]?.name, 'default')
    const [half, two, none, either] = lists[0]!.pods
    assert.deepEqual(half, { cpuMillicores: 4_000, memoryMiB: 1_024, gpus: 1, percent: 50, models: [] })
    assert.deepEqual([two?.gpus, two?.models, none?.gpus, either?.models], [2, ['A100'], 0, ['T4', 'A100']])
    write('openb_pod_list_bad.csv', 'name,cpu_milli\np-0,many\n')
    assert.throws(() => readGpuTrace(directory), /Cannot read the column cpu_milli of a row: it has "many"/)
  })

  const pods: TracePod[] = [
    { cpuMillicores: 2_000, memoryMiB: 64, gpus: 1, percent: 50, models: [] },
    { cpuMillicores: 2_000, memoryMiB: 64, gpus: 2, percent: 100, models: ['A100'] },
    { cpuMillicores: 2_000, memoryMiB: 64, gpus: 0, percent: 0, models: [] },
  ]
  const nodes = [
    { name: 'n-0', cpuMillicores: 64_000, memoryMiB: 65_536, gpus: 4, model: 'A100' },
    { name: 'n-1', cpuMillicores: 64_000, memoryMiB: 65_536, gpus: 2, model: 'T4' },
  ]

  it('is inflated by drawing from it', () => {
    const arrivals = inflate(pods, { gpus: 50, random: createSeededRandom(1) })
    const asked = arrivals.reduce((sum, { gpus, percent }) => sum + (gpus * percent) / 100, 0)
    assert.ok(asked >= 50 && asked < 52)
    assert.ok(pods.every((pod) => arrivals.includes(pod)))
  })

  it('fills the same cluster by ours and by the peers, and never more than there is', () => {
    const arrivals = inflate(pods, { gpus: 100, random: createSeededRandom(2) })
    const ours = placeByCore(nodes, arrivals, createSeededRandom(1))
    const others = PEERS.map((peer) =>
      placeByPeer(peer, { nodes, arrivals, known: pods, random: createSeededRandom(1) }),
    )
    for (const allocated of [ours.allocated, ...others]) assert.equal(allocated, gpusOf(nodes))
  })

  it('is respected in its models', () => {
    const picky = Array.from({ length: 5 }, () => pods[1]!)
    const { allocated } = placeByCore(nodes, picky, createSeededRandom(1))
    assert.equal(allocated, 4)
    for (const peer of PEERS)
      assert.equal(placeByPeer(peer, { nodes, arrivals: picky, known: pods, random: createSeededRandom(1) }), 4)
  })
})
