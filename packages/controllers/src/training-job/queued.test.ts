import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Stored } from '@centaurus/api'
import { QUEUE_LABEL, queues, trainingjobs, type TrainingJob } from '@centaurus/api/centaurus/v1'
import { nodes, pods } from '@centaurus/api/core/v1'
import { createQueueExtension, createTrainingExtension } from '@centaurus/apiserver'
import { startQueueController } from '../queue/reconcile.ts'
import { ofAnyKind } from '../queue/owner-kind.ts'
import { runPods, startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { createTrainingOwner } from './queue-owner.ts'
import { startTrainingJobController } from './reconcile.ts'

const NAMESPACE = 'default'
const GPU = 'nvidia.com/gpu'

describe('TrainingJobs in a queue', () => {
  let plane: ControlPlane
  let stopPods: () => void
  before(async () => {
    plane = await startControlPlane({
      controllers: [
        startTrainingJobController,
        (deps) => startQueueController(deps, { owners: [ofAnyKind(createTrainingOwner(deps.informers))] }),
      ],
      extensions: [createQueueExtension(), createTrainingExtension()],
    })
    stopPods = runPods(plane)
    const node = await plane.client.create(nodes, { metadata: { name: 'gpus' } })
    const allocatable = { cpu: '64', memory: '256Gi', pods: '110', [GPU]: '16' }
    const conditions = [{ type: 'Ready', status: 'True' as const }]
    await plane.client.updateStatus(nodes, { ...node, status: { conditions, allocatable, capacity: allocatable } })
    await plane.client.create(queues, {
      metadata: { name: 'team' },
      spec: { resources: [{ name: GPU, nominalQuota: '6' }] },
    })
  })
  after(async () => {
    stopPods()
    await plane.close()
  })

  const submit = (name: string, min: number, max: number): Promise<Stored<TrainingJob>> => {
    const containers = [{ name: 'main', image: 'busybox', resources: { limits: { [GPU]: '1' } } }]
    return plane.client.create(trainingjobs, {
      metadata: { name, namespace: NAMESPACE, labels: { [QUEUE_LABEL]: 'team' } },
      spec: { framework: 'Torch', restartSeconds: 0, workers: { min, max, template: { spec: { containers } } } },
    })
  }
  const runs = (name: string, workers: number): Promise<unknown> =>
    plane.eventually(async () => {
      const { status } = await plane.client.get(trainingjobs, { namespace: NAMESPACE, name })
      return status?.phase === 'Running' && status.workers?.ready === workers
    })

  it('get what the queue has, give back for others down to their fewest, and grow when those are done', async () => {
    assert.equal((await submit('first', 2, 8)).spec.suspend, true)
    await runs('first', 6)
    await submit('second', 4, 4)
    await runs('second', 4)
    await runs('first', 2)
    const pod = await plane.client.get(pods, { namespace: NAMESPACE, name: 'second-worker-0' })
    await plane.client.updateStatus(pods, { ...pod, status: { ...pod.status, phase: 'Succeeded' } })
    await runs('first', 6)
  })
})
