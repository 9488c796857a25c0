import assert from 'node:assert/strict'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import type { Job } from '@centaurus/api/batch/v1'
import type { QueuedWorkload } from '@centaurus/api/centaurus/v1'
import type { Pod } from '@centaurus/api/core/v1'
import { ROOT, TestCluster } from './lib/cluster.ts'
import { waitFor } from './lib/processes.ts'

/** The examples of docs/queues.md, in its order. */
async function readExamples(): Promise<string[]> {
  const text = await readFile(join(ROOT, 'docs/queues.md'), 'utf8')
  return [...text.matchAll(/```yaml\n(.*?)```/gs)].map(([, yaml]) => yaml!)
}

describe('queues, by kubectl', () => {
  let cluster: TestCluster
  let examples: string[]

  before(async () => {
    examples = await readExamples()
    cluster = await TestCluster.create('queues')
    await cluster.up('--nodes', 'simulated:2')
  })
  after(() => cluster?.remove())

  const apply = (input: string): Promise<string> => cluster.kubectl('apply -f -', { input })
  const workloadOf = async (job: string): Promise<QueuedWorkload | undefined> => {
    const { items } = await cluster.json<{ items: QueuedWorkload[] }>('get queuedworkloads')
    return items.find(({ metadata }) => metadata.ownerReferences?.some(({ name }) => name === job))
  }
  const runningPods = async (job: string): Promise<Pod[]> => {
    const { items } = await cluster.json<{ items: Pod[] }>(`get pods -l batch.kubernetes.io/job-name=${job}`)
    return items.filter(({ status }) => status?.phase === 'Running')
  }
  const untilRunning = (job: string, count: number): Promise<unknown> =>
    waitFor(`${count} pods of ${job}`, async () => (await runningPods(job)).length === count, {
      timeoutMs: 60_000,
      describe: () => cluster.diagnose(),
    })

  it('lend to a queue what another one does not use', async () => {
    assert.match(await apply(examples[0]!), /queue.centaurus.io\/vision created/)
    await apply(examples[1]!)
    await untilRunning('train', 3)
    const rows = await cluster.eventually('get queues', (output) => /vision +research +0 +1 +cpu 6\/4/.test(output))
    assert.match(rows, /^NAME +PARENT +PENDING +ADMITTED +USED +AGE/)
    assert.match(rows, /research +0 +1 +cpu 6\/8/)
  })

  it('take back what they lent, and say why the other one waits', async () => {
    await apply(examples[2]!)
    await untilRunning('listen', 2)
    await untilRunning('train', 0)
    const job = await cluster.json<Job>('get job train')
    assert.equal(job.spec?.suspend, true)
    const pending = await waitFor('why train waits', async () => {
      const found = await workloadOf('train')
      return found?.status?.pending?.reason === 'InsufficientQuota' && found
    })
    const { name } = (await workloadOf('listen'))!.metadata
    const { message, lacks, position } = pending.status!.pending!
    assert.equal(
      message,
      `Needs 6 cpu of queue "research", which has 4 of 8 left; there is room when "default/${name}" ends`,
    )
    assert.deepEqual(
      [position, lacks],
      [1, [{ queue: 'research', resource: 'cpu', needed: '6', available: '4', limit: '8' }]],
    )
    assert.match(await cluster.kubectl('get queuedworkloads'), /job-train-\w+ +vision +False +1 +InsufficientQuota/)
    const described = await cluster.kubectl(`describe queuedworkload ${pending.metadata.name}`)
    assert.match(described, /Needs 6 cpu of queue "research"/)
    assert.match(described, /EvictedDueToPreempted/)
    const conditions = new Map(
      pending.status!.conditions!.map(({ type, status, reason }) => [type, `${status} ${reason}`]),
    )
    assert.deepEqual([conditions.get('QuotaReserved'), conditions.get('Evicted')], ['False Pending', 'True Preempted'])
  })

  it('start again who gave way, when there is room', async () => {
    await cluster.kubectl('delete job listen')
    await untilRunning('train', 3)
    assert.equal(await workloadOf('listen'), undefined)
  })

  it('admit a gang that no nodes have room for, of which none starts, and say so per node', async () => {
    await apply(examples[3]!)
    const found = await waitFor('why ring has no nodes', async () => (await workloadOf('ring'))?.status?.nodes)
    assert.match(found.message, /minCount|anti-affinity/)
    assert.equal((await runningPods('ring')).length, 0)
    const group = await cluster.json<{ spec: { schedulingPolicy: unknown } }>('get podgroup ring')
    assert.deepEqual(group.spec.schedulingPolicy, { gang: { minCount: 3 } })
  })

  it('go on after the control plane was killed in the middle, and admit nobody twice', async () => {
    await apply(examples[2]!)
    const record = await readFile(join(cluster.home, 'run', 'control-plane.json'), 'utf8')
    process.kill((JSON.parse(record) as { pid: number }).pid, 'SIGKILL')
    await waitFor('the control plane', async () => (await cluster.centaurus(['status'])).code === 0)
    await untilRunning('listen', 2)
    await untilRunning('train', 0)
    await cluster.eventually('get queue research', (output) => /cpu 4\/8/.test(output))
    const { items } = await cluster.json<{ items: QueuedWorkload[] }>('get queuedworkloads')
    const owners = items.map(({ metadata }) => metadata.ownerReferences?.[0]?.name)
    assert.deepEqual(owners.toSorted(), ['listen', 'ring', 'train'])
  })

  it('say what is wrong with a Queue', async () => {
    const wrong =
      'apiVersion: centaurus.io/v1\nkind: Queue\nmetadata: { name: q }\nspec: { parent: q, resources: [{ name: cpu, nominalQuota: lots }] }\n'
    const { stderr } = await cluster.tryKubectl('apply -f -', { input: wrong })
    assert.match(stderr, /spec.parent: Invalid value: "q": must be another queue/)
    assert.match(stderr, /nominalQuota: Invalid value: "lots": must be a quantity, such as 8, 500m or 64Gi/)
    assert.match(await cluster.kubectl('explain queue.spec.reserveAfterSeconds'), /has room kept for it/)
  })

  it('are each tenant’s own, whatever their names', async () => {
    await cluster.mustCentaurus(['tenant', 'create', 'acme'])
    const config = join(cluster.home, 'acme.yaml')
    await writeFile(config, await cluster.mustCentaurus(['tenant', 'kubeconfig', 'acme']))
    const acme = (args: string, input?: string): Promise<string> =>
      cluster.kubectl(`--kubeconfig ${config} ${args}`, input === undefined ? {} : { input })
    for (const example of examples.slice(0, 3)) await acme('apply -f -', example)
    await waitFor('one of two to wait', async () => {
      const rows = await acme('get queuedworkloads -o wide')
      return /job-train-\w+ +vision +False +1 +InsufficientQuota +Needs 6 cpu of queue "research"/.test(rows) && rows
    })
    await waitFor('the queues to say so', async () => /vision +research +1 +0 +cpu 0\/4/.test(await acme('get queues')))
    await waitFor('both pods of the other one to run', async () => {
      const running = await acme('get pods --field-selector status.phase=Running -o name')
      return running.trim().split('\n').length === 2
    })
    await acme('delete queue speech --wait=false')
    assert.match(
      await acme('get queue speech -o jsonpath={.metadata.deletionTimestamp}'),
      /Z/,
      'until "listen" has ended',
    )
    await acme('delete job listen')
    await waitFor('the queue to be gone', async () => !/speech/.test(await acme('get queues')))
    assert.match(await cluster.kubectl('get queues'), /speech/, 'another tenant’s is there')
  })
})
