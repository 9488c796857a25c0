import assert from 'node:assert/strict'
import { describe, it } from 'node:test'
import type { Pod } from '@centaurus/api/core/v1'
import { simulateGpus } from '../sources/simulated/simulated-probe.ts'
import { parsePools } from '../sources/simulated/parse-pools.ts'
import { describeGpus } from './gpu-status.ts'

const GPUS = simulateGpus(parsePools('pools: [{name: a, preset: pcie-t4, count: 3}]'), 'n')
const [A, B, C] = GPUS.devices.map(({ uuid }) => uuid) as [string, string, string]
const NOTHING_KNOWN = { readings: [], profileOf: () => undefined, interferenceOf: () => [] }
const EMPTY = {
  node: 'n',
  kind: 'nvidia' as const,
  gpus: GPUS,
  use: [],
  pods: [],
  held: undefined,
  profiler: NOTHING_KNOWN,
  problems: [],
}

function podOf(name: string, allocation: object, phase = 'Running'): Pod {
  const annotations = { 'centaurus.io/gpu-allocation': JSON.stringify(allocation) }
  return { metadata: { name, namespace: 'd', uid: name, annotations }, status: { phase } }
}
const holdersOf = (input: Partial<Parameters<typeof describeGpus>[0]>) =>
  describeGpus({ ...EMPTY, ...input }).devices.map(({ holders }) =>
    holders.map(({ pod, container }) => `${pod}/${container}`),
  )

describe('describeGpus', () => {
  it('names the holders of each device, by pods that were given it and by what the kubelet gave', () => {
    const pods = [
      podOf('p', {
        x: [{ uuid: A, memoryMiB: 5 }],
        y: [
          { uuid: A, compute: 5 },
          { uuid: B, compute: 9 },
        ],
      }),
    ]
    const held = [
      { namespace: 'd', pod: 'stock', container: 'c', ids: [C] },
      { namespace: 'd', pod: 'p', container: 'x', ids: [`${A}::5::`] },
    ]
    assert.deepEqual(holdersOf({ pods, held }), [['p/x', 'p/y'], ['p/y'], ['stock/c']])
  })

  it('does not name pods that are over', () => {
    const pods = [podOf('p', { x: [{ uuid: A, memoryMiB: 5 }] }, 'Succeeded')]
    assert.deepEqual(holdersOf({ pods, held: [{ namespace: 'd', pod: 'p', container: 'x', ids: [A] }] }), [[], [], []])
  })

  it('tells the use of devices, and what does not work', () => {
    const use = [
      { uuid: B, gpuPercent: 40, memoryPercent: 3, memoryUsedMiB: 77, processes: [{ pid: 1, memoryBytes: 2 }] },
    ]
    const { devices, problems } = describeGpus({ ...EMPTY, use, problems: [undefined, 'No kubelet'] })
    assert.deepEqual(
      devices.map(({ gpuPercent, memoryUsedMiB, processes }) => [gpuPercent, memoryUsedMiB, processes]),
      [
        [undefined, undefined, 0],
        [40, 77, 1],
        [undefined, undefined, 0],
      ],
    )
    assert.deepEqual(problems, ['No kubelet'])
  })
})
