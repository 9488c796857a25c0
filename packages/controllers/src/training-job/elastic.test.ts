import assert from 'node:assert/strict'
import { once } from 'node:events'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { Stored } from '@centaurus/api'
import { trainingjobs, trainingreports, type TrainingJob } from '@centaurus/api/centaurus/v1'
import { nodes, pods, type Pod } from '@centaurus/api/core/v1'
import { GPU } from '@centaurus/api/gpu'
import { createTrainingExtension } from '@centaurus/apiserver'
import { startControlPlane, type ControlPlane } from '../testing/control-plane.ts'
import { startTrainingJobController } from './reconcile.ts'
import { ProcessNode } from './testing/process-node.ts'

const NAMESPACE = 'default'
const NODE = 'here'
const GPUS = 4
const WORKER = fileURLToPath(new URL('testing/elastic-worker.ts', import.meta.url))
/** As the program has it. */
const CHECKPOINT_EVERY_STEPS = 20

interface StepLine {
  readonly step: number
  readonly workers: number
  readonly secondsPerStep: number
  readonly batch: number
}

describe('Workers that are processes, in a TrainingJob', () => {
  const folder = mkdtempSync(join(tmpdir(), 'training-'))
  const logPath = join(folder, 'log')
  const logFd = openSync(logPath, 'a')
  let plane: ControlPlane
  let node: ProcessNode
  before(async () => {
    plane = await startControlPlane({
      controllers: [startTrainingJobController],
      extensions: [createTrainingExtension()],
    })
    const created = await plane.client.create(nodes, { metadata: { name: NODE } })
    const conditions = [{ type: 'Ready', status: 'True' as const }]
    const allocatable = { cpu: '64', memory: '256Gi', pods: '110', [GPU]: String(GPUS) }
    await plane.client.updateStatus(nodes, { ...created, status: { conditions, allocatable, capacity: allocatable } })
    const port = await freePort()
    node = new ProcessNode(plane, {
      name: NODE,
      gpus: GPUS,
      logFd,
      environmentOf(pod, { PET_RDZV_ENDPOINT: endpoint = '' }) {
        const isHost = endpoint.startsWith(`${pod.spec?.hostname}.`)
        return { PET_RDZV_ENDPOINT: `127.0.0.1:${port}`, ...(isHost ? { PET_RDZV_CONF: 'is_host=true' } : {}) }
      },
    })
  })
  after(async () => {
    await node.close()
    await plane.close()
    closeSync(logFd)
    rmSync(folder, { recursive: true })
  })

  const podOf = (command: readonly string[], gpus: number): NonNullable<Pod['spec']> => ({
    containers: [
      {
        name: 'main',
        image: 'none',
        command: [...command],
        env: [
          { name: 'CHECKPOINT_DIR', value: join(folder, 'checkpoints') },
          { name: 'STEPS_FILE', value: join(folder, 'steps') },
        ],
        resources: { limits: { [GPU]: String(gpus) } },
      },
    ],
  })
  const jobNow = (): Promise<Stored<TrainingJob>> =>
    plane.client.get(trainingjobs, { namespace: NAMESPACE, name: 'elastic' })
  const lines = (): StepLine[] =>
    readFileSync(logPath, 'utf8')
      .split('\n')
      .slice(0, -1)
      .map((line) => JSON.parse(line) as StepLine)
  /** Steps are made with so many workers, more of them than before, and reported. */
  const trains = async (workers: number): Promise<void> => {
    const before = lines().length
    const last = await plane.eventually(async () => {
      const line = lines().slice(before).at(-1)
      return line?.workers === workers && line
    })
    const body = { spec: last }
    await plane.client.patch(trainingreports, { namespace: NAMESPACE, name: 'elastic' }, { type: 'merge', body })
    await plane.eventually(async () => (await jobNow()).status?.progress?.step === last.step)
  }
  const worker = (index: number): Promise<Stored<Pod>> =>
    plane.client.get(pods, { namespace: NAMESPACE, name: `elastic-worker-${index}` })
  const suspend = (isSuspended: boolean): Promise<unknown> =>
    plane.client.patch(
      trainingjobs,
      { namespace: NAMESPACE, name: 'elastic' },
      { type: 'merge', body: { spec: { suspend: isSuspended } } },
    )

  it('meet again whenever some come, go or die, and do each step once, in order, up to the last checkpoint', async () => {
    await plane.client.create(trainingjobs, {
      metadata: { name: 'elastic', namespace: NAMESPACE },
      spec: {
        framework: 'Torch',
        restartSeconds: 0,
        workers: { min: 1, max: 8, template: { spec: podOf([process.execPath, WORKER], 1) } },
      },
    })
    await trains(GPUS)
    const other = { name: 'other', namespace: NAMESPACE }
    const idle = [process.execPath, '-e', 'setInterval(() => {}, 1e6)']
    await plane.client.create(pods, { metadata: other, spec: podOf(idle, 2) })
    await trains(GPUS - 2)
    await plane.eventually(async () => (await plane.client.get(pods, other)).status?.phase === 'Running')
    await plane.client.delete(pods, other)
    await trains(GPUS)
    assert.equal((await jobNow()).status?.restarts, undefined, 'who was taken away has not failed')

    const killed = await worker(1)
    node.kill(killed)
    await trains(GPUS - 1)
    await trains(GPUS)
    assert.notEqual((await worker(1)).metadata.uid, killed.metadata.uid)
    const { status } = await jobNow()
    assert.deepEqual([status?.restarts, status?.nodeFailures?.[0]?.count], [1, 1])
    assertInOrder(lines(), 0)

    await suspend(true)
    await plane.eventually(async () => (await jobNow()).status?.workers?.active === 0)
    await plane.eventually(async () => (await plane.client.list(pods, { namespace: NAMESPACE })).items.length === 0)
    await suspend(false)
    await trains(GPUS)
    assertInOrder(lines(), 0)

    // All others lose the place where they meet, and end: one failure, after which they go on from the last checkpoint.
    node.kill(await worker(0))
    await plane.eventually(async () => (await jobNow()).status?.restarts === 2)
    await trains(GPUS)
    const wanted = lines().at(-1)!.step + 50
    writeFileSync(join(folder, 'steps'), String(wanted))
    await plane.eventually(async () => (await jobNow()).status?.phase === 'Succeeded')
    assert.equal((await jobNow()).status?.restarts, 2)
    const done = lines()
    assert.ok(done.at(-1)!.step >= wanted)
    assertInOrder(done, 1)
    const sizes = new Set((await jobNow()).status?.observations?.map(({ workers }) => workers))
    assert.ok(sizes.has(GPUS) && sizes.has(GPUS - 2), 'speeds were learned at several sizes')
  })
})

/** Each step follows the one before it, but for `backMax` times when it follows the last checkpoint. */
function assertInOrder(list: readonly StepLine[], backMax: number): void {
  let [last, back] = [0, 0]
  for (const { step } of list) {
    if (step !== last + 1) {
      back++
      const saved = last - (last % CHECKPOINT_EVERY_STEPS)
      assert.ok(step > saved && step <= last, `step ${step} after ${last}`)
    }
    last = step
  }
  assert.ok(back <= backMax, `went back ${back} times`)
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, 'close')
  return port
}
