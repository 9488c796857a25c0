import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { TrainingJob } from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { ROOT, TestCluster } from './lib/cluster.ts'
import { waitFor } from './lib/processes.ts'

const GPU = 'nvidia.com/gpu'
const GPUS = 8

describe('training jobs, by kubectl', () => {
  let cluster: TestCluster

  before(async () => {
    cluster = await TestCluster.create('training')
    const file = join(cluster.home, 'gpus.yaml')
    await writeFile(file, 'pools: [{name: a, model: NVIDIA A100-SXM4-40GB, count: 4, memoryMiB: 40960}]\n')
    await cluster.up('--nodes', 'simulated:2', '--simulated-gpus', file)
    await cluster.eventually('get nodes -o jsonpath={.items[*].status.allocatable}', (output) =>
      output.includes(`"${GPU}":"4"`),
    )
  })
  after(() => cluster?.remove())

  const read = (name: string): Promise<TrainingJob> => cluster.json<TrainingJob>(`get trainingjob ${name}`)
  const untilWorkers = (name: string, workers: number): Promise<TrainingJob> =>
    waitFor(
      `${workers} workers of ${name}`,
      async () => {
        const job = await read(name)
        return job.status?.phase === 'Running' && job.status.workers?.ready === workers && job
      },
      { timeoutMs: 60_000, describe: async () => JSON.stringify((await read(name)).status) },
    )
  const other = (name: string, gpus: number): Promise<unknown> =>
    cluster.apply({
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name, annotations: { 'simulation.centaurus.io/run-seconds': '3600' } },
      spec: { containers: [{ name: 'main', image: 'busybox:1', resources: { limits: { [GPU]: String(gpus) } } }] },
    })

  it('start with what there is', async () => {
    const text = await readFile(join(ROOT, 'docs/training.md'), 'utf8')
    const [, example] = /```yaml\n(.*?)```/s.exec(text)!
    await cluster.kubectl('apply -f -', { input: example! })
    await untilWorkers('resnet', GPUS)
    assert.match(await cluster.kubectl('get trainingjobs'), /resnet +Running +8 +8 +2 +16/)
    const { items } = await cluster.json<{ items: Pod[] }>('get pods -l centaurus.io/training-job=resnet')
    const devices = items.flatMap(({ metadata }) => metadata.annotations?.['centaurus.io/gpu-allocation'] ?? [])
    assert.equal(new Set(devices).size, GPUS, 'each has a device of its own')
  })

  it('shrink when others need room, and grow back', async () => {
    await other('notebook', 3)
    await untilWorkers('resnet', GPUS - 3)
    await cluster.kubectl('wait --for=condition=Ready pod/notebook --timeout=60s')
    await cluster.kubectl('delete pod notebook --grace-period=0 --force')
    await untilWorkers('resnet', GPUS)
    assert.match(await cluster.kubectl('describe trainingjob resnet'), /From 8 to 5 workers.*[^]*From 5 to 8 workers/)
  })

  it('tell how far they are', async () => {
    const spec = { step: 500, totalSteps: 1_000, secondsPerStep: 0.5, batch: 256, workers: GPUS }
    await cluster.kubectl(['patch', 'trainingreport', 'resnet', '--type=merge', '-p', JSON.stringify({ spec })])
    await cluster.eventually('get trainingjobs', (output) => /resnet +Running +8 +8 +2 +16 +50 +250/.test(output))
  })

  it('share with each other, and leave nothing behind', async () => {
    const { spec } = await read('resnet')
    await cluster.apply({ apiVersion: 'centaurus.io/v1', kind: 'TrainingJob', metadata: { name: 'bert' }, spec })
    await waitFor(
      'all GPUs in two halves, more or less',
      async () => {
        const ready = await Promise.all(
          ['resnet', 'bert'].map(async (name) => (await read(name)).status?.workers?.ready ?? 0),
        )
        return Math.min(...ready) >= 2 && ready.reduce((sum, each) => sum + each) === GPUS
      },
      { timeoutMs: 60_000 },
    )
    await cluster.kubectl('delete trainingjob bert')
    await untilWorkers('resnet', GPUS)
    await cluster.kubectl('delete trainingjob resnet')
    const kinds = 'pods,services,podgroups,trainingreports,roles,rolebindings'
    await cluster.eventually(`get ${kinds} -o name`, (output) => !/resnet|bert/.test(output))
  })
})
