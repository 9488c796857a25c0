import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { isConditionTrue, isStatus, type Stored } from '@centaurus/api'
import {
  TRAINING_JOB_LABEL,
  trainingjobs,
  trainingreports,
  type TrainingFramework,
  type TrainingJob,
} from '@centaurus/api/centaurus/v1'
import { configmaps, nodes, pods, serviceaccounts, services, type Pod } from '@centaurus/api/core/v1'
import { rolebindings, roles } from '@centaurus/api/rbac/v1'
import { podgroups } from '@centaurus/api/scheduling/v1beta1'
import { createTrainingExtension } from '@centaurus/apiserver'
import { runPods, startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startTrainingJobController } from './reconcile.ts'

const NAMESPACE = 'default'
const GPU = 'nvidia.com/gpu'
const GPUS = 8

const container = (gpus: number) => ({ name: 'main', image: 'busybox', resources: { limits: { [GPU]: String(gpus) } } })

function jobOf(
  name: string,
  { min = 1, max = 8, ...spec }: Partial<TrainingJob['spec']> & { min?: number; max?: number } = {},
): TrainingJob {
  return {
    metadata: { name, namespace: NAMESPACE },
    spec: {
      framework: 'Torch',
      restartSeconds: 0,
      ...spec,
      workers: { min, max, template: { spec: { containers: [container(1)] } } },
    },
  }
}

describe('TrainingJobs on a real API server', () => {
  let plane: ControlPlane
  let stopPods: () => void
  before(async () => {
    plane = await startControlPlane({
      controllers: [startTrainingJobController],
      extensions: [createTrainingExtension()],
    })
    stopPods = runPods(plane)
    const node = await plane.client.create(nodes, { metadata: { name: 'gpus' } })
    const conditions = [{ type: 'Ready', status: 'True' as const }]
    const allocatable = { cpu: '64', memory: '256Gi', pods: '110', [GPU]: String(GPUS) }
    await plane.client.updateStatus(nodes, { ...node, status: { conditions, allocatable, capacity: allocatable } })
  })
  after(async () => {
    stopPods()
    await plane.close()
  })

  const jobNamed = (name: string): Promise<Stored<TrainingJob>> =>
    plane.client.get(trainingjobs, { namespace: NAMESPACE, name })
  const podsOf = async (name: string): Promise<Stored<Pod>[]> => {
    const { items } = await plane.client.list(pods, {
      namespace: NAMESPACE,
      labelSelector: `${TRAINING_JOB_LABEL}=${name}`,
    })
    return items.filter(({ metadata }) => metadata.deletionTimestamp === undefined)
  }
  const runs = (name: string, workers: number): Promise<Stored<TrainingJob>> =>
    plane.eventually(async () => {
      const job = await jobNamed(name)
      return job.status?.phase === 'Running' && job.status.workers?.ready === workers && job
    })
  const other = async (name: string, gpus: number): Promise<() => Promise<unknown>> => {
    const spec = { nodeName: 'gpus', containers: [container(gpus)] }
    await plane.client.create(pods, { metadata: { name, namespace: NAMESPACE }, spec })
    return () => plane.client.delete(pods, { namespace: NAMESPACE, name }, { gracePeriodSeconds: 0 })
  }
  const environmentOf = ({ spec }: Stored<Pod>): Record<string, string | undefined> =>
    Object.fromEntries((spec?.containers[0]?.env ?? []).map(({ name, value }) => [name, value]))
  const succeed = async (name: string): Promise<void> => {
    const pod = await plane.client.get(pods, { namespace: NAMESPACE, name })
    await plane.client.updateStatus(pods, { ...pod, status: { ...pod.status, phase: 'Succeeded' } })
  }
  const end = async (name: string): Promise<void> => {
    await plane.client.delete(trainingjobs, { namespace: NAMESPACE, name })
    // no garbage collector runs here
    for (const { metadata } of await podsOf(name))
      await plane.client.delete(pods, { namespace: NAMESPACE, name: metadata.name }, { gracePeriodSeconds: 0 })
  }

  it('start with what there is, shrink when others need room, and grow back, while the first workers go on', async () => {
    await plane.client.create(trainingjobs, jobOf('torch', { min: 2, max: 16 }))
    const { status } = await runs('torch', GPUS)
    assert.match(status?.message ?? '', /8 of at most 16 workers: .*8 GPUs for training, 1 a worker/)
    const first = await podsOf('torch')
    const remove = await other('others', 5)
    await runs('torch', GPUS - 5)
    await remove()
    await runs('torch', GPUS)
    const uids = new Map((await podsOf('torch')).map(({ metadata }) => [metadata.name, metadata.uid]))
    for (const i of [0, 1, 2]) {
      const name = `torch-worker-${i}`
      assert.equal(
        uids.get(name),
        first.find(({ metadata }) => metadata.name === name)?.metadata.uid,
        `${name} went on`,
      )
    }
    const environment = environmentOf(first[0]!)
    assert.deepEqual(
      [environment['PET_NNODES'], environment['PET_NPROC_PER_NODE'], environment['PET_RDZV_ENDPOINT']],
      ['2:16', '1', 'torch-worker-0.torch:29400'],
    )
    const group = await plane.client.get(podgroups, { namespace: NAMESPACE, name: 'torch' })
    assert.deepEqual(group.spec.schedulingPolicy, { gang: { minCount: 2 } })
    assert.equal((await plane.client.get(services, { namespace: NAMESPACE, name: 'torch' })).spec?.clusterIP, 'None')
    const role = await plane.client.get(roles, { namespace: NAMESPACE, name: 'torch-reporter' })
    assert.deepEqual(role.rules?.[0]?.resourceNames, ['torch'])
    await end('torch')
  })

  it('give a job that reports that more workers do not help no more, and tell how far it is', async () => {
    await plane.client.create(trainingjobs, jobOf('flat', { max: 4 }))
    await runs('flat', 4)
    const report = async (workers: number, step: number, secondsPerStep: number): Promise<void> => {
      const body = { spec: { step, totalSteps: 1_000, workers, secondsPerStep, batch: 64 } }
      await plane.client.patch(trainingreports, { namespace: NAMESPACE, name: 'flat' }, { type: 'merge', body })
      await plane.eventually(async () => (await jobNamed('flat')).status?.progress?.step === step)
    }
    await report(4, 10, 1)
    const { status } = await jobNamed('flat')
    assert.deepEqual(
      [status?.progress?.percent, status?.progress?.remainingSeconds, status?.progress?.samplesPerSecond],
      [1, 990, 64],
    )
    assert.deepEqual(status?.observations, [{ workers: 4, batch: 64, secondsPerStep: 1, reports: 1 }])
    const speeds = async (): Promise<unknown> =>
      (await jobNamed('flat')).status?.expected?.map((each) => [each.workers, each.samplesPerSecond])
    assert.deepEqual(
      await speeds(),
      [16, 32, 64].map((speed, i) => [2 ** i, speed]),
    )
    const remove = await other('others', GPUS - 2)
    await runs('flat', 2)
    await report(2, 20, 1.01)
    await remove()
    await plane.eventually(async () => (await jobNamed('flat')).status?.observations?.length === 2)
    const [, two, four] = (await jobNamed('flat')).status!.expected!
    assert.deepEqual([two?.samplesPerSecond, four?.samplesPerSecond], [63.4, 64])
    // It could grow, and does not: the next one gets what it leaves.
    await plane.client.create(trainingjobs, jobOf('next', { min: 6, max: 6 }))
    await runs('next', 6)
    assert.equal((await jobNamed('flat')).status?.workers?.desired, 2)
    await end('next')
    await end('flat')
  })

  it('begin Plain ones anew with each change, with ranks of the new world', async () => {
    await plane.client.create(trainingjobs, jobOf('plain', { framework: 'Plain', max: 4 }))
    await runs('plain', 4)
    const remove = await other('others', 5)
    const { status } = await runs('plain', 3)
    assert.equal(status?.world, 1)
    const list = await podsOf('plain')
    assert.deepEqual(
      list.map((pod) => [environmentOf(pod)['RANK'], environmentOf(pod)['WORLD_SIZE']]).toSorted(),
      ['0', '1', '2'].map((rank) => [rank, '3']),
    )
    await remove()
    await end('plain')
  })

  for (const framework of ['Horovod', 'MPI'] satisfies TrainingFramework[]) {
    it(`start a launcher of ${framework} when the workers are ready, with the list of hosts`, async () => {
      const name = framework.toLowerCase()
      const launcher = { template: { spec: { containers: [{ name: 'run', image: 'busybox' }] } } }
      await plane.client.create(trainingjobs, jobOf(name, { framework, launcher, max: 2 }))
      await plane.eventually(async () =>
        (await podsOf(name)).some(({ metadata }) => metadata.name === `${name}-launcher`),
      )
      const { data } = await plane.client.get(configmaps, { namespace: NAMESPACE, name: `${name}-hosts` })
      assert.equal(data?.['hostfile'], [0, 1].map((i) => `${name}-worker-${i}.${name} slots=1\n`).join(''))
      await succeed(`${name}-launcher`)
      await plane.eventually(async () => (await jobNamed(name)).status?.phase === 'Succeeded')
      await plane.eventually(async () => (await podsOf(name)).every(({ status }) => status?.phase === 'Succeeded'))
      await end(name)
    })
  }

  it('are suspended and resumed', async () => {
    await plane.client.create(
      trainingjobs,
      jobOf('paused', { max: 2, checkpoint: { command: ['save'], gracePeriodSeconds: 7 } }),
    )
    await runs('paused', 2)
    const [pod] = await podsOf('paused')
    assert.equal(pod?.spec?.terminationGracePeriodSeconds, 7)
    assert.deepEqual(pod.spec.containers[0]?.lifecycle?.preStop?.exec?.command, ['save'])
    const patch = (suspend: boolean): Promise<unknown> =>
      plane.client.patch(
        trainingjobs,
        { namespace: NAMESPACE, name: 'paused' },
        { type: 'merge', body: { spec: { suspend } } },
      )
    await patch(true)
    await plane.eventually(async () => (await podsOf('paused')).length === 0)
    const { status } = await plane.eventually(async () => {
      const job = await jobNamed('paused')
      return job.status?.phase === 'Suspended' && job
    })
    assert.ok(isConditionTrue(status?.conditions, 'Suspended'))
    await patch(false)
    await runs('paused', 2)
    await end('paused')
  })

  it('have succeeded with their first worker', async () => {
    await plane.client.create(trainingjobs, jobOf('good', { max: 2, ttlSecondsAfterFinished: 0 }))
    await runs('good', 2)
    await succeed('good-worker-0')
    await plane.eventually(async () =>
      jobNamed('good').then(
        () => false,
        (error: unknown) => isStatus(error, 'NotFound'),
      ),
    )
    await end('good').catch(() => {})
  })

  it('that are not resizable keep what they have begun with', async () => {
    await plane.client.create(trainingjobs, jobOf('fixed', { min: 2, max: 6, resizable: false }))
    await runs('fixed', 6)
    const remove = await other('others', GPUS - 2)
    await plane.client.create(trainingjobs, jobOf('small', { max: 1 }))
    await plane.eventually(async () => /waits for room/.test((await jobNamed('small')).status?.message ?? ''))
    assert.equal((await jobNamed('fixed')).status?.workers?.desired, 6)
    await remove()
    await runs('small', 1)
    await end('small')
    await end('fixed')
  })

  it('name what is in their way, and go on when it is gone', async () => {
    const elsewhere = { metadata: { name: 'blocked-worker-1', namespace: NAMESPACE } }
    await plane.client.create(pods, { ...elsewhere, spec: { containers: [container(0)] } })
    const group = { metadata: { name: 'blocked', namespace: NAMESPACE } }
    await plane.client.create(podgroups, { ...group, spec: { schedulingPolicy: { gang: { minCount: 9 } } } })
    await plane.client.create(trainingjobs, jobOf('blocked', { max: 2 }))
    const says = (message: RegExp): Promise<unknown> =>
      plane.eventually(async () => message.test((await jobNamed('blocked')).status?.message ?? ''))
    await says(/can't make PodGroup blocked: another one has this name/)
    await plane.client.delete(podgroups, group.metadata)
    await says(/can't make pods blocked-worker-1: others have these names/)
    await plane.client.patch(pods, elsewhere.metadata, {
      type: 'merge',
      body: { metadata: { labels: { [TRAINING_JOB_LABEL]: 'blocked' } } },
    })
    await plane.client.delete(pods, elsewhere.metadata, { gracePeriodSeconds: 0 })
    await runs('blocked', 2)
    await end('blocked')
  })

  it('are told of new bounds in a new world, and get another template when they are suspended', async () => {
    await plane.client.create(trainingjobs, jobOf('edited', { max: 2 }))
    await runs('edited', 2)
    const patch = (spec: unknown): Promise<unknown> =>
      plane.client.patch(trainingjobs, { namespace: NAMESPACE, name: 'edited' }, { type: 'merge', body: { spec } })
    await patch({ workers: { max: 3 } })
    const { status } = await runs('edited', 3)
    assert.equal(status?.world, 1)
    for (const pod of await podsOf('edited')) assert.equal(environmentOf(pod)['PET_NNODES'], '1:3')
    await plane.client.create(serviceaccounts, { metadata: { name: 'trainer', namespace: NAMESPACE } })
    const template = { spec: { serviceAccountName: 'trainer', containers: [container(2)] } }
    await assert.rejects(patch({ workers: { template } }), /spec\.workers\.template: Forbidden: .*suspended/)
    await patch({ suspend: true })
    await plane.eventually(async () => (await jobNamed('edited')).status?.phase === 'Suspended')
    await patch({ suspend: false, workers: { template } })
    await runs('edited', 3)
    const name = { namespace: NAMESPACE, name: 'edited-reporter' }
    assert.equal((await plane.client.get(rolebindings, name)).subjects?.[0]?.name, 'trainer')
    const [pod] = await podsOf('edited')
    assert.equal(pod?.spec?.serviceAccountName, 'trainer')
    await end('edited')
  })

  it('take reports that the status can’t hold as far as it can', async () => {
    await plane.client.create(trainingjobs, jobOf('odd', { max: 1 }))
    await runs('odd', 1)
    for (const [step, secondsPerStep] of [
      [1, 0],
      [2, 1e9],
      [3, 1e-320],
    ] as const) {
      const body = { spec: { step, totalSteps: 1e15, secondsPerStep, batch: 64 } }
      await plane.client.patch(trainingreports, { namespace: NAMESPACE, name: 'odd' }, { type: 'merge', body })
      await plane.eventually(async () => (await jobNamed('odd')).status?.progress?.step === step)
    }
    await end('odd')
  })

  it('are refused when they mean nothing', async () => {
    const refused = async (job: TrainingJob, message: RegExp): Promise<void> => {
      await assert.rejects(plane.client.create(trainingjobs, job), message)
    }
    await refused(
      jobOf('bad', { min: 3, max: 2 }),
      /spec\.workers\.max: .*must be greater than or equal to `workers\.min`/,
    )
    await refused(jobOf('bad', { framework: 'MPI' }), /spec\.launcher: Required value: with framework MPI/)
    await refused(jobOf('long'.repeat(15)), /host names of its workers/)
    const launcher = { template: { spec: { containers: [{ name: 'run', image: 'busybox' }] } } }
    await refused(jobOf('bad', { launcher }), /spec\.launcher: Forbidden/)
  })
})
